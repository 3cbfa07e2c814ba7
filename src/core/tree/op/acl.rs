//! setACL.

use super::super::Znode;
use super::{Prep, Stop, next_version, stored_acl, validate};
use crate::auth::perm;
use zorilla_protocol::Code;
use zorilla_protocol::records::SetAclRequest;
use zorilla_protocol::txn::{SetAclTxn, Txn};

/// Opcode 7. Writes pipelined behind it are checked against the new list.
pub fn prepare(prep: &mut Prep<'_>, request: &SetAclRequest) -> Result<Txn, Stop> {
    let path = request.path.as_deref().ok_or(Code::BadArguments)?;
    validate(path)?;
    let list = prep.fix_acl(request.acl.as_deref())?;
    let znode = prep.get(path)?;
    prep.check_acl(&znode, perm::ADMIN)?;
    let version = next_version(znode.stat.aversion, request.version)?;

    let mut after = Znode { acl: stored_acl(&list), ..Znode::clone(&znode) };
    after.stat.aversion = version;
    prep.replace(znode, Some(after));
    Ok(Txn::SetAcl(SetAclTxn { path: path.to_owned(), acl: Some(list), version }))
}
