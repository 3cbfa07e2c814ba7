//! One client connection's task: reads frames, answers what it can in place, hands writes to the
//! driver, sends what is ready.

use super::connection::{Connection, Ending, Job, Work};
use crate::server::driver::{Input, Order, Submission};
use crate::server::reads;
use crate::server::shared::{Answered, Shared};
use crate::server::words::{self, Word};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};
use zorilla_core::auth;
use zorilla_core::tree::cold::Miss;
use zorilla_protocol::frame::{put_frame, take_frame};
use zorilla_protocol::irregular::ConnectRequest;
use zorilla_protocol::ops::{BadRequest, Request, Route, route_of};
use zorilla_protocol::records::{AuthPacket, ReplyHeader, RequestHeader, SetSaslResponse};
use zorilla_protocol::{Code, Jute, Reader, Zxid};

/// Requests answered under one hold of the tree's shared lock: writers wait no longer than that.
const RUN_MAX: usize = 128;
/// Unsent bytes at which no more requests of the connection are carried out.
const UNSENT_SOFT_MAX: usize = 1 << 20;
/// Unanswered requests of one connection at which it is not read any more.
const UNANSWERED_MAX: usize = 4096;
/// Parked reads behind which no more writes of the connection are let in: they are all answered before
/// such a write is applied, whether the client takes the answers or not.
const PARKED_BEFORE_WRITES_MAX: usize = 48;
/// What a read from the socket asks for, at least and at most, in bytes.
const READ_BYTES: (usize, usize) = (4 << 10, 64 << 10);
/// How long a closing connection may take to accept its last bytes.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// A buffer that a burst made larger than this is given back when it is empty.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Why a connection is closed from our side.
enum Close {
    /// Ordinary: the client asked, the session ended, all was sent.
    Done,
    /// Something the client did; logged.
    Because(String),
}

/// A decoded frame, before its turn.
enum Parsed {
    Write { xid: i32, request: Request, bytes: usize },
    Read { xid: i32, request: Request },
    Auth { xid: i32, packet: AuthPacket },
    Sasl { xid: i32 },
    Refuse { xid: i32, code: Code, zxid: Option<Zxid>, close: bool },
}

enum Phase {
    /// Nothing yet: a four-letter word or a handshake.
    First,
    /// The driver decides about the handshake.
    Connecting,
    Established,
}

struct Task<'a> {
    shared: &'a Arc<Shared>,
    conn: &'a Arc<Connection>,
    phase: Phase,
    received: BytesMut,
    read_bytes: usize,
    parsed: VecDeque<Parsed>,
    orders: Vec<Order>,
    sending: BytesMut,
    /// How much of it counts in the server's sum of unsent events.
    sending_events: usize,
    /// A frame ended the conversation: what follows it is dropped.
    deaf: bool,
    /// Something arrived since the session was last touched.
    heard: bool,
    /// There was more to do, but no room for its answers.
    held_back: bool,
}

/// Serves `conn` until either side ends it, then cleans up after it.
pub async fn serve(shared: Arc<Shared>, mut stream: TcpStream, conn: Arc<Connection>) {
    let mut task = Task {
        shared: &shared,
        conn: &conn,
        phase: Phase::First,
        received: BytesMut::new(),
        read_bytes: READ_BYTES.0,
        parsed: VecDeque::new(),
        orders: Vec::new(),
        sending: BytesMut::new(),
        sending_events: 0,
        deaf: false,
        heard: false,
        held_back: false,
    };
    let session = || conn.session_id();
    match task.run(&mut stream).await {
        Ok(Close::Done) => debug!(peer = %conn.peer, session = %session(), "connection closed"),
        Ok(Close::Because(why)) => info!(peer = %conn.peer, session = %session(), "closing: {why}"),
        Err(error) => debug!(peer = %conn.peer, session = %session(), %error, "connection lost"),
    }
    let unsent = task.sending_events;
    let mut state = conn.lock();
    state.ending = Ending::Now;
    let unsent = unsent + std::mem::take(&mut state.event_bytes);
    drop(state);
    shared.event_bytes.fetch_sub(unsent, Ordering::Relaxed);
    shared.forget(&conn);
}

