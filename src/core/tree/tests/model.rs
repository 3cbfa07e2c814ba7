//! Random histories against a tree so simple that it is right by reading it, with checkpoints,
//! evictions, crashes and replays in between.

use super::*;
use crate::tree::{Committed, EventKind};
use zorilla_protocol::jute::{from_bytes, to_bytes};
use zorilla_protocol::records::*;
use zorilla_protocol::txn::*;

/// xorshift64*: the history is its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}

#[derive(Clone, Default)]
struct Node {
    data: Option<Vec<u8>>,
    acl: Vec<Acl>,
    stat: StatPersisted,
}

#[derive(Clone)]
struct Model {
    nodes: BTreeMap<String, Node>,
    sessions: BTreeMap<SessionId, i32>,
}

impl Model {
    fn new() -> Model {
        let node = Node { data: Some(vec![]), acl: vec![acl(31, "world", "anyone")], ..Node::default() };
        let mut nodes: BTreeMap<_, _> =
            ["/", "/zookeeper", "/zookeeper/quota"].map(|path| (path.to_owned(), node.clone())).into();
        let stat = StatPersisted { aversion: -1, ..StatPersisted::default() };
        nodes.insert("/zookeeper/config".into(), Node { acl: vec![acl(1, "world", "anyone")], stat, ..node });
        Model { nodes, sessions: BTreeMap::new() }
    }

    fn children(&self, path: &str) -> Vec<String> {
        let below = self.nodes.keys().filter(|child| *child != "/" && path::parent(child) == Some(path));
        below.map(|child| path::name(child).to_owned()).collect()
    }

