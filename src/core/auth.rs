//! Who a caller is and what an ACL lets them do.

use crate::digest_alg::DigestAlg;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use thiserror::Error;
use zorilla_protocol::records::{Acl, Id};
use zorilla_protocol::{Code, SessionId};

/// Permission bits of an ACL entry (Java: `ZooDefs.Perms`).
pub mod perm {
    /// Read data and list children.
    pub const READ: i32 = 1;
    /// Change data.
    pub const WRITE: i32 = 2;
    /// Create children.
    pub const CREATE: i32 = 4;
    /// Delete children.
    pub const DELETE: i32 = 8;
    /// Change the ACL.
    pub const ADMIN: i32 = 16;
    /// Everything.
    pub const ALL: i32 = 31;
}

/// Who sends a request: the session and the identities that its connection had when the request was
/// received.
#[derive(Clone, Debug)]
pub struct Caller {
    /// 0 for the server itself.
    pub session: SessionId,
    /// Shared with the connection; replaced there as a whole when an identity is added.
    pub ids: Arc<[Id]>,
}

/// The ACL that everybody passes (`world:anyone:cdrwa`), stored as the absence of a list.
pub const OPEN_ACL: Option<Arc<[Acl]>> = None;

/// Outcome of a check: the code the client sees if it fails.
pub type Verdict = Result<(), Code>;

/// What the configuration says about the built-in schemes.
#[derive(Clone, Debug)]
pub struct AuthRules {
    /// The digest identity that also is `super` (`zookeeper.DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// Whether there is a digest scheme at all (`zookeeper.DigestAuthenticationProvider.enabled`).
    pub digest_enabled: bool,
    /// The hash of the digest scheme (`zookeeper.DigestAuthenticationProvider.digestAlg`).
    pub digest_alg: DigestAlg,
}

impl Default for AuthRules {
    fn default() -> AuthRules {
        AuthRules { super_digest: None, digest_enabled: true, digest_alg: DigestAlg::Sha1 }
    }
}

/// Why an auth packet proves nothing; the client gets -115 and the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthFailed {
    /// No such scheme, or one that is not switched on.
    #[error("no such authentication scheme")]
    UnknownScheme,
    /// Null where credentials belong.
    #[error("no credentials")]
    NoCredentials,
}

/// A scheme that can prove identities and judge ACL entries (Java: `AuthenticationProvider`). `world`,
/// `auth` and `super` are none: they are rules about lists and identities. Further schemes (sasl, x509)
/// are further variants, switched on by [`AuthRules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// The address that the client comes from.
    Ip,
    /// `user:password`, known by its hash.
    Digest,
}

impl AuthScheme {
    /// The scheme of this name, if it is switched on.
    pub fn of(name: &str, rules: &AuthRules) -> Option<AuthScheme> {
        match name {
            "ip" => Some(AuthScheme::Ip),
            "digest" if rules.digest_enabled => Some(AuthScheme::Digest),
            _ => None,
        }
    }

    /// Whether an identity of this scheme was proven, so that `auth:` in an ACL stands for it.
    pub fn is_authenticated(self) -> bool {
        self == AuthScheme::Digest
    }

    /// Whether an ACL entry may name this id.
    pub fn is_valid(self, id: &str) -> bool {
        match self {
            AuthScheme::Ip => network(id).is_some(),
            // Java's split drops empty parts at the end, and only there.
            AuthScheme::Digest => id.trim_end_matches(':').split(':').count() == 2,
        }
    }

    /// Whether the identity `own` is what an entry for `named` means.
    fn matches(self, own: &str, named: &str) -> bool {
        match self {
            AuthScheme::Ip => address_matches(own, named),
            AuthScheme::Digest => own == named,
        }
    }
}

/// Whether somebody with these identities may do any of `wanted` where `acl` applies. A list that is
/// absent or empty is open, and `super` passes every check (Java: `ZooKeeperServer.checkACL`).
pub fn check_acl(acl: Option<&[Acl]>, wanted: i32, ids: &[Id]) -> Verdict {
    let Some(acl) = acl.filter(|acl| !acl.is_empty()) else { return Ok(()) };
    if ids.iter().any(|id| id.scheme.as_deref() == Some("super")) {
        return Ok(());
    }
    let granted = acl.iter().filter(|entry| entry.perms & wanted != 0).any(|entry| matches(entry, ids));
    if granted { Ok(()) } else { Err(Code::NoAuth) }
}

