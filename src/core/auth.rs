//! Who a caller is and what an ACL lets them do.

use std::net::IpAddr;
use std::sync::Arc;
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

/// Whether somebody with these identities may do any of `wanted` where `acl` applies. A list that is
/// absent or empty is open, and `super` passes every check (Java: `ZooKeeperServer.checkACL`).
pub fn check_acl(acl: Option<&[Acl]>, wanted: i32, ids: &[Id]) -> Verdict {
    let Some(acl) = acl.filter(|acl| !acl.is_empty()) else { return Ok(()) };
    if ids.iter().any(|id| id.scheme.as_deref() == Some("super")) {
        return Ok(());
    }
    let granted = acl.iter().filter(|entry| entry.perms & wanted != 0).any(|entry| {
        entry.id.scheme.as_deref() == Some("world") && entry.id.id.as_deref() == Some("anyone")
            || ids.iter().any(|id| id.scheme == entry.id.scheme && matches(&entry.id, id))
    });
    if granted { Ok(()) } else { Err(Code::NoAuth) }
}

/// Whether an identity is what an ACL entry of the same scheme names.
fn matches(named: &Id, id: &Id) -> bool {
    let (Some(named_id), Some(own)) = (&named.id, &id.id) else { return false };
    match named.scheme.as_deref() {
        Some("ip") => matches_address(named_id, own).unwrap_or(false),
        _ => named_id == own,
    }
}

/// `address[/bits]` against an address of the same family.
fn matches_address(named: &str, own: &str) -> Option<bool> {
    let (network, bits) = match named.split_once('/') {
        Some((network, bits)) => (network, Some(bits.parse::<u32>().ok()?)),
        None => (named, None),
    };
    let (width, network, own) = match (network.parse().ok()?, own.parse().ok()?) {
        (IpAddr::V4(network), IpAddr::V4(own)) => (32, u128::from(network.to_bits()), u128::from(own.to_bits())),
        (IpAddr::V6(network), IpAddr::V6(own)) => (128, network.to_bits(), own.to_bits()),
        _ => return Some(false),
    };
    let host_bits = width - bits.unwrap_or(width).min(width);
    // A shift by the whole width has no meaning to the machine: then everything matches.
    Some((network ^ own).checked_shr(host_bits).unwrap_or(0) == 0)
}
