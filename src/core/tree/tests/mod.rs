//! Tests of the committed tree: over a store in memory that keeps what checkpoints write.

mod memory;
mod model;
mod reads;
mod rules;
mod vectors;

use super::cold::{Checkpoint, ColdNodes, Header, Miss, StoreError};
use super::fault::load_miss;
use super::read::{Answer, ReadRules, read};
use super::znode::{Owner, Znode};
use super::{Applied, Tree, TxnResult};
use crate::auth::Caller;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use zorilla_protocol::ops::Request;
use zorilla_protocol::path;
use zorilla_protocol::records::{Acl, ExistsRequest, Id, Stat};
use zorilla_protocol::txn::{CreateTxn, DeleteTxn, SetDataTxn, Txn, TxnHeader};
use zorilla_protocol::{Code, SessionId, Zxid};

/// A store that keeps what checkpoints write, and takes them at their word: data that is said to be
/// unchanged is not looked at.
#[derive(Default)]
pub struct Store {
    state: Mutex<State>,
    pub loads: AtomicUsize,
}

#[derive(Clone, Default)]
struct State {
    nodes: BTreeMap<String, Znode>,
    header: Header,
    owned: BTreeSet<(i64, String)>,
    sessions: BTreeMap<SessionId, i32>,
}

impl Store {
    pub fn write(&self, checkpoint: &Checkpoint) {
        let mut state = self.state.lock().unwrap();
        for node in &checkpoint.nodes {
            let old = state.nodes.remove(&*node.path);
            let Some(znode) = &node.znode else { continue };
            let mut znode = Znode::clone(znode);
            if !node.data_changed {
                znode.data = old.expect("unchanged data of a node that the store never had").data;
            }
            state.nodes.insert(node.path.to_string(), znode);
        }
        for (session, time_out_ms) in &checkpoint.sessions {
            match time_out_ms {
                Some(ms) => state.sessions.insert(*session, *ms),
                None => state.sessions.remove(session),
            };
        }
        for (owner, path, present) in &checkpoint.owned {
            let key = (owner.raw(), path.to_string());
            if *present {
                state.owned.insert(key);
            } else {
                state.owned.remove(&key);
            }
        }
        let Checkpoint { zxid, digest, znodes, data_bytes, .. } = *checkpoint;
        state.header = Header { zxid, digest, znodes, data_bytes, sessions: Vec::new(), owned: Vec::new() };
    }

    pub fn header(&self) -> Header {
        let state = self.state.lock().unwrap();
        let mut header = state.header.clone();
        header.sessions = state.sessions.iter().map(|(session, ms)| (*session, *ms)).collect();
        header.owned = state.owned.iter().map(|(raw, path)| (Owner::of(*raw), path.as_str().into())).collect();
        header
    }

    /// A second store with the same content: what a crash would leave.
    pub fn copy(&self) -> Arc<Store> {
        let state = Mutex::new(self.state.lock().unwrap().clone());
        Arc::new(Store { state, loads: AtomicUsize::new(0) })
    }
}

impl ColdNodes for Store {
    fn load(&self, path: &str) -> Result<Option<Znode>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        Ok(self.state.lock().unwrap().nodes.get(path).cloned())
    }

    fn child_names(&self, parent: &str) -> Result<Vec<Box<str>>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock().unwrap();
        let below = state.nodes.keys().filter(|path| *path != "/" && path::parent(path) == Some(parent));
        Ok(below.map(|path| path::name(path).into()).collect())
    }
}

pub const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);

pub fn fresh() -> (Tree, Arc<Store>) {
    let store = Arc::new(Store::default());
    (Tree::new_standalone(store.clone(), 7), store)
}

pub fn header(zxid: i64) -> TxnHeader {
    TxnHeader { client_id: SESSION, cxid: 0, zxid: Zxid(zxid), time: 1000 + zxid, kind: 0 }
}

pub fn apply(tree: &mut Tree, zxid: i64, txn: &Txn) -> Applied {
    tree.apply(&header(zxid), txn).unwrap()
}

pub fn create(path: &str, data: &str, parent_cversion: i32) -> CreateTxn {
    let data = Some(Bytes::copy_from_slice(data.as_bytes()));
    CreateTxn { path: path.into(), data, acl: None, ephemeral: false, parent_cversion }
}

pub fn delete(path: &str) -> Txn {
    Txn::Delete(DeleteTxn { path: path.into() })
}

pub fn set_data(path: &str, data: &str, version: i32) -> Txn {
    Txn::SetData(SetDataTxn { path: path.into(), data: Some(Bytes::copy_from_slice(data.as_bytes())), version })
}

pub fn acl(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl { perms, id: Id { scheme: Some(scheme.to_owned().into()), id: Some(id.to_owned().into()) } }
}

pub fn caller(ids: &[(&str, &str)]) -> Caller {
    let id = |(scheme, id): &(&str, &str)| acl(0, scheme, id).id;
    Caller { session: SESSION, ids: ids.iter().map(id).collect() }
}

/// Brings what was missed into memory, as the server does.
pub fn fault_in(tree: &mut Tree, miss: &Miss) {
    let token = tree.begin_fault();
    let loaded = load_miss(&**tree.cold(), miss).unwrap();
    assert!(tree.finish_fault(token, miss, loaded));
}

/// A read's outcome and body, after as many faults as it takes.
pub fn read_as(tree: &mut Tree, request: &Request, caller: &Caller) -> (Answer, Bytes) {
    for _ in 0..10_000 {
        let mut out = BytesMut::from(&b"before"[..]);
        match read(tree, request, caller, &ReadRules::default(), &mut out) {
            Ok(answer) => return (answer, out.freeze().slice(6..)),
            Err(miss) => {
                assert_eq!(&out[..], b"before", "a miss leaves nothing behind");
                fault_in(tree, &miss);
            }
        }
    }
    panic!("{request:?} never ends");
}

pub fn read_all(tree: &mut Tree, request: &Request) -> (Code, Bytes) {
    let (answer, body) = read_as(tree, request, &caller(&[]));
    (answer.code, body)
}

pub fn stat(tree: &mut Tree, path: &str) -> Option<Stat> {
    let (code, body) = read_all(tree, &Request::Exists(ExistsRequest { path: path.into(), watch: false }));
    (code == Code::Ok).then(|| zorilla_protocol::jute::from_bytes(&body).unwrap())
}

/// Writes a checkpoint of all that is dirty, and tells the tree.
pub fn checkpoint(tree: &mut Tree, store: &Store) {
    if let Some(checkpoint) = tree.begin_checkpoint() {
        store.write(&checkpoint);
        tree.checkpoint_done(checkpoint.generation);
    }
}

pub fn code_of(applied: &Applied) -> i32 {
    match applied.result {
        TxnResult::Error(code) => code,
        _ => 0,
    }
}
