//! The transaction log: the only write-ahead log there is, in Apache's file format.
//!
//! ```text
//!  append ──> queue ──> writer thread: take all that came, one pwrite, one fdatasync ──> Synced
//!  replay <── log.<first zxid> files, oldest to newest
//! ```
//!
//! What arrives during one fdatasync shares the next (group commit), and nothing is reported before
//! the fdatasync that covers it. In reading order: [`format`] the bytes, [`disk`] the seam to the file
//! system, [`active`] the file being written, [`writer`] the thread, [`replay`] reading back, [`tail`]
//! what the end of a file means, with [`sums`] to find records in it.
//!
//! What is assumed of the disk: a completed fdatasync keeps the bytes written before it; a write that was
//! cut by a power failure leaves each 512-byte sector either old or new, in any combination.

mod active;
mod blocks;
pub mod disk;
pub mod format;
mod replay;
#[cfg(test)]
mod sim_disk;
mod sums;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub use replay::{Replayed, TornTail, replay, replay_on};

use bytes::BytesMut;
use disk::{Disk, RealDisk};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use thiserror::Error;
use zorilla_protocol::Zxid;

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// `dataLogDir/version-2`; created if missing.
    pub dir: PathBuf,
    /// `preAllocSize`, in bytes: how far a file is extended at a time; 0 for no padding.
    pub pre_alloc_bytes: u64,
    /// `forceSync`: off, records count as synced once the operating system has them.
    pub force_sync: bool,
    /// `fsync.warningthresholdms`: a sync that takes longer is logged.
    pub fsync_warning_ms: u64,
    /// `snapCount`: a file is closed behind this many records, at the end of a write.
    pub roll_records_max: u64,
    /// `txnLogSizeLimitInKb`, in bytes of records (Apache counts the padding, too, and so begins a file
    /// for each write where the limit is below `preAllocSize`).
    pub roll_bytes_max: Option<u64>,
}

impl LogOptions {
    /// Apache's defaults.
    pub fn new(dir: impl Into<PathBuf>) -> LogOptions {
        LogOptions {
            dir: dir.into(),
            pre_alloc_bytes: 64 << 20,
            force_sync: true,
            fsync_warning_ms: 1000,
            roll_records_max: 100_000,
            roll_bytes_max: None,
        }
    }
}

/// Serialised `LogEntry`s (TxnHeader, body, digest if any), one behind the other in one piece of memory: records are
/// many, and each alone would be counted by two threads.
#[derive(Debug, Default)]
pub struct Records {
    payloads: BytesMut,
    /// Each one's zxid, and where its payload ends.
    ends: VecDeque<(Zxid, usize)>,
    /// Where the first one begins that was not taken yet.
    start: usize,
}

impl Records {
    /// Appends what `put` writes, about `room` bytes, as the record of this zxid, and returns its length.
    pub fn push(&mut self, zxid: Zxid, room: usize, put: impl FnOnce(&mut BytesMut)) -> usize {
        const BLOCK_BYTES: usize = 32 << 10;
        let start = self.payloads.len();
        if self.payloads.capacity() - start < room {
            self.payloads.reserve(room.max(BLOCK_BYTES));
        }
        put(&mut self.payloads);
        self.ends.push_back((zxid, self.payloads.len()));
        self.payloads.len() - start
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The memory of all payloads, in bytes.
    pub fn bytes(&self) -> usize {
        self.payloads.len()
    }

    fn take_first(&mut self) -> Option<(Zxid, &[u8])> {
        let (zxid, end) = self.ends.pop_front()?;
        let start = std::mem::replace(&mut self.start, end);
        Some((zxid, &self.payloads[start..end]))
    }
}

/// What the writer has to say. Called on its thread, in order; must not block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// Everything up to and including `through` is on disk.
    Synced {
        /// The last durable zxid.
        through: Zxid,
    },
    /// No room: nothing behind `last` was or will be written, and the file was durably cut back to it;
    /// batches of this generation and older ones are dropped.
    NoSpace {
        /// The last durable zxid.
        last: Zxid,
        /// The generation of the batch that found no room.
        generation: u64,
    },
    /// There is room again; the owner may append with `generation + 1`.
    SpaceAvailable {
        /// That of the last `NoSpace`.
        generation: u64,
    },
    /// A write or sync failed otherwise; the log accepts nothing more. The process must stop: what the
    /// disk holds is unknown until it is read again.
    Failed {
        /// For the operator.
        error: String,
    },
}

/// Why the log cannot be read or written.
#[derive(Debug, Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("{}: {source}. Check the disk, and the directory's owner, permissions and free space", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The files do not hold every record that they should.
    #[error("{} is damaged at offset {offset}: {reason}. {remedy}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        reason: String,
        /// What an operator can do.
        remedy: String,
    },
    /// There is no log, but there has to be one.
    #[error(
        "{} holds no transaction log, but the tree was saved at {after}, and what was logged behind that is missing. \
         Is dataLogDir right, and its disk mounted? Put the log files back. Or, giving up every transaction behind \
         {after}, create an empty file {file} there",
        dir.display()
    )]
    Missing {
        /// Where it should be.
        dir: PathBuf,
        /// Where the tree stands.
        after: Zxid,
        /// The file that would hold the next transaction.
        file: String,
    },
    /// The caller handed in something that the log must not hold.
    #[error("{0}")]
    Refused(String),
    /// From the caller of [`replay`]: a record could not be applied.
    #[error("{0}")]
    Apply(Box<dyn std::error::Error + Send + Sync>),
}

impl LogError {
    /// For `map_err`: names the file that the operating system did not.
    fn io(path: &Path) -> impl FnOnce(io::Error) -> LogError {
        let path = path.to_owned();
        move |source| LogError::Io { path, source }
    }

