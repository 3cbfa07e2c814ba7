//! Quotas: which path is registered, and the statistics that every server keeps in the tree by
//! itself, outside of txns (Java: `Quotas`, `StatsTrack`, `PathTrie`).

use super::children::{Names, names};
use super::cold::StoreError;
use super::memory::Tree;
use super::znode::Znode;
use super::{Committed, Lookup};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zorilla_protocol::path::{self, QUOTA, ROOT};

/// The name of a node whose creation registers a quota (Java: `Quotas.limitNode`).
pub const LIMITS: &str = "zookeeper_limits";
/// The name of the node that the server keeps the statistics in (Java: `Quotas.statNode`).
pub const STATS: &str = "zookeeper_stats";

/// The key of limits that refuses a znode too many.
pub const COUNT_HARD_LIMIT: &str = "countHardLimit";
/// The key of limits that refuses a byte too many.
pub const BYTES_HARD_LIMIT: &str = "byteHardLimit";

/// Whether a path's last name is [`LIMITS`].
pub(super) fn is_limits(path: &str) -> bool {
    path.strip_suffix(LIMITS).is_some_and(|rest| rest.ends_with('/'))
}

/// What the quotas below one child of the root add up to (Java: `QuotaMetricsUtils`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaSums {
    /// Allowed znodes: of each quota the hard limit, or else the soft one, which is -1 for "none".
    pub count_limit: i64,
    /// Allowed bytes, likewise.
    pub bytes_limit: i64,
    /// Znodes.
    pub count_usage: i64,
    /// Bytes of data.
    pub bytes_usage: i64,
}

/// The registered paths.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    paths: BTreeSet<Arc<str>>,
}

impl Quotas {
    /// The deepest registered path that is `path` or above it. A quota on the root is ignored.
    pub fn root_of(&self, path: &str) -> Option<Arc<str>> {
        if self.paths.is_empty() {
            return None;
        }
        let mut at = path;
        while at.len() > 1 {
            if let Some(found) = self.paths.get(at) {
                return Some(found.clone());
            }
            at = &at[..at.rfind('/')?];
        }
        None
    }
}

/// What a node `LIMITS` or `STATS` in `directory` is about: the rest behind `/zookeeper/quota`, empty
/// for the root; `None` elsewhere in the tree.
fn subject(directory: &str) -> Option<&str> {
    let rest = directory.strip_prefix(QUOTA)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// `count=2,bytes=6`, and further keys in the form that old parsers ignore; both in statistics and in
/// limits (Java: `StatsTrack`). -1 stands for "no value".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsTrack {
    /// Znodes, the quota's root included.
    pub count: i64,
    /// Bytes of data.
    pub bytes: i64,
    /// Other keys, in the order they were read.
    pub others: Vec<(String, i64)>,
}

impl StatsTrack {
    /// Reads the text; what cannot be read is left out, where Java's applier would throw.
    pub fn parse(text: &[u8]) -> StatsTrack {
        let mut track = StatsTrack { count: -1, bytes: -1, others: Vec::new() };
        for pair in String::from_utf8_lossy(text).split([',', ';']) {
            let mut parts = pair.split('=');
            let (Some(key), Some(Ok(value))) = (parts.next(), parts.next().map(str::parse)) else { continue };
            match key {
                "count" => track.count = value,
                "bytes" => track.bytes = value,
                _ => track.others.push((key.to_owned(), value)),
            }
        }
        track
    }

    /// A hard limit, when there is one.
    pub fn hard_limit(&self, key: &str) -> Option<i64> {
        self.others.iter().rfind(|(name, _)| name == key).map(|(_, limit)| *limit).filter(|limit| *limit > -1)
    }

    /// The text as the server writes it.
    pub fn to_text(&self) -> String {
        let mut text = format!("count={},bytes={}", self.count, self.bytes);
        if !self.others.is_empty() {
            text.push('=');
            for (key, value) in &self.others {
                text.push_str(&format!(";{key}={value}"));
            }
        }
        text
    }
}

impl Tree {
    /// Registers what the store holds, at start.
    pub(super) fn load_quotas(&mut self, directory: &str) -> Result<(), StoreError> {
        let mut directories = vec![directory.to_owned()];
        while let Some(directory) = directories.pop() {
            for name in self.cold.child_names(&directory)? {
                if &*name == LIMITS {
                    self.register_quota(&directory);
                } else if &*name != STATS {
                    directories.push(format!("{directory}/{name}"));
                }
            }
        }
        Ok(())
    }

