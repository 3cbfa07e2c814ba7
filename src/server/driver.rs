//! The driver: one thread that feeds the core and carries out what it says, in order.
//!
//! ```text
//!  connections --Input--> prepare (pending view) --> propose --> TxnLog --Synced--> ack of ourselves
//!                                                                                       |
//!  connections <-- replies, events <-- apply (tree, watches) <------ commit <-- quorum -+
//! ```
//!
//! What arrived while it worked is one batch: prepared under one shared lock, handed to the log at
//! once; what became durable is applied under one exclusive lock per [`APPLY_MAX`] txns.

use super::shared::Shared;
use crate::net::connection::{Connection, Ending, Session};
use crate::storage::log::{LogEvent, Records, TxnLog};
use crate::storage::store::Checkpointer;
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use zorilla_core::auth::Caller;
use zorilla_core::session::{SessionIds, SessionTracker, clamp_timeout};
use zorilla_core::tree::cold::{Checkpoint, StoreError};
use zorilla_core::tree::pending::{Pending, Prepared, Write};
use zorilla_core::tree::{Committed, Event, TxnResult};
use zorilla_core::zab::Broadcast;
use zorilla_protocol::frame::put_frame;
use zorilla_protocol::irregular::{ConnectRequest, ConnectResponse};
use zorilla_protocol::ops::Request;
use zorilla_protocol::password::session_password;
use zorilla_protocol::records::{Id, ReplyHeader};
use zorilla_protocol::txn::LogEntry;
use zorilla_protocol::{Code, Jute, SessionId, Sid, Zxid};

mod apply;
mod housekeeping;
mod sessions;

pub use apply::put_event;

/// Txns applied under one hold of the tree's exclusive lock: readers wait no longer than that.
const APPLY_MAX: usize = 128;

/// Records of a turn that are handed to the log before its end.
const RECORDS_BYTES_MAX: usize = 256 << 10;

/// What the driver is told.
pub enum Input {
    /// A handshake.
    Connect {
        /// Waits for the answer.
        conn: Arc<Connection>,
        /// What it asks for.
        request: ConnectRequest,
    },
    /// Writes of one connection, in order.
    Writes(Submission),
    /// A connection is gone.
    Gone {
        /// Which.
        conn: zorilla_core::ids::ConnId,
        /// 0 before a handshake.
        session: SessionId,
    },
    /// The log's news.
    Log(LogEvent),
    /// A checkpoint is durable, or never will be.
    Checkpointed(Result<u32, StoreError>),
    /// Something only the driver knows is asked for (the `dump` word).
    Ask(Box<dyn FnOnce(&Driver) + Send>),
    /// This member cannot go on.
    Fatal(String),
    /// Finish what is under way and stop.
    Stop,
}

/// Writes that a connection has received and kept places for.
pub struct Submission {
    /// Where the answers go.
    pub conn: Arc<Connection>,
    /// The session, 0 never.
    pub session: SessionId,
    /// When they arrived (driver's clock).
    pub received_ms: i64,
    /// The requests.
    pub orders: Vec<Order>,
}

/// One write.
pub struct Order {
    /// Its place among the connection's replies.
    pub number: u64,
    /// Its xid.
    pub xid: i32,
    /// The identities when it was received.
    pub ids: Arc<[Id]>,
    /// What to do.
    pub request: Request,
    /// The length of its frame.
    pub bytes: usize,
}

/// Who waits for a proposal.
enum Origin {
    /// A client's request.
    Client {
        conn: Arc<Connection>,
        number: u64,
        xid: i32,
        bytes: usize,
        received_ms: i64,
        form: ReplyForm,
        name: &'static str,
    },
    /// A handshake that opens a session.
    Connect { conn: Arc<Connection>, session: Arc<Session>, flag: bool },
    /// The server itself: expiry, reaping.
    Server,
}

