//! The committed tree on disk, in RocksDB, as of the last checkpoint.
//!
//! RocksDB runs without a write-ahead log of its own: the transaction log is the only one. A
//! checkpoint is one atomic batch that carries its zxid, followed by a flush of all column families
//! together; so whatever RocksDB makes durable, also on its own, is the tree at the zxid it names, and
//! a restart replays the log from there. `docs/storage.md` has the layout byte by byte.

mod checkpointer;
mod layout;

pub use checkpointer::Checkpointer;

use parking_lot::{RwLock, RwLockReadGuard};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, FlushOptions, IteratorMode,
    Options, ReadOptions, WriteBatch, WriteOptions,
};
use std::path::{Path, PathBuf};
use zorilla_core::tree::Znode;
use zorilla_core::tree::cold::{Checkpoint, ColdNodes, Header, StoreError};

/// Column families. Names are part of the format.
const NODE: &str = "node";
const DATA: &str = "data";
const OWNED: &str = "owned";
const SESSION: &str = "session";
const META: &str = "meta";
const FAMILIES: [&str; 5] = [NODE, DATA, OWNED, SESSION, META];

/// What RocksDB takes to open and to write a little.
const ROOM_BYTES: u64 = 4 << 20;

/// The store of one data directory.
pub struct Store {
    dir: PathBuf,
    memory_bytes: usize,
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
    /// Opens or creates the store in `dir`. Caches, write buffers and filters together stay within
    /// `memory_bytes`.
    pub fn open(dir: &Path, memory_bytes: usize) -> Result<Store, StoreError> {
        let store = Store { dir: dir.to_owned(), memory_bytes, db: RwLock::new(None) };
        store.reopen()?;
        Ok(store)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut db = self.db.write();
        // The old one lets go of its lock before the new one asks for it.
        *db = None;
        self.refuse_to_begin_anew()?;
        let (options, families) = self.options();
        let opened = match DB::open_cf_descriptors(&options, &self.dir, families) {
            Ok(db) => Opened { db, read_only: false },
            Err(full) if is_no_space(&full) => {
                let (options, families) = self.options();
                let db = DB::open_cf_descriptors_read_only(&options, &self.dir, families, false)
                    .map_err(|_| self.failed("open", &full))?;
                tracing::error!(dir = %self.dir.display(), "no room on the disk: the tree is read, not written");
                Opened { db, read_only: true }
            }
            Err(error) => return Err(self.failed("open", &error)),
        };
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

    fn options(&self) -> (Options, Vec<ColumnFamilyDescriptor>) {
        let write_buffers = (self.memory_bytes / 4).clamp(4 << 20, 128 << 20);
        let cache = Cache::new_lru_cache(self.memory_bytes.saturating_sub(write_buffers).max(4 << 20));
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        options.set_paranoid_checks(true);
        options.set_db_write_buffer_size(write_buffers);
        options.set_max_open_files(512);
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(1 << 20);
        options.set_keep_log_file_num(3);
        options.set_max_log_file_size(4 << 20);
        let family = |name: &str| {
            let mut table = BlockBasedOptions::default();
            table.set_block_cache(&cache);
            table.set_cache_index_and_filter_blocks(true);
            table.set_pin_l0_filter_and_index_blocks_in_cache(true);
            table.set_bloom_filter(10.0, false);
            table.set_format_version(5);
            table.set_block_size(8 << 10);
            let mut options = Options::default();
            options.set_block_based_table_factory(&table);
            options.set_compression_type(DBCompressionType::Snappy);
            options.set_write_buffer_size((write_buffers / 2).max(4 << 20));
            options.set_level_compaction_dynamic_level_bytes(true);
            // A checkpoint is one file at level 0: merging them rarely is worth a few more files to look at.
            options.set_level_zero_file_num_compaction_trigger(8);
            ColumnFamilyDescriptor::new(name, options)
        };
        let mut families: Vec<_> = FAMILIES.iter().map(|name| family(name)).collect();
        families.push(ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, Options::default()));
        (options, families)
    }