    fn stat(&self, path: &str) -> Stat {
        let node = &self.nodes[path];
        let (s, children) = (&node.stat, self.children(path).len() as i32);
        Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion * 2 - children,
            aversion: s.aversion,
            ephemeral_owner: if self.sessions.contains_key(&SessionId(s.ephemeral_owner)) {
                s.ephemeral_owner
            } else {
                0
            },
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: s.pzxid,
        }
    }

    fn digest(&self) -> i64 {
        let counted = self.nodes.iter().filter(|(path, _)| !path.starts_with("/zookeeper/"));
        counted.fold(0, |sum, (path, node)| {
            let mut bytes = BytesMut::new();
            let s = &node.stat;
            bytes.extend_from_slice(if path == "/" { b"" } else { path.as_bytes() });
            bytes.extend_from_slice(node.data.as_deref().unwrap_or_default());
            for long in [s.czxid.0, s.mzxid.0, s.pzxid.0, s.ctime, s.mtime] {
                bytes.extend_from_slice(&long.to_be_bytes());
            }
            for int in [s.version, s.cversion, s.aversion] {
                bytes.extend_from_slice(&int.to_be_bytes());
            }
            bytes.extend_from_slice(&s.ephemeral_owner.to_be_bytes());
            sum + i64::from(crc32fast::hash(&bytes))
        })
    }

    fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let mine = self.nodes.iter().filter(|(_, node)| node.stat.ephemeral_owner == session.0);
        mine.map(|(path, _)| path.clone()).collect()
    }

    fn create(&mut self, zxid: i64, path: &str, data: Option<&Bytes>, acl: &[Acl], owner: i64, cversion: i32) {
        let parent = self.nodes.get_mut(path::parent(path).unwrap()).unwrap();
        (parent.stat.cversion, parent.stat.pzxid) = (cversion, Zxid(zxid));
        let (at, time) = (Zxid(zxid), 1000 + zxid);
        let stat = StatPersisted {
            czxid: at,
            mzxid: at,
            pzxid: at,
            ctime: time,
            mtime: time,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        let old =
            self.nodes.insert(path.into(), Node { data: data.map(|data| data.to_vec()), acl: acl.to_vec(), stat });
        assert!(old.is_none());
    }

    fn delete(&mut self, zxid: i64, path: &str) {
        assert!(self.nodes.remove(path).is_some());
        self.nodes.get_mut(path::parent(path).unwrap()).unwrap().stat.pzxid = Zxid(zxid);
    }

    /// What a valid txn does, and which events it has.
    fn apply(&mut self, header: &TxnHeader, txn: &Txn) -> Vec<(EventKind, String)> {
        let zxid = header.zxid.0;
        match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                let owner = if t.ephemeral { header.client_id.0 } else { 0 };
                self.create(zxid, &t.path, t.data.as_ref(), t.acl.as_ref().unwrap(), owner, t.parent_cversion);
                vec![(EventKind::Created, t.path.clone())]
            }
            Txn::CreateContainer(t) => {
                self.create(zxid, &t.path, t.data.as_ref(), t.acl.as_ref().unwrap(), i64::MIN, t.parent_cversion);
                vec![(EventKind::Created, t.path.clone())]
            }
            Txn::CreateTtl(t) => {
                let owner = (0xff << 56) | t.ttl;
                self.create(zxid, &t.path, t.data.as_ref(), t.acl.as_ref().unwrap(), owner, t.parent_cversion);
                vec![(EventKind::Created, t.path.clone())]
            }
            Txn::Delete(t) => {
                self.delete(zxid, &t.path);
                vec![(EventKind::Deleted, t.path.clone())]
            }
            Txn::SetData(t) => {
                let node = self.nodes.get_mut(&t.path).unwrap();
                node.data = t.data.as_ref().map(|data| data.to_vec());
                (node.stat.version, node.stat.mzxid, node.stat.mtime) = (t.version, header.zxid, header.time);
                vec![(EventKind::DataChanged, t.path.clone())]
            }
            Txn::SetAcl(t) => {
                let node = self.nodes.get_mut(&t.path).unwrap();
                (node.acl, node.stat.aversion) = (t.acl.clone().unwrap(), t.version);
                vec![]
            }
            Txn::Multi(parts) if parts.iter().any(|part| matches!(part, Txn::Error(_))) => vec![],
            Txn::Multi(parts) => parts.iter().flat_map(|part| self.apply(header, part)).collect(),
            Txn::CreateSession(t) => {
                self.sessions.insert(header.client_id, t.time_out_ms);
                vec![]
            }
            Txn::CloseSession(_) => {
                let mine = self.ephemerals(header.client_id);
                mine.iter().for_each(|path| self.delete(zxid, path));
                self.sessions.remove(&header.client_id);
                mine.into_iter().map(|path| (EventKind::Deleted, path)).collect()
            }
            _ => vec![],
        }
    }

    /// A txn as it would be prepared against this state.
    fn invent(&self, dice: &mut Dice) -> (SessionId, Txn) {
        let session = SessionId(1 + dice.roll(3) as i64);
        if !self.sessions.contains_key(&session) {
            return (session, Txn::CreateSession(CreateSessionTxn { time_out_ms: 1000 + dice.roll(9) as i32 }));
        }
        match dice.roll(40) {
            0 => {
                let paths_to_delete = self.ephemerals(session);
                let listed = (dice.roll(3) > 0).then_some(CloseSessionTxn { paths_to_delete });
                (session, Txn::CloseSession(listed))
            }
            1 => (session, Txn::Error(ErrorTxn { err: -101 })),
            2..9 => {
                let mut scratch = self.clone();
                let header = TxnHeader { client_id: session, ..header(1) };
                let count = dice.roll(5);
                let mut parts: Vec<_> = (0..count)
                    .map(|_| {
                        let part = scratch.invent_one(dice);
                        scratch.apply(&header, &part);
                        part
                    })
                    .collect();
                if dice.roll(4) == 0 {
                    parts.push(Txn::Error(ErrorTxn { err: -110 }));
                }
                (session, Txn::Multi(parts))
            }
            _ => (session, self.invent_one(dice)),
        }
    }

    fn invent_one(&self, dice: &mut Dice) -> Txn {
        let paths: Vec<_> = self.nodes.keys().filter(|path| !path.starts_with("/zookeeper")).collect();
        let path = paths[dice.roll(paths.len())].clone();
        let node = &self.nodes[&path];
        let data = match dice.roll(4) {
            0 => None,
            _ => Some(Bytes::from(vec![b'x'; dice.roll(30)])),
        };
        let list = Some(match dice.roll(3) {
            0 => vec![acl(31, "digest", ["u:1", "u:2", "u:3"][dice.roll(3)])],
            _ => vec![acl(31, "world", "anyone")],
        });
        match dice.roll(9) {
            0 | 1 => Txn::SetData(SetDataTxn { path, data, version: node.stat.version + 1 }),
            2 => Txn::SetAcl(SetAclTxn { path, acl: list, version: node.stat.aversion + 1 }),
            3..6 if path != "/" && self.children(&path).is_empty() => Txn::Delete(DeleteTxn { path }),
            roll => {
                let name = ["a", "b", "c", "\u{e9}"][dice.roll(4)];
                let child = if path == "/" { format!("/{name}") } else { format!("{path}/{name}") };
                if self.nodes.contains_key(&child) || path.len() > 12 || Owner::of(node.stat.ephemeral_owner).raw() > 0
                {
                    return Txn::Check(CheckVersionTxn { path, version: 1 });
                }
                let (path, acl, parent_cversion) = (child, list, node.stat.cversion + 1);
                match roll + dice.roll(5) {
                    8 => Txn::CreateContainer(CreateContainerTxn { path, data, acl, parent_cversion }),
                    9 => Txn::CreateTtl(CreateTtlTxn { path, data, acl, parent_cversion, ttl: 5 }),
                    roll => {
                        let txn = CreateTxn { path, data, acl, ephemeral: roll % 3 == 0, parent_cversion };
                        if roll % 2 == 0 { Txn::Create(txn) } else { Txn::Create2(txn) }
                    }
                }
            }
        }
    }
}

