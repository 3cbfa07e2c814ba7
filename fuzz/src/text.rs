//! Texts that clients choose: paths, and the identities in ACLs.

use std::net::IpAddr;
use zorilla_core::auth::{AuthRules, authenticate, check_acl, digest_id, fix_acl, ip_identity, perm};
use zorilla_core::digest_alg::DigestAlg;
use zorilla_protocol::jute::decode_utf8;
use zorilla_protocol::path;
use zorilla_protocol::records::{Acl, Id};

/// Lines: a path, then entries of an ACL as `scheme:id`.
pub fn paths_and_lists(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    check_path(&decode_utf8(lines.next().unwrap_or_default()));
    let entries: Vec<Acl> = lines.map(entry).collect();
    let caller = entries.iter().take(2).map(|entry| entry.id.clone()).collect::<Vec<_>>();
    check_list(&entries, &caller);
    for entry in &entries {
        check_network(entry.id.id.as_deref().unwrap_or_default());
        check_credentials(entry.id.id.as_deref().unwrap_or_default());
    }
}

fn entry(line: &[u8]) -> Acl {
    let text = decode_utf8(line);
    let (scheme, id) = text.split_once(':').map_or((&*text, None), |(scheme, id)| (scheme, Some(id.to_owned())));
    Acl { perms: line.len() as i32 % 32, id: Id { scheme: Some(scheme.to_owned().into()), id: id.map(Into::into) } }
}

/// What makes a path valid is tested next to the rule, text by text.
fn check_path(text: &str) {
    if path::validate(text).is_ok() && text != path::ROOT {
        let (parent, name) = (path::parent(text).expect("a valid path has a parent"), path::name(text));
        let joined = if parent == path::ROOT { format!("/{name}") } else { format!("{parent}/{name}") };
        assert_eq!(joined, text);
        assert_eq!(path::validate(parent), Ok(()), "{text:?}");
    }
}

fn check_list(entries: &[Acl], caller: &[Id]) {
    let rules = AuthRules::default();
    let Ok(fixed) = fix_acl(Some(entries), caller, &rules) else { return };
    assert!(!fixed.is_empty());
    for entry in &fixed {
        let scheme = entry.id.scheme.as_deref();
        assert!(matches!(scheme, Some("world" | "ip" | "digest")), "{entry:?}");
    }
    // `auth` may stand for somebody who is listed as well; a second time nothing changes.
    let again = fix_acl(Some(&fixed), &[], &rules).expect("a stored list is valid");
    assert_eq!(fix_acl(Some(&again), &[], &rules).as_ref(), Ok(&again));
    for wanted in [perm::READ, perm::WRITE, perm::CREATE, perm::DELETE, perm::ADMIN] {
        let granted = check_acl(Some(&fixed), wanted, caller).is_ok();
        assert_eq!(check_acl(Some(&again), wanted, caller).is_ok(), granted);
        let is_super = caller.iter().any(|id| id.scheme.as_deref() == Some("super"));
        let open = fixed.iter().any(|e| e.perms & wanted != 0 && e.id.scheme.as_deref() == Some("world"));
        let named = fixed
            .iter()
            .any(|e| e.perms & wanted != 0 && e.id.scheme.as_deref() == Some("digest") && caller.contains(&e.id));
        let addressed = fixed.iter().any(|e| {
            let networks = caller.iter().filter(|id| id.scheme.as_deref() == Some("ip"));
            e.perms & wanted != 0
                && e.id.scheme.as_deref() == Some("ip")
                && networks
                    .into_iter()
                    .any(|own| contains(e.id.id.as_deref().unwrap_or_default(), own.id.as_deref().unwrap_or_default()))
        });
        assert_eq!(granted, is_super || open || named || addressed, "{fixed:?} {caller:?} {wanted}");
    }
}

/// `address[/bits]` against an address, bit by bit.
fn contains(network: &str, address: &str) -> bool {
    let (network, width) = network.split_once('/').map_or((network, None), |(network, bits)| (network, Some(bits)));
    let (Some(network), Some(address)) = (bits_of(network), bits_of(address)) else { return false };
    let width = width.map_or(network.len(), |bits| bits.parse().unwrap_or(usize::MAX));
    network.len() == address.len() && width <= network.len() && network[..width] == address[..width]
}

fn bits_of(address: &str) -> Option<String> {
    if address.contains(':') {
        if address.contains('.') {
            return None;
        }
        let IpAddr::V6(v6) = address.parse().ok()? else { return None };
        return Some(v6.octets().iter().map(|octet| format!("{octet:08b}")).collect());
    }
    let octets: Vec<&str> = address.split('.').collect();
    if octets.len() != 4 || octets.iter().any(|o| o.len() > 3 || !o.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    octets.iter().map(|octet| octet.parse::<u8>().ok().map(|octet| format!("{octet:08b}"))).collect()
}

fn check_network(text: &str) {
    if let Ok(address) = text.parse::<IpAddr>() {
        let own = ip_identity(address);
        let everyone = [Acl { perms: perm::READ, id: own.clone() }];
        assert_eq!(check_acl(Some(&everyone), perm::READ, &[own]), Ok(()), "{text}");
    }
}

fn check_credentials(text: &str) {
    let id = digest_id(text, DigestAlg::default());
    assert!(id.starts_with(text.split(':').next().unwrap_or_default()));
    let rules = AuthRules { super_digest: Some(id.clone()), ..AuthRules::default() };
    let ids = authenticate("digest", Some(text.as_bytes()), IpAddr::from([127, 0, 0, 1]), &rules).expect("digest");
    assert_eq!(ids.len(), 2, "super, and itself");
    assert_eq!(ids[1].id.as_deref(), Some(&*id));
}
