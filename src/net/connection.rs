//! The part of a connection that others may touch: the driver finishes its writes and queues its
//! events, the four-letter words read its counters.

use bytes::BytesMut;
use parking_lot::{Mutex, MutexGuard};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use zorilla_core::ids::ConnId;
use zorilla_core::pipeline::Replies;
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::Id;
use zorilla_protocol::{Code, SessionId, Zxid};

/// A request that waits for its turn behind unfinished writes of the same connection.
#[derive(Debug)]
pub struct Job {
    /// Echoed in the reply.
    pub xid: i32,
    /// The identities when the request was received.
    pub ids: Arc<[Id]>,
    /// What to do.
    pub work: Work,
}

impl Job {
    /// The operation's short name, for `cons`.
    pub fn name(&self) -> &'static str {
        match &self.work {
            Work::Read(request) => request.short_name(),
            Work::Refuse { .. } | Work::Frame(_) => "NA",
        }
    }
}

/// What a [`Job`] does when its turn comes.
#[derive(Debug)]
pub enum Work {
    /// Answer from the tree.
    Read(Request),
    /// Answer with a code and no body.
    Refuse {
        /// The code.
        code: Code,
        /// The header's zxid; `None` for the last one applied.
        zxid: Option<Zxid>,
    },
    /// Bytes of a whole frame that is known already.
    Frame(BytesMut),
}

/// How far a connection's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Not at all.
    Open,
    /// No more requests are read; closes when everything asked so far is answered and sent.
    AfterReplies,
    /// Closes when what is ready is sent.
    AfterReady,
    /// Closes now.
    Now,
}

/// A session as its connection and the driver share it.
#[derive(Debug)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// Negotiated, in milliseconds.
    pub timeout_ms: AtomicI32,
    /// When the client was heard last, on the driver's clock in milliseconds.
    pub last_heard_ms: AtomicI64,
    /// Being closed: requests are dropped without an answer.
    pub closing: AtomicBool,
}

/// What `cons` and `stat` tell of one connection.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Requests received.
    pub received: u64,
    /// Replies and events sent.
    pub sent: u64,
    /// Short name of the last operation.
    pub last_operation: &'static str,
    /// Its xid.
    pub last_cxid: i32,
    /// The zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply was made (driver's clock).
    pub last_response_ms: i64,
    /// Milliseconds that the last request took.
    pub last_latency_ms: i64,
    /// Least, most and sum over all requests, in milliseconds.
    pub latency_min_ms: i64,
    /// See `latency_min_ms`.
    pub latency_max_ms: i64,
    /// See `latency_min_ms`.
    pub latency_sum_ms: i64,
    /// When the session was attached (wall clock, ms).
    pub established_ms: i64,
}

impl Counters {
    fn new(now_ms: i64, wall_ms: i64) -> Counters {
        Counters {
            received: 0,
            sent: 0,
            last_operation: "NA",
            last_cxid: -1,
            last_zxid: Zxid::NONE,
            last_response_ms: now_ms,
            last_latency_ms: 0,
            latency_min_ms: i64::MAX,
            latency_max_ms: 0,
            latency_sum_ms: 0,
            established_ms: wall_ms,
        }
    }

    /// `crst`: everything but when the session was attached.
    pub fn reset(&mut self, now_ms: i64) {
        *self = Counters::new(now_ms, self.established_ms);
    }

    /// Counts one answered request.
    pub fn answered(&mut self, operation: &'static str, xid: i32, zxid: Zxid, now_ms: i64, latency_ms: i64) {
        self.sent += 1;
        self.last_operation = operation;
        self.last_cxid = xid;
        self.last_zxid = zxid;
        self.last_response_ms = now_ms;
        self.last_latency_ms = latency_ms;
        self.latency_min_ms = self.latency_min_ms.min(latency_ms);
        self.latency_max_ms = self.latency_max_ms.max(latency_ms);
        self.latency_sum_ms += latency_ms;
    }
}

