//! Where a file's records end, and what that means: padding, a write that a crash cut short, or damage.
//!
//! What a crash can leave: the whole records up to some point, then any mixture of new sectors and
//! old ones (which read as zeros) in the stretch of the last write, then zeros. None of it was
//! acknowledged, unless the last write did get its sync. What rot leaves is a record that is there to its
//! last byte, but wrong; or a wrong stretch with more synced records behind it than one write can hold.

use super::disk::{File, read_exact_at};
use super::format::{HEADER, MAGIC, Mark, RECORD_END, RECORD_HEAD_BYTES, RecordHead, TXN_HEADER_BYTES, payload_zxid};
use super::sums::Sums;
use super::writer::COMMIT_BYTES_MAX;
use bytes::Bytes;
use std::io;
use zorilla_protocol::Zxid;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// The upper half of a checksum is always zero: it looks the same written and unwritten.
const CHECKSUM_ZEROS: u64 = 4;
/// The zxid of a record that is looked for behind a broken place is at most this much further.
const LOOK_AHEAD_TXNS: i64 = 1 << 24;

/// What stands at an offset.
pub(super) enum Step {
    /// A whole record.
    Record {
        /// A copy of its own, so that what is kept of it does not keep its neighbours.
        payload: Bytes,
        /// The offset behind it.
        next: u64,
    },
    /// Not all of a record, by its length or its last byte.
    Incomplete,
    /// A record by its length and last byte, but its checksum is that of another payload.
    WrongChecksum {
        /// The offset behind it.
        next: u64,
    },
}

