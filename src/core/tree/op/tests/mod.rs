//! Tests of prepare, against the real tree: every row of the tables, faults two at a time, and random
//! histories.

mod creates;
mod multis;
mod pipelined;
mod random;
mod writes;

use super::super::tests::{self, Store, fault_in, fresh};
use super::super::{Applied, Committed, Lookup, Pending, Prepared, Rules, Tree, Write, Znode};
use crate::auth::{AuthRules, Caller};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::{Acl, CreateRequest, CreateTtlRequest, DeleteRequest, SetAclRequest, SetDataRequest};
use zorilla_protocol::txn::{LogEntry, Txn};
use zorilla_protocol::{Code, SessionId, Zxid};

pub const SESSION: SessionId = tests::SESSION;
pub const OTHER: SessionId = SessionId(0x0100_0000_0000_0002);

pub fn rules() -> Rules {
    Rules {
        skip_acl: false,
        enforce_quota: true,
        extended_types: true,
        digest_enabled: true,
        close_session_txn: true,
        auth: AuthRules::default(),
        request_bytes_max: 1_048_575,
    }
}

/// What the overlay holds of the paths that a txn wrote.
type Writes = Vec<(Arc<str>, Option<Arc<Znode>>)>;

/// A server's middle: prepare, and apply when told to.
pub struct World {
    pub tree: Tree,
    pub store: Arc<Store>,
    /// The same txns, each applied as a replay of the log does it, over a memory that forgets nothing.
    pub replayed: Tree,
    pub pending: Pending,
    pub rules: Rules,
    pub caller: Caller,
    pub zxid: i64,
    outstanding: VecDeque<(LogEntry, Writes)>,
}

impl World {
    pub fn new() -> World {
        let (tree, store) = fresh();
        World {
            tree,
            store,
            replayed: fresh().0,
            pending: Pending::new(),
            rules: rules(),
            caller: anybody(SESSION),
            zxid: 0,
            outstanding: VecDeque::new(),
        }
    }

    /// Prepares, with as many faults as it takes.
    pub fn prepare(&mut self, write: Write<'_>) -> Prepared {
        self.zxid += 1;
        for _ in 0..10_000 {
            let (zxid, time_ms) = (Zxid(self.zxid), 1000 + self.zxid);
            match self.pending.prepare(&self.tree, &self.rules, write, &self.caller, 7, zxid, time_ms) {
                Ok(prepared) => {
                    assert_eq!(prepared.entry.header.zxid, zxid);
                    assert_eq!(prepared.entry.header.kind, prepared.entry.txn.kind());
                    self.outstanding.push_back((prepared.entry.clone(), self.pending.last_writes()));
                    return prepared;
                }
                Err(miss) => fault_in(&mut self.tree, &miss),
            }
        }
        panic!("{write:?} never ends");
    }

    pub fn ask(&mut self, request: &Request) -> Prepared {
        self.prepare(Write::Request(request))
    }

    pub fn ask_as(&mut self, session: SessionId, request: &Request) -> Prepared {
        let before = std::mem::replace(&mut self.caller, anybody(session));
        let prepared = self.ask(request);
        self.caller = before;
        prepared
    }

    /// Applies the oldest outstanding txn; the tree must become what was foretold.
    pub fn apply_one(&mut self) -> bool {
        let Some((entry, writes)) = self.outstanding.pop_front() else { return false };
        let mut events = Vec::new();
        let result = self.pending.commit(&mut self.tree, &entry.header, &entry.txn, &mut events).unwrap();
        if let Some(digest) = &entry.digest {
            assert_eq!(digest.tree_digest, self.tree.digest(), "{entry:?}");
        }
        let applied = Applied { result, events, digest: self.tree.digest() };
        assert_eq!(applied, self.replayed.apply(&entry.header, &entry.txn).unwrap(), "{entry:?}");
        for (path, foretold) in writes {
            let found = match self.tree.lookup(&path) {
                Lookup::Hit(_, znode) => Some(znode.clone()),
                Lookup::Absent => None,
                Lookup::Cold => panic!("{path} was just written"),
            };
            // The server keeps statistics of quotas by itself.
            if !path.ends_with("/zookeeper_stats") {
                assert_eq!(found, foretold, "{path} after {entry:?}");
            }
        }
        true
    }

