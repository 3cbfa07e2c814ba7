//! The thread that writes: takes all that is queued, writes it at once, syncs once, says so.

use super::active::ActiveFile;
use super::blocks::Blocks;
use super::disk::{Disk, is_no_space, write_all_at};
use super::format::{self, HEADER};
use super::{LogError, LogEvent, LogOptions, Records, Shared};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zorilla_protocol::Zxid;

/// A write is closed when it has this many bytes, so that a sync, and the memory for it, stay bounded;
/// one record more can go on top. Replay relies on it (see `tail`).
pub(super) const COMMIT_BYTES_MAX: usize = 1 << 20;
/// How long nothing must have come before zeros are written ahead.
const IDLE: Duration = Duration::from_millis(10);
/// How often a full disk is tried again.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Room for most batches, so that they are not copied while they grow.
const BUFFER_BYTES: usize = 512 << 10;
/// A buffer that grew beyond this is not kept.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

pub(super) struct Writer<E> {
    disk: Arc<dyn Disk>,
    options: LogOptions,
    shared: Arc<Shared>,
    events: E,
    file: Option<ActiveFile>,
    /// The last durable zxid.
    last: Zxid,
    pending: VecDeque<(u64, Records)>,
    /// Batches up to this generation are dropped.
    refused: Option<u64>,
    /// While the disk is full: when to look again.
    probe_at: Option<Instant>,
    buffer: Blocks,
}

impl<E: Fn(LogEvent)> Writer<E> {
    pub(super) fn new(disk: Arc<dyn Disk>, options: LogOptions, shared: Arc<Shared>, last: Zxid, events: E) -> Self {
        Writer {
            disk,
            options,
            shared,
            events,
            file: None,
            last,
            pending: VecDeque::new(),
            refused: None,
            probe_at: None,
            buffer: Blocks::default(),
        }
    }

    /// Until closed or failed.
    pub(super) fn run(mut self) -> Result<(), LogError> {
        loop {
            let (records, closing) = self.take();
            let idle = records.is_empty();
            self.pending.extend(records);
            let done = match self.work(idle) {
                Ok(()) if closing => self.finish(),
                Ok(()) => continue,
                Err(error) => Err(error),
            };
            if let Err(error) = &done {
                self.fail(error);
            }
            return done;
        }
    }

    /// Waits for work, or until there is something to do without any.
    fn take(&self) -> (Vec<(u64, Records)>, bool) {
        let patience = match (&self.file, self.probe_at) {
            (_, Some(at)) => Some(at.saturating_duration_since(Instant::now())),
            (Some(file), None) if file.wants_fill() => Some(IDLE),
            _ => None,
        };
        let mut queue = self.shared.queue.lock();
        if queue.records.is_empty() && !queue.closing {
            match patience {
                Some(patience) => _ = self.shared.wake.wait_for(&mut queue, patience),
                None => self.shared.wake.wait(&mut queue),
            }
        }
        (std::mem::take(&mut queue.records), queue.closing)
    }

    fn work(&mut self, idle: bool) -> Result<(), LogError> {
        if self.probe_at.is_some_and(|at| at <= Instant::now()) {
            self.probe()?;
        }
        self.drop_refused();
        while self.probe_at.is_none() && !self.pending.is_empty() {
            self.commit()?;
        }
        match &mut self.file {
            Some(file) if idle && self.probe_at.is_none() && file.wants_fill() => match file.fill_step() {
                Ok(()) => Ok(()),
                Err(e) if is_no_space(&e) => {
                    // No reason to refuse anyone yet: a record may still find room.
                    file.stop_filling();
                    Ok(())
                }
                Err(e) => Err(LogError::io(&file.path)(e)),
            },
            _ => Ok(()),
        }
    }

    /// One write, one sync.
    fn commit(&mut self) -> Result<(), LogError> {
        let commit = self.gather()?;
        match self.write_and_sync(&commit) {
            Ok(()) => {
                self.last = commit.through;
                (self.events)(LogEvent::Synced { through: commit.through });
                self.roll()
            }
            Err(error) if error.is_no_space() => self.on_no_space(commit.generation, &error),
            Err(error) => Err(error),
        }
    }

    /// Moves pending records to the buffer.
    fn gather(&mut self) -> Result<Commit, LogError> {
        let mut commit = Commit { first: self.last, through: self.last, generation: 0, records: 0 };
        let tail = self.file.as_ref().map_or(HEADER.as_slice(), |file| file.tail());
        self.buffer.begin(tail, BUFFER_BYTES);
        while self.buffer.len() < COMMIT_BYTES_MAX
            && let Some((generation, records)) = self.pending.front_mut()
        {
            let Some((zxid, payload)) = records.take_first() else {
                self.pending.pop_front();
                continue;
            };
            // What is out of order here could not be replayed.
            let stands = format::payload_zxid(payload) == Some(zxid);
            if zxid <= commit.through || !stands || i32::try_from(payload.len()).is_err() {
                let through = commit.through;
                return Err(LogError::Refused(format!("{zxid} cannot be logged behind {through}")));
            }
            format::put_record(self.buffer.out(), payload);
            if commit.records == 0 {
                commit.first = zxid;
            }
            commit.through = zxid;
            commit.generation = *generation;
            commit.records += 1;
            if records.is_empty() {
                self.pending.pop_front();
            }
        }
        Ok(commit)
    }

