//! A disk that is told what a process did, and knows what a power cut may leave of it.
//!
//! The page cache's view (`live`) is what the process reads. What a completed sync covered is `durable`. Between the
//! two stand changes that may have reached the disk or not:
//!
//! - of each 512-byte sector, any version since the durable one, whatever happened to its neighbours
//! - of each file's length, any since the durable one, whatever happened to its sectors; what lies beyond what was
//!   written reads as zeros
//! - of each directory, any of the changes to its names, in any combination; a rename is one change
//!
//! A sync of a file says nothing about its name: that is the directory's. After a sync that failed, the system takes
//! what it should have written for clean: a later sync does not cover that, unless its pages are written to again.

use crate::Unusable;
use crate::trace::{Op, Operation, Step, Trace};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// What the system writes, or takes for clean, as a whole.
const PAGE_BYTES: usize = 4096;
const O_CREAT: i64 = 0o100;
const O_TRUNC: i64 = 0o1000;

/// A file or a directory, by index.
pub type Ino = usize;

/// The content of a file.
#[derive(Debug, Default)]
pub struct Image {
    /// What was written; behind it, up to the size, there are zeros.
    pub bytes: Vec<u8>,
    /// In bytes.
    pub size: usize,
    hash: OnceLock<u64>,
}

impl Clone for Image {
    fn clone(&self) -> Image {
        Image { bytes: self.bytes.clone(), size: self.size, hash: OnceLock::new() }
    }
}

impl Image {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.hash = OnceLock::new();
    }

    fn resize(&mut self, size: usize) {
        self.bytes.truncate(size);
        self.size = size;
        self.hash = OnceLock::new();
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.put(offset, bytes);
        self.size = self.size.max(offset + bytes.len());
    }

    /// The same for the same content.
    pub fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            let mut hasher = DefaultHasher::new();
            (self.size, &self.bytes[..used]).hash(&mut hasher);
            hasher.finish()
        })
    }

    fn equals(&self, bytes: &[u8]) -> bool {
        let shown = self.bytes.len().min(self.size);
        bytes.len() == self.size
            && bytes[..shown] == self.bytes[..shown]
            && bytes[shown..].iter().all(|byte| *byte == 0)
    }
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, data: bytes::Bytes },
    Size(usize),
}

/// Something that a sync has not covered yet.
#[derive(Debug)]
struct Pending<C> {
    operation: usize,
    began: usize,
    /// `None`: under way.
    ended: Option<usize>,
    /// A sync of it failed.
    given_up: bool,
    change: C,
}

#[derive(Debug, Default)]
struct File {
    live: Arc<Image>,
    durable: Arc<Image>,
    pending: Vec<Pending<Change>>,
}

type Names = BTreeMap<String, Ino>;
/// New entries; `None` takes one away.
type Edits = Vec<(String, Option<Ino>)>;

#[derive(Debug, Default)]
struct Directory {
    live: Names,
    durable: Names,
    pending: Vec<Pending<Edits>>,
}

#[derive(Debug)]
enum Node {
    File(File),
    Directory(Directory),
}

/// What a crash may leave to chance. Answers lie between what is durable and what is live.
pub trait Chance {
    /// Whether a change of names, which began at that step, is there.
    fn name(&mut self, began: usize) -> bool;
    /// How many of the changes of a file, which began at those steps, its length shows.
    fn size(&mut self, began: &[usize]) -> usize;
    /// How many of them one of its sectors shows.
    fn sector(&mut self, began: &[usize]) -> usize;
}

/// What a start finds.
#[derive(Clone, Debug)]
pub enum Found {
    /// A file.
    File(Arc<Image>),
    /// A directory and what is in it.
    Directory(BTreeMap<String, Found>),
}

