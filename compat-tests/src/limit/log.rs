//! Where the limit server puts writes: a file whose blocks exist, so that a flush moves data only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const FILE_BYTES: u64 = 64 << 20;
const FILL_BYTES: usize = 1 << 20;

/// A ring of zero-filled bytes on disk.
pub struct Log {
    file: File,
    at: u64,
    batch: Vec<u8>,
}

impl Log {
    /// Creates and zero-fills the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let zeros = vec![0; FILL_BYTES];
        for _ in 0..FILE_BYTES / FILL_BYTES as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, batch: Vec::new() })
    }

    /// Adds a write to the batch.
    pub fn append(&mut self, bytes: &[u8]) {
        self.batch.extend_from_slice(bytes);
    }

    /// Makes the batch durable: one write, one fdatasync. Nothing to do costs nothing.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let length = self.batch.len() as u64;
        if self.at + length > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.batch, self.at)?;
        self.at += length;
        self.batch.clear();
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_follow_each_other_and_stay_inside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::create(&path).unwrap();
        log.append(b"ab");
        log.append(b"c");
        log.flush().unwrap();
        log.append(b"d");
        log.flush().unwrap();
        let mut head = [0; 5];
        log.file.read_exact_at(&mut head, 0).unwrap();
        assert_eq!(&head, b"abcd\0");
        log.append(&vec![1; FILE_BYTES as usize - 3]);
        log.flush().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), FILE_BYTES);
    }
}
