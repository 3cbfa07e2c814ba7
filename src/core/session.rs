//! Who has a session, until when, and on which connection (Java: `SessionTrackerImpl`,
//! `ExpiryQueue`). Time comes in as milliseconds of a clock that never goes back.
//!
//! Sessions expire in whole buckets, one per tick, so that a touch moves a session between two sets
//! at most, and a check looks at the due sets only. Reads do not even do that: connections note when
//! they last heard of their client, and the check asks them before it believes that a session is due.
//!
//! This is what standalone servers and leaders hold. A learner of an ensemble holds no deadlines: it
//! collects the sessions it heard of for its next PING. That table, and local sessions, which a
//! learner does expire itself, belong beside this type, not into it.

#[cfg(test)]
mod tests;

use crate::hash::NumberHash;
use crate::ids::ConnId;
use indexmap::IndexSet;
use std::collections::{BTreeMap, HashMap};
use zorilla_protocol::SessionId;

#[derive(Debug)]
struct Session {
    timeout_ms: i32,
    /// The bucket it stands in; `None` from the moment it is closing.
    due: Option<i64>,
    closing: bool,
    owner: Option<ConnId>,
}

/// The sessions of a server. A session is in exactly one bucket, that of its `due`, or in none.
#[derive(Debug)]
pub struct SessionTracker {
    tick_ms: i64,
    sessions: HashMap<SessionId, Session, NumberHash>,
    /// By the time from which they are due; never an empty one.
    buckets: BTreeMap<i64, IndexSet<SessionId, NumberHash>>,
}

/// A set of sessions that are due together, for the `dump` word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryBucket {
    /// From now, in milliseconds.
    pub due_in_ms: i64,
    /// In the order they came.
    pub sessions: Vec<SessionId>,
}

impl SessionTracker {
    /// No sessions. `tick_ms` is the width of a bucket (`tickTime`), 1 at least.
    pub fn new(tick_ms: i64) -> Self {
        SessionTracker { tick_ms: tick_ms.max(1), sessions: HashMap::default(), buckets: BTreeMap::new() }
    }

    /// Java: `ExpiryQueue.roundToNextInterval`. Later than the time-out, by one tick at most.
    fn bucket(&self, heard: i64, timeout_ms: i32) -> i64 {
        let end = heard.saturating_add(timeout_ms.into());
        end.div_euclid(self.tick_ms).saturating_add(1).saturating_mul(self.tick_ms)
    }

    /// A session that a txn created, or that was there at start: it has its whole time-out before it.
    pub fn add(&mut self, id: SessionId, timeout_ms: i32, now: i64) {
        let new = Session { timeout_ms, due: None, closing: false, owner: None };
        self.sessions.entry(id).or_insert(new);
        self.touch(id, Some(timeout_ms), now);
    }