fn matches(entry: &Acl, ids: &[Id]) -> bool {
    let (Some(scheme), Some(named)) = (entry.id.scheme.as_deref(), entry.id.id.as_deref()) else { return false };
    if scheme == "world" {
        return named == "anyone";
    }
    // A scheme that is switched off proves nobody, so its entries match nobody.
    let Some(provider) = AuthScheme::of(scheme, &AuthRules::default()) else { return false };
    ids.iter()
        .filter(|id| id.scheme.as_deref() == Some(scheme))
        .any(|id| id.id.as_deref().is_some_and(|own| provider.matches(own, named)))
}

/// The list as it is stored: duplicates dropped, `auth` replaced by the caller's proven identities
/// (Java: `PrepRequestProcessor.fixupACL`). A null id where a scheme would have to read it is
/// [`Code::MarshallingError`], as the exception it costs Apache is answered.
pub fn fix_acl(list: Option<&[Acl]>, ids: &[Id], rules: &AuthRules) -> Result<Vec<Acl>, Code> {
    let list = list.filter(|list| !list.is_empty()).ok_or(Code::InvalidAcl)?;
    let mut seen = HashSet::new();
    let mut fixed = Vec::with_capacity(list.len());
    for entry in list {
        // Most lists have one entry, which repeats nothing.
        if list.len() > 1 && !seen.insert((entry.perms, entry.id.scheme.as_deref(), entry.id.id.as_deref())) {
            continue;
        }
        match (entry.id.scheme.as_deref(), entry.id.id.as_deref()) {
            (None, _) => return Err(Code::InvalidAcl),
            (Some("auth"), _) => expand_auth(entry.perms, ids, rules, &mut fixed)?,
            (Some("world"), None) => return Err(Code::MarshallingError),
            (Some("world"), Some("anyone")) => fixed.push(entry.clone()),
            (Some(scheme), id) => {
                let scheme = AuthScheme::of(scheme, rules).ok_or(Code::InvalidAcl)?;
                if !scheme.is_valid(id.ok_or(Code::MarshallingError)?) {
                    return Err(Code::InvalidAcl);
                }
                fixed.push(entry.clone());
            }
        }
    }
    Ok(fixed)
}

fn expand_auth(perms: i32, ids: &[Id], rules: &AuthRules, fixed: &mut Vec<Acl>) -> Verdict {
    let before = fixed.len();
    let proven = ids.iter().filter(|id| {
        let scheme = id.scheme.as_deref().and_then(|scheme| AuthScheme::of(scheme, rules));
        scheme.is_some_and(AuthScheme::is_authenticated)
    });
    fixed.extend(proven.map(|id| Acl { perms, id: id.clone() }));
    if fixed.len() > before { Ok(()) } else { Err(Code::InvalidAcl) }
}

/// The identities that an auth packet proves; the connection adds them to those it has. `remote` is
/// where the client comes from.
pub fn authenticate(
    scheme: &str,
    credentials: Option<&[u8]>,
    remote: IpAddr,
    rules: &AuthRules,
) -> Result<Vec<Id>, AuthFailed> {
    match AuthScheme::of(scheme, rules).ok_or(AuthFailed::UnknownScheme)? {
        AuthScheme::Ip => Ok(vec![ip_identity(remote)]),
        AuthScheme::Digest => {
            let credentials = String::from_utf8_lossy(credentials.ok_or(AuthFailed::NoCredentials)?);
            let digest = digest_id(&credentials, rules.digest_alg);
            let is_super = rules.super_digest.as_ref() == Some(&digest);
            let supers = is_super.then(|| identity("super", String::new()));
            Ok(supers.into_iter().chain([identity("digest", digest)]).collect())
        }
    }
}

/// `user:base64(hash(user:password))` of `user:password`; the hash covers the whole text
/// (Java: `DigestAuthenticationProvider.generateDigest`).
pub fn digest_id(credentials: &str, alg: DigestAlg) -> String {
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{user}:{}", STANDARD.encode(alg.hash(credentials.as_bytes())))
}

/// The identity that every connection has from the start. IPv6 in Java's form: eight groups, nothing
/// shortened; an IPv4 address in IPv6 clothes is an IPv4 address.
pub fn ip_identity(remote: IpAddr) -> Id {
    let text = match remote.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:x}")).join(":"),
    };
    identity("ip", text)
}