/// What a successful write's reply holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyForm {
    Path,
    PathAndStat,
    Stat,
    Empty,
    Multi,
    /// Empty, and the connection is closed behind it.
    Close,
}

impl ReplyForm {
    fn of(request: &Request) -> ReplyForm {
        match request {
            Request::Create(_) => ReplyForm::Path,
            Request::Create2(_) | Request::CreateContainer(_) | Request::CreateTtl(_) => ReplyForm::PathAndStat,
            Request::SetData(_) | Request::SetAcl(_) => ReplyForm::Stat,
            Request::Multi(_) => ReplyForm::Multi,
            Request::CloseSession(_) => ReplyForm::Close,
            _ => ReplyForm::Empty,
        }
    }
}

/// A txn that is proposed and not applied yet.
struct Proposal {
    entry: LogEntry,
    code: Code,
    origin: Origin,
}

/// A session as the driver knows it beyond the tracker.
struct Attached {
    conn: Arc<Connection>,
    session: Arc<Session>,
}

/// The pipeline's single writer.
pub struct Driver {
    shared: Arc<Shared>,
    log: TxnLog,
    checkpointer: Checkpointer,
    me: Sid,
    broadcast: Broadcast,
    pending: Pending,
    proposals: VecDeque<Proposal>,
    /// Applied and not answered; empty between batches, kept for its memory.
    applied: Vec<(Proposal, TxnResult)>,
    /// Changes of the txn being applied.
    events: Vec<Event>,
    /// Proposals of this turn, not yet handed to the log.
    records: Records,
    tracker: SessionTracker,
    ids: SessionIds,
    attached: HashMap<SessionId, Attached>,
    /// Counts disk-full periods: the log drops what belongs to an older one.
    generation: u64,
    /// The disk is full: writes are refused, reads go on.
    no_space: bool,
    /// Writes that wait for a checkpoint to make room in memory.
    deferred: VecDeque<Submission>,
    checkpoint: housekeeping::CheckpointState,
    reaper: housekeeping::Reaper,
    /// When to look at the process's memory again.
    next_memory_ms: i64,
    /// When to drop entries of deleted znodes, if nothing comes before.
    next_tidying_ms: i64,
    failure: Option<String>,
    stopping: bool,
}

/// What a driver is made of.
pub struct Parts {
    /// Shared with the connections.
    pub shared: Arc<Shared>,
    /// Open for appending.
    pub log: TxnLog,
    /// Running.
    pub checkpointer: Checkpointer,
    /// Our number.
    pub me: Sid,
    /// The commit point found at start.
    pub broadcast: Broadcast,
    /// Sessions found at start, with fresh time-outs.
    pub tracker: SessionTracker,
    /// A checkpoint of the start that found no room.
    pub unwritten: Option<Checkpoint>,
    /// Makes session ids.
    pub ids: SessionIds,
}

impl Driver {
    /// Ready to run.
    pub fn new(parts: Parts) -> Driver {
        let now_ms = parts.shared.clock.now_ms();
        let checkpoint = housekeeping::CheckpointState::new(now_ms, parts.unwritten.as_ref());
        if let Some(unwritten) = parts.unwritten {
            parts.checkpointer.write(unwritten);
        }
        Driver {
            reaper: housekeeping::Reaper::new(&parts.shared.config, now_ms),
            checkpoint,
            shared: parts.shared,
            log: parts.log,
            checkpointer: parts.checkpointer,
            me: parts.me,
            broadcast: parts.broadcast,
            pending: Pending::new(),
            proposals: VecDeque::new(),
            applied: Vec::new(),
            events: Vec::new(),
            records: Records::default(),
            tracker: parts.tracker,
            ids: parts.ids,
            attached: HashMap::new(),
            generation: 0,
            no_space: false,
            deferred: VecDeque::new(),
            next_memory_ms: now_ms,
            next_tidying_ms: i64::MAX,
            failure: None,
            stopping: false,
        }
    }

