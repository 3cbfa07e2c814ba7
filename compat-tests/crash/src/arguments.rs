//! `--name value` arguments.

use crate::Unusable;
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;

/// What was given.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads pairs.
    pub fn parse(words: &[String]) -> Result<Arguments, Unusable> {
        let mut given = HashMap::new();
        for pair in words.chunks(2) {
            match pair {
                [name, value] if name.starts_with("--") => given.insert(name[2..].to_owned(), value.clone()),
                other => return Err(Unusable::Text(format!("{other:?} is no `--name value`"))),
            };
        }
        Ok(Arguments(given))
    }

    /// One that has a default.
    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, Unusable> {
        match self.0.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Unusable::Text(format!("--{name} {text} cannot be read"))),
        }
    }

    /// A path that has to be given.
    pub fn path(&self, name: &str) -> Result<PathBuf, Unusable> {
        self.maybe_path(name).ok_or_else(|| Unusable::Text(format!("--{name} is missing")))
    }

    /// A path that may be given.
    pub fn maybe_path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(name).map(PathBuf::from)
    }
}
