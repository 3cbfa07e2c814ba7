//! The committed tree on disk, in RocksDB, as of the last checkpoint.
//!
//! RocksDB runs without a write-ahead log of its own: the transaction log is the only one. A
//! checkpoint is one table with everything that changed and the zxid, written and synced beside the
//! others and then taken in, which is one atomic entry in RocksDB's list of tables; so the store is
//! always the tree at the zxid it names, and a restart replays the log from there. `docs/storage.md`
//! has the layout byte by byte.

mod checkpointer;
mod current;
pub mod layout;
mod table;

pub use checkpointer::Checkpointer;

use parking_lot::{RwLock, RwLockReadGuard};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, IngestExternalFileOptions, IteratorMode, Options, ReadOptions,
    SstFileWriter,
};
use std::path::{Path, PathBuf};
use table::Table;
use zorilla_core::tree::Znode;
use zorilla_core::tree::cold::{Checkpoint, ColdNodes, Header, StoreError};

/// What RocksDB takes to open and to write a little.
const ROOM_BYTES: u64 = 4 << 20;
/// A checkpoint on its way into the store; one that a crash left is worth nothing.
const NEW_TABLE: &str = "checkpoint.new";
/// Tables that may wait to be merged, each of which a read may have to look at.
const UNMERGED_TABLES_MAX: u64 = 24;

/// The store of one data directory.
pub struct Store {
    dir: PathBuf,
    /// Blocks, indexes and filters of tables.
    cache: Cache,
    /// Only ever replaced to recover from a full disk; `None` while that is being tried.
    db: RwLock<Option<Opened>>,
}

/// RocksDB needs room even to open. Without, it still reads.
struct Opened {
    db: DB,
    read_only: bool,
}

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full; the same checkpoint can be written again later.
    #[error("no room on the disk for the tree in {0}")]
    NoSpace(PathBuf),
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Opens or creates the store in `dir`. What is cached of it stays within `memory_bytes`.
    pub fn open(dir: &Path, memory_bytes: usize) -> Result<Store, StoreError> {
        let cache = Cache::new_lru_cache(memory_bytes);
        let store = Store { dir: dir.to_owned(), cache, db: RwLock::new(None) };
        store.reopen()?;
        Ok(store)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut db = self.db.write();
        // The old one lets go of its lock before the new one asks for it.
        *db = None;
        self.refuse_to_begin_anew()?;
        current::mend(&self.dir)
            .map_err(|e| StoreError(format!("{}: {e}. {CHECK}", current::path(&self.dir).display())))?;
        let options = self.options();
        let opened = match DB::open(&options, &self.dir) {
            Ok(db) => Opened { db, read_only: false },
            Err(full) if is_no_space(&full) => {
                let db = DB::open_for_read_only(&options, &self.dir, false).map_err(|_| self.failed("open", &full))?;
                tracing::error!(dir = %self.dir.display(), "no room on the disk: the tree is read, not written");
                Opened { db, read_only: true }
            }
            Err(error) => return Err(self.failed("open", &error)),
        };
        // Mostly there is none. What cannot be removed is overwritten.
        let _ = std::fs::remove_file(self.dir.join(NEW_TABLE));
        *db = Some(opened);
        Ok(())
    }

    /// Without `CURRENT` RocksDB would take the directory for a new one, and delete the tables in it.
    fn refuse_to_begin_anew(&self) -> Result<(), StoreError> {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return Ok(()) };
        let names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
        let tables = names.iter().any(|name| name.to_string_lossy().ends_with(".sst"));
        if tables && !names.iter().any(|name| name == "CURRENT") {
            return Err(self.damaged("the list of its tables", "the file CURRENT is missing"));
        }
        Ok(())
    }

    /// Whether it is worth trying again to write `bytes` after the disk was full.
    fn has_room(&self, bytes: u64) -> bool {
        let wanted = bytes + ROOM_BYTES;
        rustix::fs::statvfs(&self.dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= wanted)
    }

    fn options(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_bloom_filter(10.0, false);
        table.set_format_version(5);
        table.set_block_size(8 << 10);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::Snappy);
        options.create_if_missing(true);
        options.set_paranoid_checks(true);
        options.set_max_open_files(512);
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(1 << 20);
        options.set_keep_log_file_num(3);
        options.set_max_log_file_size(4 << 20);
        options.set_level_compaction_dynamic_level_bytes(true);
        // A checkpoint is one table at level 0: merging them rarely is worth a few more tables to look at.
        options.set_level_zero_file_num_compaction_trigger(8);
        options
    }

    /// What the tree needs to know at start; `None` if no checkpoint was ever written.
    pub fn header(&self) -> Result<Option<Header>, StoreError> {
        let guard = self.db.read();
        let db = self.db(&guard)?;
        let Some(header) = db.get(layout::HEADER_KEY).map_err(|e| self.failed("read", &e))? else { return Ok(None) };
        let mut header = layout::get_header(&header).map_err(|why| self.damaged("the header", &why))?;
        for entry in db.iterator_opt(IteratorMode::Start, kind(layout::SESSION)) {
            let (key, value) = entry.map_err(|e| self.failed("read the sessions", &e))?;
            header.sessions.push(layout::get_session(&key, &value).map_err(|why| self.damaged("a session", &why))?);
        }
        for entry in db.iterator_opt(IteratorMode::Start, kind(layout::OWNED)) {
            let (key, _) = entry.map_err(|e| self.failed("read the ownership index", &e))?;
            header.owned.push(layout::get_owned(&key).map_err(|why| self.damaged("an ownership entry", &why))?);
        }
        Ok(Some(header))
    }

    /// Writes a checkpoint and returns when it is durable. Writing the same one again is harmless.
    pub fn write(&self, checkpoint: &Checkpoint) -> Result<(), WriteError> {
        let guard = self.db.read();
        if guard.as_ref().is_some_and(|opened| opened.read_only) {
            return Err(WriteError::NoSpace(self.dir.clone()));
        }
        let db = self.db(&guard)?;
        let path = self.dir.join(NEW_TABLE);
        let written = self.write_table(&path, checkpoint).and_then(|()| {
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            db.ingest_external_file_opts(&options, vec![&path])
        });
        written.map_err(|error| {
            // The room that it took is wanted; a file that is not there is no matter.
            let _ = std::fs::remove_file(&path);
            self.write_failed(&error)
        })
    }

    /// All of a checkpoint as one table, synced.
    fn write_table(&self, path: &Path, checkpoint: &Checkpoint) -> Result<(), rocksdb::Error> {
        let options = self.options();
        let mut writer = SstFileWriter::create(&options);
        writer.open(path)?;
        Table::of(checkpoint).write(&mut writer)?;
        writer.finish()
    }

    /// Whether checkpoints came so much faster than their tables are merged that reads become slow: the next one
    /// should wait a little.
    pub fn is_behind(&self) -> bool {
        let guard = self.db.read();
        let tables = self.db(&guard).map(|db| db.property_int_value("rocksdb.num-files-at-level0"));
        matches!(tables, Ok(Ok(Some(tables))) if tables > UNMERGED_TABLES_MAX)
    }

    /// Lets tables be merged in the background, or not.
    #[cfg(test)]
    fn merge(&self, merge: bool) {
        let guard = self.db.read();
        let db = self.db(&guard).unwrap();
        db.set_options(&[("disable_auto_compactions", if merge { "false" } else { "true" })]).unwrap();
    }

    fn db<'a>(&self, guard: &'a RwLockReadGuard<'_, Option<Opened>>) -> Result<&'a DB, StoreError> {
        guard
            .as_ref()
            .map(|opened| &opened.db)
            .ok_or_else(|| StoreError(format!("{}: the store could not be opened again", self.dir.display())))
    }

    fn failed(&self, what: &str, error: &rocksdb::Error) -> StoreError {
        StoreError(format!("{}: cannot {what}: {error}. {}", self.dir.display(), remedy(error)))
    }

    fn write_failed(&self, error: &rocksdb::Error) -> WriteError {
        if is_no_space(error) {
            WriteError::NoSpace(self.dir.clone())
        } else {
            WriteError::Store(self.failed("write", error))
        }
    }

    fn damaged(&self, what: &str, why: &str) -> StoreError {
        StoreError(format!("{}: {what} is damaged: {why}. {RESTORE}", self.dir.display()))
    }
}

