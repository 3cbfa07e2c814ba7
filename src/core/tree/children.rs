//! What memory knows of the names below a znode.

use super::map::alloc_bytes;
use foldhash::quality::FixedState;
use std::collections::{BTreeMap, HashSet};

/// Names in no order, as Apache lists them. Clients choose them, so the hash has a key: the tree's.
pub(super) type Names = HashSet<Box<str>, FixedState>;

/// The direct children of a znode that has any.
#[derive(Debug)]
pub(super) enum Children {
    /// All names.
    Complete { names: Names, bytes: usize },
    /// Only what changed since the store was last known to hold it.
    Overlay { changes: BTreeMap<Box<str>, Change>, bytes: usize, purge_at: usize },
}

/// The newest word on one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub present: bool,
    /// Obsolete once the checkpoint of this generation is durable.
    pub generation: u32,
}

/// An overlay smaller than this is not worth a search for obsolete changes.
const PURGE_AT_LEAST: usize = 64;

/// A name in a hash table at its usual fill, or in a B-tree.
fn name_bytes(name: &str) -> usize {
    size_of::<Box<str>>() * 3 / 2 + alloc_bytes(name.len())
}

/// A list from the store.
pub(super) fn names(stored: Vec<Box<str>>, hasher: FixedState) -> Names {
    let mut names = Names::with_capacity_and_hasher(stored.len(), hasher);
    names.extend(stored);
    names
}

impl Children {
    /// Of a znode known to have no children.
    pub fn none(hasher: FixedState) -> Children {
        Children::Complete { names: Names::with_hasher(hasher), bytes: 0 }
    }

    /// Of a znode of which only the store knows the children.
    pub fn unknown() -> Children {
        Children::Overlay { changes: BTreeMap::new(), bytes: 0, purge_at: PURGE_AT_LEAST }
    }

    /// Records that a child came (`present`) or went, in the given checkpoint generation.
    pub fn record(&mut self, name: &str, present: bool, generation: u32, durable: u32) {
        match self {
            Children::Complete { names, bytes } => {
                if present {
                    if names.insert(name.into()) {
                        *bytes += name_bytes(name);
                    }
                } else if names.remove(name) {
                    *bytes -= name_bytes(name);
                }
            }
            Children::Overlay { changes, bytes, purge_at } => {
                if changes.insert(name.into(), Change { present, generation }).is_none() {
                    *bytes += name_bytes(name);
                }
                if changes.len() >= *purge_at {
                    changes.retain(|_, change| change.generation > durable);
                    *bytes = changes.keys().map(|name| name_bytes(name)).sum();
                    *purge_at = (changes.len() * 2).max(PURGE_AT_LEAST);
                }
            }
        }
    }

    /// All names, if they are known.
    pub fn complete(&self) -> Option<&Names> {
        match self {
            Children::Complete { names, .. } => Some(names),
            Children::Overlay { .. } => None,
        }
    }

    /// What the store's list, as of a checkpoint that is not older than the last durable one,
    /// becomes under the changes since.
    pub fn merged(&self, stored: Vec<Box<str>>, hasher: FixedState) -> Names {
        let mut names = names(stored, hasher);
        match self {
            Children::Complete { names, .. } => return names.clone(),
            Children::Overlay { changes, .. } => {
                for (name, change) in changes {
                    if change.present {
                        names.insert(name.clone());
                    } else {
                        names.remove(name);
                    }
                }
            }
        }
        names
    }

    /// A complete list.
    pub fn of(names: Names) -> Children {
        let bytes = names.iter().map(|name| name_bytes(name)).sum();
        Children::Complete { names, bytes }
    }

    /// Estimated bytes, with what the allocator adds.
    pub fn bytes(&self) -> usize {
        let (Children::Complete { bytes, .. } | Children::Overlay { bytes, .. }) = self;
        alloc_bytes(size_of::<Children>()) + bytes
    }
}