    /// Something was heard of the session. `timeout_ms` is given where a client negotiated a new one.
    /// Says whether the session is known and not closing; if not, nothing changes.
    pub fn touch(&mut self, id: SessionId, timeout_ms: Option<i32>, now: i64) -> bool {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.closing) else { return false };
        session.timeout_ms = timeout_ms.unwrap_or(session.timeout_ms);
        let timeout_ms = session.timeout_ms;
        let due = self.bucket(now, timeout_ms);
        self.reschedule(id, Some(due));
        true
    }

    fn reschedule(&mut self, id: SessionId, due: Option<i64>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let old = std::mem::replace(&mut session.due, due);
        if old == due {
            return;
        }
        if let Some(old) = old
            && let Some(bucket) = self.buckets.get_mut(&old)
        {
            bucket.swap_remove(&id);
            if bucket.is_empty() {
                self.buckets.remove(&old);
            }
        }
        if let Some(due) = due {
            self.buckets.entry(due).or_default().insert(id);
        }
    }

    /// The connection that speaks for the session.
    pub fn owner(&self, id: SessionId) -> Option<ConnId> {
        self.sessions.get(&id)?.owner
    }

    /// The session is with this connection from now on; returns the one it was with, which the caller
    /// closes. Does nothing for an unknown session.
    pub fn set_owner(&mut self, id: SessionId, conn: ConnId) -> Option<ConnId> {
        self.sessions.get_mut(&id)?.owner.replace(conn)
    }

    /// The connection is gone. If the session has moved on to another, that one stays.
    pub fn clear_owner(&mut self, id: SessionId, conn: ConnId) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.owner == Some(conn)) {
            session.owner = None;
        }
    }

    /// A closeSession of it is under way: nothing else is accepted from it, and it no longer expires.
    /// Says whether it is known and was not closing before.
    pub fn mark_closing(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.closing) else { return false };
        session.closing = true;
        self.reschedule(id, None);
        true
    }

    /// Whether a closeSession is under way.
    pub fn is_closing(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.closing)
    }

    /// Its closeSession could not be written (the disk is full, say): [`SessionTracker::expire`] names
    /// it again once its time-out has passed again. It stays closing.
    pub fn defer_close(&mut self, id: SessionId, now: i64) {
        if let Some(session) = self.sessions.get(&id).filter(|session| session.closing) {
            let due = self.bucket(now, session.timeout_ms);
            self.reschedule(id, Some(due));
        }
    }

    /// Its closeSession has been applied.
    pub fn remove(&mut self, id: SessionId) {
        self.reschedule(id, None);
        self.sessions.remove(&id);
    }

    /// The sessions that nothing was heard of for too long, in the order they came due; they are
    /// closing from now on, and the caller sends a closeSession for each. Each is named once.
    ///
    /// `last_heard` gives the latest time anything was heard of a session, if that is known: reads are
    /// answered without telling the tracker. A session heard of since moves to its later bucket.
    pub fn expire(&mut self, now: i64, last_heard: &mut dyn FnMut(SessionId) -> Option<i64>) -> Vec<SessionId> {
        let mut expired = Vec::new();
        while let Some(first) = self.buckets.first_entry().filter(|first| *first.key() <= now) {
            for id in first.remove() {
                let Some(session) = self.sessions.get_mut(&id) else { continue };
                session.due = None;
                let timeout_ms = session.timeout_ms;
                let heard = if session.closing { None } else { last_heard(id) };
                match heard.map(|heard| self.bucket(heard, timeout_ms)).filter(|due| *due > now) {
                    Some(due) => self.reschedule(id, Some(due)),
                    None => expired.push(id),
                }
            }
        }
        for id in &expired {
            self.mark_closing(*id);
        }
        expired
    }

    /// When [`SessionTracker::expire`] has something to look at; `None` without sessions.
    pub fn next_deadline(&self) -> Option<i64> {
        self.buckets.first_key_value().map(|(due, _)| *due)
    }

    /// The buckets in order. Sessions heard of since the last check stand where they stood then.
    pub fn dump(&self, now: i64) -> Vec<ExpiryBucket> {
        let bucket = |(due, sessions): (&i64, &IndexSet<SessionId, NumberHash>)| ExpiryBucket {
            due_in_ms: due.saturating_sub(now),
            sessions: sessions.iter().copied().collect(),
        };
        self.buckets.iter().map(bucket).collect()
    }

    /// How many sessions there are, closing ones included.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether the session is known, closing or not.
    pub fn contains(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// The session's time-out in milliseconds.
    pub fn timeout(&self, id: SessionId) -> Option<i32> {
        self.sessions.get(&id).map(|session| session.timeout_ms)
    }

    /// All sessions with their time-outs, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(id, session)| (*id, session.timeout_ms))
    }
}

/// Java: `EphemeralType.CONTAINER_EPHEMERAL_OWNER`. An ephemeral of a session with this id would be a
/// container.
const CONTAINER_MARK: i64 = i64::MIN;

/// Gives new sessions their ids.
#[derive(Debug)]
pub struct SessionIds {
    next: i64,
}

impl SessionIds {
    /// Begins at a place given by the server and the time, so that ids are not given again after a
    /// restart: server id in the high byte, 40 bits of milliseconds, 16 bits to count (Java:
    /// `SessionTrackerImpl.initializeNextSessionId`). Any clock that is ahead of where it stood at the
    /// last start will do.
    pub fn new(now_ms: i64, server_id: u8) -> Self {
        let time = ((now_ms.cast_unsigned() << 24) >> 8).cast_signed();
        SessionIds { next: time | i64::from(server_id) << 56 }
    }

    /// The next id. It is unused if the clock kept its promise; a caller that cannot know asks
    /// [`SessionTracker::contains`] and takes another.
    pub fn next_id(&mut self) -> SessionId {
        if self.next == CONTAINER_MARK || self.next == SessionId::NONE.0 {
            self.next += 1;
        }
        let id = SessionId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }
}

/// What a server makes of the time-out that a client asks for; all in milliseconds.
pub fn clamp_timeout(asked: i32, min: i32, max: i32) -> i32 {
    asked.max(min).min(max)
}
