//! Opens a directory as a start of the server does, and says what is in it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use zorilla::config::{Config, Sources};
use zorilla::server::recovery;
use zorilla::storage::dir::DataDir;
use zorilla::storage::log::{LogEvent, LogOptions, Records, TxnLog};
use zorilla::storage::store::Store;
use zorilla_core::auth::Caller;
use zorilla_core::tree::pending::Pending;
use zorilla_core::tree::read::{ReadRules, read};
use zorilla_core::tree::{Committed, Lookup, Miss, Tree, Write, Znode, load_miss};
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::{CreateRequest, GetChildrenRequest};
use zorilla_protocol::{Code, Jute, Reader, SessionId, Zxid, path};

/// What a tree shows: the last txn, and everything that a client could ask for.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The last txn.
    pub last: Zxid,
    /// Of all znodes and sessions.
    pub hash: u64,
    /// By path.
    pub znodes: BTreeMap<String, Arc<Znode>>,
}

impl Shown {
    /// What a client sees of each znode: CRC-32 of its data, czxid, mzxid, version, owner.
    pub fn described(&self) -> BTreeMap<&str, String> {
        let line = |znode: &Znode| {
            let (stat, crc) = (znode.client_stat(), crc32fast::hash(znode.data.as_deref().unwrap_or_default()));
            format!("{crc} {} {} {} {}", stat.czxid.0, stat.mzxid.0, stat.version, stat.ephemeral_owner)
        };
        self.znodes.iter().map(|(path, znode)| (path.as_str(), line(znode))).collect()
    }
}

/// An opened directory.
pub struct Opened {
    config: Arc<Config>,
    dir: DataDir,
    store: Arc<Store>,
    tree: Tree,
}

/// The configuration that a directory is opened with. The smallest budget: what matters here is the files.
pub fn config(data: &Path, log: &Path) -> Result<Arc<Config>, String> {
    let define = |key: &str, value: String| (key.to_owned(), value);
    let defines = vec![
        define("dataDir", data.display().to_string()),
        define("dataLogDir", log.display().to_string()),
        define("zorilla.memoryBudget", "128m".to_owned()),
        define("clientPort", "2181".to_owned()),
    ];
    let sources = Sources { defines, ..Sources::default() };
    Config::from_sources(&sources).map(|(config, _)| Arc::new(config)).map_err(|why| why.to_string())
}

impl Opened {
    /// As a start does it; the error is what the server would say before it ends.
    pub fn open(config: &Arc<Config>) -> Result<Opened, String> {
        let dir = DataDir::open(&config.data_dir, &config.data_log_dir, true).map_err(|e| e.to_string())?;
        let bytes = usize::try_from(config.memory_budget_bytes / 4).unwrap_or(usize::MAX);
        let store = Arc::new(Store::open(dir.tree(), bytes).map_err(|e| e.to_string())?);
        let limits = zorilla::server::limits(config);
        let recovered = recovery::recover(&store, dir.logs(), &limits, true).map_err(|e| e.to_string())?;
        Ok(Opened { config: config.clone(), dir, store, tree: recovered.tree })
    }

    /// Everything that is there, read through to the store.
    pub fn shown(&mut self) -> Result<Shown, String> {
        shown(&mut self.tree)
    }

    /// One more txn, logged as the server does it, and a checkpoint on top if asked for: what was found has to be
    /// something to go on from. Returns what has to be found next.
    pub fn go_on(mut self, checkpoint: bool) -> Result<Shown, String> {
        let last = self.tree.last_zxid();
        let options = LogOptions { pre_alloc_bytes: 64 << 10, ..LogOptions::new(self.dir.logs()) };
        let (synced, events) = std::sync::mpsc::channel();
        let log = TxnLog::start(options, last, move |event| _ = synced.send(event)).map_err(|e| e.to_string())?;
        let path = format!("/zkcrash-{:x}", last.next().0);
        let request = CreateRequest { path, data: None, acl: open_acl(), flags: 0 };
        let request = Request::Create(request);
        let caller = Caller { session: SessionId::NONE, ids: Arc::from([]) };
        let rules = recovery::rules(&self.config);
        let mut pending = Pending::new();
        let prepared = loop {
            let write = Write::Request(&request);
            match pending.prepare(&self.tree, &rules, write, &caller, 0, last.next(), 1) {
                Ok(prepared) => break prepared,
                Err(miss) => fault_in(&mut self.tree, &miss)?,
            }
        };
        if prepared.code != Code::Ok {
            return Err(format!("a create behind {last} fails: {:?}", prepared.code));
        }
        let mut records = Records::default();
        records.push(last.next(), prepared.bytes, |out| prepared.entry.put(out));
        log.append(0, records);
        match events.recv() {
            Ok(LogEvent::Synced { .. }) => {}
            other => return Err(format!("a record behind {last} is not logged: {other:?}")),
        }
        self.tree.apply(&prepared.entry.header, &prepared.entry.txn).map_err(|e| e.to_string())?;
        if checkpoint && let Some(checkpoint) = self.tree.begin_checkpoint() {
            self.store.write(&checkpoint).map_err(|e| e.to_string())?;
        }
        log.close().map_err(|e| e.to_string())?;
        self.shown()
    }
}

