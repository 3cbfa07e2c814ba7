//! The committed tree in memory: what is hot and what is dirty, over the cold store
//! (Java: `DataTree`).

use super::acl_table::AclTable;
use super::children::Children;
use super::cold::{ColdNodes, Header, StoreError};
use super::dirty::Dirty;
use super::map::NodeMap;
use super::quota::Quotas;
use super::znode::{Owner, Znode};
use super::{Committed, Lookup};
use foldhash::quality::FixedState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use zorilla_protocol::path::{self, CONFIG, QUOTA, ROOT, ZOOKEEPER};
use zorilla_protocol::records::{Acl, Id, StatPersisted};
use zorilla_protocol::{SessionId, Zxid};

/// The committed tree. Its owner keeps it behind one lock: `&self` for reads, `&mut self` to apply.
pub struct Tree {
    pub(super) nodes: NodeMap,
    pub(super) cold: Arc<dyn ColdNodes>,
    pub(super) dirty: Dirty,
    pub(super) acls: AclTable,
    pub(super) sessions: BTreeMap<SessionId, i32>,
    pub(super) owned: OwnedPaths,
    pub(super) quotas: Quotas,
    pub(super) last_zxid: Zxid,
    pub(super) digest: i64,
    pub(super) znodes: u64,
    pub(super) data_bytes: u64,
    pub(super) digest_history: VecDeque<(Zxid, i64)>,
}

/// Every node that somebody else than a delete request may remove; always in memory.
#[derive(Debug, Default)]
pub(super) struct OwnedPaths {
    pub ephemerals: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
    pub ephemeral_count: usize,
    pub containers: BTreeSet<Arc<str>>,
    pub ttls: BTreeSet<Arc<str>>,
}

impl OwnedPaths {
    pub fn insert(&mut self, owner: Owner, path: Arc<str>) {
        match owner {
            Owner::Nobody => {}
            Owner::Container => drop(self.containers.insert(path)),
            Owner::Ttl(_) => drop(self.ttls.insert(path)),
            Owner::Session(session) => {
                if self.ephemerals.entry(session).or_default().insert(path) {
                    self.ephemeral_count += 1;
                }
            }
        }
    }

    pub fn remove(&mut self, owner: Owner, path: &str) {
        match owner {
            Owner::Nobody => {}
            Owner::Container => drop(self.containers.remove(path)),
            Owner::Ttl(_) => drop(self.ttls.remove(path)),
            Owner::Session(session) => {
                let Some(paths) = self.ephemerals.get_mut(&session) else { return };
                if paths.remove(path) {
                    self.ephemeral_count -= 1;
                }
                if paths.is_empty() {
                    self.ephemerals.remove(&session);
                }
            }
        }
    }
}

/// A path in the index of owned paths, which is never dropped.
const OWNED_BYTES: usize = 160;
/// How far up a lookup searches for proof that a path cannot exist.
const ANCESTORS_MAX: usize = 4;

impl Tree {
    /// The tree that the store holds. Reads the registered quotas, nothing else. `seed` keys the hash
    /// tables: paths are chosen by clients.
    pub fn open(header: Header, cold: Arc<dyn ColdNodes>, seed: u64) -> Result<Tree, StoreError> {
        let mut tree = Tree::bare(cold, seed);
        tree.last_zxid = header.zxid;
        tree.dirty.checkpoint_zxid = Some(header.zxid);
        tree.digest = header.digest;
        tree.znodes = header.znodes;
        tree.data_bytes = header.data_bytes;
        tree.sessions = header.sessions.into_iter().collect();
        for (owner, path) in header.owned {
            tree.owned.insert(owner, path.into());
        }
        tree.load_quotas(QUOTA)?;
        Ok(tree)
    }

    /// Apache's fresh tree over an empty store: the server's own nodes, nothing else, all dirty.
    pub fn new_standalone(cold: Arc<dyn ColdNodes>, seed: u64) -> Tree {
        let read_only =
            Acl { perms: crate::auth::perm::READ, id: Id { scheme: Some("world".into()), id: Some("anyone".into()) } };
        let mut tree = Tree::bare(cold, seed);
        for path in [ROOT, ZOOKEEPER, QUOTA, CONFIG] {
            let mut stat = StatPersisted::default();
            let mut acl = None;
            if path == CONFIG {
                // It went through one setACL with version -1.
                stat.aversion = -1;
                acl = tree.acls.intern(Some(std::slice::from_ref(&read_only)));
            }
            let prefix_crc = Znode::crc_of(path, Some(b""));
            let znode = Znode { stat, num_children: 0, prefix_crc, digest: 0, acl, data: Some([].into()) };
            tree.insert(path, znode);
            if let Some(parent) = path::parent(path).filter(|_| path != ROOT) {
                tree.change(parent, false, |znode, children| {
                    znode.num_children += 1;
                    children.record(path::name(path), true);
                });
            }
        }
        tree
    }

