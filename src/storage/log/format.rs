//! Apache's log format, byte by byte (Java: `FileTxnLog`, `FilePadding`).
//!
//! ```text
//! file   = header record* padding
//! header = "ZKLG" int version=2 long dbid=0                                     16 bytes
//! record = long Adler-32 of the payload, int length, payload, byte 'B'
//! ```
//!
//! A reader stops at a record of length 0, which is how padding reads. Behind the last record we leave
//! such a length and then a [`Mark`]; Apache's reader never gets there, and the next record covers it.

use bytes::Buf;
use simd_adler32::adler32;
use std::path::{Path, PathBuf};
use zorilla_protocol::Zxid;

/// "ZKLG", version 2, dbid 0. Readers check the first four bytes.
pub const HEADER: [u8; 16] = *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
/// The part of the header that readers check.
pub const MAGIC: &[u8] = b"ZKLG";
/// Checksum and length, before the payload.
pub const RECORD_HEAD_BYTES: usize = 12;
/// What closes a record.
pub const RECORD_END: u8 = b'B';
/// A payload begins with a TxnHeader, which has this size.
pub const TXN_HEADER_BYTES: usize = 32;
/// Where the zxid stands in a payload.
pub const ZXID_OFFSET: usize = 12;

/// Appends one record.
pub fn put_record(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(&i64::from(adler32(&payload)).to_be_bytes());
    out.extend_from_slice(&(payload.len() as i32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(RECORD_END);
}

/// What stands before a payload.
pub struct RecordHead {
    /// Adler-32 of the payload, zero-extended; kept whole, as the upper half is checked too.
    pub checksum: i64,
    /// Payload length in bytes; 0 is the end of the file's records, less is damage.
    pub length: i32,
}

impl RecordHead {
    /// Reads a head, if there are bytes enough for one.
    pub fn get(mut bytes: &[u8]) -> Option<RecordHead> {
        let checksum = bytes.try_get_i64().ok()?;
        let length = bytes.try_get_i32().ok()?;
        Some(RecordHead { checksum, length })
    }

    /// Whether `payload` is what was meant.
    pub fn matches(&self, payload: &[u8]) -> bool {
        self.checksum == i64::from(adler32(&payload))
    }
}

/// The zxid inside a payload.
pub fn payload_zxid(payload: &[u8]) -> Option<Zxid> {
    payload.get(ZXID_OFFSET..)?.try_get_i64().ok().map(Zxid)
}

/// The length a file should have once `position` bytes are used (Java: `FilePadding`). The first
/// extension of a default file gives 16 + 64 MiB. Without preallocation, what it has.
pub fn padded_len(position: u64, length: u64, pre_alloc: u64) -> u64 {
    if pre_alloc == 0 || position + 4096 < length {
        return length;
    }
    if position > length {
        let length = position + pre_alloc;
        return length - length % pre_alloc;
    }
    length + pre_alloc
}

/// `log.<zxid of its first record>` in `dir`.
pub fn log_path(dir: &Path, first: Zxid) -> PathBuf {
    dir.join(format!("log.{:x}", first.0))
}

/// The zxid in the name of a log file; none for other files.
pub fn zxid_of_name(name: &str) -> Option<Zxid> {
    let hex = name.strip_prefix("log.")?;
    if hex.starts_with('+') {
        return None;
    }
    i64::from_str_radix(hex, 16).ok().filter(|zxid| *zxid >= 0).map(Zxid)
}

/// Says where the last write began. All before it was durable when that write was issued, so a power
/// cut can have harmed only what is behind it, while rot can be anywhere: with the mark, the two can be
/// told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where the last write began.
    pub start: u64,
    /// Where its records ended.
    pub end: u64,
}

impl Mark {
    /// What is written behind the records: a length of zero, then the mark itself. Less than the
    /// smallest record, so that the next one covers all of it.
    pub const BYTES: usize = RECORD_HEAD_BYTES + Self::BODY_BYTES;
    const BODY_BYTES: usize = 8 + 8 + 4 + 1;
    const NAME: &[u8; 8] = b"ZORILLA\x01";

    /// Appends the zero length and the mark.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
        out.extend_from_slice(&self.body());
    }

    fn body(&self) -> [u8; Self::BODY_BYTES] {
        let mut sealed = [0; 24];
        sealed[..8].copy_from_slice(Self::NAME);
        sealed[8..16].copy_from_slice(&self.start.to_be_bytes());
        sealed[16..].copy_from_slice(&self.end.to_be_bytes());
        let mut body = [0; Self::BODY_BYTES];
        body[..16].copy_from_slice(&sealed[..16]);
        body[16..20].copy_from_slice(&adler32(&sealed.as_slice()).to_be_bytes());
        // Not zero, so that the mark's end is the end of what is not padding.
        body[20] = b'Z';
        body
    }

    /// The mark that ends at `used`, the end of all that is not zero; `tail` are the bytes before it.
    pub fn get(tail: &[u8], used: u64) -> Option<Mark> {
        let body = tail.get(tail.len().checked_sub(Self::BODY_BYTES)?..)?;
        let start = body.get(8..)?.try_get_u64().ok()?;
        let mark = Mark { start, end: used.checked_sub(Self::BYTES as u64)? };
        (start <= mark.end && mark.body() == body).then_some(mark)
    }
}

const _: () = assert!(Mark::BYTES < RECORD_HEAD_BYTES + TXN_HEADER_BYTES + 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_default_file_has_apaches_length() {
        assert_eq!(padded_len(16, 16, 64 << 20), 67_108_880);
        assert_eq!(padded_len(5000, 67_108_880, 64 << 20), 67_108_880);
        assert_eq!(padded_len(67_108_880 - 4096, 67_108_880, 64 << 20), 67_108_880 + (64 << 20));
        // Past the end: rounded down to a multiple of the step.
        assert_eq!(padded_len(70_000, 20_000, 16_384), 81_920);
        assert_eq!(padded_len(70_000, 20_000, 0), 20_000);
    }

    #[test]
    fn names() {
        assert_eq!(zxid_of_name("log.100000063"), Some(Zxid(0x1_0000_0063)));
        for other in ["log.", "log.x", "log.1.fixed", "log.+1", "log.-1", "snapshot.1", "log.8000000000000000"] {
            assert_eq!(zxid_of_name(other), None, "{other}");
        }
        assert_eq!(log_path(Path::new("d"), Zxid(0x1_0000_0063)), Path::new("d/log.100000063"));
    }

    #[test]
    fn a_mark_is_only_read_where_it_was_written() {
        let mark = Mark { start: 16, end: 300 };
        let mut bytes = vec![7; 300];
        mark.put(&mut bytes);
        assert_eq!(Mark::get(&bytes, bytes.len() as u64), Some(mark));
        assert_eq!(Mark::get(&bytes, bytes.len() as u64 + 1), None);
        bytes[300 + 12 + 9] ^= 1;
        assert_eq!(Mark::get(&bytes, bytes.len() as u64), None);
    }
}