impl Found {
    /// The same for the same names and contents.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Found::File(image) => image.hash().hash(&mut hasher),
            Found::Directory(names) => {
                for (name, found) in names {
                    (name, found.hash()).hash(&mut hasher);
                }
            }
        }
        hasher.finish()
    }

    /// Writes it all to a new directory.
    pub fn write(&self, to: &Path) -> Result<(), Unusable> {
        match self {
            Found::File(image) => {
                let shown = &image.bytes[..image.bytes.len().min(image.size)];
                std::fs::write(to, shown)
                    .and_then(|()| {
                        if shown.len() == image.size {
                            return Ok(());
                        }
                        std::fs::OpenOptions::new().write(true).open(to)?.set_len(image.size as u64)
                    })
                    .map_err(Unusable::file(to))
            }
            Found::Directory(names) => {
                std::fs::create_dir(to).map_err(Unusable::file(to))?;
                names.iter().try_for_each(|(name, found)| found.write(&to.join(name)))
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    open: HashMap<(u32, i32), Ino>,
    paths: HashMap<Ino, PathBuf>,
    /// What operations that have not returned are changing.
    touched: HashMap<usize, Ino>,
    /// When syncs that have not returned began.
    syncing: HashMap<usize, usize>,
}

const ROOT: Ino = 0;

impl Disk {
    /// Empty; `root` is there, and durable.
    pub fn new(root: &Path) -> Disk {
        Disk {
            root: root.to_owned(),
            nodes: vec![Node::Directory(Directory::default())],
            open: HashMap::new(),
            paths: HashMap::new(),
            touched: HashMap::new(),
            syncing: HashMap::new(),
        }
    }

    /// Where a file was last seen under a name.
    pub fn path(&self, ino: Ino) -> Option<&Path> {
        self.paths.get(&ino).map(PathBuf::as_path)
    }

    /// What an open descriptor stands for.
    pub fn opened(&self, operation: &Operation) -> Option<Ino> {
        self.open.get(&(operation.pid, operation.fd)).copied()
    }

    /// What a process would read.
    pub fn content(&self, ino: Ino) -> Option<&Image> {
        match &self.nodes[ino] {
            Node::File(file) => Some(&file.live),
            Node::Directory(_) => None,
        }
    }

    /// Goes on by one step, which is the `at`-th.
    pub fn step(&mut self, trace: &Trace, at: usize) -> Result<(), Unusable> {
        let step = trace.steps[at];
        let index = step.operation();
        let operation = &trace.operations[index];
        match step {
            Step::Begin(_) => self.begin(index, operation, at),
            Step::End(_) => self.end(index, operation, at),
            Step::Instant(_) => {
                match &operation.op {
                    Op::Close => _ = self.open.remove(&(operation.pid, operation.fd)),
                    Op::Note(text) if text.starts_with("snapshot ") => self.compare(Path::new(&text[9..]), at)?,
                    _ => {}
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, operation: usize, done: &Operation, began: usize) -> Result<(), Unusable> {
        match &done.op {
            Op::Open { path, flags } => match self.resolve(path) {
                Some(ino) if flags & O_TRUNC != 0 => self.push_change(ino, operation, began, Change::Size(0)),
                None if flags & O_CREAT != 0 => self.push_new(path, operation, began, Node::File(File::default())),
                _ => Ok(()),
            },
            Op::Write { offset, data } => {
                let ino = self.must_be_open(done)?;
                let change = Change::Write { offset: *offset as usize, data: data.clone() };
                self.push_change(ino, operation, began, change)
            }
            Op::Truncate { length } => {
                let ino = self.must_be_open(done)?;
                self.push_change(ino, operation, began, Change::Size(*length as usize))
            }
            Op::Mkdir { path } if self.resolve(path).is_none() && self.parent_of(path).is_ok() => {
                self.push_new(path, operation, began, Node::Directory(Directory::default()))
            }
            Op::Unlink { path } | Op::Rmdir { path } if self.resolve(path).is_some() => {
                let (parent, name) = self.parent_of(path)?;
                self.push_edits(parent, operation, began, vec![(name, None)])
            }
            Op::Link { from, to } => {
                let Some(ino) = self.resolve(from) else { return Ok(()) };
                let (parent, name) = self.parent_of(to)?;
                self.push_edits(parent, operation, began, vec![(name, Some(ino))])
            }
            Op::Rename { from, to } => {
                let Some(ino) = self.resolve(from) else { return Ok(()) };
                let ((old, old_name), (new, new_name)) = (self.parent_of(from)?, self.parent_of(to)?);
                if old != new {
                    return Err(Unusable::Text(format!("a rename between directories: {}", to.display())));
                }
                self.push_edits(old, operation, began, vec![(new_name, Some(ino)), (old_name, None)])
            }
            Op::Sync => {
                self.syncing.insert(operation, began);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, index: usize, done: &Operation, at: usize) -> Result<(), Unusable> {
        let result = done.result.unwrap_or(-1);
        match &done.op {
            Op::Open { path, .. } => {
                self.finish(index, at, result >= 0, None);
                if result >= 0
                    && let Some(ino) = self.resolve(path)
                {
                    let fd = i32::try_from(result).map_err(|e| Unusable::Text(e.to_string()))?;
                    self.open.insert((done.pid, fd), ino);
                    self.paths.insert(ino, path.clone());
                }
            }
            Op::Write { .. } => self.finish(index, at, result > 0, usize::try_from(result).ok()),
            Op::Truncate { .. }
            | Op::Rename { .. }
            | Op::Link { .. }
            | Op::Unlink { .. }
            | Op::Mkdir { .. }
            | Op::Rmdir { .. } => {
                self.finish(index, at, result == 0, None);
            }
            Op::Sync => {
                let ino = self.must_be_open(done)?;
                let began = self.syncing.remove(&index).unwrap_or(0);
                match &mut self.nodes[ino] {
                    Node::File(file) if result == 0 => file.synced(began),
                    Node::File(file) => file.not_synced(began),
                    Node::Directory(directory) if result == 0 => directory.synced(began),
                    Node::Directory(_) => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn must_be_open(&self, done: &Operation) -> Result<Ino, Unusable> {
        self.opened(done).ok_or_else(|| Unusable::Text(format!("nothing is known of descriptor {}", done.fd)))
    }

    fn resolve(&self, path: &Path) -> Option<Ino> {
        let mut ino = ROOT;
        for part in path.strip_prefix(&self.root).ok()?.components() {
            let Component::Normal(name) = part else { return None };
            let Node::Directory(directory) = &self.nodes[ino] else { return None };
            ino = *directory.live.get(name.to_str()?)?;
        }
        Some(ino)
    }

    fn parent_of(&self, path: &Path) -> Result<(Ino, String), Unusable> {
        let unknown = || Unusable::Text(format!("nothing is known of {}", path.display()));
        let parent = path.parent().and_then(|parent| self.resolve(parent)).ok_or_else(unknown)?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unknown)?;
        Ok((parent, name.to_owned()))
    }

    fn push_new(&mut self, path: &Path, operation: usize, began: usize, node: Node) -> Result<(), Unusable> {
        let (parent, name) = self.parent_of(path)?;
        self.nodes.push(node);
        let ino = self.nodes.len() - 1;
        self.paths.insert(ino, path.to_owned());
        self.push_edits(parent, operation, began, vec![(name, Some(ino))])
    }

    fn push_change(&mut self, ino: Ino, operation: usize, began: usize, change: Change) -> Result<(), Unusable> {
        let Node::File(file) = &mut self.nodes[ino] else {
            return Err(Unusable::Text("a directory is written to".to_owned()));
        };
        file.pending.push(Pending { operation, began, ended: None, given_up: false, change });
        self.touched.insert(operation, ino);
        Ok(())
    }

    fn push_edits(&mut self, ino: Ino, operation: usize, began: usize, change: Edits) -> Result<(), Unusable> {
        let Node::Directory(directory) = &mut self.nodes[ino] else {
            return Err(Unusable::Text("a file is used as a directory".to_owned()));
        };
        directory.pending.push(Pending { operation, began, ended: None, given_up: false, change });
        self.touched.insert(operation, ino);
        Ok(())
    }

    /// An operation has returned: its changes are seen, or never were. `taken`: bytes of a write.
    fn finish(&mut self, operation: usize, at: usize, done: bool, taken: Option<usize>) {
        let Some(ino) = self.touched.remove(&operation) else { return };
        match &mut self.nodes[ino] {
            Node::File(file) => file.finish(operation, at, done, taken),
            Node::Directory(directory) => directory.finish(operation, at, done),
        }
    }

    /// What a power cut leaves.
    pub fn crashed(&self, chance: &mut dyn Chance) -> Found {
        self.found(ROOT, chance)
    }

    fn found(&self, ino: Ino, chance: &mut dyn Chance) -> Found {
        match &self.nodes[ino] {
            Node::File(file) => Found::File(file.crashed(chance)),
            Node::Directory(directory) => {
                let names = directory.crashed(chance);
                Found::Directory(names.into_iter().map(|(name, ino)| (name, self.found(ino, chance))).collect())
            }
        }
    }

    /// What a killed process left is known: `real` is a copy. Operations that it had begun were done or not, which
    /// is seen; anything else that differs was not recorded.
    fn compare(&mut self, real: &Path, at: usize) -> Result<(), Unusable> {
        let open: BTreeSet<usize> = self.touched.keys().copied().collect();
        for operation in open {
            // Done if the copy looks as if; undone otherwise. Both are allowed.
            let done = self.looks_done(operation, real)?;
            self.finish(operation, at, done, None);
        }
        self.compare_below(ROOT, real)
    }

    fn looks_done(&self, operation: usize, real: &Path) -> Result<bool, Unusable> {
        for (ino, node) in self.nodes.iter().enumerate() {
            let copy = |path: &Path| path.strip_prefix(&self.root).map(|path| real.join(path)).ok();
            match node {
                Node::File(file) => {
                    let Some(pending) = file.pending.iter().find(|pending| pending.operation == operation) else {
                        continue;
                    };
                    let Some(bytes) = self.path(ino).and_then(copy).and_then(|path| std::fs::read(path).ok()) else {
                        return Ok(false);
                    };
                    let mut after = (*file.live).clone();
                    pending.change.apply(&mut after);
                    return Ok(after.equals(&bytes));
                }
                Node::Directory(directory) => {
                    let Some(pending) = directory.pending.iter().find(|pending| pending.operation == operation) else {
                        continue;
                    };
                    let Some((name, target)) = pending.change.first() else { return Ok(false) };
                    let dir = self.directory_path(ino).and_then(|path| copy(&path));
                    return Ok(dir.is_some_and(|dir| dir.join(name).exists()) == target.is_some());
                }
            }
        }
        Ok(false)
    }

    fn directory_path(&self, ino: Ino) -> Option<PathBuf> {
        if ino == ROOT { Some(self.root.clone()) } else { self.paths.get(&ino).cloned() }
    }

    fn compare_below(&self, ino: Ino, real: &Path) -> Result<(), Unusable> {
        match &self.nodes[ino] {
            Node::File(file) => {
                let bytes = std::fs::read(real).map_err(Unusable::file(real))?;
                if !file.live.equals(&bytes) {
                    return Err(Unusable::Text(format!("{} is not what was recorded", real.display())));
                }
            }
            Node::Directory(directory) => {
                let entries = std::fs::read_dir(real).map_err(Unusable::file(real))?;
                let names: BTreeSet<String> =
                    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
                let known: BTreeSet<String> = directory.live.keys().cloned().collect();
                if names != known {
                    return Err(Unusable::Text(format!("{}: {names:?}, recorded {known:?}", real.display())));
                }
                for (name, ino) in &directory.live {
                    self.compare_below(*ino, &real.join(name))?;
                }
            }
        }
        Ok(())
    }
}

impl<C> Pending<C> {
    /// Whether a sync that began then makes it durable.
    fn is_covered(&self, began: usize) -> bool {
        !self.given_up && self.ended.is_some_and(|ended| ended < began)
    }
}

fn apply_edits(edits: &Edits, names: &mut Names) {
    for (name, target) in edits {
        match target {
            Some(ino) => names.insert(name.clone(), *ino),
            None => names.remove(name),
        };
    }
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Change::Write { offset, data } => image.write(*offset, data),
            Change::Size(size) => image.resize(*size),
        }
    }
}

impl Pending<Change> {
    /// What is left of a write that was given up, when this stretch became durable after all.
    fn without(self, from: usize, to: usize, durable: &mut Image) -> Vec<Pending<Change>> {
        let Change::Write { offset, data } = &self.change else { return vec![self] };
        if !self.given_up {
            return vec![self];
        }
        let (offset, end) = (*offset, offset + data.len());
        let (from, to) = (from.clamp(offset, end), to.clamp(offset, end));
        if from < to {
            durable.write(from, &data[from - offset..to - offset]);
        }
        let piece = |from: usize, to: usize| Pending {
            operation: self.operation,
            began: self.began,
            ended: self.ended,
            given_up: true,
            change: Change::Write { offset: from, data: data.slice(from - offset..to - offset) },
        };
        [(offset, from), (to, end)]
            .into_iter()
            .filter(|(from, to)| from < to)
            .map(|(from, to)| piece(from, to))
            .collect()
    }
}

impl Directory {
    fn synced(&mut self, began: usize) {
        let durable = &mut self.durable;
        self.pending.retain(|pending| {
            let covered = pending.is_covered(began);
            if covered {
                apply_edits(&pending.change, durable);
            }
            !covered
        });
    }

    fn finish(&mut self, operation: usize, at: usize, done: bool) {
        let Some(index) = self.pending.iter().position(|pending| pending.operation == operation) else { return };
        if done {
            self.pending[index].ended = Some(at);
            apply_edits(&self.pending[index].change, &mut self.live);
        } else {
            self.pending.remove(index);
        }
    }

    fn crashed(&self, chance: &mut dyn Chance) -> Names {
        let mut names = self.durable.clone();
        for pending in &self.pending {
            if chance.name(pending.began) {
                apply_edits(&pending.change, &mut names);
            }
        }
        names
    }
}

impl File {
    fn synced(&mut self, began: usize) {
        let durable = Arc::make_mut(&mut self.durable);
        let mut left: Vec<Pending<Change>> = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            if !pending.is_covered(began) {
                left.push(pending);
                continue;
            }
            let (from, to) = match &pending.change {
                Change::Write { offset, data } => {
                    (offset - offset % PAGE_BYTES, (offset + data.len()).next_multiple_of(PAGE_BYTES))
                }
                Change::Size(size) => (*size, usize::MAX),
            };
            // Those pages are written as they are, with what a sync before had given up.
            left = left.into_iter().flat_map(|before| before.without(from, to, durable)).collect();
            pending.change.apply(durable);
        }
        self.pending = left;
        if self.pending.is_empty() {
            self.durable = self.live.clone();
        }
    }

    fn not_synced(&mut self, began: usize) {
        for pending in &mut self.pending {
            pending.given_up |= pending.is_covered(began) && matches!(pending.change, Change::Write { .. });
        }
    }

    fn finish(&mut self, operation: usize, at: usize, done: bool, taken: Option<usize>) {
        let Some(index) = self.pending.iter().position(|pending| pending.operation == operation) else { return };
        if !done {
            self.pending.remove(index);
            return;
        }
        let pending = &mut self.pending[index];
        pending.ended = Some(at);
        if let (Change::Write { data, .. }, Some(taken)) = (&mut pending.change, taken) {
            data.truncate(taken);
        }
        pending.change.apply(Arc::make_mut(&mut self.live));
    }

    fn crashed(&self, chance: &mut dyn Chance) -> Arc<Image> {
        if self.pending.is_empty() {
            return self.durable.clone();
        }
        let began: Vec<usize> = self.pending.iter().map(|pending| pending.began).collect();
        let mut image = (*self.durable).clone();
        let mut shown = HashMap::new();
        for (index, pending) in self.pending.iter().enumerate() {
            let (from, to) = match &pending.change {
                Change::Write { offset, data } => (*offset, offset + data.len()),
                // Cut off: zeros, should the file grow again.
                Change::Size(size) => (*size, image.bytes.len()),
            };
            let mut at = from;
            while at < to {
                let sector = at / SECTOR_BYTES;
                let end = ((sector + 1) * SECTOR_BYTES).min(to);
                if *shown.entry(sector).or_insert_with(|| chance.sector(&began)) > index {
                    match &pending.change {
                        Change::Write { offset, data } => image.put(at, &data[at - offset..end - offset]),
                        Change::Size(_) => image.put(at, &[0; SECTOR_BYTES][..end - at]),
                    }
                }
                at = end;
            }
        }
        let changes = chance.size(&began);
        let size = self.pending[..changes].iter().fold(self.durable.size, |size, pending| match &pending.change {
            Change::Write { offset, data } => size.max(offset + data.len()),
            Change::Size(size) => *size,
        });
        image.size = size;
        image.bytes.truncate(size);
        Arc::new(image)
    }
}