/// What it means that no whole record stands at an offset.
pub(super) enum End {
    /// Only padding.
    Clean,
    /// An unfinished write.
    Torn {
        /// Its length up to the last byte that is not zero.
        bytes: u64,
    },
    /// Records that were durable are wrong or cannot be reached.
    Damaged(&'static str),
}

/// A file read through a window.
pub(super) struct Source<'a> {
    file: &'a dyn File,
    length: u64,
    chunk: Vec<u8>,
    base: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a dyn File, length: u64) -> Self {
        Source { file, length, chunk: Vec::new(), base: 0 }
    }

    /// `count` bytes at `offset`; fewer only where the file ends.
    pub(super) fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let count = self.length.saturating_sub(offset).min(count as u64) as usize;
        let held = offset >= self.base && offset + count as u64 <= self.base + self.chunk.len() as u64;
        if !held {
            self.load(offset, count)?;
        }
        let at = (offset - self.base) as usize;
        Ok(self.chunk.get(at..at + count).unwrap_or(&[]))
    }

    fn load(&mut self, offset: u64, count: usize) -> io::Result<()> {
        let wanted = self.length.saturating_sub(offset).min(count.max(CHUNK_BYTES) as u64) as usize;
        self.chunk.clear();
        self.chunk.resize(wanted, 0);
        self.base = offset;
        // An error where it is shorter than it was when listed: someone else is at it.
        read_exact_at(self.file, &mut self.chunk, offset)
    }

    /// What stands at `offset`. Lengths are limited by the file alone, never by `jute.maxbuffer`: what was
    /// once accepted must be readable.
    pub(super) fn record(&mut self, offset: u64) -> io::Result<Step> {
        let Some(head) = RecordHead::get(self.bytes(offset, RECORD_HEAD_BYTES)?) else { return Ok(Step::Incomplete) };
        let length = match usize::try_from(head.length) {
            Ok(length) if length > 0 => length,
            _ => return Ok(Step::Incomplete),
        };
        let next = offset + (RECORD_HEAD_BYTES + length + 1) as u64;
        if next > self.length {
            return Ok(Step::Incomplete);
        }
        let body = self.bytes(offset + RECORD_HEAD_BYTES as u64, length + 1)?;
        let (payload, end) = (&body[..length], body[length]);
        if end != RECORD_END {
            return Ok(Step::Incomplete);
        }
        if !head.matches(payload) {
            return Ok(Step::WrongChecksum { next });
        }
        Ok(Step::Record { payload: Bytes::copy_from_slice(payload), next })
    }

    /// The offset behind the last byte that is not zero; `from` if there is none behind `from`.
    pub(super) fn used_from(&mut self, from: u64) -> io::Result<u64> {
        let mut end = self.length;
        while end > from {
            let start = end.saturating_sub(CHUNK_BYTES as u64).max(from);
            let bytes = self.bytes(start, (end - start) as usize)?;
            if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
                return Ok(start + at as u64 + 1);
            }
            end = start;
        }
        Ok(from)
    }

    /// Judges the end of the whole records at `offset`, where `broken` stands. `last` is the last zxid
    /// before it.
    pub(super) fn end(&mut self, offset: u64, broken: &Step, last: Zxid, is_last_file: bool) -> io::Result<End> {
        let used = self.used_from(offset)?;
        let tail_from = used.saturating_sub(Mark::BYTES as u64).max(offset);
        let tail = self.bytes(tail_from, (used - tail_from) as usize)?;
        let mark = Mark::get(tail, used);
        let written = mark.map_or(used, |mark| mark.end);
        if written <= offset {
            return Ok(End::Clean);
        }
        let torn = End::Torn { bytes: used - offset };
        // Could the place be part of a write whose sync may never have come?
        let in_last_write = is_last_file
            && match mark {
                Some(mark) => offset >= mark.start,
                None => written - offset <= 2 * COMMIT_BYTES_MAX as u64,
            };
        if let Step::WrongChecksum { next } = broken {
            let lost = in_last_write && self.misses_sector(offset, *next)?;
            return Ok(if lost { torn } else { End::Damaged("a record's checksum does not match") });
        }
        if self.is_whole_but_for_its_frame(offset, written)? {
            return Ok(End::Damaged("a record is whole, but its length or its last byte is wrong"));
        }
        match self.record_behind(offset, written, last)? {
            // The zeros that a checksum begins with may stand in a sector that was never written.
            Some(behind) if !(in_last_write && self.misses_sector(offset, behind + CHECKSUM_ZEROS)?) => {
                Ok(End::Damaged("there is no whole record here, but there are some behind it"))
            }
            _ => Ok(torn),
        }
    }

    /// Whether a sector of the stretch, which begins with a record's head, was never written: it still
    /// reads as what followed the write before, which is zeros with a mark in front.
    fn misses_sector(&mut self, from: u64, to: u64) -> io::Result<bool> {
        let head = (SECTOR_BYTES - from % SECTOR_BYTES).min(RECORD_HEAD_BYTES as u64) as usize;
        if head as u64 > CHECKSUM_ZEROS && self.bytes(from, head)?.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        let mark_end = from + Mark::BYTES as u64;
        let mut sector = from.next_multiple_of(SECTOR_BYTES);
        while sector + SECTOR_BYTES <= to {
            let behind_mark = sector.max(mark_end);
            let old = (sector + SECTOR_BYTES - behind_mark) as usize;
            if self.bytes(behind_mark, old)?.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            sector += SECTOR_BYTES;
        }
        Ok(false)
    }

    /// A torn write lacks bytes. If the payload is all there, it is the length or the end byte that
    /// changed, and the record may have been acknowledged.
    fn is_whole_but_for_its_frame(&mut self, offset: u64, written: u64) -> io::Result<bool> {
        let Some(head) = RecordHead::get(self.bytes(offset, RECORD_HEAD_BYTES)?) else { return Ok(false) };
        let payload_from = offset + RECORD_HEAD_BYTES as u64;
        // The last record of the file with a wrong length: its end byte is the last byte written.
        if written > payload_from {
            let rest = self.bytes(payload_from, (written - payload_from) as usize)?;
            if let Some((&RECORD_END, payload)) = rest.split_last()
                && head.matches(payload)
            {
                return Ok(true);
            }
        }
        // A right length, and an end byte that is neither right nor unwritten.
        let Ok(length) = usize::try_from(head.length) else { return Ok(false) };
        if length == 0 || payload_from + length as u64 >= self.length {
            return Ok(false);
        }
        let body = self.bytes(payload_from, length + 1)?;
        Ok(body[length] != 0 && head.matches(&body[..length]))
    }

    /// The first offset in the stretch at which a record stands that could follow `last`. Takes time in proportion
    /// to the file, whatever its bytes look like.
    fn record_behind(&mut self, from: u64, to: u64, last: Zxid) -> io::Result<Option<u64>> {
        let least = RECORD_HEAD_BYTES + TXN_HEADER_BYTES + 1;
        let mut sums = Sums::new(self.file, self.length, from);
        for at in from + 1..(to + 1).saturating_sub(least as u64) {
            let bytes = self.bytes(at, least)?;
            let (head, zxid) = (RecordHead::get(bytes), bytes.get(RECORD_HEAD_BYTES..).and_then(payload_zxid));
            if let (Some(head), Some(zxid)) = (head, zxid)
                && follows(zxid, last)
                && sums.is_record(at, &head)?
            {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

/// Whether `zxid` can stand some way behind `last`. Strict: what happens to look like a record in a payload is
/// not one.
fn follows(zxid: Zxid, last: Zxid) -> bool {
    let epochs = zxid.epoch() - last.epoch();
    match epochs {
        0 => zxid > last && zxid.counter() - last.counter() <= LOOK_AHEAD_TXNS,
        1..0x1_0000 => zxid.counter() > 0 && zxid.counter() <= LOOK_AHEAD_TXNS,
        _ => false,
    }
}

/// Whether a file has a whole first record.
pub(super) fn holds_record(file: &dyn File) -> io::Result<bool> {
    let length = file.length()?;
    let mut source = Source::new(file, length);
    if !source.bytes(0, HEADER.len())?.starts_with(MAGIC) {
        return Ok(false);
    }
    Ok(!matches!(source.record(HEADER.len() as u64)?, Step::Incomplete))
}
