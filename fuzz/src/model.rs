//! ZooKeeper's writes, said as simply as possible: one map, copied for every request, so that it is right
//! by reading it. What it shares with the server are the records, and the judgement of ACL lists.

use bytes::Bytes;
use std::collections::BTreeMap;
use zorilla_core::auth::{AuthRules, Caller, check_acl, fix_acl, perm};
use zorilla_core::tree::Write;
use zorilla_protocol::irregular::MultiOp;
use zorilla_protocol::ops::{MultiOps, Request};
use zorilla_protocol::records::{Acl, Id, StatPersisted};
use zorilla_protocol::{Code, SessionId, Zxid, path};

/// A znode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Null and empty differ.
    pub data: Option<Bytes>,
    /// As stored.
    pub acl: Vec<Acl>,
    /// As stored.
    pub stat: StatPersisted,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// By path.
    pub nodes: BTreeMap<String, Node>,
    /// Time-outs.
    pub sessions: BTreeMap<SessionId, i32>,
    /// Sessions whose end is on its way: they write no more.
    pub closing: Vec<SessionId>,
}

/// Who asks, and the txn's place and time.
pub struct Context<'a> {
    /// The session and its identities.
    pub caller: &'a Caller,
    /// The txn's place.
    pub zxid: Zxid,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
}

enum Kind {
    Plain,
    Container,
    Ttl(i64),
}

struct Create<'a> {
    kind: Kind,
    path: &'a str,
    data: &'a Option<Bytes>,
    acl: &'a Option<Vec<Acl>>,
    flags: i32,
}

/// A list that everybody passes.
pub fn open_acl() -> Vec<Acl> {
    vec![Acl { perms: perm::ALL, id: Id { scheme: Some("world".into()), id: Some("anyone".into()) } }]
}

impl Default for Model {
    /// A fresh server's.
    fn default() -> Model {
        let node = Node { data: Some(Bytes::new()), acl: open_acl(), stat: StatPersisted::default() };
        let mut nodes: BTreeMap<String, Node> =
            ["/", "/zookeeper", "/zookeeper/quota"].map(|path| (path.to_owned(), node.clone())).into();
        let read_only = vec![Acl { perms: perm::READ, ..open_acl().remove(0) }];
        let stat = StatPersisted { aversion: -1, ..StatPersisted::default() };
        nodes.insert("/zookeeper/config".to_owned(), Node { acl: read_only, stat, ..node });
        Model { nodes, sessions: BTreeMap::new(), closing: Vec::new() }
    }
}

impl Model {
    /// Names below a path.
    pub fn children(&self, of: &str) -> Vec<String> {
        let below = self.nodes.keys().filter(|child| *child != "/" && path::parent(child) == Some(of));
        below.map(|child| path::name(child).to_owned()).collect()
    }

    /// The digest of the whole tree, from scratch.
    pub fn digest(&self) -> i64 {
        let counted = self.nodes.iter().filter(|(path, _)| !path.starts_with("/zookeeper/"));
        counted.fold(0, |sum: i64, (path, node)| sum.wrapping_add(digest(path, node.data.as_deref(), &node.stat)))
    }

    /// Carries a write out. A write that fails changes nothing; `Ok` are the codes of a multi's
    /// operations, of any other write its own.
    pub fn write(&mut self, write: Write<'_>, context: &Context<'_>) -> Result<Vec<Code>, Code> {
        let before = self.clone();
        let outcome = self.attempt(write, context);
        if !matches!(&outcome, Ok(codes) if codes.iter().all(|code| *code == Code::Ok)) {
            *self = before;
        }
        outcome
    }

