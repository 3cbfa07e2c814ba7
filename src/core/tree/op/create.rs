//! create, create2, createContainer, createTTL.

use super::super::znode::TTL_MAX_MS;
use super::super::{Owner, Znode};
use super::{Prep, Stop, stored_acl, validate};
use crate::auth::perm;
use bytes::Bytes;
use std::sync::Arc;
use zorilla_protocol::records::{Acl, CreateRequest, CreateTtlRequest, StatPersisted};
use zorilla_protocol::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn, Txn};
use zorilla_protocol::{Code, Zxid, path};

/// The flags of a create (Java: `CreateMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Persistent,
    Ephemeral,
    PersistentSequential,
    EphemeralSequential,
    Container,
    PersistentWithTtl,
    PersistentSequentialWithTtl,
}

impl Mode {
    fn from_flags(flags: i32) -> Option<Mode> {
        Some(match flags {
            0 => Mode::Persistent,
            1 => Mode::Ephemeral,
            2 => Mode::PersistentSequential,
            3 => Mode::EphemeralSequential,
            4 => Mode::Container,
            5 => Mode::PersistentWithTtl,
            6 => Mode::PersistentSequentialWithTtl,
            _ => return None,
        })
    }

    fn is_sequential(self) -> bool {
        matches!(self, Mode::PersistentSequential | Mode::EphemeralSequential | Mode::PersistentSequentialWithTtl)
    }

    fn is_ephemeral(self) -> bool {
        matches!(self, Mode::Ephemeral | Mode::EphemeralSequential)
    }

    fn has_ttl(self) -> bool {
        matches!(self, Mode::PersistentWithTtl | Mode::PersistentSequentialWithTtl)
    }
}

/// What kind of txn comes out, which decides what the node is more than the flags do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Create,
    Create2,
    Container,
    /// With the time to live in milliseconds, not validated yet.
    Ttl(i64),
}

/// Opcode 1: flag 4 makes a plain persistent node here.
pub fn create(prep: &mut Prep<'_>, request: &CreateRequest) -> Result<Txn, Stop> {
    make(prep, Kind::Create, request.into())
}

/// Opcode 15.
pub fn create2(prep: &mut Prep<'_>, request: &CreateRequest) -> Result<Txn, Stop> {
    make(prep, Kind::Create2, request.into())
}

/// Opcode 19: a container, whatever the flags say.
pub fn create_container(prep: &mut Prep<'_>, request: &CreateRequest) -> Result<Txn, Stop> {
    make(prep, Kind::Container, request.into())
}

/// Opcode 21.
pub fn create_ttl(prep: &mut Prep<'_>, request: &CreateTtlRequest) -> Result<Txn, Stop> {
    make(prep, Kind::Ttl(request.ttl), request.into())
}

/// Whether a multi that holds this create cannot be read at all: Apache builds the operation from its
/// flags while decoding.
pub fn is_unreadable_in_multi(request: &CreateRequest) -> bool {
    Mode::from_flags(request.flags).is_none_or(Mode::has_ttl)
}

/// Types 1, 15 and 19 inside a multi: flag 4 makes a container.
pub fn in_multi(prep: &mut Prep<'_>, request: &CreateRequest, two: bool, container: bool) -> Result<Txn, Stop> {
    let kind = match (Mode::from_flags(request.flags), container, two) {
        (Some(Mode::Container), _, _) | (_, true, _) => Kind::Container,
        (_, _, true) => Kind::Create2,
        _ => Kind::Create,
    };
    make(prep, kind, request.into())
}

/// Type 21 inside a multi: without a TTL flag an ordinary create, whose ttl nobody looks at.
pub fn ttl_in_multi(prep: &mut Prep<'_>, request: &CreateTtlRequest) -> Result<Txn, Stop> {
    let kind = match Mode::from_flags(request.flags) {
        Some(mode) if mode.has_ttl() => Kind::Ttl(request.ttl),
        Some(Mode::Container) => Kind::Container,
        _ => Kind::Create,
    };
    make(prep, kind, request.into())
}

/// What the two request records have in common.
struct Wanted<'a> {
    path: &'a str,
    data: Option<&'a Bytes>,
    acl: Option<&'a [Acl]>,
    flags: i32,
}

impl<'a> From<&'a CreateRequest> for Wanted<'a> {
    fn from(r: &'a CreateRequest) -> Self {
        Wanted { path: &r.path, data: r.data.as_ref(), acl: r.acl.as_deref(), flags: r.flags }
    }
}

impl<'a> From<&'a CreateTtlRequest> for Wanted<'a> {
    fn from(r: &'a CreateTtlRequest) -> Self {
        Wanted { path: &r.path, data: r.data.as_ref(), acl: r.acl.as_deref(), flags: r.flags }
    }
}

