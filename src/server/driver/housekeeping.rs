//! What happens by the clock: expiry, checkpoints, reaping of containers and TTL nodes.

use super::*;
use crate::config::Config;
use crate::server::memory;

/// A checkpoint is begun at least this often while there are changes.
const CHECKPOINT_INTERVAL_MS: i64 = 60_000;
/// As often as this many txns were logged behind the last one: what a restart replays, in a few seconds.
const CHECKPOINT_TXNS: u64 = 500_000;
/// As often as this much was logged behind the last one: what the log takes on the disk.
const CHECKPOINT_LOG_BYTES: u64 = 1 << 30;

/// And when that many txns are behind the last one, and none has come for so long: better now than under load.
const CHECKPOINT_QUIET: (u64, i64) = (10_000, 2000);
/// While nothing comes: entries of deleted znodes dropped at a time (some 0.3 us each, under the tree's exclusive
/// lock), and the pause after it.
const TIDY: (usize, i64) = (256, 2);

/// Where the checkpoint under way stands.
pub(super) struct CheckpointState {
    /// The generation and zxid being written.
    running: Option<(u32, Zxid)>,
    next_ms: i64,
    /// Logged since the last one was begun.
    txns: u64,
    bytes: u64,
    /// `txns` when it was looked at last, and since when it has been that.
    quiet: (u64, i64),
}

impl CheckpointState {
    /// `unwritten`: one that is under way from the start on.
    pub(super) fn new(now_ms: i64, unwritten: Option<&Checkpoint>) -> CheckpointState {
        let running = unwritten.map(|checkpoint| (checkpoint.generation, checkpoint.zxid));
        CheckpointState { running, next_ms: now_ms + CHECKPOINT_INTERVAL_MS, txns: 0, bytes: 0, quiet: (0, now_ms) }
    }

    /// A txn of `bytes` is logged.
    pub(super) fn count(&mut self, bytes: usize) {
        self.txns += 1;
        self.bytes += bytes as u64;
    }

    fn is_due(&mut self, now_ms: i64) -> bool {
        if self.quiet.0 != self.txns {
            self.quiet = (self.txns, now_ms);
        }
        now_ms >= self.deadline_ms() || self.txns >= CHECKPOINT_TXNS || self.bytes >= CHECKPOINT_LOG_BYTES
    }

    /// When it is due if nothing comes any more.
    fn deadline_ms(&self) -> i64 {
        match self.quiet {
            _ if self.running.is_some() => i64::MAX,
            (txns, since_ms) if txns >= CHECKPOINT_QUIET.0 => self.next_ms.min(since_ms + CHECKPOINT_QUIET.1),
            _ => self.next_ms,
        }
    }

    fn begun(&mut self, now_ms: i64) {
        (self.txns, self.bytes, self.quiet) = (0, 0, (0, now_ms));
        self.next_ms = now_ms + CHECKPOINT_INTERVAL_MS;
    }
}

/// Removes containers and TTL nodes that are due (Java: `ContainerManager`).
pub(super) struct Reaper {
    interval_ms: i64,
    /// Least time between two removals.
    pause_ms: i64,
    max_never_used_ms: i64,
    next_scan_ms: i64,
    next_removal_ms: i64,
    due: VecDeque<Arc<str>>,
}

impl Reaper {
    pub(super) fn new(config: &Config, now_ms: i64) -> Reaper {
        let interval_ms = config.container_check_interval_ms;
        Reaper {
            interval_ms,
            pause_ms: 60_000 / config.container_max_per_minute.max(1),
            max_never_used_ms: config.container_max_never_used_ms,
            next_scan_ms: now_ms + interval_ms,
            next_removal_ms: now_ms,
            due: VecDeque::new(),
        }
    }

    fn next_deadline_ms(&self) -> i64 {
        if self.due.is_empty() { self.next_scan_ms } else { self.next_removal_ms }
    }
}

impl Driver {
    pub(super) fn next_deadline_ms(&self) -> i64 {
        if self.no_space || self.stopping {
            // What is due now cannot be done now: look again a little later.
            return self.shared.clock.now_ms() + 500;
        }
        let sessions = self.tracker.next_deadline().unwrap_or(i64::MAX);
        sessions
            .min(self.reaper.next_deadline_ms())
            .min(self.checkpoint.deadline_ms())
            .min(self.next_memory_ms)
            .min(self.next_tidying_ms)
            .max(0)
    }

    pub(super) fn housekeep(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        if self.tracker.next_deadline().is_some_and(|deadline| deadline <= now_ms) {
            self.expire_sessions(now_ms);
        }
        self.begin_checkpoint(now_ms);
        self.reap(now_ms);
        if now_ms >= self.next_memory_ms {
            self.next_memory_ms = now_ms + memory::INTERVAL_MS;
            memory::adjust(&self.shared);
        }
    }

