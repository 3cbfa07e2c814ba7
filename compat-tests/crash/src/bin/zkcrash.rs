//! `zkcrash power ...`: rebuilds what power cuts may leave of a recorded server, and has it opened.
//! `zkcrash faults ...`: damages the files of a stopped server, one at a time. One JSON object on standard output.

use std::process::ExitCode;
use zorilla_crash_tests::arguments::Arguments;
use zorilla_crash_tests::{Unusable, faults, power};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(report) => {
            println!("{report:#}");
            if report["failed"] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("zkcrash: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<serde_json::Value, Unusable> {
    let (command, rest) = words.split_first().ok_or_else(|| Unusable::Text("power or faults?".to_owned()))?;
    let arguments = Arguments::parse(rest)?;
    match command.as_str() {
        "power" => power::run(&arguments),
        "faults" => faults::run(&arguments),
        other => Err(Unusable::Text(format!("{other}: power or faults?"))),
    }
}
