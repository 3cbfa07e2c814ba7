//! The tree over a store in memory, with as many faults as it takes.

use crate::model::{Model, digest, is_session};
use bytes::BytesMut;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use zorilla_core::auth::{AuthRules, Caller};
use zorilla_core::tree::cold::{Checkpoint, ColdNodes, Header, Miss, StoreError};
use zorilla_core::tree::read::{ReadRules, read};
use zorilla_core::tree::{Committed, Lookup, Owner, Pending, Prepared, Rules, Tree, Write, Znode, load_miss};
use zorilla_protocol::jute::from_bytes;
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::{
    GetAclRequest, GetAclResponse, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Request,
    GetChildren2Response, GetDataRequest, GetDataResponse, Id, Stat,
};
use zorilla_protocol::txn::LogEntry;
use zorilla_protocol::{Code, Jute, SessionId, Zxid, path};

/// What the checkpoints wrote.
#[derive(Default)]
struct Store(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    nodes: BTreeMap<String, Znode>,
    header: Header,
    owned: BTreeSet<(i64, String)>,
    sessions: BTreeMap<SessionId, i32>,
}

impl Store {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("one thread")
    }

    fn write(&self, checkpoint: &Checkpoint) {
        let mut kept = self.kept();
        for node in &checkpoint.nodes {
            let old = kept.nodes.remove(&*node.path);
            let Some(znode) = &node.znode else { continue };
            let mut znode = Znode::clone(znode);
            if !node.data_changed {
                znode.data = old.expect("unchanged data of a node that the store never had").data;
            }
            kept.nodes.insert(node.path.to_string(), znode);
        }
        for (session, timeout_ms) in &checkpoint.sessions {
            match timeout_ms {
                Some(ms) => kept.sessions.insert(*session, *ms),
                None => kept.sessions.remove(session),
            };
        }
        for (owner, path, present) in &checkpoint.owned {
            let key = (owner.raw(), path.to_string());
            if *present {
                kept.owned.insert(key);
            } else {
                kept.owned.remove(&key);
            }
        }
        let Checkpoint { zxid, digest, znodes, data_bytes, .. } = *checkpoint;
        kept.header = Header { zxid, digest, znodes, data_bytes, ..Header::default() };
    }

    fn header(&self) -> Header {
        let kept = self.kept();
        let sessions = kept.sessions.iter().map(|(session, ms)| (*session, *ms)).collect();
        let owned = kept.owned.iter().map(|(raw, path)| (Owner::of(*raw), path.as_str().into())).collect();
        Header { sessions, owned, ..kept.header.clone() }
    }
}

impl ColdNodes for Store {
    fn load(&self, path: &str) -> Result<Option<Znode>, StoreError> {
        Ok(self.kept().nodes.get(path).cloned())
    }

    fn child_names(&self, parent: &str) -> Result<Vec<Box<str>>, StoreError> {
        let kept = self.kept();
        let below = kept.nodes.keys().filter(|path| *path != "/" && path::parent(path) == Some(parent));
        Ok(below.map(|path| path::name(path).into()).collect())
    }
}

/// Tree, pending changes, store and log.
pub struct Server {
    /// The committed tree.
    pub tree: Tree,
    /// What is outstanding.
    pub pending: Pending,
    store: Arc<Store>,
    rules: Rules,
    taken: Option<Checkpoint>,
    log: Vec<LogEntry>,
}

impl Default for Server {
    fn default() -> Server {
        let store = Arc::new(Store::default());
        let rules = Rules {
            skip_acl: false,
            enforce_quota: true,
            extended_types: true,
            digest_enabled: true,
            close_session_txn: true,
            auth: AuthRules::default(),
            request_bytes_max: 0xf_ffff,
        };
        let tree = Tree::new_standalone(store.clone(), 7);
        Server { tree, pending: Pending::new(), store, rules, taken: None, log: Vec::new() }
    }
}

