//! Single faults: one file of a directory is damaged, and a start has to notice, or to find everything all the same.

use crate::Unusable;
use crate::arguments::Arguments;
use crate::random::Random;
use crate::recover::{self, Opened};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

const SECTOR_BYTES: usize = 512;
const BLOCK_BYTES: usize = 4096;
/// Words of which every refusal has one: what an operator can do.
const REMEDIES: [&str; 7] = ["Restore", "restore", "Put", "Check", "move it away", "remov", "create"];

/// What is done to a file; positions in bytes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Missing,
    Zeroed,
    Truncated(usize),
    BitFlipped(usize, u8),
    SectorZeroed(usize),
    SectorGarbage(usize),
    BlockDuplicated(usize),
    BlockAppended(usize),
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::Zeroed => "zero-filled",
            Fault::Truncated(_) => "truncated",
            Fault::BitFlipped(..) => "bit flipped",
            Fault::SectorZeroed(_) => "sector of zeros",
            Fault::SectorGarbage(_) => "sector of garbage",
            Fault::BlockDuplicated(_) => "block over its neighbour",
            Fault::BlockAppended(_) => "block appended",
        }
    }

    /// Whether a file that was never written so far looks the same.
    fn looks_unwritten(self) -> bool {
        matches!(self, Fault::Missing | Fault::Zeroed | Fault::Truncated(_) | Fault::SectorZeroed(_))
    }

    /// The damaged content; none if the file is gone.
    fn apply(self, content: &[u8], random: &mut Random) -> Option<Vec<u8>> {
        let mut content = content.to_vec();
        let end = |from: usize, bytes: usize| (from + bytes).min(content.len());
        match self {
            Fault::Missing => return None,
            Fault::Zeroed => content.fill(0),
            Fault::Truncated(length) => content.truncate(length),
            Fault::BitFlipped(at, bit) => content[at] ^= 1 << bit,
            Fault::SectorZeroed(at) => {
                let end = end(at, SECTOR_BYTES);
                content[at..end].fill(0);
            }
            Fault::SectorGarbage(at) => {
                let end = end(at, SECTOR_BYTES);
                content[at..end].iter_mut().for_each(|byte| *byte = random.bits() as u8);
            }
            Fault::BlockDuplicated(at) => {
                let (middle, last) = (end(at, BLOCK_BYTES), end(at, 2 * BLOCK_BYTES));
                content.copy_within(at..at + (last - middle), middle);
            }
            Fault::BlockAppended(at) => {
                let end = end(at, BLOCK_BYTES);
                content.extend_from_within(at..end);
            }
        }
        Some(content)
    }
}

/// What a start made of it.
enum Outcome {
    Complete,
    Refused(String),
    /// The end of the newest log file is gone, as a crash in the middle of a write would leave it: nothing else knows
    /// of what stood there.
    TailLost,
    Wrong(String),
}

/// `faults --dir DIR --work DIR [--data P] [--log P] [--each N] [--seed S] [--used-only yes]`: damages every file of
/// DIR, `each` times in each way that has a position.
pub fn run(arguments: &Arguments) -> Result<Value, Unusable> {
    let (dir, work) = (arguments.path("dir")?, arguments.path("work")?);
    let data: PathBuf = arguments.or("data", "data".into())?;
    let log: PathBuf = arguments.or("log", data.clone())?;
    let each: usize = arguments.or("each", 8)?;
    let mut random = Random(arguments.or("seed", 1)?);
    let files = read_files(&dir)?;
    put(&files, None, &work)?;
    let pristine = start(&work.join(&data), &work.join(&log)).map_err(Unusable::Text)?;
    let newest_log = files.keys().filter(|name| is_log(name)).max_by_key(|name| log_number(name)).cloned();
    let mut table = BTreeMap::<String, BTreeMap<&str, usize>>::new();
    let (mut wrong, mut messages) = (Vec::new(), BTreeMap::<String, String>::new());
    let mut tried = 0usize;
    for (name, content) in &files {
        for fault in faults(content, each, &mut random) {
            let damaged = fault.apply(content, &mut random);
            if damaged.as_deref() == Some(content) {
                continue;
            }
            tried += 1;
            put(&files, Some((name, damaged.as_deref())), &work)?;
            let attempt = AssertUnwindSafe(|| start(&work.join(&data), &work.join(&log)));
            let outcome = match std::panic::catch_unwind(attempt) {
                Err(_) => Outcome::Wrong("a panic".to_owned()),
                Ok(Ok(found)) if found == pristine => Outcome::Complete,
                Ok(Ok(found)) if Some(name) == newest_log.as_ref() && fault.looks_unwritten() && found.0 > 0 => {
                    Outcome::TailLost
                }
                Ok(Ok(found)) => Outcome::Wrong(format!("found {:#x} of {:#x}", found.0, pristine.0)),
                Ok(Err(text)) => refusal(text, &work),
            };
            let row = format!("{}: {}", kind_of(name, newest_log.as_deref()), fault.name());
            let (column, text) = match outcome {
                Outcome::Complete => ("complete", None),
                Outcome::Refused(text) => ("refused", Some(text)),
                Outcome::TailLost => ("tail lost", None),
                Outcome::Wrong(text) => {
                    wrong.push(json!({ "file": name, "fault": format!("{fault:?}"), "row": row, "what": text }));
                    ("wrong", None)
                }
            };
            if let Some(text) = text {
                messages.entry(row.clone()).or_insert(text);
            }
            *table.entry(row).or_default().entry(column).or_default() += 1;
        }
    }
    remove(&work)?;
    Ok(json!({ "tried": tried, "failed": wrong.len(), "table": table, "wrong": wrong, "messages": messages }))
}