    /// The session table, for the `dump` word.
    pub fn tracker(&self) -> &SessionTracker {
        &self.tracker
    }

    /// Runs until told to stop or unable to go on; says why in the second case.
    pub fn run(mut self) -> Result<(), String> {
        let mut batch = Vec::new();
        loop {
            let deadline = self.shared.clock.instant(self.next_deadline_ms());
            self.shared.inbox.take(&mut batch, deadline);
            if batch.is_empty() {
                self.tidy();
            }
            for input in batch.drain(..) {
                self.handle(input);
            }
            self.work_off_deferred();
            self.housekeep();
            self.send_to_log();
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.stopping && self.proposals.is_empty() {
                return self.log.close().map_err(|e| e.to_string());
            }
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Connect { conn, request } => self.connect(conn, &request),
            Input::Writes(submission) => self.submit(submission),
            Input::Gone { conn, session } => self.gone(conn, session),
            Input::Log(event) => self.on_log(event),
            Input::Checkpointed(result) => self.checkpointed(result),
            Input::Ask(ask) => ask(self),
            Input::Fatal(text) => self.failure = Some(text),
            Input::Stop => self.stopping = true,
        }
    }

    fn on_log(&mut self, event: LogEvent) {
        match event {
            LogEvent::Synced { through } => {
                if let Some(committed) = self.broadcast.on_ack(self.me, through) {
                    self.apply_through(committed);
                }
            }
            LogEvent::NoSpace { last, generation } if generation == self.generation => self.take_back(last),
            LogEvent::NoSpace { .. } => {}
            LogEvent::SpaceAvailable { generation } => {
                tracing::info!("there is room on the log's disk again: writes are accepted");
                self.generation = generation + 1;
                self.no_space = false;
            }
            LogEvent::Failed { error } => self.failure = Some(error),
        }
    }

    /// The disk is full: nothing behind `last` was or will be written. Nobody has seen those txns, so
    /// each is answered with an error and forgotten.
    fn take_back(&mut self, last: Zxid) {
        tracing::error!(%last, "no room on the log's disk: writes are refused until there is; reads go on");
        if let Some(committed) = self.broadcast.on_ack(self.me, last.min(self.broadcast.proposed())) {
            self.apply_through(committed);
        }
        self.no_space = true;
        self.checkpoint_soon();
        self.records = Records::default();
        self.pending.roll_back();
        self.broadcast.withdraw(last);
        for proposal in std::mem::take(&mut self.proposals) {
            if let zorilla_protocol::txn::Txn::CloseSession(_) = proposal.entry.txn {
                self.reopen(proposal.entry.header.client_id);
            }
            match proposal.origin {
                Origin::Client { conn, number, xid, bytes, .. } => self.refuse(&conn, number, xid, bytes),
                Origin::Connect { conn, session, .. } => {
                    self.tracker.remove(session.id);
                    self.attached.remove(&session.id);
                    conn.end(Ending::Now);
                }
                Origin::Server => {}
            }
        }
    }

    /// Writes wait in order while memory is full of changes that the store does not have yet.
    fn submit(&mut self, submission: Submission) {
        if self.must_wait() || !self.deferred.is_empty() {
            self.deferred.push_back(submission);
        } else {
            self.accept(submission);
        }
    }

    fn accept(&mut self, submission: Submission) {
        let Submission { conn, session, received_ms, orders } = submission;
        let time_ms = self.shared.clock.wall_ms();
        for order in orders {
            let Order { number, xid, bytes, .. } = order;
            // While stopping there is no answer but a lost connection: clients repeat their requests after that.
            if self.stopping || !self.may_write(&conn, session) {
                self.shared.outstanding.done(1, bytes);
                continue;
            }
            if self.no_space {
                self.refuse(&conn, number, xid, bytes);
                continue;
            }
            let caller = Caller { session, ids: order.ids };
            let write = match &order.request {
                Request::CloseSession(_) => Write::CloseSession,
                request => Write::Request(request),
            };
            let (form, name) = (ReplyForm::of(&order.request), order.request.short_name());
            let origin = Origin::Client { conn: conn.clone(), number, xid, bytes, received_ms, form, name };
            self.propose_at(time_ms, write, &caller, xid, origin);
            if form == ReplyForm::Close {
                self.begin_close(session);
            }
        }
    }