impl Server {
    /// Makes the txn of a write.
    pub fn prepare(&mut self, write: Write<'_>, caller: &Caller, zxid: Zxid, time_ms: i64) -> Prepared {
        loop {
            match self.pending.prepare(&self.tree, &self.rules, write, caller, 7, zxid, time_ms) {
                Ok(prepared) => return prepared,
                Err(miss) => self.fault_in(&miss),
            }
        }
    }

    /// Applies what was prepared; the tree becomes what was foretold.
    pub fn apply(&mut self, prepared: &Prepared) {
        let entry = &prepared.entry;
        let mut events = Vec::new();
        self.pending.commit(&mut self.tree, &entry.header, &entry.txn, &mut events).expect("the store works");
        if let Some(digest) = &entry.digest {
            assert_eq!(self.tree.digest(), digest.tree_digest, "{entry:?}");
        }
        self.log.push(entry.clone());
    }

    /// Applies a record of somebody's log.
    pub fn apply_foreign(&mut self, entry: LogEntry) {
        self.tree.apply(&entry.header, &entry.txn).expect("the store works");
        self.log.push(entry);
    }

    fn fault_in(&mut self, miss: &Miss) {
        let token = self.tree.begin_fault();
        let loaded = load_miss(&**self.tree.cold(), miss).expect("the store works");
        assert!(self.tree.finish_fault(token, miss, loaded), "nobody interferes");
    }

    /// Takes what is dirty, unless that is under way.
    pub fn begin_checkpoint(&mut self) {
        if self.taken.is_none() {
            self.taken = self.tree.begin_checkpoint();
        }
    }

