//! Path rules (Java: `common.PathUtils.validatePath`).

use thiserror::Error;

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadPath {
    /// Empty text.
    #[error("path is empty")]
    Empty,
    /// Does not begin with a slash.
    #[error("path must start with /")]
    Relative,
    /// Ends with a slash.
    #[error("path must not end with /")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("empty name in the path")]
    EmptyName,
    /// `.` or `..` as a name.
    #[error("relative names (. and ..) are not allowed")]
    Dots,
    /// A control, surrogate, private-use or special character.
    #[error("character U+{0:04X} is not allowed")]
    Character(u32),
}

/// The root.
pub const ROOT: &str = "/";
/// The node above the server's own nodes.
pub const ZOOKEEPER: &str = "/zookeeper";
/// Where quotas are registered.
pub const QUOTA: &str = "/zookeeper/quota";
/// The ensemble's configuration.
pub const CONFIG: &str = "/zookeeper/config";

/// Whether `path` obeys the rules for a znode's path.
pub fn validate(path: &str) -> Result<(), BadPath> {
    if path.is_empty() {
        return Err(BadPath::Empty);
    }
    let Some(names) = path.strip_prefix('/') else { return Err(BadPath::Relative) };
    if names.is_empty() {
        return Ok(());
    }
    if names.ends_with('/') {
        return Err(BadPath::TrailingSlash);
    }
    for name in names.split('/') {
        match name {
            "" => return Err(BadPath::EmptyName),
            "." | ".." => return Err(BadPath::Dots),
            _ => {}
        }
    }
    if names.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    match names.chars().find(|c| is_forbidden(*c)) {
        Some(c) => Err(BadPath::Character(c.into())),
        None => Ok(()),
    }
}

/// Java looks at UTF-16 units, so everything beyond the basic plane is a surrogate and forbidden.
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The text before the last slash, `/` for the root's children; `None` for text without a slash.
/// The parent of the root is the root.
pub fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 => Some(ROOT),
        at => Some(&path[..at]),
    }
}

/// The text behind the last slash.
pub fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[at + 1..])
}

/// Whether the node is one that the server itself made and nobody may delete.
pub fn is_special(path: &str) -> bool {
    matches!(path, ROOT | ZOOKEEPER | QUOTA | CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundaries_apache_was_asked_about() {
        for good in ["/", "/a", "/a/b", "/...", "/.a", "/a..", "/\u{a0}", "/\u{d7ff}", "/\u{f900}", "/\u{ffef}"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/a/..",
            "/\u{1}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{fff0}",
            "/\u{10000}",
            "/\0",
        ] {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
    }
}
