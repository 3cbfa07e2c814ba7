//! The thread that writes checkpoints, so that nobody else waits for RocksDB.

use super::{Store, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};
use zorilla_core::tree::cold::{Checkpoint, DirtyNode, StoreError};

/// How long to wait for room before trying again.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);
/// How often to look whether the store has merged enough tables, and how often at most.
const MERGE_PAUSE: Duration = Duration::from_millis(20);
const MERGE_PAUSES_MAX: usize = 1500;

/// Writes one checkpoint at a time.
pub struct Checkpointer {
    work: Option<Sender<Checkpoint>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. `done` is told the generation of each checkpoint that is durable, or why this
    /// one never will be. A full disk is neither: it is waited for.
    pub fn start(
        store: Arc<Store>,
        done: impl Fn(Result<u32, StoreError>) + Send + 'static,
    ) -> std::io::Result<Checkpointer> {
        let (work, checkpoints) = channel::<Checkpoint>();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            for checkpoint in checkpoints {
                if let Some(result) = write_patiently(&store, &checkpoint, &stopped) {
                    done(result.map(|()| checkpoint.generation));
                }
            }
        })?;
        Ok(Checkpointer { work: Some(work), stop, thread: Some(thread) })
    }

    /// Hands a checkpoint over; returns at once.
    pub fn write(&self, checkpoint: Checkpoint) {
        if let Some(work) = &self.work {
            // The thread only ends when this side does.
            let _ = work.send(checkpoint);
        }
    }
}

impl Drop for Checkpointer {
    /// Waits for the checkpoint under way, unless it waits for something itself.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.work = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the checkpoint thread panicked");
        }
    }
}

/// About what it takes on the disk, at most.
fn size_bytes(checkpoint: &Checkpoint) -> u64 {
    let node = |node: &DirtyNode| node.path.len() + node.znode.as_ref().map_or(0, |znode| 100 + znode.data_len());
    checkpoint.nodes.iter().map(|dirty| node(dirty) as u64).sum()
}

/// Lets the store merge tables if it lags behind. Returns whether to go on: `false` if told to stop meanwhile.
fn let_merge(store: &Store, stop: &AtomicBool) -> bool {
    for _ in 0..MERGE_PAUSES_MAX {
        if !store.is_behind() {
            return true;
        }
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        thread::sleep(MERGE_PAUSE);
    }
    warn!("the store's tables are merged slower than checkpoints arrive");
    true
}

/// `None`: told to stop while waiting for the store or for room.
fn write_patiently(store: &Store, checkpoint: &Checkpoint, stop: &AtomicBool) -> Option<Result<(), StoreError>> {
    if !let_merge(store, stop) {
        return None;
    }
    let began = Instant::now();
    let mut said = false;
    loop {
        match store.write(checkpoint) {
            Ok(()) => {
                metrics::histogram!("snapshottime").record(began.elapsed().as_millis() as f64);
                if said {
                    info!(zxid = %checkpoint.zxid, "the checkpoint is written: there is room again");
                }
                return Some(Ok(()));
            }
            Err(WriteError::Store(error)) => return Some(Err(error)),
            Err(full @ WriteError::NoSpace(_)) => {
                if !said {
                    error!("{full}; the log is kept and the checkpoint is tried again every second");
                    said = true;
                }
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                thread::sleep(NO_SPACE_PAUSE);
                // After a failed flush RocksDB reads on, but takes nothing until it is opened again,
                // which needs room itself.
                if store.has_room(size_bytes(checkpoint))
                    && let Err(error) = store.reopen()
                {
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zorilla_protocol::Zxid;

    fn checkpoint(generation: u32) -> Checkpoint {
        Checkpoint { generation, zxid: Zxid(generation.into()), ..Checkpoint::default() }
    }

    #[test]
    fn a_checkpoint_waits_for_a_store_that_lags_behind_but_not_when_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), 32 << 20).unwrap();
        let stop = AtomicBool::new(false);
        store.merge(false);
        let mut generation = 0;
        while !store.is_behind() {
            generation += 1;
            assert!(generation < 100, "it never lags behind");
            store.write(&checkpoint(generation)).unwrap();
        }
        let next = checkpoint(generation + 1);
        stop.store(true, Ordering::Relaxed);
        assert!(write_patiently(&store, &next, &stop).is_none());

        stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let writing = scope.spawn(|| write_patiently(&store, &next, &stop));
            thread::sleep(10 * MERGE_PAUSE);
            assert!(!writing.is_finished(), "it waits");
            store.merge(true);
            assert!(matches!(writing.join(), Ok(Some(Ok(())))));
        });
        assert_eq!(store.header().unwrap().map(|header| header.zxid), Some(next.zxid));
    }
}
