//! `zkload`: measures a ZooKeeper server and checks every reply; see `--help`.

use std::process::ExitCode;

use serde_json::json;
use zorilla_compat_tests::load::failure::Failure;
use zorilla_compat_tests::load::options::Options;
use zorilla_compat_tests::load::run;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(2);
        }
    };
    allow_many_sockets();
    let report = run(&options).unwrap_or_else(|failure| report_of(&options.name, &failure));
    println!("{report}");
    if report["failure"].is_null() && report["errors"] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report_of(workload: &str, failure: &Failure) -> serde_json::Value {
    json!({ "workload": workload, "failure": failure.to_string() })
}

/// Thousands of sessions need as many descriptors: raise the soft limit to the hard one.
fn allow_many_sockets() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("the limit of open files stays at {:?}: {e}", limit.current);
    }
}
