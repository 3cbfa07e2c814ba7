//! The edge between the tree in memory and the store that holds it all.
//!
//! Memory holds what is hot and what is dirty; the store holds the tree as it stood at the last
//! checkpoint. A path that memory does not know is asked for outside of every lock and put into
//! memory; the caller then tries again.

use super::znode::{Owner, Znode};
use std::sync::Arc;
use thiserror::Error;
use zorilla_protocol::{SessionId, Zxid};

/// The store could not read or write; the text names file or key and the remedy. This member stops.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct StoreError(pub String);

/// What has to be brought into memory before a request can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The znode of this path, or the knowledge that there is none.
    Node(String),
    /// The complete list of this znode's children.
    Children(String),
}

/// The tree as of the last checkpoint. Calls may block on a disk.
pub trait ColdNodes: Send + Sync {
    /// The znode at `path`.
    fn load(&self, path: &str) -> Result<Option<Znode>, StoreError>;
    /// The names of the direct children of `parent`, in byte order.
    fn child_names(&self, parent: &str) -> Result<Vec<Box<str>>, StoreError>;
}

/// A store that holds nothing: for a tree that stays in memory.
#[derive(Clone, Copy, Debug)]
pub struct NothingCold;

impl ColdNodes for NothingCold {
    fn load(&self, _: &str) -> Result<Option<Znode>, StoreError> {
        Ok(None)
    }
    fn child_names(&self, _: &str) -> Result<Vec<Box<str>>, StoreError> {
        Ok(Vec::new())
    }
}

/// What the tree needs to know at start, without reading all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Everything up to this txn is in the store.
    pub zxid: Zxid,
    /// The digest of the whole tree at [`Header::zxid`].
    pub digest: i64,
    /// Znodes in all, the server's own included.
    pub znodes: u64,
    /// Bytes of paths and data in all (Java: `approximate_data_size`).
    pub data_bytes: u64,
    /// Open sessions and their time-outs in milliseconds.
    pub sessions: Vec<(SessionId, i32)>,
    /// Every ephemeral, container and TTL node.
    pub owned: Vec<(Owner, Box<str>)>,
}

/// The changes between two checkpoints: written as one atomic whole together with the zxid.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// Counts checkpoints of this process; told back to the tree once this one is durable.
    pub generation: u32,
    /// See [`Header`].
    pub zxid: Zxid,
    /// See [`Header`].
    pub digest: i64,
    /// See [`Header`].
    pub znodes: u64,
    /// See [`Header`].
    pub data_bytes: u64,
    /// Every znode changed since the last one, at its newest value; each path once.
    pub nodes: Vec<DirtyNode>,
    /// Sessions opened (time-out in ms) or closed (`None`) since the last one; each once.
    pub sessions: Vec<(SessionId, Option<i32>)>,
    /// Entries of the ownership index that appeared (`true`) or went (`false`); each once.
    pub owned: Vec<(Owner, Arc<str>, bool)>,
}

/// One znode in a checkpoint.
#[derive(Clone, Debug)]
pub struct DirtyNode {
    /// Where it is.
    pub path: Arc<str>,
    /// `None`: deleted.
    pub znode: Option<Arc<Znode>>,
    /// Whether its data may differ from what the store has; if not, large data need not be rewritten.
    pub data_changed: bool,
}
