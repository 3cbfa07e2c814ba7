//! A disk in memory, for tests: it can be full, fail, write short, hold a sync back, and show what a
//! power cut or a kill would leave.

use super::blocks::BLOCK_BYTES;
use super::disk::{Disk, File};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: u64 = 4096;

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Write,
    SetLen,
    Sync,
    SyncDir,
}

/// What is written to a file and not yet synced.
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Len(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let from = *offset as usize;
                content.resize(content.len().max(from + bytes.len()), 0);
                content[from..from + bytes.len()].copy_from_slice(bytes);
            }
            Change::Len(length) => content.resize(*length as usize, 0),
        }
    }

    fn again(&self) -> Change {
        match self {
            Change::Write { offset, bytes } => Change::Write { offset: *offset, bytes: bytes.clone() },
            Change::Len(length) => Change::Len(*length),
        }
    }
}

#[derive(Default)]
struct Node {
    live: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    pages: BTreeSet<u64>,
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    live: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// How many pages fit in all.
    pages_max: Option<u64>,
    /// A write takes at most this many bytes.
    write_max: Option<usize>,
    faults: VecDeque<(Op, i32)>,
    syncs: usize,
    read_bytes: u64,
    unaligned_writes: usize,
    hold: bool,
    held: usize,
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    shared: Arc<(Mutex<State>, Condvar)>,
}

/// Which unsynced writes a crash keeps.
pub enum Crash<'a> {
    /// The process is killed: the page cache survives.
    Kill,
    /// The first so many bytes, in the order of writing.
    Prefix(usize),
    /// Each sector by itself, and each creation and removal of a file, as the function says.
    Sectors(&'a mut dyn FnMut() -> bool),
}

impl SimDisk {
    /// From now on, the next operation of this kind fails with this errno; several are taken in order.
    pub fn fail_next(&self, op: Op, errno: i32) {
        self.shared.0.lock().faults.push_back((op, errno));
    }

    /// Limits the disk to so many bytes of written pages, or to none.
    pub fn limit(&self, bytes: Option<u64>) {
        self.shared.0.lock().pages_max = bytes.map(|bytes| bytes / PAGE_BYTES);
    }

    /// Bytes in written pages.
    pub fn used(&self) -> u64 {
        self.shared.0.lock().used_pages() * PAGE_BYTES
    }

    /// Limits what one write takes.
    pub fn write_short(&self, bytes: usize) {
        self.shared.0.lock().write_max = Some(bytes);
    }

    /// File syncs so far.
    pub fn syncs(&self) -> usize {
        self.shared.0.lock().syncs
    }

    /// Writes so far that were no whole blocks, in the file or in memory.
    pub fn unaligned_writes(&self) -> usize {
        self.shared.0.lock().unaligned_writes
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.shared.0.lock().read_bytes
    }

    /// Holds file syncs back, or lets them go.
    pub fn hold_syncs(&self, hold: bool) {
        self.shared.0.lock().hold = hold;
        self.shared.1.notify_all();
    }

    /// Waits until a sync is held back.
    pub fn await_held_sync(&self) {
        let mut state = self.shared.0.lock();
        while state.held == 0 {
            self.shared.1.wait(&mut state);
        }
    }

    /// A file as it reads now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.shared.0.lock();
        state.live.get(path).map(|node| state.nodes[*node].live.clone())
    }

    /// Puts a file there, durable.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.shared.0.lock();
        let node = state.nodes.len();
        state.nodes.push(Node { live: content.to_vec(), synced: content.to_vec(), ..Node::default() });
        state.live.insert(path.to_owned(), node);
        state.durable.insert(path.to_owned(), node);
    }

    /// The disk as it is now, for a process after this one: what is not synced is still not synced.
    pub fn killed(&self) -> SimDisk {
        let state = self.shared.0.lock();
        let after = SimDisk::default();
        let nodes = state.nodes.iter().map(|node| Node {
            live: node.live.clone(),
            synced: node.synced.clone(),
            unsynced: node.unsynced.iter().map(Change::again).collect(),
            pages: node.pages.clone(),
        });
        let mut copy = after.shared.0.lock();
        copy.nodes = nodes.collect();
        (copy.live, copy.durable) = (state.live.clone(), state.durable.clone());
        drop(copy);
        after
    }

    /// The disk as the next start finds it.
    pub fn crashed(&self, mut crash: Crash<'_>) -> SimDisk {
        let state = self.shared.0.lock();
        let after = SimDisk::default();
        for path in state.live.keys().chain(state.durable.keys()).collect::<BTreeSet<_>>() {
            let (live, durable) = (state.live.get(path), state.durable.get(path));
            let node = match &mut crash {
                _ if live == durable => live,
                Crash::Kill => live,
                Crash::Prefix(_) => durable,
                Crash::Sectors(keep) => {
                    if keep() {
                        live
                    } else {
                        durable
                    }
                }
            };
            if let Some(node) = node {
                after.put(path, &state.nodes[*node].after(&mut crash));
            }
        }
        after
    }
}

