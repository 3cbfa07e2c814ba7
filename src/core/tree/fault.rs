//! Bringing into memory what only the store knows, with the disk read outside of every lock.

use super::children::{Children, names};
use super::cold::{ColdNodes, Miss, StoreError};
use super::memory::Tree;
use super::znode::Znode;

/// Taken before the store is read: a checkpoint that becomes durable in between makes what was read
/// unusable, since memory may have dropped the newer value by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultToken {
    durable: u32,
}

/// What the store said about a [`Miss`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// For [`Miss::Node`].
    Node(Option<Znode>),
    /// For [`Miss::Children`].
    Children(Vec<Box<str>>),
}

/// Asks the store. May block on a disk: no lock may be held.
pub fn load_miss(cold: &dyn ColdNodes, miss: &Miss) -> Result<Loaded, StoreError> {
    match miss {
        Miss::Node(path) => cold.load(path).map(Loaded::Node),
        Miss::Children(path) => cold.child_names(path).map(Loaded::Children),
    }
}

impl Tree {
    /// First step, under the shared lock. Then [`load_miss`] without the lock, then
    /// [`Tree::finish_fault`], then whatever missed is tried again.
    pub fn begin_fault(&self) -> FaultToken {
        FaultToken { durable: self.dirty.durable }
    }

    /// Puts into memory what was loaded, unless memory knows better by now. `false`: a checkpoint
    /// completed in between, or the parent of a list was dropped; start over.
    pub fn finish_fault(&mut self, token: FaultToken, miss: &Miss, loaded: Loaded) -> bool {
        if token.durable != self.dirty.durable {
            return false;
        }
        match (miss, loaded) {
            (Miss::Node(path), Loaded::Node(node)) => {
                self.insert_loaded(path, node);
                true
            }
            (Miss::Children(path), Loaded::Children(names)) => self.insert_children(path, names),
            (Miss::Node(_), Loaded::Children(_)) | (Miss::Children(_), Loaded::Node(_)) => false,
        }
    }

    fn insert_children(&mut self, path: &str, stored: Vec<Box<str>>) -> bool {
        let hasher = self.nodes.hasher();
        let Some((_, entry)) = self.nodes.get_mut(path) else { return false };
        let Some(node) = &entry.node else { return true };
        let before = entry.children_bytes();
        match entry.children.as_deref() {
            Some(Children::Complete { .. }) => return true,
            None if node.num_children == 0 => return true,
            None => entry.children = Some(Box::new(Children::of(names(stored, hasher)))),
            Some(overlay @ Children::Overlay { .. }) => {
                entry.children = Some(Box::new(Children::of(overlay.merged(stored, hasher))));
            }
        }
        let after = entry.children_bytes();
        self.dirty.resident_bytes = (self.dirty.resident_bytes + after).saturating_sub(before);
        true
    }
}