/// All keys of one kind.
fn kind(kind: u8) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_range(vec![kind]..vec![kind + 1]);
    options
}

const RESTORE: &str = "Restore the data directory from a backup; if the transaction logs reach back to the first txn \
     (log.1), removing this directory makes the server rebuild it from them";

const CHECK: &str = "Check the directory's owner, permissions, free space and disk";

fn remedy(error: &rocksdb::Error) -> &'static str {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => RESTORE,
        _ if error.to_string().contains("No such file") => RESTORE,
        _ => CHECK,
    }
}

fn is_no_space(error: &rocksdb::Error) -> bool {
    let text = error.to_string();
    text.contains("No space left") || text.contains("Disk quota exceeded") || text.contains("NoSpace")
}

impl ColdNodes for Store {
    fn load(&self, path: &str) -> Result<Option<Znode>, StoreError> {
        let guard = self.db.read();
        let db = self.db(&guard)?;
        let key = layout::node_key(path);
        let failed = |e| self.failed(&format!("read znode {path}"), &e);
        let Some(value) = db.get_pinned(&key).map_err(failed)? else { return Ok(None) };
        let damaged = |why: String| self.damaged(&format!("znode {path}"), &why);
        let mut node = layout::get_node(&value).map_err(damaged)?;
        if node.data_is_separate {
            let data = db.get_pinned(layout::data_key(path)).map_err(failed)?;
            let data = data.ok_or_else(|| damaged("its data is missing".to_owned()))?;
            node.znode.data = Some(data.as_ref().into());
        }
        let crc = Znode::crc_of(path, node.znode.data.as_deref());
        if crc != node.znode.prefix_crc {
            return Err(damaged(format!("path and data give {crc:#x}, not {:#x}", node.znode.prefix_crc)));
        }
        Ok(Some(node.znode))
    }

    fn child_names(&self, parent: &str) -> Result<Vec<Box<str>>, StoreError> {
        let guard = self.db.read();
        let db = self.db(&guard)?;
        let (first, end) = layout::children_range(parent);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end);
        // A listing of millions must not push everything else out of the cache.
        options.fill_cache(false);
        let from = IteratorMode::From(&first, rocksdb::Direction::Forward);
        let mut names = Vec::new();
        for entry in db.iterator_opt(from, options) {
            let (key, _) = entry.map_err(|e| self.failed(&format!("list the children of {parent}"), &e))?;
            let name = std::str::from_utf8(&key[first.len()..])
                .map_err(|e| self.damaged(&format!("a child of {parent}"), &e.to_string()))?;
            names.push(name.into());
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests;
