//! Applying committed txns (Java: `DataTree.processTxn`). Every member does exactly the same, and a
//! replay of what was applied before changes nothing that matters.

use super::Committed;
use super::cold::StoreError;
use super::dirty::TOMBSTONES_PER_TXN;
use super::memory::Tree;
use super::znode::{Owner, Znode};
use std::sync::Arc;
use zorilla_protocol::path::{self, ROOT};
use zorilla_protocol::records::{Acl, Stat, StatPersisted};
use zorilla_protocol::txn::{CreateContainerTxn, CreateTtlTxn, CreateTxn, SetAclTxn, SetDataTxn, Txn, TxnHeader};
use zorilla_protocol::{Code, SessionId, Zxid};

/// What a txn did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// For the reply.
    pub result: TxnResult,
    /// For the watches, in the order they fire.
    pub events: Vec<Event>,
    /// The digest of the whole tree now; the leader's prediction travels with the txn.
    pub digest: i64,
}

/// The outcome of a txn or of a part of a multi; stats are those right behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as the txns
pub enum TxnResult {
    Create {
        path: Arc<str>,
        stat: Stat,
    },
    Delete,
    SetData {
        stat: Stat,
    },
    SetAcl {
        stat: Stat,
    },
    Check,
    Reconfig {
        data: Option<Arc<[u8]>>,
        stat: Stat,
    },
    Multi(Vec<TxnResult>),
    /// A code as it stands in the txn, or what applying met (only when replaying).
    Error(i32),
    CreateSession,
    CloseSession,
}

/// What happened to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Also a change of the parent's children.
    Created,
    /// Also a change of the parent's children.
    Deleted,
    /// Its data was set.
    DataChanged,
}

/// One change that watches may wait for. The ACLs decide who may hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which znode.
    pub path: Arc<str>,
    /// The znode's own list.
    pub acl: Option<Arc<[Acl]>>,
    /// The parent's list; unused for [`EventKind::DataChanged`].
    pub parent_acl: Option<Arc<[Acl]>>,
}

/// The digest is remembered at every zxid divisible by this (Java: `DIGEST_LOG_INTERVAL`).
const DIGEST_INTERVAL: i64 = 128;
/// Java: `DIGEST_LOG_LIMIT`.
const DIGESTS_MAX: usize = 1024;

/// A create of any kind.
struct Create<'a> {
    path: &'a str,
    data: Option<&'a [u8]>,
    acl: Option<&'a [Acl]>,
    owner: Owner,
    /// The parent's stored cversion behind it; -1 for "one more".
    parent_cversion: i32,
    /// Whether a node that exists already still moves the parent's cversion: plain creates only.
    fix_parent: bool,
}

/// An outcome for the client inside one that stops the member.
type Outcome = Result<Result<TxnResult, Code>, StoreError>;