    /// Work for when nothing else is to be done.
    pub(super) fn tidy(&mut self) {
        let now_ms = self.shared.clock.now_ms();
        if now_ms >= self.next_tidying_ms {
            let more = self.shared.tree.write().drop_tombstones(TIDY.0);
            self.next_tidying_ms = if more { now_ms + TIDY.1 } else { i64::MAX };
        }
    }

    /// Whether memory holds so many unwritten changes that writers have to wait for the store.
    pub(super) fn must_wait(&self) -> bool {
        self.checkpoint.running.is_some() && self.shared.tree.read().dirty_bytes() > self.shared.limits.dirty_bytes_max
    }

    /// The log's disk is full: a checkpoint lets log files go.
    pub(super) fn checkpoint_soon(&mut self) {
        self.checkpoint.next_ms = self.shared.clock.now_ms();
    }

    fn begin_checkpoint(&mut self, now_ms: i64) {
        let due = self.checkpoint.is_due(now_ms);
        if self.checkpoint.running.is_some() {
            // Looked at again when it is done.
            return;
        }
        if !due && self.shared.tree.read().dirty_bytes() < self.shared.limits.checkpoint_bytes {
            return;
        }
        self.checkpoint.begun(now_ms);
        let Some(checkpoint) = self.shared.tree.write().begin_checkpoint() else { return };
        tracing::debug!(zxid = %checkpoint.zxid, znodes = checkpoint.nodes.len(), "checkpoint begun");
        self.checkpoint.running = Some((checkpoint.generation, checkpoint.zxid));
        self.checkpointer.write(checkpoint);
    }

    /// The store has it: the log before it is no longer needed, its znodes may leave memory.
    pub(super) fn checkpointed(&mut self, result: Result<u32, StoreError>) {
        let generation = match result {
            Ok(generation) => generation,
            Err(error) => {
                self.failure = Some(error.to_string());
                return;
            }
        };
        let Some((running, zxid)) = self.checkpoint.running.take() else { return };
        assert_eq!(generation, running, "the store finished a checkpoint that was not under way");
        let mut tree = self.shared.tree.write();
        tree.checkpoint_done(generation);
        drop(tree);
        self.next_tidying_ms = self.shared.clock.now_ms();
        self.shared.make_room();
        tracing::debug!(%zxid, "checkpoint durable");
        if self.no_space {
            // Room counts more than old files to look at.
            self.log.purge_retaining(zxid, 0);
        } else {
            self.log.purge(zxid);
        }
    }

    fn reap(&mut self, now_ms: i64) {
        if now_ms >= self.reaper.next_scan_ms {
            self.reaper.next_scan_ms = now_ms + self.reaper.interval_ms;
            let wall_ms = self.shared.clock.wall_ms();
            self.reaper.due = self.reap_candidates(wall_ms).into();
        }
        while now_ms >= self.reaper.next_removal_ms && !self.no_space && !self.stopping {
            let Some(path) = self.reaper.due.pop_front() else { return };
            self.reaper.next_removal_ms = now_ms + self.reaper.pause_ms;
            let caller = Caller { session: SessionId::NONE, ids: Arc::from([]) };
            self.propose(Write::Reap { path: &path }, &caller, 0, Origin::Server);
        }
    }

    fn reap_candidates(&mut self, wall_ms: i64) -> Vec<Arc<str>> {
        let never_used_ms = self.reaper.max_never_used_ms;
        let scan = self.shared.tree.read().reap_scan(wall_ms, never_used_ms);
        scan.finish(&*self.shared.cold, wall_ms, never_used_ms).unwrap_or_else(|error| {
            self.failure = Some(error.to_string());
            Vec::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(txns: u64) -> CheckpointState {
        let mut state = CheckpointState::new(0, None);
        (0..txns).for_each(|_| state.count(100));
        state
    }

    #[test]
    fn a_checkpoint_is_due_by_time_txns_and_bytes() {
        assert!(!state(5).is_due(59_999));
        assert!(state(5).is_due(60_000));
        assert!(!state(499_999).is_due(0));
        assert!(state(500_000).is_due(0));
        let mut large = state(0);
        large.count(1 << 30);
        assert!(large.is_due(0));
    }

    #[test]
    fn many_changes_and_then_quiet_make_a_checkpoint_due() {
        let mut few = state(9_999);
        assert!(!few.is_due(10) && !few.is_due(30_000));
        assert_eq!(few.deadline_ms(), 60_000);

        let mut many = state(10_000);
        assert!(!many.is_due(100));
        assert_eq!(many.deadline_ms(), 2100);
        many.count(100);
        assert!(!many.is_due(2050), "one came meanwhile");
        assert!(!many.is_due(4049));
        assert!(many.is_due(4050));
        many.running = Some((1, Zxid(1)));
        assert_eq!(many.deadline_ms(), i64::MAX, "the end of the one under way is waited for");
        many.running = None;
        assert!(many.is_due(4051));
        many.begun(4050);
        assert!(!many.is_due(60_000));
    }
}
