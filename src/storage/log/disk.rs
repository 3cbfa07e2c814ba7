//! The file operations that the log needs, behind a seam: the real ones, and in tests a disk that
//! fills up, fails, and shows what a power cut would leave.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that is open for reading and writing at given offsets.
pub trait File: Send {
    /// Reads at `offset`; 0 at the end of the file. May read less than asked.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at `offset`, extending the file where needed. May write less than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file, or extends it with a hole that reads as zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes the content durable, and its length as far as reading needs it (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
    /// Makes content and length durable (fsync).
    fn sync_all(&self) -> io::Result<()>;
}

/// Where files live.
pub trait Disk: Send + Sync {
    /// Creates a file, or empties the one there is.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Names and lengths of the files in a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Creates a directory and those above it, if missing.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Writes all of `bytes` at `offset`, in as many calls as the disk wants.
pub fn write_all_at(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Fills `into` from `offset`, in as many calls as the disk wants. A file that ends before that is an error.
pub fn read_exact_at(file: &dyn File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match file.read_at(into, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                into = &mut into[read..];
                offset += read as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether the error says that there is no room (ENOSPC, EDQUOT), which passes.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The operating system's files.
pub struct RealDisk;

impl File for fs::File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        fs::File::set_len(self, length)
    }
    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }
    fn sync_all(&self) -> io::Result<()> {
        fs::File::sync_all(self)
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(fs::OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A purge may have removed it since; a name that is not UTF-8 is none of ours.
            if let (Ok(meta), Ok(name)) = (entry.metadata(), entry.file_name().into_string())
                && meta.is_file()
            {
                files.push((name, meta.len()));
            }
        }
        Ok(files)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }
}