impl Tree {
    /// Applies one committed txn. What memory lacks is read from the store on the way (rarely: the
    /// request was prepared against it). An error is the store's, and stops this member; outcomes for
    /// the client are in the result.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn) -> Result<Applied, StoreError> {
        let mut events = Vec::new();
        let result = match txn {
            Txn::Multi(parts) => self.apply_multi(header, parts, &mut events)?,
            txn => self.apply_one(header, txn, &mut events)?,
        };
        self.applied(header.zxid);
        Ok(Applied { result, events, digest: self.digest })
    }

    /// What follows every txn.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        self.last_zxid = self.last_zxid.max(zxid);
        if zxid.0 % DIGEST_INTERVAL == 0 {
            if self.digest_history.len() == DIGESTS_MAX {
                self.digest_history.pop_front();
            }
            self.digest_history.push_back((zxid, self.digest));
        }
        self.drop_tombstones(TOMBSTONES_PER_TXN);
    }

    /// A multi with an error among its parts changes nothing: parts before the first error are
    /// answered with OK, parts behind it with what they carry (Java turns plain ones into -2).
    fn apply_multi(
        &mut self,
        header: &TxnHeader,
        parts: &[Txn],
        events: &mut Vec<Event>,
    ) -> Result<TxnResult, StoreError> {
        let failed = parts.iter().any(|part| matches!(part, Txn::Error(_)));
        let mut code_of_others = Code::Ok;
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            results.push(match part {
                Txn::Error(error) => {
                    code_of_others = Code::RuntimeInconsistency;
                    TxnResult::Error(error.err)
                }
                _ if failed => TxnResult::Error(code_of_others.number()),
                part => self.apply_one(header, part, events)?,
            });
        }
        Ok(TxnResult::Multi(results))
    }

    fn apply_one(&mut self, header: &TxnHeader, txn: &Txn, events: &mut Vec<Event>) -> Result<TxnResult, StoreError> {
        let outcome = match txn {
            Txn::Create(txn) => self.apply_create(header, &Create::plain(header.client_id, txn, true), events)?,
            Txn::Create2(txn) => self.apply_create(header, &Create::plain(header.client_id, txn, false), events)?,
            Txn::CreateContainer(txn) => self.apply_create(header, &Create::container(txn), events)?,
            Txn::CreateTtl(txn) => self.apply_create(header, &Create::ttl(txn), events)?,
            Txn::Delete(txn) | Txn::DeleteContainer(txn) => self.apply_delete(header.zxid, &txn.path, events)?,
            Txn::SetData(txn) => {
                self.apply_set_data(header, txn, events)?.map(|node| TxnResult::SetData { stat: node.client_stat() })
            }
            Txn::Reconfig(txn) => self
                .apply_set_data(header, txn, events)?
                .map(|node| TxnResult::Reconfig { data: node.data.clone(), stat: node.client_stat() }),
            Txn::SetAcl(txn) => self.apply_set_acl(txn)?,
            Txn::Check(_) => Ok(TxnResult::Check),
            Txn::CreateSession(txn) => {
                self.sessions.insert(header.client_id, txn.time_out_ms);
                self.dirty.sessions.insert(header.client_id, Some(txn.time_out_ms));
                Ok(TxnResult::CreateSession)
            }
            Txn::CloseSession(txn) => {
                let listed = txn.as_ref().map_or(&[][..], |txn| &txn.paths_to_delete);
                self.apply_close_session(header.client_id, header.zxid, listed, events)?;
                Ok(TxnResult::CloseSession)
            }
            Txn::Error(error) => Ok(TxnResult::Error(error.err)),
            // The decoder refuses multis inside multis.
            Txn::Multi(_) => Err(Code::MarshallingError),
        };
        Ok(outcome.unwrap_or_else(|code| TxnResult::Error(code.number())))
    }

    fn apply_create(&mut self, header: &TxnHeader, create: &Create<'_>, events: &mut Vec<Event>) -> Outcome {
        let Some(parent) = path::parent(create.path) else { return Ok(Err(Code::NoNode)) };
        let Some(parent_node) = self.ensure(parent)? else { return Ok(Err(Code::NoNode)) };
        let parent_acl = parent_node.acl.clone();
        let acl = self.acls.intern(create.acl);
        if let Some(existing) = self.ensure(create.path)? {
            if existing.acl != acl {
                self.change(create.path, false, |znode, _| znode.acl = acl);
            }
            if create.fix_parent {
                self.change(parent, false, |znode, _| {
                    raise_cversion(&mut znode.stat, create.parent_cversion, header.zxid)
                });
            }
            return Ok(Err(Code::NodeExists));
        }
        self.change(parent, false, |znode, children| {
            raise_cversion(&mut znode.stat, create.parent_cversion, header.zxid);
            znode.num_children = znode.num_children.wrapping_add(1);
            children.record(path::name(create.path), true);
        });
        let znode = Znode {
            stat: StatPersisted {
                czxid: header.zxid,
                mzxid: header.zxid,
                pzxid: header.zxid,
                ctime: header.time,
                mtime: header.time,
                ephemeral_owner: create.owner.raw(),
                ..StatPersisted::default()
            },
            num_children: 0,
            prefix_crc: Znode::crc_of(create.path, create.data),
            digest: 0,
            acl: acl.clone(),
            data: create.data.map(Arc::from),
        };
        let stat = znode.client_stat();
        let path = self.insert(create.path, znode);
        self.quota_on_create(create.path, create.data.map_or(0, |data| data.len() as i64))?;
        events.push(Event { kind: EventKind::Created, path: path.clone(), acl, parent_acl });
        Ok(Ok(TxnResult::Create { path, stat }))
    }

    /// The parent's pzxid moves even if the node is gone already.
    fn apply_delete(&mut self, zxid: Zxid, path: &str, events: &mut Vec<Event>) -> Outcome {
        let Some(parent) = path::parent(path).filter(|_| path != ROOT) else { return Ok(Err(Code::NoNode)) };
        let Some(parent_node) = self.ensure(parent)? else { return Ok(Err(Code::NoNode)) };
        let parent_acl = parent_node.acl.clone();
        let removed = match self.ensure(path)? {
            Some(node) if node.num_children > 0 => {
                self.remove_below(zxid, path)?;
                self.remove(path)
            }
            Some(_) => self.remove(path),
            None => None,
        };
        self.change(parent, false, |znode, children| {
            znode.stat.pzxid = znode.stat.pzxid.max(zxid);
            if removed.is_some() {
                children.record(path::name(path), false);
                znode.num_children = znode.num_children.wrapping_sub(1);
            }
        });
        let Some((path, node)) = removed else { return Ok(Err(Code::NoNode)) };
        self.quota_on_delete(&path, node.data_len() as i64)?;
        events.push(Event { kind: EventKind::Deleted, path, acl: node.acl.clone(), parent_acl });
        Ok(Ok(TxnResult::Delete))
    }

    /// Only in a replay over a state that is newer in parts: the node had no children when it was
    /// deleted, so what is below it now was created later and will be again. (Apache keeps such nodes,
    /// out of their new parent's list.)
    fn remove_below(&mut self, zxid: Zxid, path: &str) -> Result<(), StoreError> {
        let mut unwatched = Vec::new();
        for path in self.descendants(path)?.iter().rev() {
            let _exists = self.apply_delete(zxid, path, &mut unwatched)?;
        }
        Ok(())
    }

    fn apply_set_data(
        &mut self,
        header: &TxnHeader,
        txn: &SetDataTxn,
        events: &mut Vec<Event>,
    ) -> Result<Result<Arc<Znode>, Code>, StoreError> {
        let Some(node) = self.ensure(&txn.path)? else { return Ok(Err(Code::NoNode)) };
        let (acl, old_len) = (node.acl.clone(), node.data_len());
        self.change_data(&txn.path, txn.data.as_deref(), |stat| {
            stat.version = txn.version;
            stat.mzxid = header.zxid;
            stat.mtime = header.time;
        });
        let new_len = txn.data.as_ref().map_or(0, |data| data.len());
        self.quota_on_change(&txn.path, new_len as i64 - old_len as i64, 0)?;
        let Some((path, node)) =
            self.nodes.get_mut(&txn.path).and_then(|(path, entry)| Some((path, entry.node.clone()?)))
        else {
            return Ok(Err(Code::NoNode));
        };
        events.push(Event { kind: EventKind::DataChanged, path: path.clone(), acl, parent_acl: None });
        Ok(Ok(node))
    }

    fn apply_set_acl(&mut self, txn: &SetAclTxn) -> Outcome {
        if self.ensure(&txn.path)?.is_none() {
            return Ok(Err(Code::NoNode));
        }
        let acl = self.acls.intern(txn.acl.as_deref());
        let stat = self.change(&txn.path, false, |znode, _| {
            znode.acl = acl;
            znode.stat.aversion = txn.version;
            znode.client_stat()
        });
        Ok(stat.map(|stat| TxnResult::SetAcl { stat }).ok_or(Code::NoNode))
    }

    /// The listed paths in their order, then what else the session owns.
    fn apply_close_session(
        &mut self,
        session: SessionId,
        zxid: Zxid,
        listed: &[String],
        events: &mut Vec<Event>,
    ) -> Result<(), StoreError> {
        for path in listed {
            let _gone_already = self.apply_delete(zxid, path, events)?;
        }
        for path in self.ephemerals(session) {
            let _gone_already = self.apply_delete(zxid, &path, events)?;
        }
        self.sessions.remove(&session);
        self.dirty.sessions.insert(session, None);
        Ok(())
    }
}

