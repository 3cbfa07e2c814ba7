//! Reading the log back, oldest record first.
//!
//! Apache's rules, where they lose nothing; stricter where Apache would come up with a hole or without
//! acknowledged records: zxids must follow each other without a gap within an epoch and begin at 1 in a
//! new one, the first record must follow what the caller already has, and a file that ends before its
//! records do is only accepted where a crash explains it ([`super::tail`]).

use super::disk::{Disk, File, RealDisk, write_all_at};
use super::format::MAGIC;
use super::tail::{End, Source, Step};
use super::writer::COMMIT_BYTES_MAX;
use super::{LogError, LogFile, first_needed, log_files};
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};
use zorilla_protocol::Zxid;
use zorilla_protocol::jute::{Jute, Reader};
use zorilla_protocol::txn::LogEntry;

const PAGE_BYTES: u64 = 4096;
/// How much is written at a time to make the end of the log durable.
const SETTLE_BYTES: usize = 256 << 10;

/// What [`replay`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The last zxid applied; none if there was no record behind `after`.
    pub last: Option<Zxid>,
    /// How many records were applied.
    pub records: u64,
    /// What a crash left unfinished behind the last record, and was cut off. It was never acknowledged.
    pub torn: Option<TornTail>,
}

/// An unfinished write at the end of the last file.
#[derive(Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: PathBuf,
    /// Where its whole records end, in bytes.
    pub offset: u64,
    /// How many bytes behind that were dropped (padding not counted).
    pub bytes: u64,
}

/// Reads every record behind `after`, in order, and calls `apply` with it. Cuts a torn tail; refuses
/// damage.
pub fn replay(
    dir: &Path,
    after: Zxid,
    apply: &mut dyn FnMut(LogEntry) -> Result<(), LogError>,
) -> Result<Replayed, LogError> {
    replay_on(&RealDisk, dir, after, apply)
}

/// As [`replay`], on a given disk.
pub fn replay_on(
    disk: &dyn Disk,
    dir: &Path,
    after: Zxid,
    apply: &mut dyn FnMut(LogEntry) -> Result<(), LogError>,
) -> Result<Replayed, LogError> {
    let mut files = log_files(disk, dir)?;
    if files.is_empty() && after > Zxid::ZERO {
        // A purge keeps the file that holds the checkpoint, so this is another directory than we wrote to.
        let file = format!("log.{:x}", after.next().0);
        return Err(LogError::Missing { dir: dir.to_owned(), after, file });
    }
    let mut replayed = Replayed { torn: drop_files_without_header(disk, dir, &mut files)?, ..Replayed::default() };
    let start = first_needed(&files, after);
    let mut order = Order { after, seen: None };
    for (index, log) in files.iter().enumerate().skip(start) {
        let file = disk.open(&log.path).map_err(LogError::io(&log.path))?;
        let is_last = index + 1 == files.len();
        let mut reading = FileReading { log, source: Source::new(&*file, log.length), order: &mut order, is_last };
        let (end, torn) = reading.read(&mut replayed, apply)?;
        if !is_last {
            continue;
        }
        if let Some(torn) = torn {
            cut(&*file, &torn)?;
            replayed.torn = Some(torn);
        }
        settle(&*file, end).map_err(LogError::io(&log.path))?;
    }
    Ok(replayed)
}

/// Makes durable what was read: a process that was killed, or whose last sync failed, leaves records that only the
/// page cache knows, and the next file must not stand behind them as if they were on the disk. What one write can
/// hold is written once more: after a sync that failed, the system takes those pages for clean and would not write
/// them for a sync alone. What is further ahead was durable before the last write began.
fn settle(file: &dyn File, end: u64) -> io::Result<()> {
    let from = end.saturating_sub(2 * COMMIT_BYTES_MAX as u64);
    let mut at = from - from % PAGE_BYTES;
    let mut chunk = vec![0; SETTLE_BYTES];
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(SETTLE_BYTES).min(SETTLE_BYTES);
        let read = file.read_at(&mut chunk[..wanted], at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(file, &chunk[..read], at)?;
        at += read as u64;
    }
    file.sync_all()
}

/// A crash between creating a file and its first sync leaves it empty, with half a header, or with
/// zeros. It holds nothing, and Apache would not start over it: removed. Only at the end of the log.
fn drop_files_without_header(
    disk: &dyn Disk,
    dir: &Path,
    files: &mut Vec<LogFile>,
) -> Result<Option<TornTail>, LogError> {
    let mut torn = None;
    while let Some(log) = files.last() {
        let file = disk.open(&log.path).map_err(LogError::io(&log.path))?;
        let used = Source::new(&*file, log.length).used_from(0).map_err(LogError::io(&log.path))?;
        if used > 0 && log.length >= super::format::HEADER.len() as u64 {
            break;
        }
        tracing::warn!(file = %log.path.display(), "removed a log file without a header, left by a crash");
        disk.remove(&log.path).map_err(LogError::io(&log.path))?;
        disk.sync_dir(dir).map_err(LogError::io(dir))?;
        if used > 0 {
            torn = Some(TornTail { file: log.path.clone(), offset: 0, bytes: used });
        }
        files.pop();
    }
    Ok(torn)
}

