//! Java's properties syntax (Java: `java.util.Properties.load`), the whole of it: what `zoo.cfg` is written in.

/// One `key=value` of a properties text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; blanks at its end are kept, as Java keeps them.
    pub value: String,
    /// The number of the line on which the property starts, from 1.
    pub line: usize,
}

/// A `\u` that is not followed by four hexadecimal digits: the only mistake the syntax knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape {
    /// The number of the line, from 1.
    pub line: usize,
}

/// Reads the bytes of a properties file. Java reads ISO-8859-1; a file that is valid UTF-8 is read as UTF-8, so
/// that a path with other letters means what its author saw.
pub fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    }
}

/// All properties in the order of the text, duplicates included: the last one wins.
pub fn parse(text: &str) -> Result<Vec<Property>, BadEscape> {
    logical_lines(text).into_iter().map(|(line, chars)| property(line, &chars)).collect()
}

/// Joins continued lines and drops blank and comment lines. A backslash at the end of a line continues it when
/// it is not itself escaped; leading blanks of the continuation are dropped, and it is never a comment.
fn logical_lines(text: &str) -> Vec<(usize, Vec<char>)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, Vec<char>)> = None;
    for (i, raw) in natural_lines(text).into_iter().enumerate() {
        let body = raw.trim_start_matches(is_blank);
        if open.is_none() && (body.is_empty() || body.starts_with(['#', '!'])) {
            continue;
        }
        let (number, mut chars) = open.take().unwrap_or((i + 1, Vec::new()));
        let backslashes = body.chars().rev().take_while(|&c| c == '\\').count();
        let continues = backslashes % 2 == 1;
        chars.extend(body.chars());
        if continues {
            chars.pop();
            open = Some((number, chars));
        } else {
            lines.push((number, chars));
        }
    }
    lines.extend(open);
    // "\" alone on the last line leaves an empty line, which is no property.
    lines.retain(|(_, chars)| !chars.is_empty());
    lines
}

/// Lines end with LF, CR or CR LF.
fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    lines.push(rest);
    lines
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

fn property(line: usize, chars: &[char]) -> Result<Property, BadEscape> {
    let key_end = key_end(chars);
    let mut value_start = key_end;
    let mut separator = false;
    while let Some(&c) = chars.get(value_start) {
        let is_separator = matches!(c, '=' | ':') && !separator;
        if !is_separator && !is_blank(c) {
            break;
        }
        separator |= is_separator;
        value_start += 1;
    }
    Ok(Property { key: unescape(line, &chars[..key_end])?, value: unescape(line, &chars[value_start..])?, line })
}

/// The key ends at the first `=`, `:` or blank that is not escaped.
fn key_end(chars: &[char]) -> usize {
    let mut escaped = false;
    for (i, &c) in chars.iter().enumerate() {
        if !escaped && (matches!(c, '=' | ':') || is_blank(c)) {
            return i;
        }
        escaped = c == '\\' && !escaped;
    }
    chars.len()
}

fn unescape(line: usize, chars: &[char]) -> Result<String, BadEscape> {
    let mut units: Vec<u16> = Vec::with_capacity(chars.len());
    let push = |units: &mut Vec<u16>, c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    let mut rest = chars.iter().copied();
    while let Some(c) = rest.next() {
        if c != '\\' {
            push(&mut units, c);
            continue;
        }
        match rest.next() {
            // UTF-16 units, as in Java: two of them may make one character.
            Some('u') => units.push(hex4(&mut rest).ok_or(BadEscape { line })?),
            Some('t') => push(&mut units, '\t'),
            Some('n') => push(&mut units, '\n'),
            Some('r') => push(&mut units, '\r'),
            Some('f') => push(&mut units, '\x0c'),
            Some(other) => push(&mut units, other),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

fn hex4(chars: &mut impl Iterator<Item = char>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|p| (p.key, p.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?} gives {all:?}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn separators() {
        for text in ["k=v", "k:v", "k v", "k\tv", " k = v", "k : v", "k   v", "\x0ck=v", "k = \t v"] {
            assert_eq!(one(text), ("k".into(), "v".into()), "{text:?}");
        }
        assert_eq!(one("k"), ("k".into(), String::new()));
        assert_eq!(one("k="), ("k".into(), String::new()));
        assert_eq!(one("=v"), (String::new(), "v".into()));
        // Only the first separator separates.
        assert_eq!(one("k==v"), ("k".into(), "=v".into()));
        assert_eq!(one("k = :v"), ("k".into(), ":v".into()));
        assert_eq!(one("server.1=a:2888:3888;2181"), ("server.1".into(), "a:2888:3888;2181".into()));
        assert_eq!(one("k=v  "), ("k".into(), "v  ".into()));
    }

    #[test]
    fn comments_and_blank_lines() {
        assert_eq!(pairs("# a\n  ! b\n\n \t\nk=v # no comment\n"), [("k".into(), "v # no comment".into())]);
        // A comment does not continue.
        assert_eq!(pairs("# a \\\nk=v"), [("k".into(), "v".into())]);
    }

    #[test]
    fn continuation() {
        assert_eq!(one("k=a\\\n   b"), ("k".into(), "ab".into()));
        assert_eq!(one("k=a,\\\r\n\tb,\\\r\n\tc\r\n"), ("k".into(), "a,b,c".into()));
        assert_eq!(one("k=a\\\n# b"), ("k".into(), "a# b".into()), "a continuation is never a comment");
        assert_eq!(one("k\\\n=v"), ("k".into(), "v".into()));
        // An even number of backslashes is escaped backslashes.
        assert_eq!(pairs("k=a\\\\\nb=c"), [("k".into(), "a\\".into()), ("b".into(), "c".into())]);
        assert_eq!(one("k=a\\"), ("k".into(), "a".into()));
        // An empty continuation ends the property.
        assert_eq!(pairs("k=a\\\n\nb"), [("k".into(), "a".into()), ("b".into(), String::new())]);
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\ b\=c\:d=v"), ("a b=c:d".into(), "v".into()));
        assert_eq!(one(r"k=\t\n\r\f\\\q\#"), ("k".into(), "\t\n\r\x0c\\q#".into()));
        assert_eq!(one(r"k=caf\u00e9"), ("k".into(), "café".into()));
        assert_eq!(one(r"k=\uD83E\uDD8A"), ("k".into(), "🦊".into()), "a surrogate pair is one character");
        assert_eq!(one(r"\u006b=v"), ("k".into(), "v".into()));
        assert_eq!(parse("a=b\nk=\\u12"), Err(BadEscape { line: 2 }));
        assert_eq!(parse("k=\\u12g4"), Err(BadEscape { line: 1 }));
    }

    #[test]
    fn line_numbers_and_order() {
        let all = parse("a=1\r\n#\r\nb=2\\\n  3\ra=4").unwrap();
        let seen: Vec<_> = all.iter().map(|p| (p.key.as_str(), p.value.as_str(), p.line)).collect();
        assert_eq!(seen, [("a", "1", 1), ("b", "23", 3), ("a", "4", 5)]);
    }

    #[test]
    fn latin_1_and_utf_8() {
        assert_eq!(decode("é".as_bytes()), "é");
        assert_eq!(decode(b"\xe9"), "é");
    }
}
