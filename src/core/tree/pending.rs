//! The tree as it will be once every outstanding proposal is applied, and the txns made against it
//! (Java: `PrepRequestProcessor`, `ZooKeeperServer.outstandingChanges`).
//!
//! A lookup asks the outstanding changes first, then the committed tree. An outstanding change is a
//! whole new znode, so whoever reads it needs nothing else; when its txn is committed, it takes its
//! place in the tree. The tree's digest after each txn is foretold the same way the tree keeps it:
//! minus the old znode and parent, plus the new ones.

use super::commit::is_told_by_its_writes;
use super::op::{self, Prep, Stop};
use super::outstanding::Writes;
use super::quota::is_limits;
use super::{Committed, Event, Miss, StoreError, Tree, TxnResult, Znode};
use crate::auth::{AuthRules, Caller};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use zorilla_protocol::ops::Request;
use zorilla_protocol::path::QUOTA;
use zorilla_protocol::txn::{DIGEST_VERSION, ErrorTxn, LogEntry, Txn, TxnDigest, TxnHeader};
use zorilla_protocol::{Code, SessionId, Zxid};

/// How writes are validated; fixed while the server runs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `zookeeper.skipACL`: no permission is checked; lists are validated all the same.
    pub skip_acl: bool,
    /// `zookeeper.enforceQuota`: hard limits refuse writes.
    pub enforce_quota: bool,
    /// `zookeeper.extendedTypesEnabled`: TTL nodes may be created.
    pub extended_types: bool,
    /// `zookeeper.digest.enabled`: txns carry the tree's digest.
    pub digest_enabled: bool,
    /// `zookeeper.closeSessionTxn.enabled`: closeSession lists what it deletes.
    pub close_session_txn: bool,
    /// What the schemes need to know.
    pub auth: AuthRules,
    /// `jute.maxbuffer` in bytes. A txn may be twice as long, which is what every reader takes
    /// (`jute.maxbuffer` + extrasize); only closeSession may be longer.
    pub request_bytes_max: usize,
}

/// What is asked for: a client's request, or the server's own doing.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    /// From a client; the caller's identities apply.
    Request(&'a Request),
    /// A session begins, with the negotiated time-out.
    CreateSession {
        /// In milliseconds.
        timeout_ms: i32,
    },
    /// The caller's session ends, by request or by expiry.
    CloseSession,
    /// A container or TTL node that seemed to be due.
    Reap {
        /// Where it is.
        path: &'a str,
    },
}

/// A txn ready to be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What goes into the log.
    pub entry: LogEntry,
    /// The record's length, give or take a few bytes.
    pub bytes: usize,
    /// Why `entry` is an error txn. `Ok` otherwise, also for a multi that fails: its reply has no
    /// error in the header, and the codes stand in its parts.
    pub code: Code,
    /// A hard limit refused it, or a part of it: the first name of the path.
    pub over_quota: Option<Box<str>>,
}

/// The outstanding changes. They reach the tree through [`Pending::commit`] only.
#[derive(Debug, Default)]
pub struct Pending {
    writes: Writes,
    /// What else each outstanding txn left behind, oldest first.
    traces: VecDeque<(Zxid, Trace)>,
    /// Every outstanding txn, oldest first.
    txns: VecDeque<Outstanding>,
    /// Of the tree once everything outstanding is applied; meaningless when nothing is.
    digest: i64,
    /// Ephemerals created by outstanding txns, oldest first; some may be deleted again.
    ephemerals: HashMap<SessionId, VecDeque<Arc<str>>>,
    closing: HashMap<SessionId, Zxid>,
    quotas: HashMap<Arc<str>, QuotaChange>,
    /// Outstanding writes of quota limits.
    limits_written: usize,
    savepoint: Savepoint,
}

/// A txn that is not applied yet.
#[derive(Debug)]
struct Outstanding {
    zxid: Zxid,
    /// How many of the writes are its own.
    writes: u64,
    /// Whether it writes where the server itself keeps statistics: what is there when it is applied is
    /// not what it was prepared against.
    writes_quotas: bool,
}

/// What to take back when a txn is applied, or turns out to fail.
#[derive(Debug)]
enum Trace {
    Ephemeral(SessionId),
    Closing(SessionId),
    Quota(Arc<str>, QuotaChange),
}

/// What outstanding txns add to the statistics of a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QuotaChange {
    pub count: i64,
    pub bytes: i64,
}