fn identity(scheme: &str, id: String) -> Id {
    Id { scheme: Some(scheme.to_owned().into()), id: Some(id.into()) }
}

/// Whether one of the required schemes is among the identities (`zookeeper.enforce.auth.schemes`).
pub fn satisfies(required: &[String], ids: &[Id]) -> bool {
    required.iter().any(|scheme| ids.iter().any(|id| id.scheme.as_deref() == Some(scheme)))
}

/// `address[/bits]` as an address and the number of its leading bits that count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address = parse_address(address)?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some((address, bits))
}

/// Java's provider reads leading zeros as decimal and knows no IPv4 tail in IPv6.
fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return if text.contains('.') { None } else { text.parse::<Ipv6Addr>().ok().map(IpAddr::V6) };
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| (1..=3).contains(&part.len()))?;
        *octet = part.parse::<u16>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()))?.try_into().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

fn address_matches(own: &str, named: &str) -> bool {
    let (Some((network, bits)), Some(own)) = (network(named), parse_address(own)) else { return false };
    let differing = match (network, own) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    differing >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(scheme: &str, id: &str) -> Id {
        identity(scheme, id.to_owned())
    }

    fn acl(perms: i32, scheme: &str, named: &str) -> Acl {
        Acl { perms, id: id(scheme, named) }
    }

    #[test]
    fn the_check_knows_open_lists_world_and_super() {
        let nobody = [id("ip", "127.0.0.1")];
        let read_only = [acl(perm::READ, "world", "anyone")];
        assert_eq!(check_acl(None, perm::ADMIN, &[]), Ok(()));
        assert_eq!(check_acl(Some(&[]), perm::ADMIN, &[]), Ok(()));
        assert_eq!(check_acl(Some(&read_only), perm::READ, &nobody), Ok(()));
        assert_eq!(check_acl(Some(&read_only), perm::READ | perm::ADMIN, &nobody), Ok(()), "any of them");
        assert_eq!(check_acl(Some(&read_only), perm::WRITE, &nobody), Err(Code::NoAuth));
        assert_eq!(check_acl(Some(&read_only), perm::WRITE, &[id("super", "")]), Ok(()));
        let other_world = [acl(perm::ALL, "world", "somebody")];
        assert_eq!(check_acl(Some(&other_world), perm::READ, &nobody), Err(Code::NoAuth));
    }

    #[test]
    fn identities_match_within_their_scheme() {
        let list = [acl(perm::READ, "digest", "bob:hash"), acl(perm::WRITE, "x509", "CN=bob")];
        assert_eq!(check_acl(Some(&list), perm::READ, &[id("digest", "bob:hash")]), Ok(()));
        assert_eq!(check_acl(Some(&list), perm::READ, &[id("digest", "bob:other")]), Err(Code::NoAuth));
        assert_eq!(check_acl(Some(&list), perm::READ, &[id("ip", "bob:hash")]), Err(Code::NoAuth));
        assert_eq!(check_acl(Some(&list), perm::WRITE, &[id("x509", "CN=bob")]), Err(Code::NoAuth), "no such scheme");
    }

    #[test]
    fn addresses_match_by_their_leading_bits() {
        for (own, named, expected) in [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.1.2.3", "10.1.0.0/16", true),
            ("10.2.2.3", "10.1.0.0/16", false),
            ("10.1.2.3", "10.1.2.2/31", true),
            ("10.1.2.3", "10.1.2.4/30", false),
            ("200.0.0.1", "0.0.0.0/0", true),
            ("0:0:0:0:0:0:0:1", "::1", true),
            ("2001:db8:0:0:0:0:0:1", "2001:db8::/32", true),
            ("2001:db9:0:0:0:0:0:1", "2001:db8::/32", false),
            ("2001:db8:0:0:0:0:0:1", "::/0", true),
            ("0:0:0:0:0:0:0:1", "0.0.0.0/0", false),
        ] {
            let granted = check_acl(Some(&[acl(perm::READ, "ip", named)]), perm::READ, &[id("ip", own)]).is_ok();
            assert_eq!(granted, expected, "{own} against {named}");
        }
    }

    #[test]
    fn ids_that_a_list_may_hold() {
        let rules = AuthRules::default();
        for (scheme, named, expected) in [
            ("world", "anyone", Ok(())),
            ("world", "other", Err(Code::InvalidAcl)),
            ("super", "", Err(Code::InvalidAcl)),
            ("sasl", "bob", Err(Code::InvalidAcl)),
            ("x509", "CN=bob", Err(Code::InvalidAcl)),
            ("digest", "a:b", Ok(())),
            ("digest", "a:b::", Ok(())),
            ("digest", ":b", Ok(())),
            ("digest", "abc", Err(Code::InvalidAcl)),
            ("digest", "a:", Err(Code::InvalidAcl)),
            ("digest", "a:b:c", Err(Code::InvalidAcl)),
            ("ip", "1.2.3.4", Ok(())),
            ("ip", "1.2.3.4/32", Ok(())),
            ("ip", "1.2.3.4/33", Err(Code::InvalidAcl)),
            ("ip", "1.2.3.4/-1", Err(Code::InvalidAcl)),
            ("ip", "1.2.3", Err(Code::InvalidAcl)),
            ("ip", "1.2.3.256", Err(Code::InvalidAcl)),
            ("ip", "localhost", Err(Code::InvalidAcl)),
            ("ip", "::1/128", Ok(())),
            ("ip", "fe80::/129", Err(Code::InvalidAcl)),
        ] {
            assert_eq!(fix_acl(Some(&[acl(1, scheme, named)]), &[], &rules).map(|_| ()), expected, "{scheme}:{named}");
        }
        let off = AuthRules { digest_enabled: false, ..rules };
        assert_eq!(fix_acl(Some(&[acl(1, "digest", "a:b")]), &[], &off), Err(Code::InvalidAcl));
    }

    #[test]
    fn lists_without_sense_and_nulls() {
        let rules = AuthRules::default();
        assert_eq!(fix_acl(None, &[], &rules), Err(Code::InvalidAcl));
        assert_eq!(fix_acl(Some(&[]), &[], &rules), Err(Code::InvalidAcl));
        let null = |scheme: Option<&str>| Acl {
            perms: 1,
            id: Id { scheme: scheme.map(|scheme| scheme.to_owned().into()), id: None },
        };
        assert_eq!(fix_acl(Some(&[null(None)]), &[], &rules), Err(Code::InvalidAcl));
        for scheme in ["world", "digest", "ip"] {
            assert_eq!(fix_acl(Some(&[null(Some(scheme))]), &[], &rules), Err(Code::MarshallingError), "{scheme}");
        }
        let bob = [id("digest", "bob:x")];
        assert_eq!(fix_acl(Some(&[null(Some("auth"))]), &bob, &rules), Ok(vec![acl(1, "digest", "bob:x")]));
    }

    #[test]
    fn auth_stands_for_every_proven_identity_and_duplicates_go() {
        let rules = AuthRules::default();
        let ids = [id("ip", "127.0.0.1"), id("super", ""), id("digest", "a:x"), id("digest", "b:y")];
        let list =
            [acl(5, "auth", ""), acl(1, "world", "anyone"), acl(1, "world", "anyone"), acl(2, "world", "anyone")];
        let fixed = fix_acl(Some(&list), &ids, &rules).unwrap();
        let expected =
            [acl(5, "digest", "a:x"), acl(5, "digest", "b:y"), acl(1, "world", "anyone"), acl(2, "world", "anyone")];
        assert_eq!(fixed, expected);
        assert_eq!(fix_acl(Some(&list), &ids[..2], &rules), Err(Code::InvalidAcl));
    }

    #[test]
    fn credentials_become_identities() {
        let remote = IpAddr::from([127, 0, 0, 1]);
        let bob = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=";
        let rules = AuthRules { super_digest: Some(bob.to_owned()), ..AuthRules::default() };
        let plain = AuthRules::default();
        assert_eq!(authenticate("digest", Some(b"bob:pw"), remote, &plain), Ok(vec![id("digest", bob)]));
        assert_eq!(
            authenticate("digest", Some(b"bob:pw"), remote, &rules),
            Ok(vec![id("super", ""), id("digest", bob)])
        );
        let no_colon = authenticate("digest", Some(b"bob"), remote, &rules).unwrap();
        assert!(no_colon[0].id.as_ref().unwrap().starts_with("bob:"));
        assert_eq!(authenticate("digest", None, remote, &rules), Err(AuthFailed::NoCredentials));
        assert_eq!(authenticate("ip", None, remote, &rules), Ok(vec![id("ip", "127.0.0.1")]));
        for scheme in ["world", "auth", "super", "sasl", ""] {
            assert_eq!(authenticate(scheme, Some(b"x"), remote, &rules), Err(AuthFailed::UnknownScheme), "{scheme}");
        }
        // The digest of super:test that Apache's own tests set.
        let superior = "super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=";
        let sha256 = AuthRules {
            super_digest: Some(superior.to_owned()),
            digest_alg: DigestAlg::Sha256,
            ..AuthRules::default()
        };
        assert_eq!(
            authenticate("digest", Some(b"super:test"), remote, &sha256),
            Ok(vec![id("super", ""), id("digest", superior)])
        );
        let off = AuthRules { digest_enabled: false, ..plain };
        assert_eq!(authenticate("digest", Some(b"bob:pw"), remote, &off), Err(AuthFailed::UnknownScheme));
    }

    #[test]
    fn addresses_are_spelled_as_java_spells_them() {
        let text = |ip: &str| ip_identity(ip.parse().unwrap()).id.unwrap();
        assert_eq!(text("::1"), "0:0:0:0:0:0:0:1");
        assert_eq!(text("2001:db8::a"), "2001:db8:0:0:0:0:0:a");
        assert_eq!(text("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn any_required_scheme_will_do() {
        let required = ["digest".to_owned(), "sasl".to_owned()];
        assert!(satisfies(&required, &[id("ip", "1.2.3.4"), id("digest", "a:b")]));
        assert!(!satisfies(&required, &[id("ip", "1.2.3.4")]));
    }

    /// The rules, each said as a sentence over small pools of entries and identities.
    #[test]
    fn random_lists_let_in_whom_the_rules_name() {
        let mut state = 0x5eed_0005_u64;
        let mut roll = move |sides: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % sides as u64) as usize
        };
        // Of each network, who of the addresses below is in it.
        let networks: [(&str, &[usize]); 6] = [
            ("10.1.2.3", &[0]),
            ("10.1.0.0/16", &[0, 1]),
            ("0.0.0.0/0", &[0, 1, 2]),
            ("2001:db8::/33", &[3]),
            ("::/0", &[3, 4]),
            ("10.1.2.3/40", &[]),
        ];
        let addresses = ["10.1.2.3", "10.1.200.3", "192.168.0.1", "2001:db8:1:0:0:0:0:1", "2001:db8:8000:0:0:0:0:1"];
        let (mut granted, mut refused) = (0, 0);
        for _ in 0..50_000 {
            let own = roll(addresses.len());
            let mut ids = vec![id("ip", addresses[own])];
            let (bob, boss) = (roll(2) == 0, roll(20) == 0);
            if bob {
                ids.push(id("digest", "bob:x"));
            }
            if boss {
                ids.push(id("super", ""));
            }
            let wanted = [perm::READ, perm::WRITE, perm::READ | perm::ADMIN][roll(3)];
            let mut expected = boss;
            let list: Vec<Acl> = (0..roll(4))
                .map(|_| {
                    let perms = roll(32) as i32;
                    let (entry, matches) = match roll(6) {
                        0 => (acl(perms, "world", "anyone"), true),
                        1 => (acl(perms, "world", "bob:x"), false),
                        2 => (acl(perms, "digest", "bob:x"), bob),
                        3 => (acl(perms, "digest", "bob:X"), false),
                        4 => (acl(perms, ["x509", "sasl", "super", "auth"][roll(4)], "bob:x"), false),
                        _ => {
                            let (network, members) = networks[roll(networks.len())];
                            (acl(perms, "ip", network), members.contains(&own))
                        }
                    };
                    expected |= matches && (0..5).any(|bit| perms & wanted & (1 << bit) != 0);
                    entry
                })
                .collect();
            expected |= list.is_empty();
            assert_eq!(check_acl(Some(&list), wanted, &ids).is_ok(), expected, "{list:?} {ids:?} {wanted}");
            if expected { granted += 1 } else { refused += 1 }
        }
        assert!(granted > 10_000 && refused > 10_000, "{granted} {refused}");
    }
}
