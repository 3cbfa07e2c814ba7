//! Which four-letter words are answered (Java: `FourLetterCommands.isEnabled`).

use std::collections::BTreeSet;

/// `4lw.commands.whitelist`: `*`, or words with commas or blanks between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whitelist {
    all: bool,
    words: BTreeSet<String>,
}

impl Whitelist {
    /// `srvr` is always allowed, and `isro` where there is a read-only mode to ask for.
    pub fn new(text: &str, read_only_mode_enabled: bool) -> Whitelist {
        let mut words: BTreeSet<String> =
            text.split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty()).map(str::to_owned).collect();
        words.insert("srvr".to_owned());
        if read_only_mode_enabled {
            words.insert("isro".to_owned());
        }
        Whitelist { all: words.contains("*"), words }
    }

    /// Whether this word is answered.
    pub fn allows(&self, word: &str) -> bool {
        self.all || self.words.contains(word)
    }
}

impl std::fmt::Display for Whitelist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.all {
            return f.write_str("*");
        }
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule() {
        let words = Whitelist::new(" mntr, ruok stat ", false);
        for word in ["mntr", "ruok", "stat", "srvr"] {
            assert!(words.allows(word), "{word}");
        }
        assert!(!words.allows("isro") && !words.allows("conf"));
        assert!(Whitelist::new("*", false).allows("wchp"));
        assert!(Whitelist::new("ruok,*", false).allows("wchp"));
        assert!(Whitelist::new("", false).allows("srvr"));
        assert!(!Whitelist::new("", false).allows("ruok"));
        assert!(Whitelist::new("", true).allows("isro"));
        assert_eq!(Whitelist::new("ruok", false).to_string(), "ruok, srvr");
    }
}