fn make(prep: &mut Prep<'_>, kind: Kind, wanted: Wanted<'_>) -> Result<Txn, Stop> {
    let mode = Mode::from_flags(wanted.flags).ok_or(Code::BadArguments)?;
    check_ttl(mode, kind, prep.rules.extended_types)?;
    let parent_path = parent_of(wanted.path)?;
    let acl = prep.fix_acl(wanted.acl)?;
    let parent = prep.get(parent_path)?;
    prep.check_acl(&parent, perm::CREATE)?;
    let path: Arc<str> = if mode.is_sequential() {
        format!("{}{:010}", wanted.path, parent.stat.cversion).into()
    } else {
        wanted.path.into()
    };
    validate(&path)?;
    let hash = prep.tree.hash(&path);
    if prep.find_at(hash, &path)?.is_some() {
        return Err(Code::NodeExists.into());
    }
    if let Owner::Session(_) = parent.owner() {
        return Err(Code::NoChildrenForEphemerals.into());
    }
    let bytes = wanted.data.map_or(0, Bytes::len) as i64;
    prep.charge_quota(&path, 1, bytes)?;

    let parent_cversion = parent.stat.cversion.wrapping_add(1);
    let owner = owner(prep, kind, mode);
    let znode = new_znode(prep.zxid, prep.time_ms, &path, wanted.data, &acl, owner);
    let parent_after = with_child(&parent, parent_cversion, prep.zxid);
    prep.replace(parent, Some(parent_after));
    let text = path.to_string();
    prep.insert(hash, path, znode);
    if let Owner::Session(session) = owner {
        prep.pending.note_ephemeral(prep.zxid, session, &text);
    }
    Ok(txn(kind, text, wanted.data.cloned(), acl, mode.is_ephemeral(), parent_cversion))
}

/// TTL flags need the switch and a TTL in bounds; opcode 21 needs TTL flags. (Apache takes opcode 21
/// with other flags and ttl -1, and dies applying it.)
fn check_ttl(mode: Mode, kind: Kind, extended_types: bool) -> Result<(), Code> {
    if mode.has_ttl() && !extended_types {
        return Err(Code::Unimplemented);
    }
    match (kind, mode.has_ttl()) {
        (Kind::Ttl(ttl), true) if (1..=TTL_MAX_MS).contains(&ttl) => Ok(()),
        (Kind::Ttl(_), _) | (_, true) => Err(Code::BadArguments),
        (_, false) => Ok(()),
    }
}

/// The early, lax look at the path; the full one is at the final name.
fn parent_of(path: &str) -> Result<&str, Code> {
    if path.contains('\0') {
        return Err(Code::BadArguments);
    }
    path::parent(path).ok_or(Code::BadArguments)
}

/// As the applier will see it: only a plain create can be an ephemeral.
fn owner(prep: &Prep<'_>, kind: Kind, mode: Mode) -> Owner {
    match kind {
        Kind::Container => Owner::Container,
        Kind::Ttl(ttl) => Owner::Ttl(ttl),
        Kind::Create | Kind::Create2 if mode.is_ephemeral() => Owner::Session(prep.caller.session),
        Kind::Create | Kind::Create2 => Owner::Nobody,
    }
}

fn new_znode(zxid: Zxid, time_ms: i64, path: &str, data: Option<&Bytes>, acl: &[Acl], owner: Owner) -> Znode {
    Znode {
        stat: StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time_ms,
            mtime: time_ms,
            ephemeral_owner: owner.raw(),
            ..StatPersisted::default()
        },
        num_children: 0,
        prefix_crc: Znode::crc_of(path, data.map(|data| &data[..])),
        digest: 0,
        acl: stored_acl(acl),
        data: data.map(|data| Arc::from(&data[..])),
    }
}

/// The parent with one more child. Appliers everywhere take the cversion only if it is larger, so the
/// count of creations stops at 2147483647: from then on sequential creates find their name taken
/// (-110), and plain ones go on working.
fn with_child(parent: &Znode, cversion: i32, zxid: Zxid) -> Znode {
    let mut parent = parent.clone();
    parent.num_children = parent.num_children.wrapping_add(1);
    if cversion > parent.stat.cversion {
        parent.stat.cversion = cversion;
        parent.stat.pzxid = zxid;
    }
    parent
}

fn txn(kind: Kind, path: String, data: Option<Bytes>, acl: Vec<Acl>, ephemeral: bool, parent_cversion: i32) -> Txn {
    let acl = Some(acl);
    match kind {
        Kind::Create => Txn::Create(CreateTxn { path, data, acl, ephemeral, parent_cversion }),
        Kind::Create2 => Txn::Create2(CreateTxn { path, data, acl, ephemeral, parent_cversion }),
        Kind::Container => Txn::CreateContainer(CreateContainerTxn { path, data, acl, parent_cversion }),
        Kind::Ttl(ttl) => Txn::CreateTtl(CreateTtlTxn { path, data, acl, parent_cversion, ttl }),
    }
}
