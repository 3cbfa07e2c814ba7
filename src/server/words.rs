//! The running server as the four-letter words see it.

use super::driver;
use super::shared::Shared;
use crate::admin::four_letter::{
    self, Buckets, ConfView, ConnectionView, Counters, FirstBytes, Mode, ServerView, SessionView, WatchSummary,
};
use crate::admin::monitor::Monitor;
use crate::net::Connection;
use crate::storage::dir;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zorilla_core::ids::ConnId;
use zorilla_core::tree::Tree;
use zorilla_protocol::{SessionId, Zxid};

/// What a connection's first bytes call for.
pub enum Word {
    /// More bytes are needed to tell.
    Unfinished,
    /// Not a word: a frame.
    None,
    /// The answer, after which the connection is closed.
    Answer(String),
}

/// Looks at the first bytes of a fresh connection. Some answers are long walks: the caller must be able to
/// block.
pub fn answer(shared: &Shared, asking: &Connection, received: &[u8]) -> Word {
    let view = View { shared, asking: asking.id };
    let whitelist = &shared.config.four_letter_whitelist;
    match FirstBytes::of(received) {
        FirstBytes::Unfinished => Word::Unfinished,
        FirstBytes::NoWord => Word::None,
        FirstBytes::Word(word) => Word::Answer(four_letter::answer(word, whitelist, &view)),
        FirstBytes::SetTraceMask(mask) => Word::Answer(four_letter::set_trace_mask(mask, whitelist, &view)),
    }
}

struct View<'a> {
    shared: &'a Shared,
    asking: ConnId,
}

impl View<'_> {
    fn open(&self) -> Vec<Arc<Connection>> {
        let mut open: Vec<_> = self.shared.connections.read().values().cloned().collect();
        open.sort_unstable_by_key(|conn| conn.id);
        open
    }

    fn connection(&self, conn: &Connection) -> ConnectionView {
        let state = conn.lock();
        let counters = &state.counters;
        let average = counters.latency_sum_ms / i64::try_from(counters.sent.max(1)).unwrap_or(i64::MAX);
        let least = if counters.latency_min_ms == i64::MAX { 0 } else { counters.latency_min_ms };
        let session = conn.session.get().map(|session| SessionView {
            id: session.id,
            last_op: counters.last_operation,
            established_ms: counters.established_ms,
            timeout_ms: session.timeout_ms.load(Ordering::Relaxed),
            last_cxid: counters.last_cxid,
            last_zxid: counters.last_zxid,
            // 0 before the first reply, as after `crst`.
            last_response_ms: if counters.last_zxid == Zxid::NONE { 0 } else { counters.last_response_ms },
            last_latency_ms: counters.last_latency_ms,
            latency_ms: (least, average, counters.latency_max_ms),
        });
        ConnectionView {
            peer: conn.peer.to_string(),
            interest_ops: u32::from(conn.id != self.asking),
            queued: state.replies.outstanding(),
            // The word itself was received, too.
            received: counters.received + u64::from(conn.id == self.asking),
            sent: counters.sent,
            session,
        }
    }

    /// The session of every connection that has one.
    fn sessions(&self) -> HashMap<ConnId, SessionId> {
        self.open().iter().map(|conn| (conn.id, conn.session_id())).collect()
    }
}