    fn bare(cold: Arc<dyn ColdNodes>, seed: u64) -> Tree {
        Tree {
            nodes: NodeMap::new(seed),
            cold,
            dirty: Dirty::default(),
            acls: AclTable::new(seed),
            sessions: BTreeMap::new(),
            owned: OwnedPaths::default(),
            quotas: Quotas::default(),
            last_zxid: Zxid::ZERO,
            digest: 0,
            znodes: 0,
            data_bytes: 0,
            digest_history: VecDeque::new(),
        }
    }

    /// The cold store, to load a [`super::Miss`] from outside of every lock.
    pub fn cold(&self) -> &Arc<dyn ColdNodes> {
        &self.cold
    }

    /// The last txn applied.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Znodes in all, the server's own included. (Java counts the root twice: one more.)
    pub fn znode_count(&self) -> u64 {
        self.znodes
    }

    /// Bytes of paths and data in all (Java: `approximateDataSize`).
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Ephemeral nodes in all.
    pub fn ephemeral_count(&self) -> usize {
        self.owned.ephemeral_count
    }

    /// Container nodes in all.
    pub fn container_count(&self) -> usize {
        self.owned.containers.len()
    }

    /// TTL nodes in all.
    pub fn ttl_count(&self) -> usize {
        self.owned.ttls.len()
    }

    /// Sessions that own ephemerals, with their paths in byte order; by session id.
    pub fn ephemeral_owners(&self) -> impl Iterator<Item = (SessionId, &BTreeSet<Arc<str>>)> {
        self.owned.ephemerals.iter().map(|(session, paths)| (*session, paths))
    }

    /// Open sessions and their time-outs in ms, by session id.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(session, time_out_ms)| (*session, *time_out_ms))
    }

    /// `(zxid, digest)` at zxids divisible by 128, oldest first, the newest 1024 (Java: `digestLog`).
    pub fn digest_history(&self) -> impl Iterator<Item = (Zxid, i64)> + '_ {
        self.digest_history.iter().copied()
    }

    /// Distinct ACL lists other than the open one (unused ones included until they are collected).
    pub fn acl_count(&self) -> usize {
        self.acls.len()
    }

    /// Entries in memory, of existing znodes and of paths known to be free.
    pub fn resident_entries(&self) -> usize {
        self.nodes.len()
    }

    /// Estimated bytes that the tree takes in memory.
    pub fn resident_bytes(&self) -> usize {
        let owned = self.owned.ephemeral_count + self.owned.containers.len() + self.owned.ttls.len();
        self.dirty.resident_bytes + owned * OWNED_BYTES
    }

    /// Estimated bytes of znodes that no durable checkpoint holds yet.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty.bytes + self.dirty.in_flight_bytes
    }

    /// Whether memory proves that `path`, of which it has no entry, does not exist.
    fn provably_absent(&self, path: &str) -> bool {
        let mut child = path;
        for _ in 0..ANCESTORS_MAX {
            let Some(parent) = path::parent(child).filter(|_| child != ROOT) else { break };
            if let Some(entry) = self.nodes.get(parent) {
                let Some(node) = &entry.node else { return true };
                let names = entry.children.as_ref().and_then(|children| children.complete());
                return node.num_children == 0
                    || names.is_some_and(|names| !names.contains(path::name(child)))
                    || path::validate(path).is_err();
            }
            child = parent;
        }
        path::validate(path).is_err()
    }

    /// Brings `path` into memory, from the store if need be: for appliers, which cannot try again.
    pub(super) fn ensure(&mut self, path: &str) -> Result<Option<&Arc<Znode>>, StoreError> {
        if matches!(self.lookup(path), Lookup::Cold) {
            let loaded = self.cold.load(path)?;
            self.insert_loaded(path, loaded);
        }
        Ok(self.node(path))
    }

    /// The znode, if it is in memory.
    pub(super) fn node(&self, path: &str) -> Option<&Arc<Znode>> {
        self.nodes.get(path)?.node.as_ref()
    }

    /// What the store said about a path that memory does not know; ignored if it does by now.
    pub(super) fn insert_loaded(&mut self, path: &str, loaded: Option<Znode>) {
        let loaded = loaded.map(|mut znode| {
            znode.acl = self.acls.intern(znode.acl.as_deref());
            znode.seal(path);
            Arc::new(znode)
        });
        let (path, entry, fresh) = self.nodes.at_or_insert(self.nodes.hash(path), path.into());
        if fresh {
            entry.node = loaded;
            self.dirty.resident_bytes += entry.node_bytes(path);
        }
    }

    /// Changes an existing znode in memory: its stat, its list of children, its ACL, its data.
    /// Keeps digest, counts and dirty set. `None` if it is not there.
    pub(super) fn change<R>(
        &mut self,
        path: &str,
        data_changed: bool,
        edit: impl FnOnce(&mut Znode, &mut ChildrenEdit<'_>) -> R,
    ) -> Option<R> {
        let hasher = self.nodes.hasher();
        let (key, entry) = self.nodes.get_mut(path)?;
        entry.node.as_ref()?;
        let before = (entry.node_bytes(key), entry.children_bytes());
        self.dirty.let_go(entry);
        let znode = Arc::make_mut(entry.node.as_mut()?);
        let (digest, data_len) = (znode.digest(), znode.data_len());
        let had_children = znode.num_children > 0;
        let mut children = ChildrenEdit { list: &mut entry.children, had_children, hasher, dirty: &self.dirty };
        let result = edit(znode, &mut children);
        if znode.num_children == 0 {
            // Nothing to remember: the count says it all.
            entry.children = None;
        }
        znode.seal(key);
        self.digest = self.digest.wrapping_add(znode.digest()).wrapping_sub(digest);
        self.data_bytes = (self.data_bytes + znode.data_len() as u64).saturating_sub(data_len as u64);
        self.dirty.mark(key, entry, before, data_changed);
        Some(result)
    }

    /// Replaces the data of an existing znode and changes its stat.
    pub(super) fn change_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        edit: impl FnOnce(&mut StatPersisted),
    ) -> Option<()> {
        self.change(path, true, |znode, _| {
            znode.prefix_crc = Znode::crc_of(path, data);
            znode.data = data.map(Arc::from);
            edit(&mut znode.stat);
        })
    }

    /// Puts a new znode where there is none, and returns the shared path.
    pub(super) fn insert(&mut self, path: &str, mut znode: Znode) -> Arc<str> {
        znode.seal(path);
        self.insert_at(self.nodes.hash(path), path.into(), Arc::new(znode))
    }

    /// As [`Tree::insert`], of a sealed znode and with the path's hash.
    pub(super) fn insert_at(&mut self, hash: u64, path: Arc<str>, znode: Arc<Znode>) -> Arc<str> {
        self.digest = self.digest.wrapping_add(znode.digest());
        self.znodes += 1;
        self.data_bytes += (path.len() + znode.data_len()) as u64;
        let owner = znode.owner();
        let (key, entry, fresh) = self.nodes.at_or_insert(hash, path);
        let before = if fresh { (0, 0) } else { (entry.node_bytes(key), entry.children_bytes()) };
        entry.node = Some(znode);
        entry.children = None;
        entry.touch();
        self.dirty.mark(key, entry, before, true);
        if owner != Owner::Nobody {
            self.owned.insert(owner, key.clone());
            self.dirty.owned.insert((owner.raw(), key.clone()), true);
        }
        key.clone()
    }

    /// Takes a znode out, and returns it with its shared path.
    pub(super) fn remove(&mut self, path: &str) -> Option<(Arc<str>, Arc<Znode>)> {
        let (key, entry) = self.nodes.get_mut(path)?;
        let before = (entry.node_bytes(key), entry.children_bytes());
        let node = entry.node.take()?;
        entry.children = None;
        let key = key.clone();
        self.dirty.mark(&key, entry, before, false);
        self.digest = self.digest.wrapping_sub(node.digest());
        self.znodes -= 1;
        self.data_bytes = self.data_bytes.saturating_sub((key.len() + node.data_len()) as u64);
        let owner = node.owner();
        if owner != Owner::Nobody {
            self.owned.remove(owner, &key);
            self.dirty.owned.insert((owner.raw(), key.clone()), false);
        }
        Some((key, node))
    }
}

