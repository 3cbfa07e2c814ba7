//! Handshakes, re-attachment, moves, expiry.

use super::*;

impl Driver {
    /// A handshake (Java: `ZooKeeperServer.processConnectRequest`): a client that has seen more than we
    /// have is closed without a byte and tries the next server.
    pub(super) fn connect(&mut self, conn: Arc<Connection>, request: &ConnectRequest) {
        let last_zxid = self.shared.tree.read().last_zxid();
        if self.stopping || request.last_zxid_seen > last_zxid {
            tracing::info!(peer = %conn.peer, seen = %request.last_zxid_seen, ours = %last_zxid,
                "closing: the client has seen a zxid that this server has not");
            conn.end(Ending::Now);
            return;
        }
        let (min, max) = self.shared.limits.session_timeout_ms;
        let timeout_ms = clamp_timeout(request.time_out_ms, min, max);
        if request.session_id == SessionId::NONE {
            self.open_session(conn, timeout_ms, request.read_only.is_some());
        } else {
            self.resume_session(conn, request, timeout_ms);
        }
    }

    fn open_session(&mut self, conn: Arc<Connection>, timeout_ms: i32, flag: bool) {
        if self.no_space {
            conn.end(Ending::Now);
            return;
        }
        let now_ms = self.shared.clock.now_ms();
        let id = self.ids.next_id();
        self.tracker.add(id, timeout_ms, now_ms);
        self.tracker.set_owner(id, conn.id);
        let session = self.session(id, timeout_ms, now_ms);
        self.attached.insert(id, Attached { conn: conn.clone(), session: session.clone() });
        let caller = Caller { session: id, ids: conn.lock().ids.clone() };
        self.propose(Write::CreateSession { timeout_ms }, &caller, 0, Origin::Connect { conn, session, flag });
    }

    fn session(&self, id: SessionId, timeout_ms: i32, now_ms: i64) -> Arc<Session> {
        Arc::new(Session {
            id,
            timeout_ms: AtomicI32::new(timeout_ms),
            last_heard_ms: AtomicI64::new(now_ms),
            closing: AtomicBool::new(false),
        })
    }

    /// The connection that holds the session is closed first, even when the password then proves
    /// wrong, as Apache does. Unknown, closing, expired and wrong are answered alike.
    fn resume_session(&mut self, conn: Arc<Connection>, request: &ConnectRequest, timeout_ms: i32) {
        let id = request.session_id;
        let now_ms = self.shared.clock.now_ms();
        if let Some(old) = self.attached.remove(&id) {
            self.tracker.clear_owner(id, old.conn.id);
            old.conn.end(Ending::AfterReady);
        }
        let known = request.passwd.as_deref() == Some(session_password(id).as_slice())
            && self.tracker.touch(id, Some(timeout_ms), now_ms);
        let flag = request.read_only.is_some();
        if !known {
            tracing::info!(peer = %conn.peer, session = %id, "refused: the session is unknown or expired, or its password wrong");
            let mut state = conn.lock();
            put_connect_response(state.replies.ready(), SessionId::NONE, 0, [0; 16], flag);
            state.ending = Ending::AfterReady;
            drop(state);
            conn.wake.notify_one();
            return;
        }
        self.tracker.set_owner(id, conn.id);
        let session = self.session(id, timeout_ms, now_ms);
        self.attached.insert(id, Attached { conn: conn.clone(), session: session.clone() });
        self.welcome(&conn, session, flag);
    }

    /// Answers a handshake and lets the connection go on.
    pub(super) fn welcome(&self, conn: &Connection, session: Arc<Session>, flag: bool) {
        let timeout_ms = session.timeout_ms.load(Ordering::Relaxed);
        let mut state = conn.lock();
        put_connect_response(state.replies.ready(), session.id, timeout_ms, session_password(session.id), flag);
        state.counters.established_ms = self.shared.clock.wall_ms();
        state.counters.last_operation = "SESS";
        // A connection asks once, so the cell is empty; a second answer would change nothing.
        let _ = conn.session.set(session);
        drop(state);
        conn.wake.notify_one();
    }

    pub(super) fn gone(&mut self, conn: zorilla_core::ids::ConnId, session: SessionId) {
        self.tracker.clear_owner(session, conn);
        if self.attached.get(&session).is_some_and(|attached| attached.conn.id == conn)
            && let Some(attached) = self.attached.remove(&session)
        {
            // What was heard last counts even though nobody will ask the connection any more.
            let heard_ms = attached.session.last_heard_ms.load(Ordering::Relaxed);
            self.tracker.touch(session, None, heard_ms);
        }
    }

    /// From here on requests of the session are dropped.
    pub(super) fn begin_close(&mut self, id: SessionId) {
        self.tracker.mark_closing(id);
        if let Some(attached) = self.attached.get(&id) {
            attached.session.closing.store(true, Ordering::Relaxed);
        }
    }

    /// A closeSession that could not be logged: the session lives on with a fresh time-out.
    pub(super) fn reopen(&mut self, id: SessionId) {
        let Some(timeout_ms) = self.tracker.timeout(id) else { return };
        let owner = self.tracker.owner(id);
        self.tracker.remove(id);
        self.tracker.add(id, timeout_ms, self.shared.clock.now_ms());
        if let Some(owner) = owner {
            self.tracker.set_owner(id, owner);
        }
        if let Some(attached) = self.attached.get(&id) {
            attached.session.closing.store(false, Ordering::Relaxed);
        }
    }

    /// Sessions that were silent for too long are closed through the pipeline. Not while nothing can
    /// be logged: they would be gone in memory and back after a restart.
    pub(super) fn expire_sessions(&mut self, now_ms: i64) {
        if self.no_space || self.stopping {
            return;
        }
        let attached = &self.attached;
        let mut last_heard =
            |id: SessionId| attached.get(&id).map(|attached| attached.session.last_heard_ms.load(Ordering::Relaxed));
        for id in self.tracker.expire(now_ms, &mut last_heard) {
            tracing::info!(session = %id, timeout_ms = self.tracker.timeout(id), "expiring the session: nothing heard in time");
            self.begin_close(id);
            let caller = Caller { session: id, ids: Arc::from([]) };
            self.propose(Write::CloseSession, &caller, 0, Origin::Server);
        }
    }

    /// The closeSession txn is applied: the session is gone, its connection with it.
    pub(super) fn session_closed(&mut self, id: SessionId, by_client: bool) {
        self.tracker.remove(id);
        if let Some(attached) = self.attached.remove(&id)
            && !by_client
        {
            attached.conn.end(Ending::AfterReady);
        }
    }
}

fn put_connect_response(out: &mut BytesMut, session_id: SessionId, time_out_ms: i32, passwd: [u8; 16], flag: bool) {
    let passwd = Some(Bytes::copy_from_slice(&passwd));
    let read_only = flag.then_some(false);
    put_frame(out, |out| ConnectResponse { protocol_version: 0, time_out_ms, session_id, passwd, read_only }.put(out));
}