fn refusal(text: String, work: &Path) -> Outcome {
    let text = text.replace(&work.display().to_string(), "");
    let names_file = text.contains("/version-2") || text.contains("/zorilla");
    if names_file && REMEDIES.iter().any(|word| text.contains(word)) {
        Outcome::Refused(text)
    } else {
        Outcome::Wrong(format!("refused without naming the file and a remedy: {text}"))
    }
}

fn faults(content: &[u8], each: usize, random: &mut Random) -> Vec<Fault> {
    let mut faults = vec![Fault::Missing];
    // Padding is not interesting: what is damaged in it reads as damage, and one place is like another.
    let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    if used == 0 {
        return faults;
    }
    faults.push(Fault::Zeroed);
    faults.push(Fault::Truncated(0));
    for _ in 0..each {
        let at = random.below(used);
        let (sector, block) = (at - at % SECTOR_BYTES, at - at % BLOCK_BYTES);
        faults.push(Fault::BitFlipped(random.below(used), random.below(8) as u8));
        faults.push(Fault::Truncated(random.below(used)));
        faults.push(Fault::SectorZeroed(sector));
        faults.push(Fault::SectorGarbage(sector));
        faults.push(Fault::BlockAppended(block));
        if block + BLOCK_BYTES < used {
            faults.push(Fault::BlockDuplicated(block));
        }
    }
    faults
}

fn is_log(name: &str) -> bool {
    log_number(name).is_some()
}

fn log_number(name: &str) -> Option<i64> {
    i64::from_str_radix(name.rsplit('/').next()?.strip_prefix("log.")?, 16).ok()
}

/// What the report calls a file.
fn kind_of(name: &str, newest_log: Option<&str>) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    if newest_log == Some(name) {
        return "newest log file".to_owned();
    }
    if is_log(name) {
        return "older log file".to_owned();
    }
    let in_store = if name.contains("/tree/") { "store: " } else { "" };
    let kind = match file.split(['-', '.']).next() {
        Some(kind @ ("MANIFEST" | "OPTIONS" | "CURRENT" | "IDENTITY" | "LOCK" | "LOG")) => kind.to_owned(),
        _ if file.ends_with(".sst") => "table".to_owned(),
        _ => file.chars().filter(|c| !c.is_ascii_digit()).collect(),
    };
    format!("{in_store}{kind}")
}

type Files = BTreeMap<String, Vec<u8>>;

fn read_files(dir: &Path) -> Result<Files, Unusable> {
    let mut files = Files::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(&at).map_err(Unusable::file(&at))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
            files.insert(name, std::fs::read(&path).map_err(Unusable::file(&path))?);
        }
    }
    Ok(files)
}

fn remove(dir: &Path) -> Result<(), Unusable> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Unusable::File(dir.to_owned(), e)),
        _ => Ok(()),
    }
}

/// Writes the directory anew, one file replaced or left out.
fn put(files: &Files, damaged: Option<(&String, Option<&[u8]>)>, to: &Path) -> Result<(), Unusable> {
    remove(to)?;
    for (name, content) in files {
        let content = match damaged {
            Some((this, content)) if this == name => content,
            _ => Some(content.as_slice()),
        };
        let path = to.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(Unusable::file(parent))?;
        }
        if let Some(content) = content {
            std::fs::write(&path, content).map_err(Unusable::file(&path))?;
        }
    }
    Ok(())
}

/// Starts, reads everything, and starts again: what is there.
fn start(data: &Path, log: &Path) -> Result<(i64, u64), String> {
    let config = recover::config(data, log)?;
    let shown = Opened::open(&config)?.shown()?;
    let again = Opened::open(&config)?.shown()?;
    if (shown.last, shown.hash) != (again.last, again.hash) {
        return Ok((-1, 0));
    }
    Ok((shown.last.0, shown.hash))
}