/// Every read of every node, and of some that are not there.
fn compare(tree: &mut Tree, model: &Model) {
    assert_eq!(tree.digest(), model.digest());
    assert_eq!(tree.znode_count(), model.nodes.len() as u64);
    let bytes: usize = model.nodes.iter().map(|(path, node)| path.len() + node.data.as_ref().map_or(0, Vec::len)).sum();
    assert_eq!(tree.data_bytes(), bytes as u64);
    assert_eq!(tree.sessions().collect::<BTreeMap<_, _>>(), model.sessions);
    let everybody = caller(&[("super", "")]);
    for (path, node) in &model.nodes {
        let (stat, children) = (model.stat(path), Some(model.children(path)));
        let data = node.data.clone().map(Bytes::from);
        let get = Request::GetData(GetDataRequest { path: path.clone(), watch: false });
        let (_, body) = read_as(tree, &get, &everybody);
        assert_eq!(body, to_bytes(&GetDataResponse { data, stat: stat.clone() }), "{path}: {stat:?}");
        let get = Request::GetChildren2(GetChildren2Request { path: path.clone(), watch: false });
        let (_, body) = read_as(tree, &get, &everybody);
        let mut listed: GetChildren2Response = from_bytes(&body).unwrap();
        listed.children.as_mut().unwrap().sort();
        assert_eq!(listed, GetChildren2Response { children, stat: stat.clone() }, "{path}");
        let (_, body) = read_as(tree, &Request::GetAcl(GetAclRequest { path: path.clone() }), &everybody);
        assert_eq!(body, to_bytes(&GetAclResponse { acl: Some(node.acl.clone()), stat }), "{path}");
        for missing in ["a", "b", "zz"].map(|name| format!("{path}/{name}").replace("//", "/")) {
            if !model.nodes.contains_key(&missing) {
                assert_eq!(stat_of(tree, &missing), None, "{missing}");
            }
        }
        let below = model.nodes.keys().filter(|other| path == "/" || other.starts_with(&format!("{path}/"))).count();
        let total_number = (below - usize::from(path == "/")) as i32;
        let count = Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path.clone() });
        let (_, body) = read_as(tree, &count, &everybody);
        assert_eq!(body, to_bytes(&GetAllChildrenNumberResponse { total_number }), "{path}");
    }
    for session in 1..4 {
        let ours: Vec<_> = tree.ephemerals(SessionId(session)).iter().map(ToString::to_string).collect();
        assert_eq!(ours, model.ephemerals(SessionId(session)));
    }
}

fn stat_of(tree: &mut Tree, path: &str) -> Option<Stat> {
    stat(tree, path)
}

fn history(seed: u64, steps: i64) {
    let mut dice = Dice(seed);
    let (mut tree, mut store) = fresh();
    let mut model = Model::new();
    let mut log: Vec<(TxnHeader, Txn)> = Vec::new();
    let mut in_flight: Option<Checkpoint> = None;
    for zxid in 1..=steps {
        let (client_id, txn) = model.invent(&mut dice);
        let header = TxnHeader { client_id, ..header(zxid) };
        let expected = model.apply(&header, &txn);
        let applied = tree.apply(&header, &txn).unwrap();
        let events: Vec<_> = applied.events.iter().map(|event| (event.kind, event.path.to_string())).collect();
        assert_eq!(events, expected, "seed {seed} zxid {zxid}: {txn:?}");
        assert_eq!(applied.digest, model.digest(), "seed {seed} zxid {zxid}: {txn:?}");
        log.push((header, txn));
        match dice.roll(30) {
            0 if in_flight.is_none() => in_flight = tree.begin_checkpoint(),
            1 => {
                if let Some(taken) = in_flight.take() {
                    store.write(&taken);
                    tree.checkpoint_done(taken.generation);
                }
            }
            2..5 => drop(tree.evict(dice.roll(5000), 50)),
            5 => drop(tree.evict(usize::MAX, 1000)),
            6 => compare(&mut tree, &model),
            7 => {
                // A crash: what the store has, and the log behind it.
                store = store.copy();
                in_flight = None;
                let header = store.header();
                let from = header.zxid;
                tree = match from {
                    Zxid::ZERO => Tree::new_standalone(store.clone(), seed),
                    _ => Tree::open(header, store.clone(), seed).unwrap(),
                };
                log.iter().filter(|(header, _)| header.zxid > from).for_each(|(header, txn)| {
                    tree.apply(header, txn).unwrap();
                });
                assert_eq!(tree.last_zxid(), Zxid(zxid));
                compare(&mut tree, &model);
            }
            8 => {
                // The newest txns once more, over the state that they led to. A closeSession without its
                // list finds nothing to delete then, which is why Apache's has one since 3.6.
                let unlisted = log.iter().rposition(|(_, txn)| *txn == Txn::CloseSession(None));
                let from = (log.len() - dice.roll(log.len().min(60))).max(unlisted.map_or(0, |at| at + 1));
                for (header, txn) in &log[from..] {
                    tree.apply(header, txn).unwrap();
                }
                compare(&mut tree, &model);
            }
            _ => {}
        }
    }
    compare(&mut tree, &model);
}

#[test]
fn random_histories_end_in_the_same_tree() {
    for seed in 1..=25 {
        history(seed, 500);
    }
}
