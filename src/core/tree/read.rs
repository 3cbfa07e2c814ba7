//! Answering reads (Java: `FinalRequestProcessor`): the reply's body goes straight from the znode to
//! the connection's output.

use super::children::Names;
use super::cold::Miss;
use super::memory::Tree;
use super::znode::Znode;
use super::{Committed, Lookup};
use crate::auth::{self, Caller, perm};
use crate::watch::EventType;
use bytes::{BufMut, BytesMut};
use std::sync::Arc;
use zorilla_protocol::irregular::{MultiOp, MultiRequest};
use zorilla_protocol::jute::{NULL, put_str};
use zorilla_protocol::ops::{MultiOps, Request};
use zorilla_protocol::path::ROOT;
use zorilla_protocol::records::{Acl, ClientInfo, ErrorResponse, Id, MultiHeader};
use zorilla_protocol::{Code, Jute};

/// How reads are answered, from the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadRules {
    /// `zookeeper.skipACL=yes`: everybody may read everything.
    pub skip_acl: bool,
}

/// Which table a read's watch belongs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// Left by exists and getData.
    Data,
    /// Left by getChildren and getChildren2.
    Child,
}

/// The outcome of a read whose body, if it has one, is in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the reply's header.
    pub code: Code,
    /// The watch to register at the request's path, if it asked for one and may have it.
    pub watch: Option<WatchKind>,
}

/// Why a body is not complete.
enum Stop {
    Code(Code),
    Miss(Miss),
}

impl From<Miss> for Stop {
    fn from(miss: Miss) -> Stop {
        Stop::Miss(miss)
    }
}

/// Appends the body of a read's reply to `out`. On a miss, and on any code but OK, `out` is as it was;
/// only a multiRead of operations that do not belong into one has both a code and a body. Requests
/// that do not read the tree are answered with UNIMPLEMENTED.
pub fn read(
    tree: &Tree,
    request: &Request,
    caller: &Caller,
    rules: &ReadRules,
    out: &mut BytesMut,
) -> Result<Answer, Miss> {
    let start = out.len();
    let view = View { tree, caller, rules };
    let watch_if = |watch: bool, kind: WatchKind| watch.then_some(kind);
    let (outcome, watch) = match request {
        Request::Exists(r) => (view.exists(&r.path, out), watch_if(r.watch, WatchKind::Data)),
        Request::GetData(r) => (view.get_data(&r.path, out), watch_if(r.watch, WatchKind::Data)),
        Request::GetChildren(r) => (view.get_children(&r.path, out).map(drop), watch_if(r.watch, WatchKind::Child)),
        Request::GetChildren2(r) => {
            let outcome = view.get_children(&r.path, out).map(|node| node.client_stat().put(out));
            (outcome, watch_if(r.watch, WatchKind::Child))
        }
        Request::GetAcl(r) => (view.get_acl(&r.path, out), None),
        Request::GetAllChildrenNumber(r) => (view.get_all_children_number(&r.path, out), None),
        Request::GetEphemerals(r) => (view.get_ephemerals(r.prefix_path.as_deref(), out), None),
        Request::MultiRead(ops) => return view.multi_read(ops, out),
        Request::Sync(r) => {
            r.path.put(out);
            (Ok(()), None)
        }
        Request::WhoAmI(_) => {
            who_am_i(&caller.ids, out);
            (Ok(()), None)
        }
        Request::Ping(_) => (Ok(()), None),
        _ => (Err(Stop::Code(Code::Unimplemented)), None),
    };
    match outcome {
        Ok(()) => Ok(Answer { code: Code::Ok, watch }),
        Err(stop) => {
            out.truncate(start);
            match stop {
                Stop::Miss(miss) => Err(miss),
                // exists waits for nodes that are not there.
                Stop::Code(code @ Code::NoNode) if matches!(request, Request::Exists(_)) => Ok(Answer { code, watch }),
                Stop::Code(code) => Ok(Answer { code, watch: None }),
            }
        }
    }
}

struct View<'a> {
    tree: &'a Tree,
    caller: &'a Caller,
    rules: &'a ReadRules,
}