    /// Applies everything outstanding.
    pub fn settle(&mut self) {
        while self.apply_one() {}
        assert!(self.pending.is_empty(), "{:?}", self.pending);
        self.compare();
    }

    /// Whether the tree that took over what was prepared is the tree that a replay gives.
    fn compare(&mut self) {
        let (tree, replayed) = (&mut self.tree, &self.replayed);
        assert_eq!(tree.digest(), replayed.digest());
        assert_eq!(tree.last_zxid(), replayed.last_zxid());
        assert_eq!(tree.znode_count(), replayed.znode_count());
        assert_eq!(tree.data_bytes(), replayed.data_bytes());
        assert_eq!(tree.ephemeral_owners().collect::<Vec<_>>(), replayed.ephemeral_owners().collect::<Vec<_>>());
        assert_eq!(tree.container_count(), replayed.container_count());
        assert_eq!(tree.ttl_count(), replayed.ttl_count());
        assert_eq!(tree.sessions().collect::<Vec<_>>(), replayed.sessions().collect::<Vec<_>>());
        for (path, entry) in replayed.nodes.iter() {
            let expected = entry.node.as_ref();
            assert_eq!(tree.ensure(path).unwrap(), expected, "{path}");
            if expected.is_some_and(|node| node.num_children > 0) {
                let mut names: Vec<_> = replayed.children(path).expect("nothing is forgotten").iter().collect();
                let found = tree.peek_children(path).unwrap();
                let mut found: Vec<_> = found.iter().collect();
                names.sort();
                found.sort();
                assert_eq!(found, names, "{path}");
            }
        }
    }

    /// Prepares and applies; the code.
    pub fn run(&mut self, request: &Request) -> Code {
        let code = self.ask(request).code;
        self.settle();
        code
    }

    /// As [`World::run`], for what has to succeed.
    pub fn must(&mut self, request: &Request) {
        assert_eq!(self.run(request), Code::Ok, "{request:?}");
    }

    pub fn node(&self, path: &str) -> Option<Arc<Znode>> {
        match self.tree.lookup(path) {
            Lookup::Hit(_, znode) => Some(znode.clone()),
            Lookup::Absent | Lookup::Cold => None,
        }
    }
}

pub fn anybody(session: SessionId) -> Caller {
    Caller { session, ..tests::caller(&[("ip", "127.0.0.1")]) }
}

pub fn open() -> Option<Vec<Acl>> {
    Some(vec![tests::acl(31, "world", "anyone")])
}

/// A list that lets the caller do this.
pub fn perms(perms: i32) -> Option<Vec<Acl>> {
    Some(vec![tests::acl(perms, "world", "anyone")])
}

pub fn bytes(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

pub fn create_request(path: &str, flags: i32) -> CreateRequest {
    CreateRequest { path: path.into(), data: bytes("data"), acl: open(), flags }
}

pub fn ttl_request(path: &str, flags: i32, ttl: i64) -> CreateTtlRequest {
    CreateTtlRequest { path: path.into(), data: bytes("data"), acl: open(), flags, ttl }
}

pub fn create(path: &str, flags: i32) -> Request {
    Request::Create(create_request(path, flags))
}

pub fn create_with(path: &str, flags: i32, acl: Option<Vec<Acl>>) -> Request {
    Request::Create(CreateRequest { acl, ..create_request(path, flags) })
}

pub fn delete(path: &str, version: i32) -> Request {
    Request::Delete(DeleteRequest { path: path.into(), version })
}

pub fn set_data(path: &str, data: &str, version: i32) -> Request {
    Request::SetData(SetDataRequest { path: Some(path.into()), data: bytes(data), version })
}

pub fn set_acl(path: &str, acl: Option<Vec<Acl>>, version: i32) -> Request {
    Request::SetAcl(SetAclRequest { path: Some(path.into()), acl, version })
}

/// The final path of a create.
pub fn path_of(txn: &Txn) -> &str {
    match txn {
        Txn::Create(txn) | Txn::Create2(txn) => &txn.path,
        Txn::CreateContainer(txn) => &txn.path,
        Txn::CreateTtl(txn) => &txn.path,
        other => panic!("{other:?} creates nothing"),
    }
}
