//! A disk for the log, in memory: no faults, only content.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use zorilla::storage::log::disk::{Disk, File};
use zorilla::storage::log::format::zxid_of_name;
use zorilla_protocol::Zxid;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Files>>);

impl MemoryDisk {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().expect("one thread")
    }

    /// Puts a file there.
    pub fn put(&self, path: &Path, content: &[u8]) {
        self.files().insert(path.to_owned(), content.to_vec());
    }

    /// All files.
    pub fn content(&self) -> Files {
        self.files().clone()
    }

    /// From the name of the oldest log file.
    pub fn first_zxid(&self) -> Option<Zxid> {
        self.files().keys().filter_map(|path| zxid_of_name(path.file_name()?.to_str()?)).min()
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
}

impl MemoryFile {
    fn with<T>(&self, edit: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.disk.files().get_mut(&self.path).map(edit).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl File for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|content| {
            let rest = content.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|content| {
            let end = offset as usize + bytes.len();
            content.resize(content.len().max(end), 0);
            content[offset as usize..end].copy_from_slice(bytes);
            bytes.len()
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|content| content.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|content| content.resize(length as usize, 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.put(path, &[]);
        self.open(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if !self.files().contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(MemoryFile { disk: self.clone(), path: path.to_owned() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let files = self.files();
        let inside = files.iter().filter(|(path, _)| path.parent() == Some(dir));
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(inside.map(|(path, content)| (name(path), content.len() as u64)).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
