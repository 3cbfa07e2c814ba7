//! What connections, the driver and the operator's commands share.

use super::driver::Input;
use super::inbox::Inbox;
use crate::net::Connection;
use crate::time::Clock;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use zorilla_core::auth::AuthRules;
use zorilla_core::ids::ConnId;
use zorilla_core::tree::cold::{ColdNodes, Miss, StoreError};
use zorilla_core::tree::pending::Rules;
use zorilla_core::tree::{Tree, load_miss};
use zorilla_core::watch::Watches;

/// Limits of the client side, from the configuration.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `jute.maxbuffer`: the longest request in bytes.
    pub frame_bytes_max: usize,
    /// Longest string or buffer inside a request (`jute.maxbuffer` + extrasize).
    pub field_bytes_max: usize,
    /// `globalOutstandingLimit`: writes under way in the whole server.
    pub outstanding_max: usize,
    /// Bytes of writes under way in the whole server.
    pub outstanding_bytes_max: usize,
    /// Unread bytes at which a connection is dropped.
    pub out_bytes_max: usize,
    /// Bytes of events, in the whole server, past which nobody may hold more than an equal share.
    pub event_bytes_max: usize,
    /// How long a connection may stay without a handshake, in milliseconds.
    pub sessionless_ms: u64,
    /// `maxClientCnxns` per address; 0 = off.
    pub per_address_max: usize,
    /// `maxCnxns`; 0 = off.
    pub connections_max: usize,
    /// Bounds of the negotiated session time-out, in milliseconds.
    pub session_timeout_ms: (i32, i32),
    /// Authentication schemes one of which is required (`enforce.auth`); empty = off.
    pub enforce_auth: Vec<String>,
    /// `zorilla.memoryBudget`: bytes that the process should stay within.
    pub budget_bytes: usize,
    /// Bytes that the tree in memory may take before clean znodes are dropped.
    pub tree_bytes_max: usize,
    /// Bytes of unwritten changes that start a checkpoint.
    pub checkpoint_bytes: usize,
    /// Bytes of unwritten changes at which writers wait for the checkpoint under way.
    pub dirty_bytes_max: usize,
}

/// Counters of the whole server (Java: `ServerStats`).
#[derive(Debug)]
pub struct Stats {
    /// Requests received.
    pub received: AtomicU64,
    /// Replies and events sent.
    pub sent: AtomicU64,
    latency_count: AtomicU64,
    latency_sum_ms: AtomicI64,
    latency_min_ms: AtomicI64,
    latency_max_ms: AtomicI64,
    /// Connections refused by a limit.
    pub rejected: AtomicU64,
    /// Failed authentications.
    pub auth_failed: AtomicU64,
    /// Writes that a hard limit refused, by the first name of their path.
    over_quota: Mutex<BTreeMap<Box<str>, u64>>,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            latency_count: AtomicU64::new(0),
            latency_sum_ms: AtomicI64::new(0),
            latency_min_ms: AtomicI64::new(i64::MAX),
            latency_max_ms: AtomicI64::new(0),
            rejected: AtomicU64::new(0),
            auth_failed: AtomicU64::new(0),
            over_quota: Mutex::default(),
        }
    }
}

impl Stats {
    /// Counts answered requests.
    pub fn answered(&self, those: &Answered) {
        if those.count == 0 {
            return;
        }
        self.sent.fetch_add(those.count as u64, Ordering::Relaxed);
        self.latency_count.fetch_add(those.count as u64, Ordering::Relaxed);
        self.latency_sum_ms.fetch_add(those.latency_sum_ms, Ordering::Relaxed);
        self.latency_min_ms.fetch_min(those.latency_min_ms, Ordering::Relaxed);
        self.latency_max_ms.fetch_max(those.latency_max_ms, Ordering::Relaxed);
    }

    /// Least, average and most milliseconds of all requests since the last reset.
    pub fn latency_ms(&self) -> (i64, f64, i64) {
        let count = self.latency_count.load(Ordering::Relaxed);
        if count == 0 {
            return (0, 0.0, 0);
        }
        let average = self.latency_sum_ms.load(Ordering::Relaxed) as f64 / count as f64;
        (self.latency_min_ms.load(Ordering::Relaxed), average, self.latency_max_ms.load(Ordering::Relaxed))
    }

    /// Counts a write below a child of the root, for which there is a quota.
    pub fn refused_over_quota(&self, top: Box<str>) {
        *self.over_quota.lock().entry(top).or_default() += 1;
    }

    /// How many writes hard limits refused, by the first name of their path.
    pub fn over_quota(&self) -> Vec<(String, u64)> {
        self.over_quota.lock().iter().map(|(top, count)| (top.to_string(), *count)).collect()
    }

    /// `srst`. Names once counted stay, at 0.
    pub fn reset(&self) {
        self.received.store(0, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
        self.latency_count.store(0, Ordering::Relaxed);
        self.latency_sum_ms.store(0, Ordering::Relaxed);
        self.latency_min_ms.store(i64::MAX, Ordering::Relaxed);
        self.latency_max_ms.store(0, Ordering::Relaxed);
        self.over_quota.lock().values_mut().for_each(|count| *count = 0);
    }
}

/// Requests answered together, counted at once: every thread looks at the counters.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// How many.
    pub count: usize,
    /// What they took of [`Outstanding`], if they were writes.
    pub bytes: usize,
    latency_sum_ms: i64,
    latency_min_ms: i64,
    latency_max_ms: i64,
}

impl Answered {
    /// None yet.
    pub const NONE: Answered =
        Answered { count: 0, bytes: 0, latency_sum_ms: 0, latency_min_ms: i64::MAX, latency_max_ms: 0 };

