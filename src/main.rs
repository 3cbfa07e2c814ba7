//! The `zorilla` program.

use std::process::ExitCode;

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
