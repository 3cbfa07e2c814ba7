//! Commits become state, events and replies, in that order, under the tree's exclusive lock.

use super::*;
use crate::server::reads;
use crate::server::shared::Answered;
use zorilla_core::auth::{self, perm};
use zorilla_core::ids::ConnId;
use zorilla_core::tree::apply::EventKind;
use zorilla_core::tree::{Tree, load_miss};
use zorilla_core::watch::{EventType, Watches};
use zorilla_protocol::irregular::{MultiResponse, MultiResult};
use zorilla_protocol::records::{Acl, Create2Response, CreateResponse, SetDataResponse, Stat, WatcherEvent};
use zorilla_protocol::txn::Txn;

/// The state in every event: the client is connected (Java: `KeeperState.SyncConnected`).
const SYNC_CONNECTED: i32 = 3;

impl Driver {
    pub(super) fn apply_through(&mut self, committed: Zxid) {
        while self.proposals.front().is_some_and(|next| next.entry.zxid() <= committed) {
            let ready = self.proposals.iter().take(APPLY_MAX).take_while(|p| p.entry.zxid() <= committed).count();
            if let Err(error) = self.apply_batch(ready) {
                self.failure = Some(error.to_string());
                return;
            }
            self.shared.make_room();
        }
    }

    /// Applies the first `count` proposals under one hold of the tree.
    fn apply_batch(&mut self, count: usize) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let mut applied = std::mem::take(&mut self.applied);
        let mut events = std::mem::take(&mut self.events);
        let mut tree = shared.tree.write();
        for _ in 0..count {
            let Some(proposal) = self.proposals.pop_front() else { break };
            if let Some(conn) = proposal.reads_stand_before() {
                self.answer_all(&mut applied);
                read_what_stands_before(&shared, &mut tree, &conn)?;
            }
            let zxid = proposal.entry.zxid();
            events.clear();
            let result = self.pending.commit(&mut tree, &proposal.entry.header, &proposal.entry.txn, &mut events)?;
            if let Some(digest) = &proposal.entry.digest {
                assert_eq!(digest.tree_digest, tree.digest(), "the tree at {zxid} is not what its txn promised");
            }
            let mut watches = shared.watches.lock();
            if !watches.is_empty() {
                // An event stands behind the replies to earlier writes, as if each txn were applied alone.
                fire(&shared, &mut watches, zxid, &events, &mut || self.answer_all(&mut applied));
            }
            drop(watches);
            applied.push((proposal, result));
        }
        shared.evict(&mut tree);
        drop(tree);
        self.answer_all(&mut applied);
        self.applied = applied;
        self.events = events;
        Ok(())
    }

    /// Replies leave after the lock is free, or before the next event: the events that belong in front of them are
    /// queued. Each connection is woken once.
    fn answer_all(&mut self, applied: &mut Vec<(Proposal, TxnResult)>) {
        if applied.is_empty() {
            return;
        }
        let now_ms = self.shared.clock.now_ms();
        let mut answered = Answered::NONE;
        // Writes of one connection mostly come together; waking one twice does no harm.
        let mut to_wake: Vec<Arc<Connection>> = Vec::new();
        for (proposal, result) in applied.drain(..) {
            let header = &proposal.entry.header;
            let closed = matches!(proposal.entry.txn, Txn::CloseSession(_)).then_some(header.client_id);
            let by_client = matches!(proposal.origin, Origin::Client { .. });
            match proposal.origin {
                Origin::Client { ref conn, number, xid, bytes, received_ms, form, name } => {
                    let latency_ms = now_ms - received_ms;
                    answered.add_write(bytes, latency_ms);
                    let mut state = conn.lock();
                    state.counters.answered(name, xid, header.zxid, now_ms, latency_ms);
                    state.replies.finish(number, |out| put_reply(out, xid, form, &proposal, &result));
                    if form == ReplyForm::Close {
                        state.ending = state.ending.max(Ending::AfterReplies);
                    }
                    drop(state);
                    if to_wake.last().is_none_or(|last| last.id != conn.id) {
                        to_wake.push(conn.clone());
                    }
                }
                Origin::Connect { conn, session, flag } => self.welcome(&conn, session, flag),
                Origin::Server => {}
            }
            if let Some(session) = closed {
                self.session_closed(session, by_client);
            }
        }
        self.shared.outstanding.done(answered.count, answered.bytes);
        self.shared.stats.answered(&answered);
        for conn in &to_wake {
            conn.wake.notify_one();
        }
    }
}

impl Proposal {
    /// The connection of this write, if it still has reads to carry out that were asked for before.
    fn reads_stand_before(&self) -> Option<Arc<Connection>> {
        let Origin::Client { conn, number, .. } = &self.origin else { return None };
        let reads = conn.lock().replies.parked_before(*number);
        reads.then(|| conn.clone())
    }
}

