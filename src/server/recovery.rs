//! From files to a tree: the last checkpoint, and the log behind it.

use super::shared::Limits;
use crate::config::Config;
use crate::storage::log::{self, LogError};
use crate::storage::store::{Store, WriteError};
use crate::time::Clock;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;
use tracing::{info, warn};
use zorilla_core::auth::AuthRules;
use zorilla_core::tree::Tree;
use zorilla_core::tree::cold::{Checkpoint, ColdNodes, StoreError};
use zorilla_core::tree::pending::Rules;
use zorilla_protocol::Zxid;
use zorilla_protocol::txn::LogEntry;

/// Why the data cannot be served.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The log's side.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store's side.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log leads to another tree than it promises.
    #[error(
        "txn {zxid} gives a tree with digest {ours:#x}, its record says {theirs:#x}: the store or the log is not what \
         was written. Restore the data directory from a backup"
    )]
    Digest {
        /// The txn.
        zxid: Zxid,
        /// What we have.
        ours: i64,
        /// What was logged.
        theirs: i64,
    },
}

/// What a start begins with.
pub struct Recovered {
    /// As of the last txn in the log.
    pub tree: Tree,
    /// That txn.
    pub last: Zxid,
    /// A checkpoint that found no room on the disk: it has to be written before any other.
    pub unwritten: Option<Checkpoint>,
}

/// Opens the tree at its checkpoint and replays the log from there. The cost depends on the log behind
/// the checkpoint, not on the size of the tree.
pub fn recover(store: &Arc<Store>, logs: &Path, limits: &Limits, check: bool) -> Result<Recovered, RecoveryError> {
    let cold = store.clone() as Arc<dyn ColdNodes>;
    let mut tree = match store.header()? {
        Some(header) => {
            info!(zxid = %header.zxid, znodes = header.znodes, "checkpoint found");
            Tree::open(header, cold, Clock::seed())?
        }
        None => Tree::new_standalone(cold, Clock::seed()),
    };
    let after = tree.last_zxid();
    let mut failure = None;
    let mut unwritten = None;
    let mut apply = |entry: LogEntry| {
        let outcome = replay_one(&mut tree, store, limits, check, &entry, &mut unwritten);
        outcome.map_err(|why| {
            let text = why.to_string();
            failure = Some(why);
            LogError::Refused(text)
        })
    };
    let replayed = match log::replay(logs, after, &mut apply) {
        Ok(replayed) => replayed,
        Err(error) => return Err(failure.unwrap_or(RecoveryError::Log(error))),
    };
    if let Some(torn) = &replayed.torn {
        warn!(file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes,
            "the log ended inside a record that was never acknowledged: it is cut");
    }
    if replayed.records > 0 {
        info!(records = replayed.records, from = %after.next(), "log replayed");
    }
    let last = tree.last_zxid();
    Ok(Recovered { tree, last, unwritten })
}

fn replay_one(
    tree: &mut Tree,
    store: &Store,
    limits: &Limits,
    check: bool,
    entry: &LogEntry,
    unwritten: &mut Option<Checkpoint>,
) -> Result<(), RecoveryError> {
    let applied = tree.apply(&entry.header, &entry.txn)?;
    if let Some(digest) = entry.digest.as_ref().filter(|_| check) {
        let (ours, theirs) = (applied.digest, digest.tree_digest);
        if ours != theirs {
            return Err(RecoveryError::Digest { zxid: entry.zxid(), ours, theirs });
        }
    }
    if tree.dirty_bytes() > limits.checkpoint_bytes
        && let Some(checkpoint) = tree.begin_checkpoint()
    {
        match store.write(&checkpoint) {
            Ok(()) => tree.checkpoint_done(checkpoint.generation),
            // Memory held what is behind the last checkpoint before, and does again.
            Err(WriteError::NoSpace(_)) => *unwritten = Some(checkpoint),
            Err(WriteError::Store(error)) => return Err(error.into()),
        }
    }
    let over = tree.resident_bytes().saturating_sub(limits.tree_bytes_max);
    if over > 0 {
        tree.evict(over, 2000);
    }
    Ok(())
}

/// How writes are validated, from the configuration.
pub fn rules(config: &Config) -> Rules {
    Rules {
        skip_acl: config.skip_acl,
        enforce_quota: config.enforce_quota,
        extended_types: config.extended_types_enabled,
        digest_enabled: config.digest_enabled,
        close_session_txn: config.close_session_txn_enabled,
        auth: AuthRules {
            super_digest: config.super_digest.as_ref().map(|secret| secret.reveal().to_owned()),
            digest_enabled: config.digest_auth_enabled,
            digest_alg: config.digest_alg,
        },
        request_bytes_max: config.jute_maxbuffer_bytes as usize,
    }
}
