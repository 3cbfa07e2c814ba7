//! Equal ACL lists share one allocation: a tree has millions of znodes and a handful of lists
//! (Java: `ReferenceCountedACLCache`).

use crate::auth::perm;
use foldhash::quality::FixedState;
use indexmap::{Equivalent, IndexSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use zorilla_protocol::records::Acl;

/// A table smaller than this is not worth a search for unused lists.
const PURGE_AT_LEAST: usize = 1024;

#[derive(Debug)]
pub(super) struct AclTable {
    lists: IndexSet<Shared, FixedState>,
    purge_at: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Shared(Arc<[Acl]>);

struct Borrowed<'a>(&'a [Acl]);

fn hash_list<H: Hasher>(list: &[Acl], state: &mut H) {
    for acl in list {
        acl.perms.hash(state);
        acl.id.scheme.hash(state);
        acl.id.id.hash(state);
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_list(&self.0, state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_list(self.0, state);
    }
}

impl Equivalent<Shared> for Borrowed<'_> {
    fn equivalent(&self, shared: &Shared) -> bool {
        *self.0 == *shared.0
    }
}

/// Whether the list is `world:anyone:cdrwa` alone, which is stored as no list at all.
pub(super) fn is_open(list: &[Acl]) -> bool {
    let [only] = list else { return false };
    only.perms == perm::ALL && only.id.scheme.as_deref() == Some("world") && only.id.id.as_deref() == Some("anyone")
}

impl AclTable {
    pub fn new(seed: u64) -> AclTable {
        AclTable { lists: IndexSet::with_hasher(FixedState::with_seed(seed)), purge_at: PURGE_AT_LEAST }
    }

    /// The shared form of a list. A null list is open; an empty one is open to checks, too, but
    /// another thing to getACL.
    pub fn intern(&mut self, list: Option<&[Acl]>) -> Option<Arc<[Acl]>> {
        let list = list.filter(|list| !is_open(list))?;
        if let Some(shared) = self.lists.get(&Borrowed(list)) {
            return Some(shared.0.clone());
        }
        if self.lists.len() >= self.purge_at {
            self.lists.retain(|shared| Arc::strong_count(&shared.0) > 1);
            self.purge_at = (self.lists.len() * 2).max(PURGE_AT_LEAST);
        }
        let shared: Arc<[Acl]> = list.into();
        self.lists.insert(Shared(shared.clone()));
        Some(shared)
    }

    /// Lists held, unused ones included.
    pub fn len(&self) -> usize {
        self.lists.len()
    }
}