/// Carries out a connection's parked requests up to its next write, which is about to be applied: each
/// request of a session sees all that it asked for before, and nothing that it asked for later. What
/// memory lacks is read from the store here, as when applying; that is rare.
fn read_what_stands_before(shared: &Shared, tree: &mut Tree, conn: &Connection) -> Result<(), StoreError> {
    let now_ms = shared.clock.now_ms();
    let mut state = conn.lock();
    // Nothing is registered for a connection that has been forgotten.
    while state.ending != Ending::Now {
        let Some(job) = state.replies.next_job() else { break };
        while let Err(miss) = reads::carry_out(shared, conn, tree, &job, state.replies.ready()) {
            let token = tree.begin_fault();
            let loaded = load_miss(&*shared.cold, &miss)?;
            tree.finish_fault(token, &miss, loaded);
        }
        state.counters.answered(job.name(), job.xid, tree.last_zxid(), now_ms, 0);
        shared.stats.answered(&Answered::at_once(1));
        if state.replies.bytes() > shared.limits.out_bytes_max {
            tracing::warn!(peer = %conn.peer, limit = shared.limits.out_bytes_max,
                "closing: the client does not read its replies (zorilla.maxOutgoingBytes)");
            state.ending = Ending::Now;
        }
    }
    drop(state);
    conn.wake.notify_one();
    Ok(())
}

/// Fans the changes of one txn out to whoever watches, while nobody can read the tree. `answer` is called
/// before any event: it queues the replies to earlier writes.
fn fire(shared: &Shared, watches: &mut Watches, zxid: Zxid, events: &[Event], answer: &mut dyn FnMut()) {
    let connections = shared.connections.read();
    for event in events {
        let mut notify = |to: ConnId, kind: EventType, path: &str| {
            let acl = match kind {
                EventType::NodeChildrenChanged => &event.parent_acl,
                _ => &event.acl,
            };
            if let Some(conn) = connections.get(&to) {
                answer();
                let limit = shared.unread_bytes_max(connections.len());
                notify_one(shared, conn, limit, zxid, kind, path, acl.as_deref());
            }
        };
        match event.kind {
            EventKind::Created => watches.created(&event.path, &mut notify),
            EventKind::Deleted => watches.deleted(&event.path, &mut notify),
            EventKind::DataChanged => watches.data_changed(&event.path, &mut notify),
        }
    }
}

/// Sends one event, if its receiver may read the node it tells of (CVE-2024-23944).
fn notify_one(
    shared: &Shared,
    conn: &Connection,
    unread_bytes_max: usize,
    zxid: Zxid,
    kind: EventType,
    path: &str,
    acl: Option<&[Acl]>,
) {
    let ids = conn.lock().ids.clone();
    if !shared.rules.skip_acl && auth::check_acl(acl, perm::READ, &ids).is_err() {
        return;
    }
    conn.push_event(unread_bytes_max, &shared.event_bytes, |out| put_event(out, zxid, kind as i32, path));
    conn.wake.notify_one();
}

/// Appends a notification.
pub fn put_event(out: &mut BytesMut, zxid: Zxid, kind: i32, path: &str) {
    put_frame(out, |out| {
        ReplyHeader { xid: -1, zxid, err: Code::Ok.number() }.put(out);
        WatcherEvent { kind, state: SYNC_CONNECTED, path: Some(path.to_owned()) }.put(out);
    });
}

fn put_reply(out: &mut BytesMut, xid: i32, form: ReplyForm, proposal: &Proposal, result: &TxnResult) {
    let zxid = proposal.entry.zxid();
    put_frame(out, |out| {
        ReplyHeader { xid, zxid, err: proposal.code.number() }.put(out);
        if proposal.code == Code::Ok {
            put_body(out, form, &proposal.entry.txn, result);
        }
    });
}

fn put_body(out: &mut BytesMut, form: ReplyForm, txn: &Txn, result: &TxnResult) {
    match (form, result) {
        (ReplyForm::Path, TxnResult::Create { path, .. }) => CreateResponse { path: path.to_string() }.put(out),
        (ReplyForm::PathAndStat, TxnResult::Create { path, stat }) => {
            Create2Response { path: path.to_string(), stat: stat.clone() }.put(out);
        }
        (ReplyForm::Stat, TxnResult::SetData { stat } | TxnResult::SetAcl { stat }) => stat.put(out),
        (ReplyForm::Multi, TxnResult::Multi(results)) => {
            let parts = match txn {
                Txn::Multi(parts) => parts.as_slice(),
                _ => &[],
            };
            MultiResponse { results: parts.iter().zip(results).map(multi_result).collect() }.put(out);
        }
        _ => {}
    }
}

/// A part's result; what type 1 made is answered with its path alone.
fn multi_result((part, result): (&Txn, &TxnResult)) -> MultiResult {
    match result {
        TxnResult::Create { path, stat } => match part {
            Txn::Create(_) => MultiResult::Create(CreateResponse { path: path.to_string() }),
            _ => MultiResult::Create2(Create2Response { path: path.to_string(), stat: Stat::clone(stat) }),
        },
        TxnResult::Delete => MultiResult::Delete,
        TxnResult::SetData { stat } => MultiResult::SetData(SetDataResponse { stat: stat.clone() }),
        TxnResult::Check => MultiResult::Check,
        TxnResult::Error(code) => MultiResult::Error(*code),
        other => unreachable!("a multi holds no {other:?}"),
    }
}
