//! check, which exists inside a multi only.

use super::{Prep, Stop, next_version, validate};
use crate::auth::perm;
use zorilla_protocol::records::CheckVersionRequest;
use zorilla_protocol::txn::{CheckVersionTxn, Txn};

/// Type 13. The txn holds the checked version plus one; appliers do not look at it.
pub fn prepare(prep: &Prep<'_>, request: &CheckVersionRequest) -> Result<Txn, Stop> {
    validate(&request.path)?;
    let znode = prep.get(&request.path)?;
    prep.check_acl(&znode, perm::READ)?;
    let version = next_version(znode.stat.version, request.version)?;
    Ok(Txn::Check(CheckVersionTxn { path: request.path.clone(), version }))
}
