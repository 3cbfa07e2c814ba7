//! Settings by key, each from the strongest place that gave it, and their values by kind.

use super::error::{ConfigError, Place};
use super::keys::{self, Kind, Row};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One key's value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The name as it was written.
    pub key: String,
    pub value: String,
    pub place: Place,
}

/// What stands in an error or a line of the log instead of a secret.
pub(super) const HIDDEN: &str = "********";

impl Setting {
    /// The value as it may be shown.
    pub(super) fn shown(&self) -> &str {
        if keys::is_secret(&self.key) { HIDDEN } else { &self.value }
    }

    pub(super) fn not_possible(&self, allowed: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            place: self.place.clone(),
            key: self.key.clone(),
            value: self.shown().to_owned(),
            allowed: allowed.into(),
        }
    }
}

/// Every setting under its canonical name; what is put later replaces what was there.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    by_name: BTreeMap<String, Setting>,
}

impl Settings {
    pub(super) fn put(&mut self, key: &str, value: &str, place: Place) {
        let setting = Setting { key: key.to_owned(), value: value.trim().to_owned(), place };
        self.by_name.insert(canonical(key), setting);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.by_name.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Setting)> {
        self.by_name.iter()
    }

    /// Settings whose name begins with `prefix`, with what follows it.
    pub(super) fn family<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Setting)> {
        self.by_name.iter().filter_map(move |(name, setting)| Some((name.strip_prefix(prefix)?, setting)))
    }

    /// Whether the value of every setting is one that its key takes.
    pub(super) fn check_kinds(&self) -> Result<(), ConfigError> {
        for (name, setting) in &self.by_name {
            if let Some(row) = keys::find(name) {
                check(row, setting)?;
            }
        }
        Ok(())
    }

    /// The number of a key, its default if it is not given, nothing if it has none. Checked by [`Self::check_kinds`].
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        let default = || keys::find(name).and_then(|row| integer(row.default));
        self.get(name).map_or_else(default, |setting| integer(&setting.value))
    }

    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        let default = || keys::find(name).and_then(|row| byte_count(row.default));
        self.get(name).map_or_else(default, |setting| byte_count(&setting.value))
    }

    /// Whether a key says `true`, or `yes` where that is how it is said.
    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.text(name).to_ascii_lowercase().as_str(), "true" | "yes")
    }

    /// The text of a key, or its default.
    pub(super) fn text(&self, name: &str) -> &str {
        let default = || keys::find(name).map_or("", |row| row.default);
        self.get(name).map_or_else(default, |setting| &setting.value)
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(|setting| &setting.value).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

/// The name under which a key is kept: its row's, or for families and unknown keys its own without `zookeeper.`.
fn canonical(key: &str) -> String {
    match keys::find(key) {
        Some(row) if !row.name.ends_with('*') => row.name.to_owned(),
        _ => keys::bare(key).to_owned(),
    }
}

fn check(row: &Row, setting: &Setting) -> Result<(), ConfigError> {
    let value = setting.value.as_str();
    let ok = match row.kind {
        Kind::Int(min, max) => integer(value).is_some_and(|n| (min..=max).contains(&n)),
        Kind::Bool => is_one_of(value, &["true", "false"]),
        Kind::YesNo => is_one_of(value, &["yes", "no", "true", "false"]),
        Kind::Decimal => value.parse::<f64>().is_ok_and(f64::is_finite),
        Kind::Bytes => byte_count(value).is_some_and(|n| n > 0),
        // Java's Boolean.getBoolean: anything but "true" is false.
        Kind::Flag | Kind::Text | Kind::Path | Kind::Secret => true,
    };
    if ok { Ok(()) } else { Err(setting.not_possible(row.allowed())) }
}

fn is_one_of(value: &str, allowed: &[&str]) -> bool {
    allowed.iter().any(|a| value.eq_ignore_ascii_case(a))
}

/// Java's `Long.decode`: decimal, `0x` or `#` hexadecimal, a leading `0` octal, with a sign.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).or_else(|| digits.strip_prefix('#'));
    let magnitude = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) if !hex.starts_with(['-', '+']) => i128::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => i128::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    let magnitude = magnitude.ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `512m`, `2g`, `67108864`: powers of 1024; a `b` or `ib` after the letter changes nothing.
pub(super) fn byte_count(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (digits, shift) = match lower.chars().last()? {
        'k' => (&lower[..lower.len() - 1], 10),
        'm' => (&lower[..lower.len() - 1], 20),
        'g' => (&lower[..lower.len() - 1], 30),
        't' => (&lower[..lower.len() - 1], 40),
        _ => (lower, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_java_decodes_them() {
        let cases = [
            ("10", Some(10)),
            ("-1", Some(-1)),
            ("+5", Some(5)),
            ("0", Some(0)),
            ("0xfffff", Some(1_048_575)),
            ("#10", Some(16)),
            ("010", Some(8)),
            ("-0x1", Some(-1)),
            ("", None),
            ("1k", None),
            ("--1", None),
            ("0x-1", None),
            ("9223372036854775808", None),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn byte_counts() {
        for (text, expected) in [
            ("512m", Some(512 << 20)),
            ("2g", Some(2 << 30)),
            ("2G", Some(2 << 30)),
            ("64MiB", Some(64 << 20)),
            ("1kb", Some(1024)),
            ("7", Some(7)),
            ("", None),
            ("m", None),
            ("-1m", None),
            ("1.5g", None),
            ("99999999999t", None),
        ] {
            assert_eq!(byte_count(text), expected, "{text:?}");
        }
    }
}