/// The list of children of a znode under change.
pub(super) struct ChildrenEdit<'a> {
    pub list: &'a mut Option<Box<Children>>,
    /// Whether the znode had any before.
    pub had_children: bool,
    pub hasher: FixedState,
    pub dirty: &'a Dirty,
}

impl ChildrenEdit<'_> {
    /// Records that a child came (`present`) or went.
    pub fn record(&mut self, name: &str, present: bool) {
        let (had_children, hasher) = (self.had_children, &self.hasher);
        let list = self.list.get_or_insert_with(|| {
            Box::new(if had_children { Children::unknown() } else { Children::none(hasher.clone()) })
        });
        list.record(name, present, self.dirty.generation, self.dirty.durable);
    }
}

impl Committed for Tree {
    fn hash(&self, path: &str) -> u64 {
        self.nodes.hash(path)
    }

    fn lookup_at(&self, hash: u64, path: &str) -> Lookup<'_> {
        match self.nodes.at(hash, path) {
            Some((path, entry)) => {
                entry.touch();
                entry.node.as_ref().map_or(Lookup::Absent, |node| Lookup::Hit(path, node))
            }
            None if self.provably_absent(path) => Lookup::Absent,
            None => Lookup::Cold,
        }
    }

    fn digest(&self) -> i64 {
        self.digest
    }

    fn ephemerals(&self, session: SessionId) -> Vec<Arc<str>> {
        self.owned.ephemerals.get(&session).map_or_else(Vec::new, |paths| paths.iter().cloned().collect())
    }

    fn quota_root(&self, path: &str) -> Option<Arc<str>> {
        self.quotas.root_of(path)
    }
}
