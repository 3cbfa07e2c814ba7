//! Which container and TTL nodes are due for removal by the server (Java: `ContainerManager`).

use super::cold::{ColdNodes, StoreError};
use super::memory::Tree;
use super::znode::{Owner, Znode};
use super::{Committed, Lookup};
use std::sync::Arc;

/// A look at the container and TTL nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReapScan {
    /// Due, as far as memory knows.
    pub due: Vec<Arc<str>>,
    /// Not in memory: [`ReapScan::finish`] asks the store.
    pub cold: Vec<Arc<str>>,
}

impl ReapScan {
    /// All that are due. May block on a disk: no lock may be held. What is looked at does not come into
    /// memory; whatever is due is checked again when its removal is prepared.
    pub fn finish(
        self,
        cold: &dyn ColdNodes,
        now_ms: i64,
        max_never_used_ms: i64,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        let mut due = self.due;
        for path in self.cold {
            if cold.load(&path)?.is_some_and(|node| is_due(&node, now_ms, max_never_used_ms)) {
                due.push(path);
            }
        }
        Ok(due)
    }
}

/// Whether the server should remove the node. `max_never_used_ms` is for containers that never had a
/// child; 0 keeps them. A TTL counts from the last change of the data.
pub fn is_due(node: &Znode, now_ms: i64, max_never_used_ms: i64) -> bool {
    if node.num_children > 0 {
        return false;
    }
    let age_ms = now_ms.saturating_sub(node.stat.mtime);
    match node.owner() {
        Owner::Container if node.stat.cversion > 0 => true,
        Owner::Container => max_never_used_ms != 0 && age_ms > max_never_used_ms,
        Owner::Ttl(ttl_ms) => age_ms > ttl_ms,
        Owner::Nobody | Owner::Session(_) => false,
    }
}

impl Tree {
    /// Looks at every container and TTL node, and at nothing else.
    pub fn reap_scan(&self, now_ms: i64, max_never_used_ms: i64) -> ReapScan {
        let mut scan = ReapScan::default();
        for path in self.owned.containers.iter().chain(&self.owned.ttls) {
            match self.lookup(path) {
                Lookup::Hit(_, node) if is_due(node, now_ms, max_never_used_ms) => scan.due.push(path.clone()),
                Lookup::Cold => scan.cold.push(path.clone()),
                Lookup::Hit(..) | Lookup::Absent => {}
            }
        }
        scan
    }
}
