//! Why a configuration cannot be used, for the person who has to correct it.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a configuration file, from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// An argument of the command line.
    Argument,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line } => write!(f, "{}:{line}", path.display()),
            Place::Environment(name) => write!(f, "environment variable {name}"),
            Place::Argument => f.write_str("command line"),
        }
    }
}

/// A configuration that cannot be used. It never contains the value of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("Error processing {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said, or that its syntax is wrong.
        why: String,
    },
    /// A value that its key does not take.
    #[error("{place}: {key}={value} is not possible; allowed: {allowed}")]
    Value {
        /// Where it was given.
        place: Place,
        /// The key as it was given.
        key: String,
        /// The value as it was given, or stars for a secret.
        value: String,
        /// What may stand there.
        allowed: String,
    },
    /// Settings that are right one by one and wrong together, or one that is missing. In Apache's words where it has any.
    #[error("{0}")]
    Rule(String),
}