impl<'a> View<'a> {
    fn node(&self, path: &str) -> Result<&'a Arc<Znode>, Stop> {
        match self.tree.lookup(path) {
            Lookup::Hit(_, node) => Ok(node),
            Lookup::Absent => Err(Stop::Code(Code::NoNode)),
            Lookup::Cold => Err(Stop::Miss(Miss::Node(path.to_owned()))),
        }
    }

    fn may(&self, wanted: i32, node: &Znode) -> Result<(), Stop> {
        if self.rules.skip_acl || node.acl.is_none() {
            return Ok(());
        }
        auth::check_acl(node.acl.as_deref(), wanted, &self.caller.ids).map_err(Stop::Code)
    }

    fn readable(&self, path: &str) -> Result<&'a Arc<Znode>, Stop> {
        let node = self.node(path)?;
        self.may(perm::READ, node)?;
        Ok(node)
    }

    fn exists(&self, path: &str, out: &mut BytesMut) -> Result<(), Stop> {
        if path.contains('\0') {
            return Err(Stop::Code(Code::BadArguments));
        }
        self.readable(path)?.client_stat().put(out);
        Ok(())
    }

    fn get_data(&self, path: &str, out: &mut BytesMut) -> Result<(), Stop> {
        let node = self.readable(path)?;
        put_data(node, out);
        node.client_stat().put(out);
        Ok(())
    }

    fn get_children(&self, path: &str, out: &mut BytesMut) -> Result<&'a Znode, Stop> {
        let node = self.readable(path)?;
        if node.num_children == 0 {
            out.put_i32(0);
            return Ok(node);
        }
        let names = self.tree.children(path).ok_or_else(|| Miss::Children(root_for_empty(path).to_owned()))?;
        put_count(names.len(), out);
        for name in names {
            put_str(name, out);
        }
        Ok(node)
    }

    fn get_acl(&self, path: &str, out: &mut BytesMut) -> Result<(), Stop> {
        let node = self.node(path)?;
        self.may(perm::READ | perm::ADMIN, node)?;
        match &node.acl {
            None => vec![open_entry()].put(out),
            Some(list) if self.may(perm::ADMIN, node).is_ok() => put_list(list.iter(), out),
            Some(list) => put_list(list.iter().map(masked), out),
        }
        node.client_stat().put(out);
        Ok(())
    }

    /// All descendants. The root's are known by number; below it the lists are walked, and each part
    /// that is not in memory is a miss of its own.
    fn get_all_children_number(&self, path: &str, out: &mut BytesMut) -> Result<(), Stop> {
        let node = self.readable(path)?;
        if root_for_empty(path) == ROOT {
            // Apache holds the root under two names, and counts the one below the other.
            let root = u64::from(path == ROOT);
            put_count((self.tree.znode_count() - root) as usize, out);
            return Ok(());
        }
        let mut total = 0;
        let mut open = vec![(path.to_owned(), node)];
        while let Some((path, node)) = open.pop() {
            if node.num_children == 0 {
                continue;
            }
            let names = self.tree.children(&path).ok_or_else(|| Miss::Children(path.clone()))?;
            total += names.len();
            for name in names {
                let child = format!("{path}/{name}");
                let node = self.node(&child)?;
                open.push((child, node));
            }
        }
        put_count(total, out);
        Ok(())
    }

    fn get_ephemerals(&self, prefix: Option<&str>, out: &mut BytesMut) -> Result<(), Stop> {
        // Java's trim: every character up to the space.
        let trimmed = |prefix: &str| matches!(prefix.trim_matches(|c| c <= ' '), "" | ROOT);
        let prefix = prefix.filter(|prefix| !trimmed(prefix)).unwrap_or_default();
        let mut paths = self.tree.ephemerals(self.caller.session);
        paths.retain(|path| path.starts_with(prefix));
        put_count(paths.len(), out);
        for path in &paths {
            put_str(path, out);
        }
        Ok(())
    }

    fn multi_read(&self, ops: &MultiOps, out: &mut BytesMut) -> Result<Answer, Miss> {
        let start = out.len();
        let Ok(MultiRequest { ops }) = ops else {
            return Ok(Answer { code: Code::MarshallingError, watch: None });
        };
        let mut code = Code::Ok;
        for op in ops {
            let at = out.len();
            MultiHeader { kind: op.kind(), done: false, err: 0 }.put(out);
            let outcome = match op {
                MultiOp::GetData(r) => self.get_data(&r.path, out),
                MultiOp::GetChildren(r) => self.get_children(&r.path, out).map(drop),
                _ => {
                    out.truncate(at);
                    code = Code::MarshallingError;
                    break;
                }
            };
            match outcome {
                Ok(()) => {}
                Err(Stop::Miss(miss)) => {
                    out.truncate(start);
                    return Err(miss);
                }
                Err(Stop::Code(code)) => {
                    out.truncate(at);
                    MultiHeader { kind: -1, done: false, err: code.number() }.put(out);
                    ErrorResponse { err: code.number() }.put(out);
                }
            }
        }
        MultiHeader { kind: -1, done: true, err: -1 }.put(out);
        Ok(Answer { code, watch: None })
    }
}

fn root_for_empty(path: &str) -> &str {
    if path.is_empty() { ROOT } else { path }
}

fn put_count(count: usize, out: &mut BytesMut) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

fn put_data(node: &Znode, out: &mut BytesMut) {
    match &node.data {
        None => out.put_i32(NULL),
        Some(data) => {
            // With room for the stat.
            out.reserve(4 + data.len() + 68);
            put_count(data.len(), out);
            out.put_slice(data);
        }
    }
}

