//! delete, deleteContainer, and the server's own reaping.

use super::super::{Owner, Znode};
use super::{Found, Prep, Stop, next_version};
use crate::auth::perm;
use zorilla_protocol::txn::{DeleteTxn, Txn};
use zorilla_protocol::{Code, path};

/// Opcode 2. Missing permission on the parent wins over a missing node.
pub fn delete(prep: &mut Prep<'_>, path: &str, version: i32) -> Result<Txn, Stop> {
    let parent = permitted_parent(prep, path)?;
    let znode = prep.get(path)?;
    next_version(znode.stat.version, version)?;
    if znode.num_children > 0 {
        return Err(Code::NotEmpty.into());
    }
    remove(prep, parent, znode)?;
    Ok(Txn::Delete(DeleteTxn { path: path.to_owned() }))
}

/// Opcode 20 from a client. Apache checks no ACL here and lets anybody delete any childless node; this
/// is a delete like any other, but for ephemerals (-103).
pub fn delete_container(prep: &mut Prep<'_>, path: &str) -> Result<Txn, Stop> {
    let parent = permitted_parent(prep, path)?;
    let znode = prep.get(path)?;
    if znode.num_children > 0 {
        return Err(Code::NotEmpty.into());
    }
    if let Owner::Session(_) = znode.owner() {
        return Err(Code::BadVersion.into());
    }
    remove(prep, parent, znode)?;
    Ok(Txn::DeleteContainer(DeleteTxn { path: path.to_owned() }))
}

/// The server's own deleteContainer. The node was due when it was looked for; by now it may have
/// children, be of another kind, or have been written to.
pub fn reap(prep: &mut Prep<'_>, path: &str) -> Result<Txn, Stop> {
    let parent_path = parent_of(path)?;
    let znode = prep.get(path)?;
    if znode.num_children > 0 {
        return Err(Code::NotEmpty.into());
    }
    match znode.owner() {
        Owner::Container => {}
        Owner::Ttl(ttl) if prep.time_ms.saturating_sub(znode.stat.mtime) > ttl => {}
        Owner::Ttl(_) | Owner::Nobody | Owner::Session(_) => return Err(Code::BadVersion.into()),
    }
    let parent = prep.get(parent_path)?;
    remove(prep, parent, znode)?;
    Ok(Txn::DeleteContainer(DeleteTxn { path: path.to_owned() }))
}

/// Notes that a znode goes: for deletes of every kind, the end of a session included.
pub fn remove(prep: &mut Prep<'_>, parent: Found, znode: Found) -> Result<(), Stop> {
    prep.credit_quota(&znode.path, znode.data_len() as i64)?;
    let mut parent_after = Znode::clone(&parent);
    parent_after.num_children = parent_after.num_children.wrapping_sub(1);
    parent_after.stat.pzxid = parent_after.stat.pzxid.max(prep.zxid);
    prep.replace(parent, Some(parent_after));
    prep.replace(znode, None);
    Ok(())
}

fn permitted_parent(prep: &Prep<'_>, path: &str) -> Result<Found, Stop> {
    let parent = prep.get(parent_of(path)?)?;
    prep.check_acl(&parent, perm::DELETE)?;
    Ok(parent)
}

/// All the syntax that a delete looks at.
fn parent_of(path: &str) -> Result<&str, Code> {
    if path.contains('\0') || path::is_special(path) {
        return Err(Code::BadArguments);
    }
    path::parent(path).ok_or(Code::BadArguments)
}
