//! What changed since the last checkpoint, and how it gets into the next.

use super::cold::{Checkpoint, DirtyNode};
use super::map::Entry;
use super::memory::Tree;
use super::znode::Owner;
use std::collections::BTreeMap;
use std::sync::Arc;
use zorilla_protocol::path::ROOT;
use zorilla_protocol::{SessionId, Zxid};

/// Changes since the last checkpoint was begun, and what memory they hold.
#[derive(Debug)]
pub(super) struct Dirty {
    /// Changes now belong to this checkpoint.
    pub generation: u32,
    /// The newest checkpoint that the store holds: an entry last changed by then is clean, so that
    /// completing a checkpoint touches no entry.
    pub durable: u32,
    in_flight: Option<InFlight>,
    /// Where the newest checkpoint stands, durable or not; `None` before the first over an empty store.
    pub checkpoint_zxid: Option<Zxid>,
    /// Every znode changed in this generation, once, at its newest value: the next checkpoint, as it
    /// stands. An entry of this generation knows its place here.
    nodes: Vec<DirtyNode>,
    pub sessions: BTreeMap<SessionId, Option<i32>>,
    /// Raw owner and path: whether it is in the index now.
    pub owned: BTreeMap<(i64, Arc<str>), bool>,
    pub bytes: usize,
    pub in_flight_bytes: usize,
    pub resident_bytes: usize,
    /// Paths deleted in a checkpoint that is durable by now.
    tombstones: Vec<Arc<str>>,
}

#[derive(Debug)]
struct InFlight {
    generation: u32,
    deleted: Vec<Arc<str>>,
}

impl Default for Dirty {
    fn default() -> Dirty {
        Dirty {
            generation: 1,
            durable: 0,
            in_flight: None,
            checkpoint_zxid: None,
            nodes: Vec::new(),
            sessions: BTreeMap::new(),
            owned: BTreeMap::new(),
            bytes: 0,
            in_flight_bytes: 0,
            resident_bytes: 0,
            tombstones: Vec::new(),
        }
    }
}

impl Dirty {
    /// Notes a change of `entry`, which took `before` bytes (node, children) until now.
    pub fn mark(&mut self, path: &Arc<str>, entry: &mut Entry, before: (usize, usize), data_changed: bool) {
        let (node, children) = (entry.node_bytes(path), entry.children_bytes());
        self.resident_bytes = (self.resident_bytes + node + children).saturating_sub(before.0 + before.1);
        if entry.dirty_generation == self.generation {
            self.bytes = (self.bytes + node).saturating_sub(before.0);
            let dirty = &mut self.nodes[entry.dirty_slot as usize];
            dirty.znode.clone_from(&entry.node);
            dirty.data_changed |= data_changed;
        } else {
            self.bytes += node;
            entry.dirty_generation = self.generation;
            // No server has memory for more dirty znodes than that.
            entry.dirty_slot = u32::try_from(self.nodes.len()).expect("2^32 znodes changed since the last checkpoint");
            self.nodes.push(DirtyNode { path: path.clone(), znode: entry.node.clone(), data_changed });
        }
    }

    /// Lets go of the newest value of `entry`, which is about to be changed where it stands and
    /// [marked](Dirty::mark) again.
    pub fn let_go(&mut self, entry: &Entry) {
        if entry.dirty_generation == self.generation {
            self.nodes[entry.dirty_slot as usize].znode = None;
        }
    }
}

/// Tombstones dropped with every txn: more than one txn can make, mostly, and no pause.
pub(super) const TOMBSTONES_PER_TXN: usize = 4;

impl Tree {
    /// Takes what is dirty, at its value now, for the store to write as one whole with the zxid.
    /// `None` if nothing happened since the last one, or while that is still being written. Changes no
    /// entry and copies no znode: they are listed already.
    pub fn begin_checkpoint(&mut self) -> Option<Checkpoint> {
        if self.dirty.in_flight.is_some() || self.dirty.checkpoint_zxid == Some(self.last_zxid) {
            return None;
        }
        let nodes = std::mem::take(&mut self.dirty.nodes);
        let deleted = nodes.iter().filter(|node| node.znode.is_none()).map(|node| node.path.clone()).collect();
        let dirty = &mut self.dirty;
        let generation = dirty.generation;
        dirty.generation += 1;
        dirty.in_flight = Some(InFlight { generation, deleted });
        dirty.in_flight_bytes = std::mem::take(&mut dirty.bytes);
        dirty.checkpoint_zxid = Some(self.last_zxid);
        let owned = std::mem::take(&mut dirty.owned);
        Some(Checkpoint {
            generation,
            zxid: self.last_zxid,
            digest: self.digest,
            znodes: self.znodes,
            data_bytes: self.data_bytes,
            nodes,
            sessions: std::mem::take(&mut dirty.sessions).into_iter().collect(),
            owned: owned.into_iter().map(|((raw, path), present)| (Owner::of(raw), path, present)).collect(),
        })
    }

    /// The store holds the checkpoint of this generation: what did not change since is clean.
    pub fn checkpoint_done(&mut self, generation: u32) {
        let dirty = &mut self.dirty;
        let Some(in_flight) = dirty.in_flight.take_if(|in_flight| in_flight.generation == generation) else { return };
        dirty.durable = generation;
        dirty.in_flight_bytes = 0;
        if dirty.tombstones.is_empty() {
            dirty.tombstones = in_flight.deleted;
        } else {
            dirty.tombstones.extend(in_flight.deleted);
        }
    }

    /// Drops so many entries of deleted znodes that the store no longer holds either. Every txn drops some; who has
    /// nothing else to do may drop more. Returns whether any are left.
    pub fn drop_tombstones(&mut self, count: usize) -> bool {
        for _ in 0..count {
            let Some(path) = self.dirty.tombstones.pop() else { return false };
            let Some((key, entry)) = self.nodes.get_mut(&path) else { continue };
            if entry.node.is_none() && entry.dirty_generation <= self.dirty.durable {
                let bytes = entry.node_bytes(key);
                self.nodes.remove(&path);
                self.dirty.resident_bytes = self.dirty.resident_bytes.saturating_sub(bytes);
            }
        }
        !self.dirty.tombstones.is_empty()
    }

    /// Drops clean entries that were not used since the clock hand came by last, until about
    /// `bytes_wanted` are free or `steps_max` entries were looked at. Returns the bytes freed. What is
    /// dirty stays: a checkpoint has to come first.
    pub fn evict(&mut self, bytes_wanted: usize, steps_max: usize) -> usize {
        let durable = self.dirty.durable;
        let mut freed = 0;
        for _ in 0..steps_max {
            if freed >= bytes_wanted {
                break;
            }
            let any = self.nodes.step(|path, entry| {
                if entry.dirty_generation > durable || entry.take_referenced() || **path == *ROOT {
                    return true;
                }
                freed += entry.node_bytes(path) + entry.children_bytes();
                false
            });
            if !any {
                break;
            }
        }
        self.dirty.resident_bytes = self.dirty.resident_bytes.saturating_sub(freed);
        freed
    }
}
