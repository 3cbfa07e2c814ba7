//! `zklimit`: what a server could do at most on this machine: no znodes, only bytes and fdatasyncs.
//!
//! One thread answers `zkload`'s requests with replies of the right size. Writes are appended to a
//! zero-filled file and answered behind one fdatasync for whatever arrived together. It checks nothing
//! and forgets everything: a ceiling to hold servers against, not a server.

use std::process::ExitCode;

use zorilla_compat_tests::limit::Limit;

const USAGE: &str = "usage: zklimit ADDRESS LOG_FILE DATA_BYTES";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, log, bytes] = args.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let (Ok(address), Ok(bytes)) = (address.parse(), bytes.parse()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let ended = Limit::bind(address, log.as_ref(), bytes).and_then(|mut limit| {
        println!("listening on {}", limit.address()?);
        limit.serve()
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("zklimit: {e}");
            ExitCode::FAILURE
        }
    }
}