    /// What the tree needs to know at start; `None` if no checkpoint was ever written.
    pub fn header(&self) -> Result<Option<Header>, StoreError> {
        let guard = self.db.read();
        let db = self.db(&guard)?;
        let Some(meta) = db.get_cf(self.family(db, META)?, layout::HEADER_KEY).map_err(|e| self.failed("read", &e))?
        else {
            return Ok(None);
        };
        let mut header = layout::get_header(&meta).map_err(|why| self.damaged("the header", &why))?;
        for entry in db.iterator_cf(self.family(db, SESSION)?, IteratorMode::Start) {
            let (key, value) = entry.map_err(|e| self.failed("read the sessions", &e))?;
            header.sessions.push(layout::get_session(&key, &value).map_err(|why| self.damaged("a session", &why))?);
        }
        for entry in db.iterator_cf(self.family(db, OWNED)?, IteratorMode::Start) {
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
        let batch = self.batch(db, checkpoint)?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        db.write_opt(batch, &unlogged).map_err(|e| self.write_failed(&e))?;
        let families = FAMILIES.iter().map(|name| self.family(db, name)).collect::<Result<Vec<_>, _>>()?;
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        db.flush_cfs_opt(&families, &wait).map_err(|e| self.write_failed(&e))
    }

    fn batch(&self, db: &DB, checkpoint: &Checkpoint) -> Result<WriteBatch, StoreError> {
        let (node, data) = (self.family(db, NODE)?, self.family(db, DATA)?);
        let mut batch = WriteBatch::default();
        for dirty in &checkpoint.nodes {
            let key = layout::node_key(&dirty.path);
            let Some(znode) = &dirty.znode else {
                batch.delete_cf(node, &key);
                batch.delete_cf(data, &key);
                continue;
            };
            batch.put_cf(node, &key, layout::put_node(znode));
            if let (true, Some(bytes)) = (dirty.data_changed, layout::separate_data(znode)) {
                batch.put_cf(data, &key, bytes);
            }
        }
        let session = self.family(db, SESSION)?;
        for (id, timeout_ms) in &checkpoint.sessions {
            match timeout_ms {
                Some(timeout_ms) => batch.put_cf(session, id.0.to_be_bytes(), timeout_ms.to_be_bytes()),
                None => batch.delete_cf(session, id.0.to_be_bytes()),
            }
        }
        let owned = self.family(db, OWNED)?;
        for (owner, path, present) in &checkpoint.owned {
            let key = layout::owned_key(*owner, path);
            if *present { batch.put_cf(owned, key, []) } else { batch.delete_cf(owned, key) }
        }
        batch.put_cf(self.family(db, META)?, layout::HEADER_KEY, layout::put_header(checkpoint));
        Ok(batch)
    }

    fn db<'a>(&self, guard: &'a RwLockReadGuard<'_, Option<Opened>>) -> Result<&'a DB, StoreError> {
        guard
            .as_ref()
            .map(|opened| &opened.db)
            .ok_or_else(|| StoreError(format!("{}: the store could not be opened again", self.dir.display())))
    }

    fn family<'a>(&self, db: &'a DB, name: &str) -> Result<&'a ColumnFamily, StoreError> {
        db.cf_handle(name).ok_or_else(|| StoreError(format!("{}: no column family {name}", self.dir.display())))
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

const RESTORE: &str = "Restore the data directory from a backup; if the transaction logs reach back to the first txn \
     (log.1), removing this directory makes the server rebuild it from them";

fn remedy(error: &rocksdb::Error) -> &'static str {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => RESTORE,
        _ if error.to_string().contains("No such file") => RESTORE,
        _ => "Check the directory's owner, permissions, free space and disk",
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
        let Some(value) = db.get_pinned_cf(self.family(db, NODE)?, &key).map_err(failed)? else { return Ok(None) };
        let damaged = |why: String| self.damaged(&format!("znode {path}"), &why);
        let mut node = layout::get_node(&value).map_err(damaged)?;
        if node.data_is_separate {
            let data = db.get_pinned_cf(self.family(db, DATA)?, &key).map_err(failed)?;
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
        for entry in db.iterator_cf_opt(self.family(db, NODE)?, options, from) {
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