impl ServerView for View<'_> {
    fn mode(&self) -> Mode {
        if self.shared.stopping.load(Ordering::Relaxed) { Mode::NotServing } else { Mode::Standalone }
    }

    fn counters(&self) -> Counters {
        let tree = self.shared.tree.read();
        let stats = &self.shared.stats;
        Counters {
            latency_ms: stats.latency_ms(),
            received: stats.received.load(Ordering::Relaxed),
            sent: stats.sent.load(Ordering::Relaxed),
            connections: self.shared.connections.read().len(),
            outstanding: self.shared.outstanding.count(),
            zxid: tree.last_zxid(),
            // Apache holds the root under two names, and counts both.
            nodes: tree.znode_count() + 1,
        }
    }

    fn connections(&self) -> Vec<ConnectionView> {
        self.open().iter().map(|conn| self.connection(conn)).collect()
    }

    fn conf(&self) -> ConfView {
        let config = &self.shared.config;
        let (data, logs) = (config.data_dir.join("version-2"), config.data_log_dir.join("version-2"));
        let (data_dir_bytes, data_log_bytes) = self.dir_bytes();
        ConfView {
            client_port: config.client_port,
            data_dir: absolute(&data),
            data_dir_bytes,
            data_log_dir: absolute(&logs),
            data_log_bytes,
            tick_time_ms: config.tick_time_ms,
            max_client_cnxns: config.max_client_cnxns,
            session_timeout_ms: (config.min_session_timeout_ms, config.max_session_timeout_ms),
            listen_backlog: config.client_port_listen_backlog,
            server_id: 0,
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        let uname = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let variable = |name| std::env::var(name).unwrap_or_default();
        let memory_mb = |bytes: usize| format!("{}MB", bytes >> 20);
        let resident = self.shared.tree.read().resident_bytes();
        let budget = usize::try_from(self.shared.config.memory_budget_bytes).unwrap_or(usize::MAX);
        let here = std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default();
        [
            ("host.name", text(uname.nodename())),
            ("java.version", "none".to_owned()),
            ("java.vendor", "none".to_owned()),
            ("java.home", String::new()),
            ("java.class.path", String::new()),
            ("java.library.path", String::new()),
            ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
            ("java.compiler", "none".to_owned()),
            ("os.name", text(uname.sysname())),
            ("os.arch", text(uname.machine())),
            ("os.version", text(uname.release())),
            ("user.name", variable("USER")),
            ("user.home", variable("HOME")),
            ("user.dir", here),
            ("os.memory.free", memory_mb(budget.saturating_sub(resident))),
            ("os.memory.max", memory_mb(budget)),
            ("os.memory.total", memory_mb(resident)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn dir_bytes(&self) -> (u64, u64) {
        let config = &self.shared.config;
        let size = |dir: &Path, name: &str| dir::size_bytes(&dir.join(name));
        // Where Apache has snapshots, and our store beside them.
        let data = size(&config.data_dir, "version-2") + size(&config.data_dir, "zorilla");
        (data, size(&config.data_log_dir, "version-2"))
    }

    fn session_buckets(&self) -> Buckets<SessionId> {
        let now_ms = self.shared.clock.now_ms();
        let wall_ms = self.shared.clock.wall_ms();
        let buckets = driver::ask(self.shared, move |driver| driver.tracker().dump(now_ms)).unwrap_or_default();
        buckets.into_iter().map(|bucket| (wall_ms + bucket.due_in_ms, bucket.sessions)).collect()
    }

    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        let tree = self.shared.tree.read();
        let owners = tree.ephemeral_owners();
        owners.map(|(session, paths)| (session, paths.iter().map(ToString::to_string).collect())).collect()
    }

    fn connection_buckets(&self) -> Buckets<(String, SessionId)> {
        let tick_ms = i64::from(self.shared.config.tick_time_ms).max(1);
        let to_wall_ms = self.shared.clock.wall_ms() - self.shared.clock.now_ms();
        let mut buckets: std::collections::BTreeMap<i64, Vec<(String, SessionId)>> = Default::default();
        for conn in self.open() {
            let Some(session) = conn.session.get() else { continue };
            let heard_ms = session.last_heard_ms.load(Ordering::Relaxed);
            let due_ms = heard_ms + i64::from(session.timeout_ms.load(Ordering::Relaxed));
            let bucket_ms = (due_ms / tick_ms + 1) * tick_ms;
            buckets.entry(bucket_ms + to_wall_ms).or_default().push((conn.peer.to_string(), session.id));
        }
        buckets.into_iter().collect()
    }

    fn watch_summary(&self) -> WatchSummary {
        let counts = self.shared.watches.lock().counts();
        WatchSummary { connections: counts.connections, paths: counts.paths, watches: counts.watches }
    }

    fn watches(&self) -> Vec<(SessionId, Vec<String>)> {
        let sessions = self.sessions();
        let watches = self.shared.watches.lock();
        let by_connection = watches.by_connection();
        by_connection
            .map(|(conn, paths)| {
                let session = sessions.get(&conn).copied().unwrap_or(SessionId::NONE);
                (session, paths.into_iter().map(str::to_owned).collect())
            })
            .collect()
    }

    fn digests(&self) -> Vec<(Zxid, i64)> {
        let tree = self.shared.tree.read();
        tree.digest_history().collect()
    }

    fn monitor(&self) -> Monitor {
        let counters = self.counters();
        let watches = self.shared.watches.lock().len();
        let sessions = driver::ask(self.shared, |driver| driver.tracker().len()).unwrap_or_default();
        let (open_files, open_files_max) = files();
        let tree = self.shared.tree.read();
        Monitor {
            latency_ms: counters.latency_ms,
            packets_received: counters.received,
            packets_sent: counters.sent,
            alive_connections: counters.connections as u64,
            outstanding_requests: counters.outstanding as u64,
            uptime_ms: self.shared.clock.now_ms(),
            znodes: counters.nodes,
            watches: watches as u64,
            ephemerals: tree.ephemeral_count() as u64,
            approximate_data_bytes: tree.data_bytes(),
            sessions: sessions as u64,
            open_files,
            open_files_max,
            response_bytes: (-1, -1, -1),
            auth_failed: self.shared.stats.auth_failed.load(Ordering::Relaxed),
            counters: HashMap::from([("connection_rejected", self.shared.stats.rejected.load(Ordering::Relaxed))]),
            quotas: quotas(&tree, self.shared.stats.over_quota()),
            ..Monitor::default()
        }
    }

    fn trace_mask(&self) -> i64 {
        self.shared.trace_mask.load(Ordering::Relaxed)
    }

    fn set_trace_mask(&self, mask: i64) {
        self.shared.trace_mask.store(mask, Ordering::Relaxed);
    }

    fn reset_server_stats(&self) {
        self.shared.stats.reset();
    }

    fn reset_connection_stats(&self) {
        let now = (self.shared.clock.now_ms(), self.shared.clock.wall_ms());
        for conn in self.open() {
            conn.lock().counters.reset(now.0);
        }
    }
}

/// What `mntr` says about quotas. A store that cannot be read fails where it matters, not here.
fn quotas(tree: &Tree, over_quota: Vec<(String, u64)>) -> Vec<(&'static str, String, i64)> {
    let mut lines = Vec::new();
    for (top, sums) in tree.quota_sums().unwrap_or_default() {
        lines.push(("quota_count_limit_per_namespace", top.clone(), sums.count_limit));
        lines.push(("quota_bytes_limit_per_namespace", top.clone(), sums.bytes_limit));
        lines.push(("quota_count_usage_per_namespace", top.clone(), sums.count_usage));
        lines.push(("quota_bytes_usage_per_namespace", top, sums.bytes_usage));
    }
    let over_quota = over_quota.into_iter();
    lines.extend(over_quota.map(|(top, count)| ("quota_exceeded_error_per_namespace", top, count.cast_signed())));
    lines
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Open files of this process and its limit.
fn files() -> (u64, u64) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    (open, limit.unwrap_or(u64::MAX))
}