    /// Writes what was taken.
    pub fn finish_checkpoint(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.store.write(&taken);
            self.tree.checkpoint_done(taken.generation);
        }
    }

    /// Drops about so many bytes from memory.
    pub fn evict(&mut self, bytes: usize) {
        self.tree.evict(bytes, 50);
    }

    /// Everything into the store, most of it out of memory.
    pub fn forget(&mut self) {
        self.finish_checkpoint();
        self.begin_checkpoint();
        self.finish_checkpoint();
        // Once around to see that nobody asks for them, once more to drop them.
        self.tree.evict(usize::MAX, 2 * self.tree.resident_entries());
    }

    /// What the store has, and the log behind it.
    pub fn restart(&mut self) {
        self.taken = None;
        self.pending = Pending::new();
        let header = self.store.header();
        let from = header.zxid;
        self.tree = match from {
            Zxid::ZERO => Tree::new_standalone(self.store.clone(), 9),
            _ => Tree::open(header, self.store.clone(), 9).expect("the store works"),
        };
        for entry in self.log.iter().filter(|entry| entry.zxid() > from) {
            self.tree.apply(&entry.header, &entry.txn).expect("the store works");
        }
    }

    fn read<T: Jute>(&mut self, request: &Request) -> Result<T, Code> {
        let everybody = [Id { scheme: Some("super".into()), id: None }].into();
        let caller = Caller { session: SessionId::NONE, ids: everybody };
        loop {
            let mut out = BytesMut::new();
            match read(&self.tree, request, &caller, &ReadRules::default(), &mut out) {
                Ok(answer) if answer.code == Code::Ok => return Ok(from_bytes(&out.freeze()).expect("a body")),
                Ok(answer) => return Err(answer.code),
                Err(miss) => self.fault_in(&miss),
            }
        }
    }

    /// The znode, wherever it is.
    pub fn znode(&mut self, path: &str) -> Option<Arc<Znode>> {
        loop {
            match self.tree.lookup(path) {
                Lookup::Hit(_, znode) => return Some(znode.clone()),
                Lookup::Absent => return None,
                Lookup::Cold => self.fault_in(&Miss::Node(path.to_owned())),
            }
        }
    }

    fn children(&mut self, path: &str) -> (Vec<String>, Stat) {
        let request = Request::GetChildren2(GetChildren2Request { path: path.to_owned(), watch: false });
        let body: GetChildren2Response = self.read(&request).unwrap_or_else(|code| panic!("{path}: {code}"));
        let mut names = body.children.unwrap_or_default();
        names.sort();
        (names, body.stat)
    }

    /// Every path, found from the root by listing children.
    fn walk(&mut self) -> Vec<String> {
        let (mut found, mut at) = (vec!["/".to_owned()], 0);
        while let Some(path) = found.get(at).cloned() {
            let below = if path == "/" { String::new() } else { path.clone() };
            let (names, stat) = self.children(&path);
            assert_eq!(stat.num_children as usize, names.len(), "{path}");
            found.extend(names.iter().map(|name| format!("{below}/{name}")));
            at += 1;
        }
        found
    }

    /// What the tree keeps count of, counted again.
    pub fn check_sums(&mut self) {
        let (mut sum, mut bytes, mut ephemerals) = (0_i64, 0, 0);
        let paths = self.walk();
        for path in &paths {
            let znode = self.znode(path).unwrap_or_else(|| panic!("{path} is listed but not there"));
            assert_eq!(znode.prefix_crc, Znode::crc_of(path, znode.data.as_deref()), "{path}");
            if !path.starts_with("/zookeeper/") {
                sum = sum.wrapping_add(digest(path, znode.data.as_deref(), &znode.stat));
            }
            bytes += path.len() + znode.data_len();
            ephemerals += usize::from(matches!(znode.owner(), Owner::Session(_)));
        }
        assert_eq!(self.tree.digest(), sum);
        assert_eq!(self.tree.znode_count(), paths.len() as u64);
        assert_eq!(self.tree.data_bytes(), bytes as u64);
        assert_eq!(self.tree.ephemeral_count(), ephemerals);
    }

    /// Every read of every node is what the model says, and there are no others.
    pub fn compare(&mut self, model: &Model) {
        self.check_sums();
        assert_eq!(self.tree.digest(), model.digest());
        let mut paths = self.walk();
        paths.sort();
        assert_eq!(paths, model.nodes.keys().cloned().collect::<Vec<_>>());
        for (path, node) in &model.nodes {
            let (children, stat) = self.children(path);
            assert_eq!(children, model.children(path), "{path}");
            let s = &node.stat;
            let expected = Stat {
                czxid: s.czxid,
                mzxid: s.mzxid,
                ctime: s.ctime,
                mtime: s.mtime,
                version: s.version,
                cversion: s.cversion * 2 - children.len() as i32,
                aversion: s.aversion,
                ephemeral_owner: if is_session(s.ephemeral_owner) { s.ephemeral_owner } else { 0 },
                data_length: node.data.as_ref().map_or(0, |data| data.len()) as i32,
                num_children: children.len() as i32,
                pzxid: s.pzxid,
            };
            assert_eq!(stat, expected, "{path}");
            let get = Request::GetData(GetDataRequest { path: path.clone(), watch: false });
            assert_eq!(self.read(&get), Ok(GetDataResponse { data: node.data.clone(), stat: stat.clone() }), "{path}");
            let get = Request::GetAcl(GetAclRequest { path: path.clone() });
            assert_eq!(self.read(&get), Ok(GetAclResponse { acl: Some(node.acl.clone()), stat }), "{path}");
            let prefix = if path == "/" { path.clone() } else { format!("{path}/") };
            let below = model.nodes.keys().filter(|other| *other != "/" && other.starts_with(&prefix)).count();
            let count = Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path.clone() });
            assert_eq!(self.read(&count), Ok(GetAllChildrenNumberResponse { total_number: below as i32 }), "{path}");
        }
        assert_eq!(self.tree.sessions().collect::<BTreeMap<_, _>>(), model.sessions);
        for (session, paths) in self.tree.ephemeral_owners() {
            let owned = model.nodes.iter().filter(|(_, node)| node.stat.ephemeral_owner == session.0);
            let owned: Vec<&str> = owned.map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths.iter().map(|path| &**path).collect::<Vec<_>>(), owned);
        }
    }
}
