//! The znode tree: the committed state in memory over a cold store, what outstanding proposals will
//! make of it, and the reads.

mod acl_table;
pub mod apply;
mod children;
pub mod cold;
mod commit;
mod dirty;
pub mod fault;
mod map;
mod memory;
mod op;
mod outstanding;
pub mod pending;
pub mod quota;
pub mod read;
pub mod reap;
#[cfg(test)]
mod tests;
pub mod znode;

pub use apply::{Applied, Event, EventKind, TxnResult};
pub use cold::{Checkpoint, ColdNodes, Miss, StoreError};
pub use fault::{FaultToken, Loaded, load_miss};
pub use memory::Tree;
pub use pending::{Pending, Prepared, Rules, Write};
pub use znode::{Owner, Znode};

use std::sync::Arc;
use zorilla_protocol::path::ROOT;

/// What the tree in memory knows of a path.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// It exists: its path as the tree shares it, and its value.
    Hit(&'a Arc<str>, &'a Arc<Znode>),
    /// It does not exist.
    Absent,
    /// Memory cannot tell: the cold store has to be asked ([`Miss::Node`]), then try again.
    Cold,
}

/// Committed state, as far as preparing a request needs it.
pub trait Committed {
    /// The znode at `path`. The empty path is the root, too.
    fn lookup(&self, path: &str) -> Lookup<'_> {
        let path = if path.is_empty() { ROOT } else { path };
        self.lookup_at(self.hash(path), path)
    }
    /// The hash of a path in the tree's tables, for those who look it up more than once.
    fn hash(&self, path: &str) -> u64;
    /// The znode at `path`, which has this hash.
    fn lookup_at(&self, hash: u64, path: &str) -> Lookup<'_>;
    /// The digest of the whole tree.
    fn digest(&self) -> i64;
    /// The ephemerals of a session, in any order.
    fn ephemerals(&self, session: zorilla_protocol::SessionId) -> Vec<Arc<str>>;
    /// The deepest path with a registered quota that is `path` or above it; never `/`.
    fn quota_root(&self, path: &str) -> Option<Arc<str>>;
}