    fn attempt(&mut self, write: Write<'_>, c: &Context<'_>) -> Result<Vec<Code>, Code> {
        match write {
            Write::CreateSession { timeout_ms } => drop(self.sessions.insert(c.caller.session, timeout_ms)),
            Write::CloseSession | Write::Request(Request::CloseSession(_)) => self.close(c),
            Write::Reap { path } => self.reap(path, c)?,
            Write::Request(Request::Multi(ops)) => return self.multi(ops, c),
            Write::Request(request) => self.request(request, c)?,
        }
        Ok(vec![Code::Ok])
    }

    fn request(&mut self, request: &Request, c: &Context<'_>) -> Result<(), Code> {
        self.check_session(c)?;
        match request {
            Request::Create(r) | Request::Create2(r) => {
                self.create(&Create { kind: Kind::Plain, path: &r.path, data: &r.data, acl: &r.acl, flags: r.flags }, c)
            }
            Request::CreateContainer(r) => self.create(
                &Create { kind: Kind::Container, path: &r.path, data: &r.data, acl: &r.acl, flags: r.flags },
                c,
            ),
            Request::CreateTtl(r) => {
                let kind = Kind::Ttl(r.ttl);
                self.create(&Create { kind, path: &r.path, data: &r.data, acl: &r.acl, flags: r.flags }, c)
            }
            Request::Delete(r) => self.delete(&r.path, r.version, c),
            Request::DeleteContainer(r) => self.delete_container(&r.path, c),
            Request::SetData(r) => self.set_data(r.path.as_deref(), &r.data, r.version, c),
            Request::SetAcl(r) => self.set_acl(r.path.as_deref(), r.acl.as_deref(), r.version, c),
            Request::Reconfig(_) => Err(Code::ReconfigDisabled),
            _ => Err(Code::Unimplemented),
        }
    }

    fn check_session(&self, c: &Context<'_>) -> Result<(), Code> {
        if self.closing.contains(&c.caller.session) { Err(Code::SessionExpired) } else { Ok(()) }
    }

    fn get(&self, path: &str) -> Result<&Node, Code> {
        self.nodes.get(if path.is_empty() { "/" } else { path }).ok_or(Code::NoNode)
    }

    fn permitted(&self, path: &str, wanted: i32, c: &Context<'_>) -> Result<(), Code> {
        check_acl(Some(&self.get(path)?.acl), wanted, &c.caller.ids)
    }

