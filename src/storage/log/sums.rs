//! Adler-32 of any stretch of a file, at the price of its two ends.
//!
//! What looks like the head of a record may stand anywhere in what a crash left, and claim a record as long as
//! the file. To sum each of them would take time that grows with the square of the file's length; the sum of a
//! stretch follows at once from those of what stands before its two ends.

use super::disk::{File, read_exact_at};
use super::format::{RECORD_END, RECORD_HEAD_BYTES, RecordHead};
use super::tail::Source;
use simd_adler32::Adler32;
use std::io;

/// A sum is kept for every so many bytes: what is read to get from one to a place between two.
const BLOCK_BYTES: usize = 64;
/// Of Adler-32.
const MODULUS: u64 = 65_521;

/// Sums of a file from an offset on. Each byte is read once for them, and none behind what was asked for.
pub(super) struct Sums<'a> {
    file: &'a dyn File,
    source: Source<'a>,
    from: u64,
    length: u64,
    /// Of the first 0, 1, 2.. blocks.
    blocks: Vec<u32>,
}

impl<'a> Sums<'a> {
    /// For what stands at `from` or behind, in a file of this length.
    pub(super) fn new(file: &'a dyn File, length: u64, from: u64) -> Self {
        Sums { file, source: Source::new(file, length), from, length, blocks: vec![Adler32::new().finish()] }
    }

    /// Whether a whole record stands at `offset`, whose head is this.
    pub(super) fn is_record(&mut self, offset: u64, head: &RecordHead) -> io::Result<bool> {
        let begin = offset + RECORD_HEAD_BYTES as u64;
        let Some(bytes) = u64::try_from(head.length).ok().filter(|bytes| *bytes > 0) else { return Ok(false) };
        let end = begin + bytes;
        if end >= self.length {
            return Ok(false);
        }
        let (until_end, byte) = self.until(end)?;
        if byte != RECORD_END {
            return Ok(false);
        }
        let (until_begin, _) = self.until(begin)?;
        Ok(head.checksum == i64::from(between(until_begin, until_end, bytes)))
    }

    /// The sum of all up to `at`, and the byte there.
    fn until(&mut self, at: u64) -> io::Result<(u32, u8)> {
        let (block, rest) = ((at - self.from) as usize / BLOCK_BYTES, (at - self.from) as usize % BLOCK_BYTES);
        while self.blocks.len() <= block {
            self.add_block()?;
        }
        let mut bytes = [0; BLOCK_BYTES];
        read_exact_at(self.file, &mut bytes[..=rest], at - rest as u64)?;
        Ok((continued(self.blocks[block], &bytes[..rest]), bytes[rest]))
    }

    fn add_block(&mut self) -> io::Result<()> {
        let done = self.blocks.len() - 1;
        let bytes = self.source.bytes(self.from + (done * BLOCK_BYTES) as u64, BLOCK_BYTES)?;
        let sum = continued(self.blocks[done], bytes);
        self.blocks.push(sum);
        Ok(())
    }
}

fn continued(sum: u32, bytes: &[u8]) -> u32 {
    let mut sum = Adler32::from_checksum(sum);
    sum.write(bytes);
    sum.finish()
}

/// The sum of the last `bytes` bytes of a text, from the sums of all before them and of the whole. The lower half
/// of a sum is 1 plus all bytes; the upper half adds up what the lower one was behind each byte, so it holds the
/// lower half of what stood before once for each byte that followed.
fn between(before: u32, whole: u32, bytes: u64) -> u32 {
    let halves = |sum: u32| (u64::from(sum & 0xffff), u64::from(sum >> 16));
    let ((before_low, before_high), (whole_low, whole_high)) = (halves(before), halves(whole));
    let low = (whole_low + MODULUS + 1 - before_low) % MODULUS;
    let carried = (bytes % MODULUS) * ((before_low + MODULUS - 1) % MODULUS) % MODULUS;
    let high = (whole_high + 2 * MODULUS - before_high - carried) % MODULUS;
    (high << 16 | low) as u32
}

#[cfg(test)]
mod tests {
    use super::super::disk::Disk;
    use super::super::sim_disk::SimDisk;
    use super::*;
    use simd_adler32::adler32;
    use std::path::Path;

    /// Against summing the stretch itself, for stretches that begin and end at every place of a block.
    #[test]
    fn any_stretch_sums_as_if_it_were_read() {
        let content: Vec<u8> = (0..200_000_u32).map(|at| 255 - (at.wrapping_mul(at) / 7 % 61) as u8).collect();
        let (disk, path) = (SimDisk::default(), Path::new("/f"));
        disk.put(path, &content);
        let file = disk.open(path).unwrap();
        let mut sums = Sums::new(&*file, content.len() as u64, 100);
        for begin in (100..400).chain([70_000]) {
            for end in (begin..begin + 150).chain([begin + 65_520, begin + 65_521, begin + 65_522, 199_999]) {
                let ((before, _), (whole, byte)) = (sums.until(begin).unwrap(), sums.until(end).unwrap());
                let bytes = end - begin;
                let stretch = &content[begin as usize..end as usize];
                assert_eq!(between(before, whole, bytes), adler32(&stretch), "{begin}..{end}");
                assert_eq!(byte, content[end as usize]);
            }
        }
    }
}
