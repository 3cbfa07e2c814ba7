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
    if is_plain(names.as_bytes()) {
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
    match names.chars().find(|c| is_forbidden(*c)) {
        Some(c) => Err(BadPath::Character(c.into())),
        None => Ok(()),
    }
}

/// Whether the names between slashes are printable ASCII, not empty, and begin with no dot: nothing is
/// wrong with such a path, and most are such.
fn is_plain(names: &[u8]) -> bool {
    let mut begins = true;
    for b in names {
        if !(0x20..0x7f).contains(b) || begins && matches!(b, b'/' | b'.') {
            return false;
        }
        begins = *b == b'/';
    }
    !begins
}

/// Where the last slash stands. Names are short: a plain loop from the end finds it soonest.
fn last_slash(path: &str) -> Option<usize> {
    path.as_bytes().iter().rposition(|b| *b == b'/')
}

/// Java looks at UTF-16 units, so everything beyond the basic plane is a surrogate and forbidden.
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The text before the last slash, `/` for the root's children; `None` for text without a slash.
/// The parent of the root is the root.
pub fn parent(path: &str) -> Option<&str> {
    match last_slash(path)? {
        0 => Some(ROOT),
        at => Some(&path[..at]),
    }
}

/// The text behind the last slash.
pub fn name(path: &str) -> &str {
    last_slash(path).map_or(path, |at| &path[at + 1..])
}

/// The first name of a path, empty for the root's (Java: `PathUtils.getTopNamespace`).
pub fn top(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
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
            "/a/",
            "/.a/../b",
        ] {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_top_of_a_path_is_its_first_name() {
        assert_eq!(["/", "/a", "/a/b/c", "/ä/b"].map(top), ["", "a", "a", "ä"]);
    }

    /// `PathUtils.validatePath` as Apache wrote it, over UTF-16 units.
    fn is_valid_in_java(text: &str) -> bool {
        let (slash, dot) = (u16::from(b'/'), u16::from(b'.'));
        let chars: Vec<u16> = text.encode_utf16().collect();
        if chars.first() != Some(&slash) {
            return false;
        }
        if chars.len() == 1 {
            return true;
        }
        let ends_name = |at: usize| at == chars.len() || chars[at] == slash;
        let is_bad = |at: usize| match (chars[at - 1], chars[at]) {
            (_, 0) => true,
            (last, c) if c == slash => last == slash,
            (last, c) if c == dot && last == dot => chars[at - 2] == slash && ends_name(at + 1),
            (last, c) if c == dot => last == slash && ends_name(at + 1),
            (_, c) => matches!(c, 0x01..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff),
        };
        chars.last() != Some(&slash) && !(1..chars.len()).any(is_bad)
    }

    #[test]
    fn every_short_text_is_judged_as_java_does() {
        let alphabet = ['/', '.', 'a', '\0', '\u{1f}', ' ', '\u{7f}', '\u{a0}', '\u{e000}', '\u{10000}'];
        let (mut texts, mut valid) = (vec![String::new()], 0);
        for _ in 0..5 {
            texts = texts.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
            for text in &texts {
                let is_valid = validate(text).is_ok();
                assert_eq!(is_valid, is_valid_in_java(text), "{text:?}");
                if is_valid && text != ROOT {
                    let (parent, name) = (parent(text).unwrap(), name(text));
                    assert_eq!(format!("{}/{name}", parent.trim_end_matches('/')), *text);
                    assert!(validate(parent).is_ok() && !name.is_empty(), "{text:?}");
                }
                valid += usize::from(is_valid);
            }
        }
        assert_eq!((texts.len(), valid > 300), (100_000, true), "{valid}");
        for c in '\0'..=char::MAX {
            let text = format!("/{c}x");
            assert_eq!(validate(&text).is_ok(), is_valid_in_java(&text), "{c:?}");
        }
    }

    #[test]
    fn names_parents_and_the_servers_own_nodes() {
        assert_eq!(
            (parent("/a"), parent("/a/b"), parent(ROOT), parent("a")),
            (Some(ROOT), Some("/a"), Some(ROOT), None)
        );
        assert_eq!((name("/a"), name("/a/b"), name(ROOT), name("a")), ("a", "b", "", "a"));
        for special in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            assert!(is_special(special), "{special}");
        }
        assert!(!is_special("/zookeeper/other") && !is_special("/a"));
    }
}
