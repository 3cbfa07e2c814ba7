//! What the key table is made of, and how a name finds its row.

use super::table::ROWS;

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number between the two, both included. Properties also take `0x` and octal, as Java's do.
    Int(i64, i64),
    /// `true` or `false` in any case; anything else is an error (Java: `QuorumPeerConfig.parseBoolean`).
    Bool,
    /// A Java system property: `true` in any case counts, anything else is false (Java: `Boolean.getBoolean`).
    Flag,
    /// `yes` or `no`, and `true` or `false`.
    YesNo,
    /// A decimal fraction.
    Decimal,
    /// A number of bytes, with `k`, `m`, `g` or `t` behind it for powers of 1024.
    Bytes,
    /// Any text.
    Text,
    /// A file or directory.
    Path,
    /// Any text that must never be shown.
    Secret,
}

/// What the server does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It means what it means in Apache ZooKeeper.
    Honoured,
    /// What it asks for does not exist here, and this is why: one line at start says so.
    Unsupported(&'static str),
    /// It tunes something that this server does not have, and this is what is there instead: one line at start.
    WithoutEffect(&'static str),
}

/// One key: its row in the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name as in `zoo.cfg`. A name that ends in `*` stands for every key that begins so.
    pub name: &'static str,
    /// Other names of the same key, without the `zookeeper.` that every name may have in front.
    pub aliases: &'static [&'static str],
    /// What values it takes.
    pub kind: Kind,
    /// What holds when it is not given; empty when there is no such value.
    pub default: &'static str,
    /// The unit of the number, or empty.
    pub unit: &'static str,
    /// What the server does with it.
    pub status: Status,
}

impl Row {
    /// A key with no unit, no other name.
    pub(super) const fn new(name: &'static str, kind: Kind, default: &'static str, status: Status) -> Row {
        Row { name, aliases: &[], kind, default, unit: "", status }
    }

    pub(super) const fn unit(mut self, unit: &'static str) -> Row {
        self.unit = unit;
        self
    }

    pub(super) const fn also(mut self, aliases: &'static [&'static str]) -> Row {
        self.aliases = aliases;
        self
    }

    fn matches(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name || self.aliases.contains(&name),
        }
    }

    /// What may stand as its value, for a person.
    pub fn allowed(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        match self.kind {
            Kind::Int(min, i64::MAX) => format!("a whole number, {min} or more{unit}"),
            Kind::Int(min, max) => format!("a whole number from {min} to {max}{unit}"),
            Kind::Bool | Kind::Flag => "true or false".into(),
            Kind::YesNo => "yes or no".into(),
            Kind::Decimal => format!("a number such as 0.33{unit}"),
            Kind::Bytes => "a number of bytes such as 67108864, 64m or 2g".into(),
            Kind::Text | Kind::Secret => "any text".into(),
            Kind::Path => "a path".into(),
        }
    }

    /// Whether `value` asks for nothing beyond what happens anyway, so that no line at start is needed.
    pub(super) fn is_quiet(&self, value: &str) -> bool {
        match self.kind {
            Kind::Bool | Kind::Flag | Kind::YesNo if matches!(self.status, Status::Unsupported(_)) => {
                value.eq_ignore_ascii_case("false") || value.eq_ignore_ascii_case("no")
            }
            _ => !self.default.is_empty() && value.eq_ignore_ascii_case(self.default),
        }
    }
}

/// The row of a name, with or without `zookeeper.` in front. A full name wins over a pattern.
pub fn find(name: &str) -> Option<&'static Row> {
    let name = bare(name);
    ROWS.iter()
        .find(|row| row.name == name || row.aliases.contains(&name))
        .or_else(|| ROWS.iter().filter(|row| row.matches(name)).max_by_key(|row| row.name.len()))
}

/// A name without the `zookeeper.` that Java's property has in front of it.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("zookeeper.").unwrap_or(name)
}

/// Whether the value of this key must never be shown: passwords in any spelling, keys that we do not know included.
pub fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (lower.contains("password") && !lower.ends_with("passwordpath"))
        || lower.contains("superdigest")
        || lower.contains("secret")
        || lower.contains("passwd")
        || find(name).is_some_and(|row| row.kind == Kind::Secret)
}
