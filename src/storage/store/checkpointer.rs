//! The thread that writes checkpoints, so that nobody else waits for RocksDB.

use super::{Store, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{error, info};
use zorilla_core::tree::cold::{Checkpoint, DirtyNode, StoreError};

/// How long to wait for room before trying again.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(1);

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
    /// Waits for the checkpoint under way, unless it waits for room.
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

/// `None`: told to stop while waiting for room.
fn write_patiently(store: &Store, checkpoint: &Checkpoint, stop: &AtomicBool) -> Option<Result<(), StoreError>> {
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
