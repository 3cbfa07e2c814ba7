//! The command line of `zkload`.

use std::net::{SocketAddr, ToSocketAddrs};

use super::failure::Failure;
use super::steady::Mix;

/// Printed for `--help` and behind every complaint.
pub const USAGE: &str = "\
usage: zkload WORKLOAD [--address HOST:PORT] [--connections N] [--outstanding M] [--bytes B]
              [--keys K] [--sessions S] [--seconds T] [--warmup T] [--pid PID]

  get exists children set create mixed multi   N connections with M requests outstanding each, for
  create-set-delete                            T seconds after the warm-up (multi: 20 setData each)
  fanout     S sessions watch K znodes each, and a writer with M outstanding sets them, in rounds
  sessions   opens S sessions with one ephemeral each, N at a time
  load       creates K znodes by multi and leaves them there

Prints one line of JSON. Exit code 1 when any reply was an error, wrong, or out of order.";

const SECONDS_MAX: u64 = 600;

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Workload {
    Steady(Mix),
    Fanout,
    Sessions,
    Load,
}

/// The parsed command line.
#[derive(Debug)]
pub struct Options {
    pub name: String,
    pub workload: Workload,
    pub address: SocketAddr,
    pub connections: u32,
    pub outstanding: usize,
    pub bytes: usize,
    pub keys: u32,
    pub sessions: usize,
    pub seconds: u64,
    pub warmup: u64,
    pub pid: Option<u32>,
}

impl Options {
    /// Parses the arguments behind the program's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut args = args.into_iter();
        let name = args.next().filter(|name| name != "--help").ok_or_else(|| usage("which workload?"))?;
        let mut options = Self {
            workload: workload(&name)?,
            name,
            address: ([127, 0, 0, 1], 2181).into(),
            connections: 16,
            outstanding: 16,
            bytes: 1024,
            keys: 1000,
            sessions: 1000,
            seconds: 5,
            warmup: 1,
            pid: None,
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| usage(format!("{flag} needs a value")))?;
            options.set(&flag, &value)?;
        }
        Ok(options)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), Failure> {
        match flag {
            "--address" => {
                let found = value.to_socket_addrs().ok().and_then(|mut found| found.next());
                self.address = found.ok_or_else(|| usage(format!("--address {value}: not an address")))?;
            }
            "--connections" => self.connections = number(flag, value, 1, 100_000)? as u32,
            "--outstanding" => self.outstanding = number(flag, value, 1, 100_000)? as usize,
            "--bytes" => self.bytes = number(flag, value, 0, 1_000_000)? as usize,
            "--keys" => self.keys = number(flag, value, 1, 1_000_000_000)? as u32,
            "--sessions" => self.sessions = number(flag, value, 1, 1_000_000)? as usize,
            "--seconds" => self.seconds = number(flag, value, 1, SECONDS_MAX)?,
            "--warmup" => self.warmup = number(flag, value, 0, SECONDS_MAX)?,
            "--pid" => self.pid = Some(number(flag, value, 1, u64::from(u32::MAX))? as u32),
            _ => return Err(usage(format!("unknown option {flag}"))),
        }
        Ok(())
    }
}

fn workload(name: &str) -> Result<Workload, Failure> {
    Ok(match name {
        "get" => Workload::Steady(Mix::Get),
        "exists" => Workload::Steady(Mix::Exists),
        "children" => Workload::Steady(Mix::Children),
        "set" => Workload::Steady(Mix::Set),
        "create" => Workload::Steady(Mix::Create),
        "create-set-delete" => Workload::Steady(Mix::CreateSetDelete),
        "mixed" => Workload::Steady(Mix::Mixed),
        "multi" => Workload::Steady(Mix::Multi),
        "fanout" => Workload::Fanout,
        "sessions" => Workload::Sessions,
        "load" => Workload::Load,
        _ => return Err(usage(format!("unknown workload {name}"))),
    })
}

fn number(flag: &str, value: &str, min: u64, max: u64) -> Result<u64, Failure> {
    let parsed = value.parse().ok().filter(|number| (min..=max).contains(number));
    parsed.ok_or_else(|| usage(format!("{flag} {value}: not a number from {min} to {max}")))
}

fn usage(what: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{what}\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn a_full_line_is_understood() {
        let options = parse("mixed --address 127.0.0.1:9 --connections 2 --outstanding 3 --bytes 0 --pid 7").unwrap();
        assert_eq!(options.workload, Workload::Steady(Mix::Mixed));
        assert_eq!((options.address.port(), options.connections, options.outstanding), (9, 2, 3));
        assert_eq!((options.bytes, options.pid), (0, Some(7)));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "which workload"),
            ("gets", "unknown workload gets"),
            ("get --seconds", "--seconds needs a value"),
            ("get --seconds 601", "from 1 to 600"),
            ("get --speed 1", "unknown option --speed"),
            ("get --address nowhere", "not an address"),
        ] {
            let message = parse(line).unwrap_err().to_string();
            assert!(message.contains(part), "{line}: {message}");
        }
    }
}