fn open_acl() -> Option<Vec<zorilla_protocol::records::Acl>> {
    let id = zorilla_protocol::records::Id { scheme: Some("world".into()), id: Some("anyone".into()) };
    Some(vec![zorilla_protocol::records::Acl { perms: 31, id }])
}

fn fault_in(tree: &mut Tree, miss: &Miss) -> Result<(), String> {
    let token = tree.begin_fault();
    let loaded = load_miss(&**tree.cold(), miss).map_err(|e| e.to_string())?;
    tree.finish_fault(token, miss, loaded);
    Ok(())
}

/// Walks a tree.
pub fn shown(tree: &mut Tree) -> Result<Shown, String> {
    let mut znodes = BTreeMap::new();
    let mut hash = 0u64;
    let mut left = vec![path::ROOT.to_owned()];
    while let Some(path) = left.pop() {
        let znode = znode(tree, &path)?.ok_or_else(|| format!("{path} is listed, and is not there"))?;
        let names = children(tree, &path)?;
        if names.len() != znode.num_children as usize {
            return Err(format!("{path} says {} children and lists {}", znode.num_children, names.len()));
        }
        hash = hash.wrapping_add(hash_of(&path, &znode));
        left.extend(names.iter().map(|name| if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }));
        znodes.insert(path, znode);
    }
    if znodes.len() as u64 != tree.znode_count() {
        return Err(format!("{} znodes are found, {} are counted", znodes.len(), tree.znode_count()));
    }
    let hash = hash.wrapping_add(hash_of_sessions(tree));
    Ok(Shown { last: tree.last_zxid(), hash, znodes })
}

/// Of the sessions and what they own.
pub fn hash_of_sessions(tree: &Tree) -> u64 {
    let sessions = tree.sessions().map(|session| hash_of_value(&session));
    let owners = tree.ephemeral_owners().map(|(owner, paths)| hash_of_value(&(owner, paths)));
    sessions.chain(owners).fold(0, u64::wrapping_add)
}

fn hash_of_value(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Of one znode: its path, data, stat and ACL. Sums of these make [`Shown::hash`].
pub fn hash_of(path: &str, znode: &Znode) -> u64 {
    let mut bytes = bytes::BytesMut::new();
    znode.stat.put(&mut bytes);
    znode.num_children.put(&mut bytes);
    znode.acl.as_ref().map(|acl| acl.to_vec()).put(&mut bytes);
    hash_of_value(&(path, &bytes[..], znode.data.as_deref()))
}

fn znode(tree: &mut Tree, path: &str) -> Result<Option<Arc<Znode>>, String> {
    loop {
        match tree.lookup(path) {
            Lookup::Hit(_, znode) => return Ok(Some(znode.clone())),
            Lookup::Absent => return Ok(None),
            Lookup::Cold => {}
        }
        fault_in(tree, &Miss::Node(path.to_owned()))?;
    }
}

fn children(tree: &mut Tree, path: &str) -> Result<Vec<String>, String> {
    let request = Request::GetChildren(GetChildrenRequest { path: path.to_owned(), watch: false });
    let caller = Caller { session: SessionId::NONE, ids: Arc::from([]) };
    loop {
        let mut out = bytes::BytesMut::new();
        match read(tree, &request, &caller, &ReadRules { skip_acl: true }, &mut out) {
            Ok(_) => return Vec::<String>::get(&mut Reader::new(&out.freeze())).map_err(|e| e.to_string()),
            Err(miss) => fault_in(tree, &miss)?,
        }
    }
}