    /// Whether there was no room, which passes.
    fn is_no_space(&self) -> bool {
        matches!(self, LogError::Io { source, .. } if disk::is_no_space(source))
    }
}

/// How many files [`TxnLog::purge`] keeps of those that are not needed (Apache keeps what its three
/// newest snapshots need; this is for operators' eyes and for peers that are a little behind).
pub const PURGE_RETAINED: usize = 3;

/// The log's front: hands batches to the writer thread.
pub struct TxnLog {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    writer: Option<JoinHandle<Result<(), LogError>>>,
    purging: Arc<Mutex<()>>,
}

/// What is queued for the writer.
#[derive(Default)]
struct Queue {
    records: Vec<(u64, Records)>,
    closing: bool,
    /// The writer is gone; nothing more is taken.
    failed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl TxnLog {
    /// Starts the writer thread behind `last`, the last zxid replayed. A new file is begun for the first
    /// record, as Apache does: old files are never appended to.
    pub fn start(
        options: LogOptions,
        last: Zxid,
        events: impl Fn(LogEvent) + Send + 'static,
    ) -> Result<TxnLog, LogError> {
        Self::start_on(Arc::new(RealDisk), options, last, events)
    }

    /// As [`TxnLog::start`], on a given disk.
    pub fn start_on(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        last: Zxid,
        events: impl Fn(LogEvent) + Send + 'static,
    ) -> Result<TxnLog, LogError> {
        let dir = options.dir.clone();
        disk.create_dir(&dir).map_err(LogError::io(&dir))?;
        let shared = Arc::new(Shared::default());
        let writer = writer::Writer::new(disk.clone(), options, shared.clone(), last, events);
        let writer = std::thread::Builder::new()
            .name("txn-log".to_owned())
            .spawn(move || writer.run())
            .map_err(LogError::io(&dir))?;
        Ok(TxnLog { shared, disk, dir, writer: Some(writer), purging: Arc::default() })
    }

    /// Hands over records, in the order they are to be written; zxids rise. Never blocks on the disk and
    /// never fails: what becomes of them is told by events. The owner bounds what is outstanding.
    pub fn append(&self, generation: u64, records: Records) {
        let mut queue = self.shared.queue.lock();
        if queue.failed || records.is_empty() {
            return;
        }
        queue.records.push((generation, records));
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Deletes log files that hold nothing behind `checkpoint`, but the [`PURGE_RETAINED`] newest of them.
    pub fn purge(&self, checkpoint: Zxid) {
        self.purge_retaining(checkpoint, PURGE_RETAINED);
    }

    /// As [`TxnLog::purge`], keeping another number. Works in the background: unlinking a large file
    /// takes the file system a while. Failures are logged and met again by the next purge.
    pub fn purge_retaining(&self, checkpoint: Zxid, retain: usize) {
        let (disk, dir, purging) = (self.disk.clone(), self.dir.clone(), self.purging.clone());
        let purge = move || {
            let _one_at_a_time = purging.lock();
            if let Err(error) = purge_files(&*disk, &dir, checkpoint, retain) {
                tracing::warn!(%error, "could not purge the transaction log");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("log-purge".to_owned()).spawn(purge) {
            tracing::warn!(%error, "could not start a purge of the transaction log");
        }
    }

    /// Writes what is queued, syncs, closes the file. An error if not all of it is on disk.
    pub fn close(mut self) -> Result<(), LogError> {
        self.stop()
    }

    /// The summed lengths of the log files, padding included, in bytes; 0 if the directory cannot be read.
    pub fn size_bytes(&self) -> u64 {
        log_files(&*self.disk, &self.dir).map_or(0, |files| files.iter().map(|file| file.length).sum())
    }

    fn stop(&mut self) -> Result<(), LogError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        self.shared.queue.lock().closing = true;
        self.shared.wake.notify_one();
        writer.join().unwrap_or_else(|_| Err(LogError::Refused("the log's writer panicked".to_owned())))
    }
}

impl Drop for TxnLog {
    fn drop(&mut self) {
        // close() reports; whoever drops the log instead does not want to know.
        let _ = self.stop();
    }
}

/// A log file by name.
struct LogFile {
    path: PathBuf,
    /// From its name: the zxid of its first record.
    first: Zxid,
    length: u64,
}

/// The log files of a directory, oldest first; none if there is no such directory.
fn log_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<LogFile>, LogError> {
    let listed = match disk.list(dir) {
        Ok(listed) => listed,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(LogError::io(dir)(e)),
    };
    let mut files = Vec::new();
    for (name, length) in listed {
        match format::zxid_of_name(&name) {
            Some(first) => files.push(LogFile { path: dir.join(&name), first, length }),
            None if name.starts_with("log.") => {
                tracing::warn!(name, "not the name of a transaction log (log.<hex zxid>), ignored");
            }
            None => {}
        }
    }
    files.sort_by_key(|file| file.first);
    Ok(files)
}

/// Where reading from behind `after` begins: the newest file that may hold `after + 1`.
fn first_needed(files: &[LogFile], after: Zxid) -> usize {
    files.partition_point(|file| file.first <= after.next()).saturating_sub(1)
}

fn purge_files(disk: &dyn Disk, dir: &Path, checkpoint: Zxid, retain: usize) -> Result<(), LogError> {
    let files = log_files(disk, dir)?;
    let removable = first_needed(&files, checkpoint).saturating_sub(retain);
    // Oldest first: an interruption leaves no hole.
    for file in &files[..removable] {
        disk.remove(&file.path).map_err(LogError::io(&file.path))?;
        tracing::info!(file = %file.path.display(), "purged a transaction log file");
    }
    Ok(())
}