/// Replaying an old create must not move the parent back.
fn raise_cversion(stat: &mut StatPersisted, cversion: i32, zxid: Zxid) {
    let cversion = if cversion == -1 { stat.cversion.wrapping_add(1) } else { cversion };
    if cversion > stat.cversion {
        stat.cversion = cversion;
        stat.pzxid = zxid;
    }
}

impl<'a> Create<'a> {
    /// create and create2.
    fn plain(session: SessionId, txn: &'a CreateTxn, fix_parent: bool) -> Create<'a> {
        Create {
            path: &txn.path,
            data: txn.data.as_deref(),
            acl: txn.acl.as_deref(),
            owner: if txn.ephemeral { Owner::of(session.0) } else { Owner::Nobody },
            parent_cversion: txn.parent_cversion,
            fix_parent,
        }
    }

    fn container(txn: &'a CreateContainerTxn) -> Create<'a> {
        Create {
            path: &txn.path,
            data: txn.data.as_deref(),
            acl: txn.acl.as_deref(),
            owner: Owner::Container,
            parent_cversion: txn.parent_cversion,
            fix_parent: false,
        }
    }

    fn ttl(txn: &'a CreateTtlTxn) -> Create<'a> {
        Create {
            path: &txn.path,
            data: txn.data.as_deref(),
            acl: txn.acl.as_deref(),
            owner: Owner::Ttl(txn.ttl),
            parent_cversion: txn.parent_cversion,
            fix_parent: false,
        }
    }
}