impl QuotaChange {
    fn plus(self, other: QuotaChange) -> QuotaChange {
        QuotaChange { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }
    fn negated(self) -> QuotaChange {
        QuotaChange { count: -self.count, bytes: -self.bytes }
    }
}

/// The state before the txn in the making.
#[derive(Debug, Default)]
struct Savepoint {
    /// [`Writes::count`].
    writes: u64,
    traces: usize,
    digest: i64,
}

impl Pending {
    /// Nothing outstanding.
    pub fn new() -> Pending {
        Pending::default()
    }

    /// Txns that were prepared and not applied yet.
    pub fn outstanding(&self) -> usize {
        self.txns.len()
    }

    /// Validates a write against committed and outstanding state, and makes its txn with this zxid and
    /// time (ms since the epoch). A write that fails is an error txn with the same zxid.
    /// `Err`: nothing was changed; bring it into memory and call again.
    #[allow(clippy::too_many_arguments)] // the parts of a txn's header, and what it is judged by
    pub fn prepare(
        &mut self,
        tree: &dyn Committed,
        rules: &Rules,
        write: Write<'_>,
        caller: &Caller,
        cxid: i32,
        zxid: Zxid,
        time_ms: i64,
    ) -> Result<Prepared, Miss> {
        debug_assert!(self.txns.back().is_none_or(|last| last.zxid < zxid), "{zxid} is behind {:?}", self.txns.back());
        if self.txns.is_empty() {
            self.digest = tree.digest();
        }
        self.savepoint = Savepoint { writes: self.writes.count(), traces: self.traces.len(), digest: self.digest };
        let mut prep = Prep { pending: self, tree, rules, caller, zxid, time_ms, over_quota: None };
        let made = op::prepare(&mut prep, write);
        let over_quota = prep.over_quota;
        let ((txn, bytes), code) = match made {
            Ok(txn) => (txn, Code::Ok),
            Err(Stop::Code(code)) => {
                self.undo();
                ((Txn::Error(ErrorTxn { err: code.number() }), 0), code)
            }
            Err(Stop::Miss(miss)) => {
                self.undo();
                return Err(miss);
            }
        };
        let writes = self.writes.count() - self.savepoint.writes;
        let writes_quotas = self.writes.newest_ones(writes).any(|wrote| wrote.path.starts_with(QUOTA));
        self.txns.push_back(Outstanding { zxid, writes, writes_quotas });
        let has_digest = rules.digest_enabled && code == Code::Ok;
        let digest = has_digest.then_some(TxnDigest { version: DIGEST_VERSION, tree_digest: self.digest });
        let header = TxnHeader { client_id: caller.session, cxid, zxid, time: time_ms, kind: txn.kind() };
        Ok(Prepared { entry: LogEntry { header, txn, digest }, bytes, code, over_quota })
    }

    /// Applies the oldest outstanding txn, which is committed, and returns its outcome. Appends what
    /// watches may wait for to `events`, in the order they fire. An error is the store's, and stops this
    /// member.
    pub fn commit(
        &mut self,
        tree: &mut Tree,
        header: &TxnHeader,
        txn: &Txn,
        events: &mut Vec<Event>,
    ) -> Result<TxnResult, StoreError> {
        let Some(outstanding) = self.txns.pop_front() else { panic!("{} was not prepared here", header.zxid) };
        assert_eq!(outstanding.zxid, header.zxid, "txns are committed in the order they were prepared");
        self.forget_traces(header.zxid);
        let limits_written = &mut self.limits_written;
        let (writes, count) = (&mut self.writes, outstanding.writes as usize);
        let mut own = std::iter::from_fn(|| writes.pop_oldest()).take(count).inspect(|wrote| {
            *limits_written -= usize::from(is_limits(&wrote.path));
        });
        if count > 0 && !outstanding.writes_quotas && is_told_by_its_writes(txn) {
            tree.take_over(header, txn, &mut own, events)
        } else {
            own.for_each(drop);
            let applied = tree.apply(header, txn)?;
            events.extend(applied.events);
            Ok(applied.result)
        }
    }

    fn forget_traces(&mut self, zxid: Zxid) {
        while self.traces.front().is_some_and(|(first, _)| *first <= zxid) {
            let Some((_, trace)) = self.traces.pop_front() else { return };
            match trace {
                Trace::Ephemeral(session) => self.forget_ephemeral(session, VecDeque::pop_front),
                Trace::Closing(session) => {
                    if self.closing.get(&session).is_some_and(|last| *last <= zxid) {
                        self.closing.remove(&session);
                    }
                }
                Trace::Quota(root, change) => self.add_quota(root, change.negated()),
            }
        }
    }

    /// The log refused what is outstanding: forget it all, the foretold digest included.
    pub fn roll_back(&mut self) {
        *self = Pending::default();
    }