/// What the connection's lock guards.
#[derive(Debug)]
pub struct State {
    /// Replies and events in their final order.
    pub replies: Replies<Job>,
    /// Whom this connection has proven to be; replaced as a whole.
    pub ids: Arc<[Id]>,
    /// See [`Ending`].
    pub ending: Ending,
    /// For `cons` and `stat`.
    pub counters: Counters,
    /// Bytes of events in `replies` that no socket has been offered; counted in the server's sum, too.
    pub event_bytes: usize,
}

/// A client connection.
#[derive(Debug)]
pub struct Connection {
    /// Unique in this process.
    pub id: ConnId,
    /// The client's address.
    pub peer: SocketAddr,
    /// Set once the handshake has succeeded.
    pub session: OnceLock<Arc<Session>>,
    /// Rings when the driver has left something to do.
    pub wake: Notify,
    state: Mutex<State>,
}

impl Connection {
    /// A new connection whose only identity is its address.
    pub fn new(id: ConnId, peer: SocketAddr, ids: Arc<[Id]>, now: (i64, i64)) -> Connection {
        let counters = Counters::new(now.0, now.1);
        let state = State { replies: Replies::default(), ids, ending: Ending::Open, counters, event_bytes: 0 };
        Connection { id, peer, session: OnceLock::new(), wake: Notify::new(), state: Mutex::new(state) }
    }

    /// The lock. Taken for moments only, never while waiting for anything.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Appends an event's frame, and counts it in `total`. A client that does not read is dropped once
    /// more than `limit` bytes wait for it.
    pub fn push_event(&self, limit: usize, total: &AtomicUsize, put: impl FnOnce(&mut BytesMut)) {
        let mut state = self.state.lock();
        if state.ending == Ending::Now {
            return;
        }
        let before = state.replies.bytes();
        if before > limit {
            state.ending = Ending::Now;
            // Its task may be slow to notice; the memory is wanted now.
            *state.replies.ready() = BytesMut::new();
            tracing::warn!(peer = %self.peer, limit,
                "closing: the client does not read its events (zorilla.maxOutgoingBytes, or its share of all)");
            return;
        }
        put(state.replies.ready());
        let added = state.replies.bytes() - before;
        state.event_bytes += added;
        total.fetch_add(added, Ordering::Relaxed);
        state.counters.sent += 1;
    }

    /// Ends the connection at the latest at `ending`, and wakes its task.
    pub fn end(&self, ending: Ending) {
        let mut state = self.state.lock();
        state.ending = state.ending.max(ending);
        drop(state);
        self.wake.notify_one();
    }

    /// The attached session's id, 0 before the handshake.
    pub fn session_id(&self) -> SessionId {
        self.session.get().map_or(SessionId::NONE, |session| session.id)
    }

    /// Whether requests are to be dropped because the session is being closed.
    pub fn is_closing(&self) -> bool {
        self.session.get().is_some_and(|session| session.closing.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_does_not_read_its_events_is_dropped_and_holds_no_memory() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let conn = Connection::new(ConnId(1), peer, Arc::from([]), (0, 0));
        let total = AtomicUsize::new(0);
        let push = || conn.push_event(25, &total, |out| out.extend_from_slice(&[0; 10]));
        for _ in 0..3 {
            push();
        }
        assert_eq!((conn.lock().event_bytes, total.load(Ordering::Relaxed)), (30, 30), "the limit is not passed yet");
        assert_eq!(conn.lock().ending, Ending::Open);
        push();
        assert_eq!(conn.lock().ending, Ending::Now);
        assert_eq!(conn.lock().replies.bytes(), 0);
        assert_eq!(total.load(Ordering::Relaxed), 30, "its task takes them off the sum when it ends");
        push();
        assert_eq!((conn.lock().replies.bytes(), total.load(Ordering::Relaxed)), (0, 30));
    }
}