    /// So many that were answered at once.
    pub fn at_once(count: usize) -> Answered {
        Answered { count, latency_min_ms: 0, ..Answered::NONE }
    }

    /// A write of so many bytes, after so long.
    pub fn add_write(&mut self, bytes: usize, latency_ms: i64) {
        self.count += 1;
        self.bytes += bytes;
        self.latency_sum_ms += latency_ms;
        self.latency_min_ms = self.latency_min_ms.min(latency_ms);
        self.latency_max_ms = self.latency_max_ms.max(latency_ms);
    }
}

/// Writes between their receipt and their answer: what they take in memory has to be bounded.
#[derive(Debug, Default)]
pub struct Outstanding {
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl Outstanding {
    /// Writes were received.
    pub fn add(&self, count: usize, bytes: usize) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Some were answered or dropped.
    pub fn done(&self, count: usize, bytes: usize) {
        self.count.fetch_sub(count, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether more may be taken on by a connection that waits for some already. (One that waits for
    /// nothing is always let in: no answer would wake it.)
    pub fn has_room(&self, limits: &Limits) -> bool {
        self.count() < limits.outstanding_max && self.bytes.load(Ordering::Relaxed) < limits.outstanding_bytes_max
    }
}

/// The state of a running server. Lock order: tree, then connection; watches are taken under either.
pub struct Shared {
    /// The one reader of clocks.
    pub clock: Clock,
    /// See [`Limits`].
    pub limits: Limits,
    /// How writes are validated.
    pub rules: Rules,
    /// The committed tree. Only the driver and fault-ins take it exclusively.
    pub tree: RwLock<Tree>,
    /// What lies behind the tree.
    pub cold: Arc<dyn ColdNodes>,
    /// Registered under the tree's shared lock, fired under its exclusive one.
    pub watches: Mutex<Watches>,
    /// Every open connection.
    pub connections: RwLock<HashMap<ConnId, Arc<Connection>>>,
    /// How many each address has.
    pub per_address: Mutex<HashMap<IpAddr, usize>>,
    /// To the driver.
    pub inbox: Inbox<Input>,
    /// Bytes of events that no client has taken yet.
    pub event_bytes: AtomicUsize,
    /// Writes under way.
    pub outstanding: Outstanding,
    /// Bytes that the tree may take now: [`Limits::tree_bytes_max`], or less while the process takes too much.
    pub tree_bytes_max: AtomicUsize,
    /// See [`Stats`].
    pub stats: Stats,
    /// Apache's trace mask: kept and shown, nothing else.
    pub trace_mask: AtomicI64,
    /// Set once, when the server is to stop.
    pub stopping: AtomicBool,
    /// The configuration as it was read, for the operator's commands.
    pub config: Arc<crate::config::Config>,
}

impl Shared {
    /// How many bytes may wait for one of so many clients. Each alone may let a lot wait, but many that
    /// do not read must not fill the memory together.
    pub fn unread_bytes_max(&self, connections: usize) -> usize {
        const SHARE_MIN: usize = 64 << 10;
        let Limits { out_bytes_max, event_bytes_max, .. } = self.limits;
        if self.event_bytes.load(Ordering::Relaxed) <= event_bytes_max {
            return out_bytes_max;
        }
        out_bytes_max.min(SHARE_MIN.max(event_bytes_max / connections.max(1)))
    }

    /// The rules of authentication.
    pub fn auth(&self) -> &AuthRules {
        &self.rules.auth
    }

    /// Brings what a request missed into memory. May block on a disk; no lock is held while it does. Makes no
    /// room for it: a request that misses many times, a multi, say, needs them all at once.
    pub fn fault_in(&self, miss: &Miss) -> Result<(), StoreError> {
        loop {
            let token = self.tree.read().begin_fault();
            let loaded = load_miss(&*self.cold, miss)?;
            if self.tree.write().finish_fault(token, miss, loaded) {
                return Ok(());
            }
        }
    }

    /// Drops clean znodes until memory holds what it may, in steps between which others get the lock.
    /// Large data that comes in can push out many small znodes at a time.
    pub fn make_room(&self) {
        const ROUNDS_MAX: usize = 32;
        for _ in 0..ROUNDS_MAX {
            if self.over(&self.tree.read()) == 0 {
                return;
            }
            self.evict(&mut self.tree.write());
        }
    }

    /// Drops clean znodes if memory holds more than it should, a bounded number at a time.
    pub fn evict(&self, tree: &mut Tree) {
        const STEPS_MAX: usize = 2000;
        let over = self.over(tree);
        if over > 0 {
            tree.evict(over, STEPS_MAX);
        }
    }

    /// Bytes that the tree should let go. Some clean znodes may stay however much is dirty: what a request was
    /// waiting for has to be there still when it is tried again.
    fn over(&self, tree: &Tree) -> usize {
        let clean_min = self.limits.tree_bytes_max / 4;
        let allowed = self.tree_bytes_max.load(Ordering::Relaxed).max(tree.dirty_bytes() + clean_min);
        tree.resident_bytes().saturating_sub(allowed)
    }

    /// A connection is gone: its watches, its place under the limits, its session's owner.
    pub fn forget(&self, conn: &Connection) {
        self.watches.lock().remove_connection(conn.id);
        if self.connections.write().remove(&conn.id).is_some() {
            let mut per_address = self.per_address.lock();
            if let Some(count) = per_address.get_mut(&conn.peer.ip()) {
                *count -= 1;
                if *count == 0 {
                    per_address.remove(&conn.peer.ip());
                }
            }
        }
        self.inbox.push(Input::Gone { conn: conn.id, session: conn.session_id() });
    }
}