impl Task<'_> {
    async fn run(&mut self, stream: &mut TcpStream) -> io::Result<Close> {
        let deadline = Instant::now() + Duration::from_millis(self.shared.limits.sessionless_ms);
        let (mut reader, mut writer) = stream.split();
        loop {
            if let Some(close) = self.work() {
                self.drain(&mut writer).await?;
                return Ok(close);
            }
            self.send(&mut writer)?;
            if self.is_over() {
                return Ok(Close::Done);
            }
            if self.held_back && self.sending.is_empty() && self.can_go_on() {
                // Let the other connections of this worker have their turn.
                tokio::task::yield_now().await;
                continue;
            }
            let waits_for_handshake = !matches!(self.phase, Phase::Established);
            tokio::select! {
                biased;
                () = self.conn.wake.notified() => {}
                writable = writer.writable(), if !self.sending.is_empty() => writable?,
                count = receive(&mut reader, &mut self.received, &mut self.read_bytes), if self.may_read() => {
                    if count? == 0 {
                        return Ok(Close::Done);
                    }
                    self.heard = true;
                }
                () = sleep_until(deadline), if waits_for_handshake => {
                    return Ok(Close::Because("no session was opened in time".to_owned()));
                }
            }
        }
    }

    /// Everything that can be done without waiting for the network.
    fn work(&mut self) -> Option<Close> {
        loop {
            match self.phase {
                Phase::First => match self.first_bytes() {
                    Ok(true) => return None,
                    Ok(false) => {}
                    Err(close) => return Some(close),
                },
                Phase::Connecting => {
                    self.conn.session.get()?;
                    self.phase = Phase::Established;
                }
                Phase::Established => return self.requests().err(),
            }
        }
    }

    /// A four-letter word or a ConnectRequest. `Ok(true)`: more bytes are needed.
    fn first_bytes(&mut self) -> Result<bool, Close> {
        let look = || words::answer(self.shared, self.conn, &self.received);
        match tokio::task::block_in_place(look) {
            Word::Unfinished => return Ok(true),
            Word::None => {}
            Word::Answer(answer) => {
                self.conn.lock().replies.ready().extend_from_slice(answer.as_bytes());
                return Err(Close::Done);
            }
        }
        let Some(frame) = self.next_frame()? else { return Ok(true) };
        let request = ConnectRequest::get(&mut Reader::with_limit(&frame, self.shared.limits.field_bytes_max))
            .map_err(|why| Close::Because(format!("the handshake is not a ConnectRequest: {why}")))?;
        self.phase = Phase::Connecting;
        self.shared.inbox.push(Input::Connect { conn: self.conn.clone(), request });
        Ok(false)
    }

    fn next_frame(&mut self) -> Result<Option<Bytes>, Close> {
        take_frame(&mut self.received, self.shared.limits.frame_bytes_max)
            .map_err(|bad| Close::Because(bad.to_string()))
    }

    /// Runs of requests until there is nothing left that may be done now.
    fn requests(&mut self) -> Result<(), Close> {
        let now_ms = self.shared.clock.now_ms();
        self.held_back = false;
        loop {
            let decoded = self.decode_run()?;
            // Only what the client sent keeps its session alive, not what others made us send to it.
            if (decoded > 0 || std::mem::take(&mut self.heard))
                && let Some(session) = self.conn.session.get()
            {
                session.last_heard_ms.store(now_ms, Ordering::Relaxed);
            }
            let (miss, answered) = self.turn(now_ms);
            self.submit(now_ms);
            if let Some(miss) = miss {
                self.fault_in(&miss)?;
            } else if decoded == 0 && answered == 0 {
                return Ok(());
            }
        }
    }

    /// Decodes frames outside of every lock. Returns how many.
    fn decode_run(&mut self) -> Result<usize, Close> {
        if !self.parsed.is_empty() || self.deaf {
            return Ok(0);
        }
        if !self.has_room() {
            self.held_back = !self.received.is_empty();
            return Ok(0);
        }
        while self.parsed.len() < RUN_MAX && !self.deaf {
            let Some(frame) = self.next_frame()? else { break };
            let parsed = self.decode(&frame)?;
            self.deaf = matches!(
                parsed,
                Parsed::Refuse { close: true, .. } | Parsed::Write { request: Request::CloseSession(_), .. }
            );
            self.parsed.push_back(parsed);
        }
        self.shared.stats.received.fetch_add(self.parsed.len() as u64, Ordering::Relaxed);
        if self.conn.is_closing() {
            // The session is being closed: nothing is answered any more.
            self.parsed.clear();
        }
        Ok(self.parsed.len())
    }

    fn decode(&self, frame: &Bytes) -> Result<Parsed, Close> {
        let mut r = Reader::with_limit(frame, self.shared.limits.field_bytes_max);
        let Ok(RequestHeader { xid, kind }) = RequestHeader::get(&mut r) else {
            return Err(Close::Because(format!("a frame of {} bytes is too short for a request", frame.len())));
        };
        Ok(match Request::decode(kind, &mut r) {
            Ok(Request::Auth(packet)) => Parsed::Auth { xid, packet },
            Ok(Request::Sasl(request)) if request.token.is_some() => Parsed::Sasl { xid },
            Ok(Request::Sasl(_)) => return Err(Close::Because("a sasl packet without a token".to_owned())),
            Ok(request) if request.route() == Route::Write => Parsed::Write { xid, request, bytes: frame.len() },
            Ok(request) => Parsed::Read { xid, request },
            Err(bad @ BadRequest::UnknownOp(_)) => {
                info!(peer = %self.conn.peer, "{bad}");
                Parsed::Refuse { xid, code: Code::Unimplemented, zxid: Some(Zxid::NONE), close: true }
            }
            Err(bad) if route_of(kind) == Some(Route::Connection) => return Err(Close::Because(bad.to_string())),
            Err(bad) => {
                debug!(peer = %self.conn.peer, "{bad}");
                Parsed::Refuse { xid, code: Code::MarshallingError, zxid: None, close: false }
            }
        })
    }

    /// One hold of the locks: parked requests whose turn has come, then what was decoded. Returns what
    /// memory lacks for the next one, and how many were answered.
    fn turn(&mut self, now_ms: i64) -> (Option<Miss>, usize) {
        let all_writes = self.shared.limits.enforce_auth.is_empty()
            && self.parsed.iter().all(|parsed| matches!(parsed, Parsed::Write { .. }));
        if all_writes && self.may_write_behind(&self.conn.lock()) {
            let mut state = self.conn.lock();
            state.counters.received += self.parsed.len() as u64;
            for parsed in self.parsed.drain(..) {
                if let Parsed::Write { xid, request, bytes } = parsed {
                    let number = state.replies.begin_write();
                    self.orders.push(Order { number, xid, ids: state.ids.clone(), request, bytes });
                }
            }
            return (None, 0);
        }
        let tree = self.shared.tree.read();
        let mut state = self.conn.lock();
        let mut answered = 0;
        let mut miss = None;
        while answered < RUN_MAX {
            if state.replies.bytes() >= UNSENT_SOFT_MAX {
                self.held_back = true;
                break;
            }
            if let Some(job) = state.replies.next_job() {
                match reads::carry_out(self.shared, self.conn, &tree, &job, state.replies.ready()) {
                    Ok(()) => {
                        answered += 1;
                        let name = job.name();
                        state.counters.answered(name, job.xid, tree.last_zxid(), now_ms, 0);
                        continue;
                    }
                    Err(why) => {
                        state.replies.put_back(job);
                        miss = Some(why);
                        break;
                    }
                }
            }
            let waits = matches!(self.parsed.front(), Some(Parsed::Write { .. })) && !self.may_write_behind(&state);
            if waits {
                break;
            }
            match self.parsed.pop_front() {
                Some(parsed) => self.admit(parsed, &mut state),
                None => break,
            }
        }
        drop(state);
        drop(tree);
        self.shared.stats.answered(&Answered::at_once(answered));
        (miss, answered)
    }

    /// Whether a write may follow what is parked.
    fn may_write_behind(&self, state: &super::connection::State) -> bool {
        !state.replies.has_job() && state.replies.parked() < PARKED_BEFORE_WRITES_MAX
    }

    /// Gives a decoded request its place. Whatever is no write is a job, carried out next if nothing is
    /// in front of it.
    fn admit(&mut self, parsed: Parsed, state: &mut super::connection::State) {
        let ids = state.ids.clone();
        state.counters.received += 1;
        if let Some(refusal) = self.lacks_authentication(&parsed, &ids) {
            self.refuse_unauthenticated(refusal, state);
            return;
        }
        let (xid, work) = match parsed {
            Parsed::Write { xid, request, bytes } => {
                let number = state.replies.begin_write();
                self.orders.push(Order { number, xid, ids, request, bytes });
                return;
            }
            Parsed::Read { xid, request } => (xid, Work::Read(request)),
            Parsed::Auth { xid, packet } => (xid, self.authenticate(&packet, state)),
            Parsed::Sasl { xid } => {
                let mut frame = BytesMut::new();
                put_frame(&mut frame, |out| {
                    ReplyHeader { xid, zxid: Zxid::ZERO, err: 0 }.put(out);
                    SetSaslResponse { token: None }.put(out);
                });
                (xid, Work::Frame(frame))
            }
            Parsed::Refuse { xid, code, zxid, close } => {
                if close {
                    state.ending = state.ending.max(Ending::AfterReplies);
                }
                (xid, Work::Refuse { code, zxid })
            }
        };
        state.replies.park(Job { xid, ids, work });
    }

    /// An auth packet (Java: `ZooKeeperServer.processPacket`). Identities accumulate and hold for every
    /// request received from here on.
    fn authenticate(&mut self, packet: &AuthPacket, state: &mut super::connection::State) -> Work {
        let scheme = packet.scheme.as_deref().unwrap_or_default();
        match auth::authenticate(scheme, packet.auth.as_deref(), self.conn.peer.ip(), self.shared.auth()) {
            Ok(proven) => {
                let mut ids = state.ids.to_vec();
                for id in proven {
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                state.ids = ids.into();
                Work::Refuse { code: Code::Ok, zxid: Some(Zxid::ZERO) }
            }
            Err(failed) => {
                warn!(peer = %self.conn.peer, session = %self.conn.session_id(), "authentication failed: {failed}");
                self.shared.stats.auth_failed.fetch_add(1, Ordering::Relaxed);
                self.deaf = true;
                self.parsed.clear();
                state.ending = state.ending.max(Ending::AfterReplies);
                Work::Refuse { code: Code::AuthFailed, zxid: Some(Zxid::ZERO) }
            }
        }
    }

    /// The xid of a request that may not pass because the connection has none of the identities that
    /// are required (`enforce.auth`).
    fn lacks_authentication(&self, parsed: &Parsed, ids: &[zorilla_protocol::records::Id]) -> Option<i32> {
        let required = &self.shared.limits.enforce_auth;
        if required.is_empty() || auth::satisfies(required, ids) {
            return None;
        }
        match parsed {
            Parsed::Auth { .. } | Parsed::Sasl { .. } => None,
            Parsed::Write { xid, .. } | Parsed::Read { xid, .. } | Parsed::Refuse { xid, .. } => Some(*xid),
        }
    }

    fn refuse_unauthenticated(&mut self, xid: i32, state: &mut super::connection::State) {
        warn!(peer = %self.conn.peer, "closing: a request before the required authentication");
        self.deaf = true;
        self.parsed.clear();
        state.ending = state.ending.max(Ending::AfterReplies);
        let work = Work::Refuse { code: Code::SessionClosedRequireSaslAuth, zxid: Some(Zxid::ZERO) };
        state.replies.park(Job { xid, ids: state.ids.clone(), work });
    }

    fn submit(&mut self, received_ms: i64) {
        if self.orders.is_empty() {
            return;
        }
        self.shared.outstanding.add(self.orders.len(), self.orders.iter().map(|order| order.bytes).sum());
        let orders = std::mem::take(&mut self.orders);
        let session = self.conn.session_id();
        self.shared.inbox.push(Input::Writes(Submission { conn: self.conn.clone(), session, received_ms, orders }));
    }

    /// Reads what memory lacks from the store. The disk may take its time: other connections of this
    /// worker move elsewhere meanwhile.
    fn fault_in(&self, miss: &Miss) -> Result<(), Close> {
        tokio::task::block_in_place(|| {
            // Before, not after: what is brought in has to be there when the request is tried again, even if it
            // is larger than all that memory may hold.
            self.shared.evict(&mut self.shared.tree.write());
            self.shared.fault_in(miss)
        })
        .map_err(|error| {
            self.shared.inbox.push(Input::Fatal(error.to_string()));
            Close::Because("the store cannot be read".to_owned())
        })
    }

    /// Sends what is ready, as far as the socket takes it.
    fn send(&mut self, writer: &mut WriteHalf<'_>) -> io::Result<()> {
        loop {
            if self.sending.is_empty() {
                if self.sending.capacity() > KEPT_BYTES_MAX {
                    self.sending = BytesMut::new();
                }
                if self.sending_events > 0 {
                    self.shared.event_bytes.fetch_sub(std::mem::take(&mut self.sending_events), Ordering::Relaxed);
                }
                let mut state = self.conn.lock();
                std::mem::swap(&mut self.sending, state.replies.ready());
                self.sending_events = std::mem::take(&mut state.event_bytes);
                drop(state);
                if self.sending.is_empty() {
                    return Ok(());
                }
            }
            match writer.try_write(&self.sending) {
                Ok(count) if count == self.sending.len() => self.sending.clear(),
                Ok(count) => bytes::Buf::advance(&mut self.sending, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends what is left before we close, to a client that still takes it.
    async fn drain(&mut self, writer: &mut WriteHalf<'_>) -> io::Result<()> {
        let patience = Instant::now() + DRAIN_MAX;
        self.send(writer)?;
        while !self.sending.is_empty() {
            match timeout_at(patience, writer.writable()).await {
                Ok(writable) => writable?,
                Err(_) => return Ok(()),
            }
            self.send(writer)?;
        }
        Ok(())
    }

    /// Whether there is something to carry out now that the socket has taken everything.
    fn can_go_on(&self) -> bool {
        !self.parsed.is_empty() || self.conn.lock().replies.has_job() || self.has_room()
    }

    /// Whether the end that was asked for has come.
    fn is_over(&self) -> bool {
        let state = self.conn.lock();
        let sent = self.sending.is_empty() && state.replies.bytes() == 0;
        match state.ending {
            Ending::Open => false,
            Ending::AfterReplies => sent && state.replies.is_idle(),
            Ending::AfterReady => sent,
            Ending::Now => true,
        }
    }

    /// Whether more requests may be taken on.
    fn has_room(&self) -> bool {
        let state = self.conn.lock();
        state.replies.bytes() + self.sending.len() < UNSENT_SOFT_MAX
            && state.replies.outstanding() < UNANSWERED_MAX
            && (state.replies.is_idle() || self.shared.outstanding.has_room(&self.shared.limits))
    }

    /// Whether to read from the socket: not while the handshake is decided, and not what could not be
    /// taken on.
    fn may_read(&self) -> bool {
        match self.phase {
            Phase::First => true,
            // End of file has to be noticed, but a pipelining client's bytes are bounded.
            Phase::Connecting => self.received.len() < READ_BYTES.1,
            Phase::Established => !self.deaf && self.parsed.is_empty() && self.has_room(),
        }
    }
}

/// Reads what is there, at most `size`, which follows the client's appetite.
async fn receive(reader: &mut ReadHalf<'_>, received: &mut BytesMut, size: &mut usize) -> io::Result<usize> {
    if received.is_empty() && received.capacity() > KEPT_BYTES_MAX {
        *received = BytesMut::new();
    }
    received.reserve(*size);
    let count = reader.read_buf(received).await?;
    *size = if count >= *size {
        (*size * 2).min(READ_BYTES.1)
    } else {
        (*size / 2).max(count.min(READ_BYTES.1)).max(READ_BYTES.0)
    };
    Ok(count)
}