/// Padding goes with the torn bytes: what is left ends with its last record.
fn cut(file: &dyn File, torn: &TornTail) -> Result<(), LogError> {
    tracing::warn!(
        file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes,
        "cut off what a crash left unfinished at the end of the transaction log"
    );
    file.set_len(torn.offset).and_then(|()| file.sync_all()).map_err(LogError::io(&torn.file))
}

/// Holds records to the total order.
struct Order {
    /// What the caller has already.
    after: Zxid,
    /// The last record read, applied or not.
    seen: Option<Zxid>,
}

impl Order {
    /// The last record that is known to exist.
    fn last(&self) -> Zxid {
        self.seen.map_or(self.after, |seen| seen.max(self.after))
    }

    /// Whether `zxid` is to be applied; an error if it cannot stand here.
    fn admit(&mut self, zxid: Zxid) -> Result<bool, Misplaced> {
        if self.seen.is_some_and(|seen| zxid <= seen) {
            return Err(Misplaced::NotRising);
        }
        let last = self.last();
        self.seen = Some(zxid);
        if zxid <= self.after {
            return Ok(false);
        }
        let follows = zxid == last.next() || (zxid.epoch() > last.epoch() && zxid.counter() == 1);
        if follows { Ok(true) } else { Err(Misplaced::Gap) }
    }
}

enum Misplaced {
    NotRising,
    Gap,
}

/// One file.
struct FileReading<'a> {
    log: &'a LogFile,
    source: Source<'a>,
    order: &'a mut Order,
    is_last: bool,
}

impl FileReading<'_> {
    fn read(
        &mut self,
        replayed: &mut Replayed,
        apply: &mut dyn FnMut(LogEntry) -> Result<(), LogError>,
    ) -> Result<(u64, Option<TornTail>), LogError> {
        let mut offset = self.header()?;
        loop {
            match self.source.record(offset).map_err(LogError::io(&self.log.path))? {
                Step::Record { payload, next } => {
                    if let Some(entry) = self.entry(offset, payload)? {
                        replayed.last = Some(entry.zxid());
                        replayed.records += 1;
                        apply(entry)?;
                    }
                    offset = next;
                }
                broken => return Ok((offset, self.end(offset, &broken)?)),
            }
        }
    }

    fn header(&mut self) -> Result<u64, LogError> {
        let size = super::format::HEADER.len();
        let header = self.source.bytes(0, size).map_err(LogError::io(&self.log.path))?;
        if header.len() < size || !header.starts_with(MAGIC) {
            let remedy = "Restore the file from a backup; if it is not a transaction log, move it away".to_owned();
            return Err(self.damaged(0, "it does not begin with the header of a transaction log", remedy));
        }
        Ok(size as u64)
    }

    /// The record, if it is behind what the caller has.
    fn entry(&mut self, offset: u64, payload: Bytes) -> Result<Option<LogEntry>, LogError> {
        let Some(zxid) = super::format::payload_zxid(&payload) else {
            return Err(self.unreadable(offset, "a record is too short to be one"));
        };
        let last = self.order.last();
        match self.order.admit(zxid) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(Misplaced::NotRising) => {
                return Err(self.unreadable(offset, &format!("{zxid} stands behind {last}, out of order")));
            }
            Err(Misplaced::Gap) => return Err(self.gap(offset, last, zxid)),
        }
        match LogEntry::get(&mut Reader::new(&payload)) {
            Ok(entry) => Ok(Some(entry)),
            Err(e) => Err(self.unreadable(offset, &format!("the record of {zxid} cannot be read: {e}"))),
        }
    }

    /// What it means that there is no whole record at `offset`.
    fn end(&mut self, offset: u64, broken: &Step) -> Result<Option<TornTail>, LogError> {
        let last = self.order.seen.map_or(Zxid(self.log.first.0 - 1), |seen| seen.max(self.order.after));
        match self.source.end(offset, broken, last, self.is_last).map_err(LogError::io(&self.log.path))? {
            End::Clean => Ok(None),
            End::Torn { bytes } => Ok(Some(TornTail { file: self.log.path.clone(), offset, bytes })),
            End::Damaged(reason) => Err(self.unreadable(offset, reason)),
        }
    }

    fn damaged(&self, offset: u64, reason: &str, remedy: String) -> LogError {
        LogError::Damaged { path: self.log.path.clone(), offset, reason: reason.to_owned(), remedy }
    }

    fn unreadable(&self, offset: u64, reason: &str) -> LogError {
        let last = self.order.last();
        let remedy = format!(
            "Nothing was changed. Restore the file from a backup. Or, giving up every transaction behind {last}, \
             cut the file to {offset} bytes (truncate -s {offset}) and move all later log files away"
        );
        self.damaged(offset, reason, remedy)
    }

    fn gap(&self, offset: u64, last: Zxid, zxid: Zxid) -> LogError {
        let reason = format!("{zxid} follows {last}: the transactions between them are missing");
        let remedy = format!(
            "Nothing was changed. Put the log file that holds {} back, or restore the data directory from a backup",
            if zxid.epoch() == last.epoch() { last.next().to_string() } else { format!("what precedes {zxid}") }
        );
        self.damaged(offset, &reason, remedy)
    }
}
