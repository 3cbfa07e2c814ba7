//! `server.N=host:quorumPort:electionPort[:role][;[clientAddr:]clientPort]`: what a standalone server takes from it.

/// A member's line, as far as a standalone server needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerLine {
    /// An observer does not vote, so it cannot be the one server.
    pub observer: bool,
    /// Host and port of the client part.
    pub client: Option<(Option<String>, u16)>,
}

/// What a line has to look like, for messages.
pub(super) const FORM: &str =
    "host:quorumPort:electionPort[:participant|observer][;[clientAddress:]clientPort], the ports from 0 to 65535";

/// Reads the value of a `server.N` key; nothing if it has not that form.
pub(super) fn parse(value: &str) -> Option<ServerLine> {
    let (members, client) = match value.split_once(';') {
        Some((members, client)) => (members, Some(client_part(client)?)),
        None => (value, None),
    };
    let mut observer = false;
    for address in members.split('|') {
        let (_, rest) = split_host(address)?;
        let mut parts = rest.split(':');
        parts.next()?.parse::<u16>().ok()?;
        parts.next()?.parse::<u16>().ok()?;
        match parts.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("participant") => {}
            Some("observer") => observer = true,
            Some(_) => return None,
        }
        if parts.next().is_some() {
            return None;
        }
    }
    Some(ServerLine { observer, client })
}

fn client_part(text: &str) -> Option<(Option<String>, u16)> {
    if let Ok(port) = text.parse() {
        return Some((None, port));
    }
    let (host, port) = split_host(text)?;
    Some((Some(host.to_owned()), port.parse().ok()?))
}

/// `host:rest` or `[ipv6]:rest`.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(open) => open.split_once("]:")?,
        None => text.split_once(':')?,
    };
    (!host.is_empty()).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let line = |observer, client| Some(ServerLine { observer, client });
        assert_eq!(parse("a:2888:3888"), line(false, None));
        assert_eq!(parse("a:2888:3888;2181"), line(false, Some((None, 2181))));
        assert_eq!(parse("a:2888:3888:participant;0.0.0.0:2181"), line(false, Some((Some("0.0.0.0".into()), 2181))));
        assert_eq!(parse("a:2888:3888:OBSERVER;2181"), line(true, Some((None, 2181))));
        assert_eq!(parse("[::1]:2888:3888;[::2]:2181"), line(false, Some((Some("::2".into()), 2181))));
        assert_eq!(parse("a:2888:3888|b:2889:3889;2181"), line(false, Some((None, 2181))));
        for bad in [
            "",
            "a",
            "a:2888",
            "a:2888:x",
            "a:2888:99999",
            "a:1:2:boss",
            "a:1:2;",
            "a:1:2;x:y",
            ":1:2",
            "a:1:2:observer:3",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