    fn create(&mut self, create: &Create<'_>, c: &Context<'_>) -> Result<(), Code> {
        if !(0..=6).contains(&create.flags) {
            return Err(Code::BadArguments);
        }
        let has_ttl = create.flags >= 5;
        match create.kind {
            Kind::Ttl(ttl) if has_ttl && (1..1 << 40).contains(&ttl) => {}
            Kind::Ttl(_) => return Err(Code::BadArguments),
            _ if has_ttl => return Err(Code::BadArguments),
            _ => {}
        }
        if create.path.contains('\0') {
            return Err(Code::BadArguments);
        }
        let parent_path = path::parent(create.path).ok_or(Code::BadArguments)?;
        let acl = fix_acl(create.acl.as_deref(), &c.caller.ids, &AuthRules::default())?;
        self.permitted(parent_path, perm::CREATE, c)?;
        let parent = self.get(parent_path)?;
        let path = match create.flags {
            2 | 3 | 6 => format!("{}{:010}", create.path, parent.stat.cversion),
            _ => create.path.to_owned(),
        };
        path::validate(&path).map_err(|_| Code::BadArguments)?;
        if self.nodes.contains_key(&path) {
            return Err(Code::NodeExists);
        }
        if is_session(parent.stat.ephemeral_owner) {
            return Err(Code::NoChildrenForEphemerals);
        }
        let ephemeral_owner = match create.kind {
            Kind::Container => i64::MIN,
            Kind::Ttl(ttl) => (-1 << 56) | ttl,
            Kind::Plain if matches!(create.flags, 1 | 3) => c.caller.session.0,
            Kind::Plain => 0,
        };
        let (zxid, time) = (c.zxid, c.time_ms);
        let stat = StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            ephemeral_owner,
            ..StatPersisted::default()
        };
        if let Some(parent) = self.nodes.get_mut(parent_path) {
            parent.stat.cversion += 1;
            parent.stat.pzxid = zxid;
        }
        self.nodes.insert(path, Node { data: create.data.clone(), acl, stat });
        Ok(())
    }

    fn remove(&mut self, path: &str, zxid: Zxid) {
        self.nodes.remove(path);
        if let Some(parent) = path::parent(path).and_then(|parent| self.nodes.get_mut(parent)) {
            parent.stat.pzxid = zxid;
        }
    }

    fn deletable<'a>(&self, path: &'a str) -> Result<&'a str, Code> {
        if path.contains('\0') || ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"].contains(&path) {
            return Err(Code::BadArguments);
        }
        path::parent(path).ok_or(Code::BadArguments)
    }

    fn delete(&mut self, path: &str, version: i32, c: &Context<'_>) -> Result<(), Code> {
        self.permitted(self.deletable(path)?, perm::DELETE, c)?;
        check_version(self.get(path)?.stat.version, version)?;
        if !self.children(path).is_empty() {
            return Err(Code::NotEmpty);
        }
        self.remove(path, c.zxid);
        Ok(())
    }

    fn delete_container(&mut self, path: &str, c: &Context<'_>) -> Result<(), Code> {
        self.permitted(self.deletable(path)?, perm::DELETE, c)?;
        let owner = self.get(path)?.stat.ephemeral_owner;
        if !self.children(path).is_empty() {
            return Err(Code::NotEmpty);
        }
        if is_session(owner) {
            return Err(Code::BadVersion);
        }
        self.remove(path, c.zxid);
        Ok(())
    }

    fn reap(&mut self, path: &str, c: &Context<'_>) -> Result<(), Code> {
        self.deletable(path)?;
        let stat = self.get(path)?.stat.clone();
        if !self.children(path).is_empty() {
            return Err(Code::NotEmpty);
        }
        let is_due = match stat.ephemeral_owner {
            i64::MIN => true,
            owner => is_ttl(owner) && c.time_ms - stat.mtime > owner & ((1 << 40) - 1),
        };
        if !is_due {
            return Err(Code::BadVersion);
        }
        self.remove(path, c.zxid);
        Ok(())
    }

    fn set_data(
        &mut self,
        path: Option<&str>,
        data: &Option<Bytes>,
        version: i32,
        c: &Context<'_>,
    ) -> Result<(), Code> {
        let path = path.filter(|path| path::validate(path).is_ok()).ok_or(Code::BadArguments)?;
        self.permitted(path, perm::WRITE, c)?;
        let node = self.nodes.get_mut(path).ok_or(Code::NoNode)?;
        check_version(node.stat.version, version)?;
        node.data = data.clone();
        node.stat.version += 1;
        node.stat.mzxid = c.zxid;
        node.stat.mtime = c.time_ms;
        Ok(())
    }

    fn set_acl(&mut self, path: Option<&str>, acl: Option<&[Acl]>, version: i32, c: &Context<'_>) -> Result<(), Code> {
        let path = path.filter(|path| path::validate(path).is_ok()).ok_or(Code::BadArguments)?;
        let acl = fix_acl(acl, &c.caller.ids, &AuthRules::default())?;
        self.permitted(path, perm::ADMIN, c)?;
        let node = self.nodes.get_mut(path).ok_or(Code::NoNode)?;
        check_version(node.stat.aversion, version)?;
        node.acl = acl;
        node.stat.aversion += 1;
        Ok(())
    }

    fn check(&self, path: &str, version: i32, c: &Context<'_>) -> Result<(), Code> {
        path::validate(path).map_err(|_| Code::BadArguments)?;
        self.permitted(path, perm::READ, c)?;
        check_version(self.get(path)?.stat.version, version)
    }

    fn close(&mut self, c: &Context<'_>) {
        let session = c.caller.session;
        let mine = self.nodes.iter().filter(|(_, node)| node.stat.ephemeral_owner == session.0);
        let mine: Vec<String> = mine.map(|(path, _)| path.clone()).collect();
        mine.iter().for_each(|path| self.remove(path, c.zxid));
        self.sessions.remove(&session);
        self.closing.push(session);
    }

    fn multi(&mut self, ops: &MultiOps, c: &Context<'_>) -> Result<Vec<Code>, Code> {
        let ops = &ops.as_ref().map_err(|_| Code::MarshallingError)?.ops;
        let unreadable = |op: &MultiOp| match op {
            MultiOp::Create(r) | MultiOp::Create2(r) | MultiOp::CreateContainer(r) => !(0..=4).contains(&r.flags),
            MultiOp::SetData(r) => r.path.is_none(),
            op => op.is_read(),
        };
        if ops.iter().any(unreadable) {
            return Err(Code::MarshallingError);
        }
        let mut codes = Vec::new();
        for op in ops {
            match self.check_session(c).and_then(|()| self.one_of_multi(op, c)) {
                Ok(()) => codes.push(Code::Ok),
                Err(Code::MarshallingError) => return Err(Code::MarshallingError),
                Err(code) => {
                    codes.push(code);
                    break;
                }
            }
        }
        codes.resize(ops.len(), Code::RuntimeInconsistency);
        Ok(codes)
    }

    fn one_of_multi(&mut self, op: &MultiOp, c: &Context<'_>) -> Result<(), Code> {
        match op {
            MultiOp::Create(r) | MultiOp::Create2(r) | MultiOp::CreateContainer(r) => {
                let is_container = r.flags == 4 || matches!(op, MultiOp::CreateContainer(_));
                let kind = if is_container { Kind::Container } else { Kind::Plain };
                self.create(&Create { kind, path: &r.path, data: &r.data, acl: &r.acl, flags: r.flags }, c)
            }
            MultiOp::CreateTtl(r) => {
                let kind = match r.flags {
                    5 | 6 => Kind::Ttl(r.ttl),
                    4 => Kind::Container,
                    _ => Kind::Plain,
                };
                self.create(&Create { kind, path: &r.path, data: &r.data, acl: &r.acl, flags: r.flags }, c)
            }
            MultiOp::Delete(r) => self.delete(&r.path, r.version, c),
            MultiOp::SetData(r) => self.set_data(r.path.as_deref(), &r.data, r.version, c),
            MultiOp::Check(r) => self.check(&r.path, r.version, c),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => Err(Code::MarshallingError),
        }
    }
}

fn check_version(current: i32, expected: i32) -> Result<(), Code> {
    if expected == -1 || expected == current { Ok(()) } else { Err(Code::BadVersion) }
}

fn is_ttl(owner: i64) -> bool {
    owner >> 40 == -1 << 16
}

/// Whether the owner of an ephemeral stands there, rather than a mark.
pub fn is_session(owner: i64) -> bool {
    owner != 0 && owner != i64::MIN && !is_ttl(owner)
}

/// What one znode adds to the digest of the tree.
pub fn digest(path: &str, data: Option<&[u8]>, s: &StatPersisted) -> i64 {
    let mut bytes = if path == "/" { Vec::new() } else { path.as_bytes().to_vec() };
    bytes.extend_from_slice(data.unwrap_or_default());
    for long in [s.czxid.0, s.mzxid.0, s.pzxid.0, s.ctime, s.mtime] {
        bytes.extend_from_slice(&long.to_be_bytes());
    }
    for int in [s.version, s.cversion, s.aversion] {
        bytes.extend_from_slice(&int.to_be_bytes());
    }
    bytes.extend_from_slice(&s.ephemeral_owner.to_be_bytes());
    i64::from(crc32fast::hash(&bytes))
}
