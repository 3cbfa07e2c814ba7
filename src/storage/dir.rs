//! The data directory: Apache's layout, our store beside it, and the lock that keeps a second process
//! out.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the data directory cannot be used (exit code 3).
#[derive(Debug, Error)]
pub enum DirError {
    /// Missing, and creating it is switched off.
    #[error("{0} does not exist and zookeeper.datadir.autocreate is false: create it, or allow it to be created")]
    Missing(PathBuf),
    /// Cannot be created, read or written.
    #[error("{path}: {error}. The data directory must be writable for the user that runs the server")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process (pid {pid}): stop that server, or give this one a dataDir of its own")]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// As the other process wrote it.
        pid: String,
    },
    /// `dataDir` and `dataLogDir` were swapped at some time.
    #[error("{dir} holds {name}, which belongs into the other directory: are dataDir and dataLogDir swapped?")]
    Swapped {
        /// Where it was found.
        dir: PathBuf,
        /// The file.
        name: String,
    },
    /// Apache's data without ours.
    #[error(
        "{0} was written by Apache ZooKeeper: taking over its directories is not supported yet. Nothing was changed; \
         give this server an empty dataDir, or go on with Apache"
    )]
    Apache(PathBuf),
}

/// An open, locked data directory.
#[derive(Debug)]
pub struct DataDir {
    snapshots: PathBuf,
    logs: PathBuf,
    tree: PathBuf,
    /// Held for as long as the process uses the directory.
    _lock: File,
}

const VERSION: &str = "version-2";
const OURS: &str = "zorilla";

impl DataDir {
    /// Creates what is missing (if `autocreate`), checks that it is ours to use and locks it.
    pub fn open(data_dir: &Path, data_log_dir: &Path, autocreate: bool) -> Result<DataDir, DirError> {
        let snapshots = data_dir.join(VERSION);
        let logs = data_log_dir.join(VERSION);
        let ours = data_dir.join(OURS);
        for dir in [&snapshots, &logs] {
            ensure(dir, autocreate)?;
        }
        // Before anything is created in it.
        if names(&snapshots)?.iter().any(|name| name.starts_with("snapshot.")) {
            return Err(DirError::Apache(snapshots));
        }
        ensure(&ours, true)?;
        let lock = lock(data_dir, &ours)?;
        for dir in [&snapshots, &logs] {
            check_writable(dir)?;
        }
        if snapshots != logs {
            refuse_swapped(&logs, "snapshot.")?;
            refuse_swapped(&snapshots, "log.")?;
        }
        let tree = ours.join("tree");
        // RocksDB syncs what is in it, not its name.
        ensure(&tree, true)?;
        Ok(DataDir { snapshots, logs, tree, _lock: lock })
    }

    /// `dataDir/version-2`: where Apache keeps snapshots and epochs.
    pub fn snapshots(&self) -> &Path {
        &self.snapshots
    }

    /// `dataLogDir/version-2`: the transaction logs.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The store of the committed tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DirError + '_ {
    |error| DirError::Io { path: path.to_owned(), error }
}

/// Makes sure that a directory is there, and will be after a power cut: an entry is durable once the directory
/// above it is synced, which a start before this one may not have come to.
fn ensure(dir: &Path, create: bool) -> Result<(), DirError> {
    if !dir.is_dir() {
        if !create {
            return Err(DirError::Missing(dir.to_owned()));
        }
        fs::create_dir_all(dir).map_err(io_error(dir))?;
    }
    let mut above = dir.ancestors().skip(1).map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    let Some(parent) = above.next() else { return Ok(()) };
    sync_dir(parent).map_err(io_error(parent))?;
    // Those further up may belong to somebody else, or to a file system without syncs.
    above.take_while(|dir| sync_dir(dir).is_ok()).for_each(drop);
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn lock(data_dir: &Path, ours: &Path) -> Result<File, DirError> {
    let path = ours.join("LOCK");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io_error(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(DirError::Locked { path: data_dir.to_owned(), pid: pid.trim().to_owned() });
        }
        Err(error) => return Err(DirError::Io { path, error: error.into() }),
    }
    let owner = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(owner.as_bytes()))
        .or_else(|error| match error.kind() {
            // The pid is for people; a full disk must not keep the server from reading.
            io::ErrorKind::StorageFull => Ok(()),
            _ => Err(error),
        })
        .map_err(io_error(&path))?;
    Ok(file)
}

fn check_writable(dir: &Path) -> Result<(), DirError> {
    let probe = dir.join(".writable");
    match File::create(&probe) {
        Ok(_) => fs::remove_file(&probe).map_err(io_error(dir)),
        // Full is not forbidden: what is there can be read.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        Err(error) => Err(io_error(dir)(error)),
    }
}

fn names(dir: &Path) -> Result<Vec<String>, DirError> {
    let entries = fs::read_dir(dir).map_err(io_error(dir))?;
    entries.map(|entry| Ok(entry.map_err(io_error(dir))?.file_name().to_string_lossy().into_owned())).collect()
}

fn refuse_swapped(dir: &Path, prefix: &str) -> Result<(), DirError> {
    match names(dir)?.into_iter().find(|name| name.starts_with(prefix)) {
        Some(name) => Err(DirError::Swapped { dir: dir.to_owned(), name }),
        None => Ok(()),
    }
}

/// Bytes that the files directly in `dir` and below take, as far as they can be read.
pub fn size_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &Path) -> Result<DataDir, DirError> {
        DataDir::open(root, root, true)
    }

    #[test]
    fn a_second_process_is_told_who_has_it() {
        let root = tempfile::tempdir().unwrap();
        let first = open(root.path()).unwrap();
        let refused = open(root.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        open(root.path()).unwrap();
    }

    #[test]
    fn missing_directories_are_created_only_if_allowed() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        assert!(matches!(DataDir::open(&dir, &dir, false), Err(DirError::Missing(_))));
        assert!(!dir.exists());
        DataDir::open(&dir, &dir, true).unwrap();
    }

    #[test]
    fn apaches_directory_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let version = root.path().join(VERSION);
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("snapshot.0"), b"ZKSN").unwrap();
        assert!(matches!(open(root.path()), Err(DirError::Apache(_))));
        assert_eq!(fs::read(version.join("snapshot.0")).unwrap(), b"ZKSN");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing of ours is left beside it");
    }

    #[test]
    fn swapped_directories_are_noticed() {
        let root = tempfile::tempdir().unwrap();
        let (data, logs) = (root.path().join("data"), root.path().join("logs"));
        DataDir::open(&data, &logs, true).unwrap();
        fs::write(logs.join(VERSION).join("log.1"), b"").unwrap();
        assert!(matches!(DataDir::open(&logs, &data, true), Err(DirError::Swapped { .. })));
    }
}
