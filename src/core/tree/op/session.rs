//! The beginning and the end of a session.

use super::super::Owner;
use super::{Prep, Stop, delete};
use std::sync::Arc;
use zorilla_protocol::path::{self, ROOT};
use zorilla_protocol::txn::{CloseSessionTxn, CreateSessionTxn, Txn};

/// A session begins; the tree stays as it is.
pub fn create(timeout_ms: i32) -> Txn {
    Txn::CreateSession(CreateSessionTxn { time_out_ms: timeout_ms })
}

/// A session ends: its committed ephemerals go, and those it has outstanding, but for those that
/// somebody deletes before that. In byte order, so that it is the same every time.
pub fn close(prep: &mut Prep<'_>) -> Result<Txn, Stop> {
    let session = prep.caller.session;
    let mut candidates: Vec<Arc<str>> = prep.tree.ephemerals(session);
    candidates.extend(prep.pending.new_ephemerals(session).cloned());
    candidates.sort_unstable();
    candidates.dedup();
    let mut paths = Vec::with_capacity(candidates.len());
    for path in candidates {
        let Some(znode) = prep.find(&path)?.filter(|znode| znode.owner() == Owner::Session(session)) else { continue };
        let parent = prep.get(path::parent(&path).unwrap_or(ROOT))?;
        delete::remove(prep, parent, znode)?;
        paths.push(path.to_string());
    }
    prep.pending.note_closing(prep.zxid, session);
    let listed = prep.rules.close_session_txn.then_some(CloseSessionTxn { paths_to_delete: paths });
    Ok(Txn::CloseSession(listed))
}