    /// Takes back everything that the txn in the making did.
    pub(super) fn undo(&mut self) {
        self.digest = self.savepoint.digest;
        while self.writes.count() > self.savepoint.writes {
            let Some(wrote) = self.writes.take_back() else { return };
            self.limits_written -= usize::from(is_limits(&wrote.path));
        }
        while self.traces.len() > self.savepoint.traces {
            let Some((_, trace)) = self.traces.pop_back() else { return };
            match trace {
                Trace::Ephemeral(session) => self.forget_ephemeral(session, VecDeque::pop_back),
                Trace::Closing(session) => drop(self.closing.remove(&session)),
                Trace::Quota(root, change) => self.add_quota(root, change.negated()),
            }
        }
    }

    /// What outstanding txns make of the path with this hash: `None` if they leave it alone, `Some(None)`
    /// if it is gone.
    pub(super) fn change(&self, hash: u64, path: &str) -> Option<(&Arc<str>, Option<&Arc<Znode>>)> {
        self.writes.newest(hash, path).map(|wrote| (&wrote.path, wrote.znode.as_ref()))
    }

    /// What the txn made last leaves behind, by path.
    #[cfg(test)]
    pub(super) fn last_writes(&self) -> Vec<(Arc<str>, Option<Arc<Znode>>)> {
        let last = self.txns.back().map_or(0, |last| last.writes);
        let writes = self.writes.behind(self.writes.count() - last);
        writes.map(|wrote| (wrote.path.clone(), wrote.znode.clone())).collect()
    }

    /// Whether nothing is remembered of txns that were applied.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.traces.is_empty()
            && self.txns.is_empty()
            && self.ephemerals.is_empty()
            && self.closing.is_empty()
            && self.quotas.is_empty()
            && self.limits_written == 0
    }

    /// Replaces a znode, or puts one where none is, or (`None`) removes it; and keeps the digest.
    /// `digest_before` is what the path added to it until now.
    pub(super) fn write(&mut self, hash: u64, path: Arc<str>, digest_before: i64, new: Option<Znode>) {
        let new = new.map(|mut znode| {
            znode.seal(&path);
            Arc::new(znode)
        });
        let digest = new.as_ref().map_or(0, |znode| znode.digest());
        self.digest = self.digest.wrapping_sub(digest_before).wrapping_add(digest);
        self.limits_written += usize::from(is_limits(&path));
        self.writes.push(hash, path, new);
    }

    /// Remembers an ephemeral for the session's end.
    pub(super) fn note_ephemeral(&mut self, zxid: Zxid, session: SessionId, path: &str) {
        self.ephemerals.entry(session).or_default().push_back(path.into());
        self.traces.push_back((zxid, Trace::Ephemeral(session)));
    }

    /// Ephemerals that outstanding txns created for a session; some may be gone again.
    pub(super) fn new_ephemerals(&self, session: SessionId) -> impl Iterator<Item = &Arc<str>> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// From here on, the session may not write.
    pub(super) fn note_closing(&mut self, zxid: Zxid, session: SessionId) {
        self.closing.insert(session, zxid);
        self.traces.push_back((zxid, Trace::Closing(session)));
    }

    /// Whether the session's end is outstanding.
    pub(super) fn is_closing(&self, session: SessionId) -> bool {
        self.closing.contains_key(&session)
    }

    /// Counts a change into the quota on `root`.
    pub(super) fn note_quota(&mut self, zxid: Zxid, root: Arc<str>, change: QuotaChange) {
        self.add_quota(root.clone(), change);
        self.traces.push_back((zxid, Trace::Quota(root, change)));
    }

    /// What outstanding txns add to the statistics of the quota on `root`.
    pub(super) fn quota_change(&self, root: &str) -> QuotaChange {
        self.quotas.get(root).copied().unwrap_or_default()
    }

    /// Whether outstanding txns may register or unregister quotas.
    pub(super) fn writes_limits(&self) -> bool {
        self.limits_written > 0
    }

    fn add_quota(&mut self, root: Arc<str>, change: QuotaChange) {
        let sum = self.quota_change(&root).plus(change);
        if sum == QuotaChange::default() {
            self.quotas.remove(&root);
        } else {
            self.quotas.insert(root, sum);
        }
    }

    fn forget_ephemeral(&mut self, session: SessionId, pop: impl FnOnce(&mut VecDeque<Arc<str>>) -> Option<Arc<str>>) {
        let Some(paths) = self.ephemerals.get_mut(&session) else { return };
        pop(paths);
        if paths.is_empty() {
            self.ephemerals.remove(&session);
        }
    }
}
