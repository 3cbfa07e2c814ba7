//! Why the process ends, and with which code (Java: `ExitCode`).

use std::fmt;

/// An end that is not the ordinary one: what is said last, and the code that scripts see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 1: an error that nobody expected, a port in use, data that cannot be recovered.
    Unexpected(String),
    /// 2: arguments or configuration that cannot be used.
    Invocation(String),
    /// 3: a data directory that is missing, not writable, or used by another process.
    DataDir(String),
    /// 4: the admin server could not start.
    Admin(String),
}

impl Exit {
    /// The code for the operating system.
    pub fn code(&self) -> u8 {
        match self {
            Exit::Unexpected(_) => 1,
            Exit::Invocation(_) => 2,
            Exit::DataDir(_) => 3,
            Exit::Admin(_) => 4,
        }
    }

    /// The client port cannot be bound: `address` as it was tried, `why` as the system says it.
    pub fn cannot_bind(address: &str, why: &std::io::Error) -> Exit {
        let remedy = match why.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another server is listening there; stop it, or set clientPort to a free port"
            }
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; set clientPort to a higher one",
            _ => "check clientPort and clientPortAddress",
        };
        Exit::Unexpected(format!("cannot listen on {address}: {why}: {remedy}"))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Unexpected(text) | Exit::Invocation(text) | Exit::DataDir(text) | Exit::Admin(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for Exit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_port_and_remedy() {
        let exit = Exit::cannot_bind("127.0.0.1:2181", &std::io::Error::from(std::io::ErrorKind::AddrInUse));
        assert_eq!(exit.code(), 1);
        let text = exit.to_string();
        assert!(text.contains("127.0.0.1:2181") && text.contains("set clientPort to a free port"), "{text}");
    }
}
