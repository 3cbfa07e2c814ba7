//! Hard quotas, checked against what outstanding writes make of the statistics. (Apache looks at
//! applied statistics only, so that pipelined writes and multis overshoot; Java:
//! `ZooKeeperServer.checkQuota`.)

use super::super::pending::QuotaChange;
use super::super::quota::{BYTES_HARD_LIMIT, COUNT_HARD_LIMIT, LIMITS, STATS, StatsTrack};
use super::super::{Lookup, Miss};
use super::{Prep, Stop};
use std::sync::Arc;
use zorilla_protocol::Code;
use zorilla_protocol::path::{self, QUOTA};

impl Prep<'_> {
    /// Refuses a write that would take the quota above `path` beyond a hard limit; counts it otherwise.
    /// Only the deepest quota counts.
    pub(super) fn charge_quota(&mut self, path: &str, count: i64, bytes: i64) -> Result<(), Stop> {
        if !self.rules.enforce_quota || (count, bytes) == (0, 0) {
            return Ok(());
        }
        let Some(root) = self.quota_root(path)? else { return Ok(()) };
        let change = QuotaChange { count, bytes };
        if self.exceeds_limits(&root, change)? {
            self.over_quota = Some(path::top(path).into());
            return Err(Code::QuotaExceeded.into());
        }
        self.pending.note_quota(self.zxid, root, change);
        Ok(())
    }

    /// Counts the deletion of a node with this much data.
    pub(super) fn credit_quota(&mut self, path: &str, bytes: i64) -> Result<(), Stop> {
        if self.rules.enforce_quota
            && let Some(root) = self.quota_root(path)?
        {
            self.pending.note_quota(self.zxid, root, QuotaChange { count: -1, bytes: -bytes });
        }
        Ok(())
    }

    /// Whether a hard limit does not allow the change. Being equal to a limit is allowed. Without both
    /// nodes nothing is checked, nor while the statistics are not applied yet: only the applier counts
    /// the subtree.
    fn exceeds_limits(&self, root: &str, change: QuotaChange) -> Result<bool, Stop> {
        let Some(limits) = self.find(&format!("{QUOTA}{root}/{LIMITS}"))? else { return Ok(false) };
        let limits = StatsTrack::parse(limits.data.as_deref().unwrap_or_default());
        let count_limit = limits.hard_limit(COUNT_HARD_LIMIT).filter(|_| change.count != 0);
        let bytes_limit = limits.hard_limit(BYTES_HARD_LIMIT).filter(|_| change.bytes != 0);
        if count_limit.is_none() && bytes_limit.is_none() {
            return Ok(false);
        }
        let Some(stats) = self.applied_stats(root)? else { return Ok(false) };
        let outstanding = self.pending.quota_change(root);
        let count = stats.count.saturating_add(outstanding.count).saturating_add(change.count);
        let bytes = stats.bytes.saturating_add(outstanding.bytes).saturating_add(change.bytes);
        Ok(count_limit.is_some_and(|limit| count > limit) || bytes_limit.is_some_and(|limit| bytes > limit))
    }

    fn applied_stats(&self, root: &str) -> Result<Option<StatsTrack>, Stop> {
        let path = format!("{QUOTA}{root}/{STATS}");
        match self.tree.lookup(&path) {
            Lookup::Hit(_, node) => Ok(Some(StatsTrack::parse(node.data.as_deref().unwrap_or_default()))),
            Lookup::Absent => Ok(None),
            Lookup::Cold => Err(Stop::Miss(Miss::Node(path))),
        }
    }

    /// Whether outstanding txns make or remove a path.
    fn outstanding(&self, path: &str) -> Option<bool> {
        self.pending.change(self.tree.hash(path), path).map(|(_, znode)| znode.is_some())
    }

    /// The deepest registered quota, outstanding registrations included.
    fn quota_root(&self, path: &str) -> Result<Option<Arc<str>>, Stop> {
        if !self.pending.writes_limits() {
            return Ok(self.tree.quota_root(path));
        }
        let mut at = path;
        while at.len() > 1 {
            let registered = match self.outstanding(&format!("{QUOTA}{at}/{LIMITS}")) {
                Some(exists) => exists,
                None => self.tree.quota_root(at).as_deref() == Some(at),
            };
            if registered {
                return Ok(Some(at.into()));
            }
            at = at.rfind('/').map_or("", |slash| &at[..slash]);
        }
        Ok(None)
    }
}
