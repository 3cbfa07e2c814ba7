//! The `zorilla` program.

use std::process::ExitCode;

/// Blocks are made by one thread and freed by another all the time here (a request is decoded on a network thread,
/// its znode lives in the tree, its record goes to the log's thread): the system's allocator takes a lock for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    match zorilla::cli::run(&args, environment, zorilla::server::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("zorilla: {exit}");
            ExitCode::from(exit.code())
        }
    }
}