    fn write_and_sync(&mut self, commit: &Commit) -> Result<(), LogError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let (dir, pre_alloc) = (&self.options.dir, self.options.pre_alloc_bytes);
                self.file.insert(ActiveFile::create(&*self.disk, dir, commit.first, pre_alloc)?)
            }
        };
        let end = file.write(&mut self.buffer).map_err(LogError::io(&file.path))?;
        let began = Instant::now();
        file.sync(end, commit.records, self.options.force_sync).map_err(LogError::io(&file.path))?;
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Blocks::default();
        }
        if self.options.force_sync {
            metrics::histogram!("fsynctime").record(took_ms);
            if took_ms > self.options.fsync_warning_ms as f64 {
                metrics::counter!("fsync_threshold_exceed_count").increment(1);
                let (path, bytes) = (file.path.display(), file.length);
                tracing::warn!(file = %path, took_ms, file_bytes = bytes, "syncing the transaction log took long");
            }
        }
        Ok(())
    }

    /// Closes the file when it has had enough; the next record begins one.
    fn roll(&mut self) -> Result<(), LogError> {
        let full = self.file.take_if(|file| {
            file.records >= self.options.roll_records_max
                || self.options.roll_bytes_max.is_some_and(|max| file.end > max)
        });
        finish_file(full)
    }

    /// Takes back what was being written, durably, before anyone is told that it will not be: otherwise a
    /// restart could bring back a write that was answered with an error.
    fn on_no_space(&mut self, generation: u64, error: &LogError) -> Result<(), LogError> {
        tracing::error!(%error, last = %self.last, "no room for the transaction log; writes are refused until there is");
        match self.file.take() {
            // Its name is that of a record which will not be.
            Some(file) if file.records == 0 => {
                let path = file.path.clone();
                drop(file);
                self.disk.remove(&path).map_err(LogError::io(&path))?;
                self.disk.sync_dir(&self.options.dir).map_err(LogError::io(&self.options.dir))?;
            }
            Some(mut file) => {
                file.cut_back().map_err(LogError::io(&file.path))?;
                self.file = Some(file);
            }
            None => {}
        }
        self.refused = Some(generation);
        self.probe_at = Some(Instant::now() + PROBE_INTERVAL);
        self.drop_refused();
        (self.events)(LogEvent::NoSpace { last: self.last, generation });
        Ok(())
    }

    fn drop_refused(&mut self) {
        if let Some(refused) = self.refused {
            self.pending.retain(|(generation, _)| *generation > refused);
        }
    }

    /// Looks whether there is room again.
    fn probe(&mut self) -> Result<(), LogError> {
        let (room, path) = match &mut self.file {
            Some(file) => (file.reserve(), file.path.clone()),
            None => (self.probe_without_file(), self.options.dir.clone()),
        };
        match room {
            Ok(()) => {
                self.probe_at = None;
                tracing::info!("there is room for the transaction log again");
                (self.events)(LogEvent::SpaceAvailable { generation: self.refused.unwrap_or(0) });
                Ok(())
            }
            Err(e) if is_no_space(&e) => {
                self.probe_at = Some(Instant::now() + PROBE_INTERVAL);
                Ok(())
            }
            Err(e) => Err(LogError::io(&path)(e)),
        }
    }

    /// A log file is named by its first record, which is not there yet.
    fn probe_without_file(&self) -> std::io::Result<()> {
        let path = self.options.dir.join("space.probe");
        let room = self.disk.create(&path).and_then(|file| {
            write_all_at(&*file, &[0; 64 << 10], 0)?;
            file.sync_all()
        });
        match self.disk.remove(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => room,
        }
    }

    fn finish(&mut self) -> Result<(), LogError> {
        finish_file(self.file.take())?;
        match self.pending.iter().map(|(_, records)| records.len()).sum::<usize>() {
            0 => Ok(()),
            left => Err(LogError::Refused(format!("no room on disk: {left} records were not logged"))),
        }
    }

    fn fail(&mut self, error: &LogError) {
        {
            let mut queue = self.shared.queue.lock();
            queue.failed = true;
            queue.records = Vec::new();
        }
        (self.events)(LogEvent::Failed { error: error.to_string() });
    }
}

/// The records of one write.
struct Commit {
    first: Zxid,
    through: Zxid,
    generation: u64,
    records: u64,
}

fn finish_file(file: Option<ActiveFile>) -> Result<(), LogError> {
    let Some(file) = file else { return Ok(()) };
    let path = file.path.clone();
    file.finish().map_err(LogError::io(&path))
}