impl State {
    fn used_pages(&self) -> u64 {
        self.live.values().map(|node| self.nodes[*node].pages.len() as u64).sum()
    }

    fn fault(&mut self, op: Op) -> io::Result<()> {
        match self.faults.iter().position(|(of, _)| *of == op) {
            Some(at) => Err(io::Error::from_raw_os_error(self.faults.remove(at).unwrap().1)),
            None => Ok(()),
        }
    }
}

impl Node {
    fn after(&self, crash: &mut Crash<'_>) -> Vec<u8> {
        if matches!(crash, Crash::Kill) {
            return self.live.clone();
        }
        let mut content = self.synced.clone();
        for change in &self.unsynced {
            match change {
                Change::Len(length) => {
                    if match crash {
                        Crash::Sectors(keep) => keep(),
                        _ => true,
                    } {
                        content.resize(*length as usize, 0);
                    }
                }
                Change::Write { offset, bytes } => {
                    for (at, piece) in sectors(*offset as usize, bytes) {
                        let kept = match crash {
                            Crash::Kill => piece.len(),
                            Crash::Prefix(left) => {
                                let kept = piece.len().min(*left);
                                *left -= kept;
                                kept
                            }
                            Crash::Sectors(keep) => {
                                if keep() {
                                    piece.len()
                                } else {
                                    0
                                }
                            }
                        };
                        if kept > 0 {
                            content.resize(content.len().max(at + kept), 0);
                            content[at..at + kept].copy_from_slice(&piece[..kept]);
                        }
                    }
                }
            }
        }
        content
    }
}

/// A write as the disk sees it.
fn sectors(mut offset: usize, mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(bytes.len().min(SECTOR_BYTES - offset % SECTOR_BYTES));
        pieces.push((offset, piece));
        offset += piece.len();
        bytes = rest;
    }
    pieces
}

struct SimFile {
    disk: SimDisk,
    node: usize,
}

impl SimFile {
    fn sync(&self) -> io::Result<()> {
        let (state, changed) = &*self.disk.shared;
        let mut state = state.lock();
        state.held += 1;
        changed.notify_all();
        while state.hold {
            changed.wait(&mut state);
        }
        state.held -= 1;
        state.syncs += 1;
        let failed = state.fault(Op::Sync);
        let node = &mut state.nodes[self.node];
        // As on Linux: after a failed sync the pages count as clean, and are never written.
        for change in std::mem::take(&mut node.unsynced) {
            if failed.is_ok() {
                change.apply(&mut node.synced);
            }
        }
        failed
    }
}

impl File for SimFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.shared.0.lock();
        let rest = state.nodes[self.node].live.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        state.read_bytes += count as u64;
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.shared.0.lock();
        state.fault(Op::Write)?;
        let places = [offset as usize, bytes.len(), bytes.as_ptr().addr()];
        state.unaligned_writes += usize::from(places.iter().any(|at| !at.is_multiple_of(BLOCK_BYTES)));
        let mut bytes = &bytes[..bytes.len().min(state.write_max.unwrap_or(usize::MAX))];
        let free = state.pages_max.map_or(u64::MAX, |max| max.saturating_sub(state.used_pages()));
        let node = &mut state.nodes[self.node];
        // What fits is written, as a file system does.
        let mut taken = 0;
        let pages = offset / PAGE_BYTES..(offset + bytes.len() as u64).div_ceil(PAGE_BYTES);
        for page in pages {
            if !node.pages.contains(&page) {
                if taken == free {
                    bytes = &bytes[..(page * PAGE_BYTES).saturating_sub(offset) as usize];
                    break;
                }
                node.pages.insert(page);
                taken += 1;
            }
        }
        if bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(28));
        }
        let end = offset as usize + bytes.len();
        node.live.resize(node.live.len().max(end), 0);
        node.live[offset as usize..end].copy_from_slice(bytes);
        node.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
        Ok(bytes.len())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.shared.0.lock().nodes[self.node].live.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.shared.0.lock();
        state.fault(Op::SetLen)?;
        let node = &mut state.nodes[self.node];
        node.live.resize(length as usize, 0);
        node.pages.retain(|page| page * PAGE_BYTES < length);
        node.unsynced.push(Change::Len(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.shared.0.lock();
        state.fault(Op::Create)?;
        let node = match state.live.get(path) {
            Some(node) => *node,
            None => {
                state.nodes.push(Node::default());
                state.nodes.len() - 1
            }
        };
        state.live.insert(path.to_owned(), node);
        drop(state);
        let file = SimFile { disk: self.clone(), node };
        file.set_len(0)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        match self.shared.0.lock().live.get(path) {
            Some(node) => Ok(Box::new(SimFile { disk: self.clone(), node: *node })),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.shared.0.lock();
        let inside = state.live.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(inside
            .map(|(path, node)| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), state.nodes[*node].live.len() as u64)
            })
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shared.0.lock().live.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.shared.0.lock();
        state.fault(Op::SyncDir)?;
        state.durable = state.live.clone();
        Ok(())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
