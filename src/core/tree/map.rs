//! Path to entry, in shards: growing one shard never stops the world for all of them, and the clock
//! hand of eviction walks them by position.

use super::children::Children;
use super::znode::Znode;
use foldhash::quality::FixedState;
use indexmap::IndexMap;
use indexmap::map::raw_entry_v1::{RawEntryApiV1, RawEntryMut};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SHARDS: usize = 256;

/// What memory knows of one path.
#[derive(Debug)]
pub(super) struct Entry {
    /// `None`: known not to exist.
    pub node: Option<Arc<Znode>>,
    /// What is known of the names below; nothing is needed for a node without children.
    pub children: Option<Box<Children>>,
    /// The checkpoint generation of the last change; 0 if it came from the store.
    pub dirty_generation: u32,
    /// Where it stands among the changes of that generation.
    pub dirty_slot: u32,
    referenced: AtomicBool,
}

impl Entry {
    pub fn new(node: Option<Arc<Znode>>) -> Entry {
        Entry { node, children: None, dirty_generation: 0, dirty_slot: 0, referenced: AtomicBool::new(true) }
    }

    /// Says that it was used. The flag is read first: readers on many cores share the cache line.
    pub fn touch(&self) {
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since the clock hand came by last.
    pub fn take_referenced(&mut self) -> bool {
        std::mem::take(self.referenced.get_mut())
    }

    /// Estimated bytes of this entry under `path` with what the allocator adds, the list of children
    /// left out.
    pub fn node_bytes(&self, path: &str) -> usize {
        let node = self.node.as_ref().map_or(0, |node| {
            let data = node.data.as_ref().map_or(0, |data| alloc_bytes(ARC_BYTES + data.len()));
            alloc_bytes(ARC_BYTES + size_of::<Znode>()) + data
        });
        SLOT_BYTES + alloc_bytes(ARC_BYTES + path.len()) + node
    }

    /// Estimated bytes of the list of children.
    pub fn children_bytes(&self) -> usize {
        self.children.as_ref().map_or(0, |children| children.bytes())
    }
}

/// A bucket of the map (hash, key, entry) and its slot in the hash table, at the usual fill.
const SLOT_BYTES: usize = (size_of::<(u64, Arc<str>, Entry)>() + 9) * 3 / 2;
/// The two counts in front of an `Arc`'s value.
const ARC_BYTES: usize = 16;

/// What an allocation of `size` bytes takes: 8 bytes of header, in steps of 16.
pub(super) fn alloc_bytes(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

type Shard = IndexMap<Arc<str>, Entry, ()>;

/// The table inside a shard uses the lowest and the highest bits.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// A shard that lost most of its entries gives its table back: it is memory, and a lookup in a sparse table mostly
/// misses the processor's caches.
fn give_back(shard: &mut Shard) {
    if shard.capacity() > 64 && shard.capacity() / 4 > shard.len() {
        shard.shrink_to(shard.len() * 2);
    }
}

/// Mostly the very same text, which then is not looked at.
pub(super) fn is_same(key: &Arc<str>, path: &str) -> bool {
    std::ptr::eq(&**key, path) || **key == *path
}

#[derive(Debug)]
pub(super) struct NodeMap {
    shards: Box<[Shard]>,
    hasher: FixedState,
    /// Where the clock hand stands: shard and position.
    hand: (usize, usize),
}

impl NodeMap {
    /// The keyed hash, for other tables that clients fill.
    pub fn hasher(&self) -> FixedState {
        self.hasher.clone()
    }
}

impl NodeMap {
    /// `seed` keeps clients from choosing paths that collide.
    pub fn new(seed: u64) -> NodeMap {
        let shards = (0..SHARDS).map(|_| Shard::with_hasher(())).collect();
        NodeMap { shards, hasher: FixedState::with_seed(seed), hand: (0, 0) }
    }

    /// A path's hash, for those who look it up more than once.
    pub fn hash(&self, path: &str) -> u64 {
        self.hasher.hash_one(path)
    }

    pub fn get(&self, path: &str) -> Option<&Entry> {
        Some(self.at(self.hash(path), path)?.1)
    }

    pub fn get_mut(&mut self, path: &str) -> Option<(&Arc<str>, &mut Entry)> {
        self.at_mut(self.hash(path), path)
    }

    /// The entry of the path with this hash.
    pub fn at(&self, hash: u64, path: &str) -> Option<(&Arc<str>, &Entry)> {
        self.shards[shard_of(hash)].raw_entry_v1().from_hash(hash, |key| is_same(key, path))
    }

    pub fn at_mut(&mut self, hash: u64, path: &str) -> Option<(&Arc<str>, &mut Entry)> {
        match self.shards[shard_of(hash)].raw_entry_mut_v1().from_hash(hash, |key| is_same(key, path)) {
            RawEntryMut::Occupied(entry) => {
                let (key, entry) = entry.into_key_value_mut();
                Some((key, entry))
            }
            RawEntryMut::Vacant(_) => None,
        }
    }

    /// The entry of the path with this hash, made if there is none; and whether it was made.
    pub fn at_or_insert(&mut self, hash: u64, path: Arc<str>) -> (&Arc<str>, &mut Entry, bool) {
        match self.shards[shard_of(hash)].raw_entry_mut_v1().from_hash(hash, |key| is_same(key, &path)) {
            RawEntryMut::Occupied(entry) => {
                let (key, entry) = entry.into_key_value_mut();
                (key, entry, false)
            }
            RawEntryMut::Vacant(vacant) => {
                let (key, entry) = vacant.insert_hashed_nocheck(hash, path, Entry::new(None));
                (key, entry, true)
            }
        }
    }

    pub fn remove(&mut self, path: &str) {
        let hash = self.hash(path);
        let shard = &mut self.shards[shard_of(hash)];
        if let RawEntryMut::Occupied(entry) = shard.raw_entry_mut_v1().from_hash(hash, |key| is_same(key, path)) {
            entry.swap_remove();
            give_back(shard);
        }
    }

    /// Every entry, in no order.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.shards.iter().flat_map(IndexMap::iter)
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(IndexMap::len).sum()
    }

    /// Moves the clock hand over one entry: `keep` decides on it. `false` once every shard is empty.
    pub fn step(&mut self, keep: impl FnOnce(&Arc<str>, &mut Entry) -> bool) -> bool {
        for _ in 0..=SHARDS {
            let (at, position) = self.hand;
            let shard = &mut self.shards[at];
            if let Some((path, entry)) = shard.get_index_mut(position) {
                if keep(path, entry) {
                    self.hand.1 += 1;
                } else {
                    // The last entry takes its place and is looked at next.
                    shard.swap_remove_index(position);
                }
                return true;
            }
            give_back(shard);
            self.hand = ((at + 1) % SHARDS, 0);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_lost_its_entries_is_given_back() {
        let mut map = NodeMap::new(3);
        let path = |n: usize| format!("/a/{n}");
        let capacity = |map: &NodeMap| map.shards.iter().map(IndexMap::capacity).sum::<usize>();
        for n in 0..200_000 {
            map.at_or_insert(map.hash(&path(n)), path(n).into());
        }
        assert!(capacity(&map) >= 200_000);
        for n in 100..200_000 {
            map.remove(&path(n));
        }
        assert!(capacity(&map) <= 64 * 2 * SHARDS, "{}", capacity(&map));
        assert!((0..100).all(|n| map.get(&path(n)).is_some()));
        assert_eq!(map.len(), 100);
    }
}