    /// The sums of all quotas, by the first name of their path.
    pub fn quota_sums(&self) -> Result<BTreeMap<String, QuotaSums>, StoreError> {
        let mut all: BTreeMap<String, QuotaSums> = BTreeMap::new();
        for root in &self.quotas.paths {
            let sums = all.entry(path::top(root).to_owned()).or_default();
            if let Some(limits) = self.track(root, LIMITS)? {
                let count = limits.hard_limit(COUNT_HARD_LIMIT).unwrap_or(limits.count);
                let bytes = limits.hard_limit(BYTES_HARD_LIMIT).unwrap_or(limits.bytes);
                sums.count_limit = sums.count_limit.wrapping_add(count);
                sums.bytes_limit = sums.bytes_limit.wrapping_add(bytes);
            }
            if let Some(stats) = self.track(root, STATS)? {
                sums.count_usage = sums.count_usage.wrapping_add(stats.count);
                sums.bytes_usage = sums.bytes_usage.wrapping_add(stats.bytes);
            }
        }
        Ok(all)
    }

    fn track(&self, root: &str, name: &str) -> Result<Option<StatsTrack>, StoreError> {
        let node = self.peek(&format!("{QUOTA}{root}/{name}"))?;
        Ok(node.and_then(|node| node.data.as_deref().map(StatsTrack::parse)))
    }

    fn register_quota(&mut self, directory: &str) {
        if let Some(subject) = subject(directory).filter(|subject| !subject.is_empty()) {
            self.quotas.paths.insert(subject.into());
        }
    }

    /// What the creation of `path` means to quotas.
    pub(super) fn quota_on_create(&mut self, path: &str, bytes: i64) -> Result<(), StoreError> {
        let directory = path::parent(path).unwrap_or(ROOT);
        match path::name(path) {
            LIMITS => self.register_quota(directory),
            STATS => {
                if let Some(subject) = subject(directory) {
                    let (count, bytes) = self.count_subtree(subject)?;
                    let text = StatsTrack { count, bytes, others: Vec::new() }.to_text();
                    self.change_data(path, Some(text.as_bytes()), |_| ());
                }
            }
            _ => {}
        }
        self.quota_on_change(path, bytes, 1)
    }

    /// What the deletion of `path` means to quotas.
    pub(super) fn quota_on_delete(&mut self, path: &str, bytes: i64) -> Result<(), StoreError> {
        if path::name(path) == LIMITS
            && let Some(subject) = path::parent(path).and_then(subject)
        {
            self.quotas.paths.remove(subject);
        }
        self.quota_on_change(path, -bytes, -1)
    }

    /// Adds to the statistics of the quota that covers `path`, if one does. Their node's stat stays as
    /// it is, and no watch fires.
    pub(super) fn quota_on_change(&mut self, path: &str, bytes: i64, count: i64) -> Result<(), StoreError> {
        let Some(root) = self.quotas.root_of(path) else { return Ok(()) };
        let stats_path = format!("{QUOTA}{root}/{STATS}");
        let Some(node) = self.ensure(&stats_path)? else { return Ok(()) };
        let mut track = StatsTrack::parse(node.data.as_deref().unwrap_or_default());
        track.count = track.count.wrapping_add(count);
        track.bytes = track.bytes.wrapping_add(bytes);
        self.change_data(&stats_path, Some(track.to_text().as_bytes()), |_| ());
        Ok(())
    }

    /// Znodes and data bytes at and below a path (empty: the root), from memory and store, which need
    /// not fit into memory together.
    fn count_subtree(&self, subject: &str) -> Result<(i64, i64), StoreError> {
        let Some(root) = self.peek(subject)? else { return Ok((0, 0)) };
        let (mut count, mut bytes) = (1, root.data_len() as i64);
        let mut open = vec![(subject.to_owned(), root)];
        while let Some((path, node)) = open.pop() {
            if node.num_children == 0 {
                continue;
            }
            for name in self.peek_children(&path)? {
                let child = format!("{path}/{name}");
                let Some(node) = self.peek(&child)? else { continue };
                count += 1;
                bytes += node.data_len() as i64;
                open.push((child, node));
            }
        }
        Ok((count, bytes))
    }

    /// Every path below `path` (not the root), parents before children.
    pub(super) fn descendants(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            if self.peek(&path)?.is_some_and(|node| node.num_children > 0) {
                for name in self.peek_children(&path)? {
                    let child = format!("{path}/{name}");
                    found.push(child.clone());
                    open.push(child);
                }
            }
        }
        Ok(found)
    }

    /// The znode, from memory or store; memory stays as it is.
    fn peek(&self, path: &str) -> Result<Option<Arc<Znode>>, StoreError> {
        match self.lookup(path) {
            Lookup::Hit(_, node) => Ok(Some(node.clone())),
            Lookup::Absent => Ok(None),
            Lookup::Cold => Ok(self.cold.load(path)?.map(Arc::new)),
        }
    }

    pub(super) fn peek_children(&self, path: &str) -> Result<Names, StoreError> {
        let path = if path.is_empty() { ROOT } else { path };
        let known = self.nodes.get(path).and_then(|entry| entry.children.as_deref());
        match known {
            Some(known) => match known.complete() {
                Some(names) => Ok(names.clone()),
                None => Ok(known.merged(self.cold.child_names(path)?, self.nodes.hasher())),
            },
            None => Ok(names(self.cold.child_names(path)?, self.nodes.hasher())),
        }
    }
}