    fn work_off_deferred(&mut self) {
        while !self.must_wait() {
            let Some(submission) = self.deferred.pop_front() else { return };
            self.accept(submission);
        }
    }

    /// A session that is unknown or being closed gets no answer (its connection is closed when that is
    /// through); one that lives on another connection by now costs this one its connection.
    fn may_write(&self, conn: &Connection, session: SessionId) -> bool {
        if self.tracker.timeout(session).is_none() || self.tracker.is_closing(session) {
            return false;
        }
        if self.tracker.owner(session) != Some(conn.id) {
            conn.end(Ending::AfterReady);
            return false;
        }
        true
    }

    /// Makes a txn of a write and keeps it for the log. A write that fails is a txn as well.
    fn propose(&mut self, write: Write<'_>, caller: &Caller, cxid: i32, origin: Origin) {
        self.propose_at(self.shared.clock.wall_ms(), write, caller, cxid, origin);
    }

    fn propose_at(&mut self, time_ms: i64, write: Write<'_>, caller: &Caller, cxid: i32, origin: Origin) {
        let zxid = self.broadcast.proposed().next();
        let Prepared { entry, bytes, code, over_quota } = loop {
            let tree = self.shared.tree.read();
            match self.pending.prepare(&*tree, &self.shared.rules, write, caller, cxid, zxid, time_ms) {
                Ok(prepared) => break prepared,
                Err(miss) => {
                    drop(tree);
                    if let Err(error) = self.shared.fault_in(&miss) {
                        self.failure = Some(error.to_string());
                        return;
                    }
                }
            }
        };
        let proposed = self.broadcast.propose();
        debug_assert_eq!(proposed, zxid);
        if let Some(top) = over_quota {
            self.shared.stats.refused_over_quota(top);
        }
        let logged = self.records.push(zxid, 256 + bytes, |out| entry.put(out));
        self.checkpoint.count(logged);
        self.proposals.push_back(Proposal { entry, code, origin });
        if self.records.bytes() >= RECORDS_BYTES_MAX {
            self.send_to_log();
        }
    }

    fn send_to_log(&mut self) {
        if !self.records.is_empty() {
            self.log.append(self.generation, std::mem::take(&mut self.records));
        }
    }

    /// Answers a write that never became a txn, because the disk is full.
    fn refuse(&self, conn: &Connection, number: u64, xid: i32, bytes: usize) {
        let zxid = self.shared.tree.read().last_zxid();
        self.shared.outstanding.done(1, bytes);
        let mut state = conn.lock();
        state.replies.finish(number, |out| put_header(out, xid, zxid, Code::SystemError));
        drop(state);
        conn.wake.notify_one();
    }
}

/// A reply that is only a header.
pub fn put_header(out: &mut BytesMut, xid: i32, zxid: Zxid, code: Code) {
    put_frame(out, |out| ReplyHeader { xid, zxid, err: code.number() }.put(out));
}

/// Runs `ask` on the driver's thread and gives back what it says, unless the driver has gone.
pub fn ask<T: Send + 'static>(shared: &Shared, ask: impl FnOnce(&Driver) -> T + Send + 'static) -> Option<T> {
    let (answer, waiting) = mpsc::sync_channel(1);
    shared.inbox.push(Input::Ask(Box::new(move |driver| {
        // Whoever asked may have gone; the answer is for nobody else.
        let _ = answer.send(ask(driver));
    })));
    waiting.recv_timeout(std::time::Duration::from_secs(5)).ok()
}