fn put_list<A: std::borrow::Borrow<Acl>>(list: impl ExactSizeIterator<Item = A>, out: &mut BytesMut) {
    put_count(list.len(), out);
    for acl in list {
        acl.borrow().put(out);
    }
}

fn open_entry() -> Acl {
    Acl { perms: perm::ALL, id: Id { scheme: Some("world".into()), id: Some("anyone".into()) } }
}

/// Without ADMIN, nobody sees the hashes of others.
fn masked(acl: &Acl) -> Acl {
    let mut acl = acl.clone();
    if acl.id.scheme.as_deref() == Some("digest")
        && let Some((user, _)) = acl.id.id.as_deref().and_then(|id| id.split_once(':'))
    {
        acl.id.id = Some(format!("{user}:x").into());
    }
    acl
}

fn who_am_i(ids: &[Id], out: &mut BytesMut) {
    let info = |id: &Id| {
        let text = id.id.as_deref().unwrap_or_default();
        let user = match id.scheme.as_deref() {
            Some("digest") => text.split(':').next().unwrap_or_default(),
            Some("super") => "",
            _ => text,
        };
        ClientInfo { auth_scheme: id.scheme.clone(), user: Some(user.to_owned()) }
    };
    put_count(ids.len(), out);
    for id in ids {
        info(id).put(out);
    }
}

impl Tree {
    /// All names below a znode that has children, if they are in memory.
    pub(super) fn children(&self, path: &str) -> Option<&Names> {
        self.nodes.get(root_for_empty(path))?.children.as_ref()?.complete()
    }
}

/// What becomes of one path of setWatches, in the order of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetWatchOutcome<'a> {
    /// It changed while the client was away: told at once, nothing registered.
    Event {
        /// What the client missed.
        kind: EventType,
        /// Where.
        path: &'a str,
    },
    /// Register a standard data watch.
    Data {
        /// Where.
        path: &'a str,
    },
    /// Register a standard child watch.
    Child {
        /// Where.
        path: &'a str,
    },
    /// Register as addWatch does.
    Persistent {
        /// Where.
        path: &'a str,
        /// The mode.
        recursive: bool,
    },
}

/// Decides on the watches that a client brings back after a reconnect. ACLs are not looked at, as in
/// Apache. Any other request has none.
pub fn set_watches<'a>(tree: &Tree, request: &'a Request) -> Result<Vec<SetWatchOutcome<'a>>, Miss> {
    let no_paths: &'a [String] = &[];
    let (since, data, exist, child, persistent, recursive) = match request {
        Request::SetWatches(r) => {
            (r.relative_zxid, &r.data_watches, &r.exist_watches, &r.child_watches, no_paths, no_paths)
        }
        Request::SetWatches2(r) => (
            r.relative_zxid,
            &r.data_watches,
            &r.exist_watches,
            &r.child_watches,
            &*r.persistent_watches,
            &*r.persistent_recursive_watches,
        ),
        _ => return Ok(Vec::new()),
    };
    let mut outcomes = Vec::with_capacity(data.len() + exist.len() + child.len() + persistent.len() + recursive.len());
    for path in data {
        outcomes.push(
            changed_since(tree, path, |node| node.stat.mzxid > since, EventType::NodeDataChanged)?
                .unwrap_or(SetWatchOutcome::Data { path }),
        );
    }
    for path in exist {
        outcomes.push(match find(tree, path)? {
            Some(_) => SetWatchOutcome::Event { kind: EventType::NodeCreated, path },
            None => SetWatchOutcome::Data { path },
        });
    }
    for path in child {
        outcomes.push(
            changed_since(tree, path, |node| node.stat.pzxid > since, EventType::NodeChildrenChanged)?
                .unwrap_or(SetWatchOutcome::Child { path }),
        );
    }
    outcomes.extend(persistent.iter().map(|path| SetWatchOutcome::Persistent { path, recursive: false }));
    outcomes.extend(recursive.iter().map(|path| SetWatchOutcome::Persistent { path, recursive: true }));
    Ok(outcomes)
}

fn changed_since<'a>(
    tree: &Tree,
    path: &'a str,
    changed: impl FnOnce(&Znode) -> bool,
    kind: EventType,
) -> Result<Option<SetWatchOutcome<'a>>, Miss> {
    Ok(match find(tree, path)? {
        None => Some(SetWatchOutcome::Event { kind: EventType::NodeDeleted, path }),
        Some(node) if changed(node) => Some(SetWatchOutcome::Event { kind, path }),
        Some(_) => None,
    })
}

fn find<'t>(tree: &'t Tree, path: &str) -> Result<Option<&'t Arc<Znode>>, Miss> {
    match tree.lookup(path) {
        Lookup::Hit(_, node) => Ok(Some(node)),
        Lookup::Absent => Ok(None),
        Lookup::Cold => Err(Miss::Node(path.to_owned())),
    }
}
