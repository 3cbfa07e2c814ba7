//! The recording that `shim.c` makes, read.
//!
//! Each record: total length, pid (ints), kind, phase (bytes), two unused bytes, fd (int), id, a, b (longs), then
//! bytes that depend on the kind. Big-endian. An operation has a record where it begins and one where it ends; some
//! are an instant.

use crate::Unusable;
use bytes::{Buf, Bytes};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What was done.
#[derive(Clone, Debug)]
pub enum Op {
    /// open(2), flags as given; the result is the descriptor.
    Open { path: PathBuf, flags: i64 },
    /// close(2).
    Close,
    /// write(2) or pwrite(2) at an offset.
    Write { offset: u64, data: Bytes },
    /// ftruncate(2).
    Truncate { length: u64 },
    /// fsync(2) or fdatasync(2).
    Sync,
    /// rename(2).
    Rename { from: PathBuf, to: PathBuf },
    /// link(2).
    Link { from: PathBuf, to: PathBuf },
    /// unlink(2).
    Unlink { path: PathBuf },
    /// mkdir(2).
    Mkdir { path: PathBuf },
    /// rmdir(2).
    Rmdir { path: PathBuf },
    /// To a client; the result says how much of it was taken.
    Send { data: Bytes },
    /// A client's connection.
    Accept,
    /// A process begins.
    Start,
    /// The shim made an operation fail.
    Fault { errno: i64, path: PathBuf },
    /// Written by whoever records: `snapshot DIR` is a copy of all files as they were at this moment.
    Note(String),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// By whom.
    pub pid: u32,
    /// On what; -1 for operations on a path.
    pub fd: i32,
    /// What.
    pub op: Op,
    /// What it returned; `None`: the process was gone before.
    pub result: Option<i64>,
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The operation of this index begins.
    Begin(usize),
    /// It has returned.
    End(usize),
    /// It took no time.
    Instant(usize),
}

impl Step {
    /// Whose moment it is.
    pub fn operation(self) -> usize {
        match self {
            Step::Begin(index) | Step::End(index) | Step::Instant(index) => index,
        }
    }
}

/// A recording.
#[derive(Debug, Default)]
pub struct Trace {
    /// By index.
    pub operations: Vec<Operation>,
    /// In order.
    pub steps: Vec<Step>,
}

const HEAD_BYTES: usize = 40;

impl Trace {
    /// Reads a recording.
    pub fn read(path: &Path) -> Result<Trace, Unusable> {
        let mut left = Bytes::from(std::fs::read(path).map_err(Unusable::file(path))?);
        let mut trace = Trace::default();
        let mut open = HashMap::new();
        while left.len() >= HEAD_BYTES {
            let length = (&left[..4]).get_u32() as usize;
            if length < HEAD_BYTES || length > left.len() {
                return Err(Unusable::Text(format!("{}: a record is cut short", path.display())));
            }
            let record = left.split_to(length);
            trace.add(record, &mut open)?;
        }
        Ok(trace)
    }

    fn add(&mut self, mut record: Bytes, open: &mut HashMap<(u32, u64), usize>) -> Result<(), Unusable> {
        record.advance(4);
        let (pid, kind, phase) = (record.get_u32(), record.get_u8(), record.get_u8());
        record.advance(2);
        let (fd, id, a, b) = (record.get_i32(), record.get_u64(), record.get_i64(), record.get_i64());
        if phase == 1 {
            let Some(index) = open.remove(&(pid, id)) else {
                return Err(Unusable::Text(format!("operation {id} of process {pid} ends and never began")));
            };
            self.operations[index].result = Some(b);
            self.steps.push(Step::End(index));
            return Ok(());
        }
        let index = self.operations.len();
        self.operations.push(Operation { pid, fd, op: op(kind, a, record)?, result: None });
        if phase == 0 {
            open.insert((pid, id), index);
            self.steps.push(Step::Begin(index));
        } else {
            self.steps.push(Step::Instant(index));
        }
        Ok(())
    }
}

fn op(kind: u8, a: i64, data: Bytes) -> Result<Op, Unusable> {
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    let path = |data: &[u8]| PathBuf::from(text(data));
    Ok(match kind {
        1 => Op::Open { path: path(&data), flags: a },
        2 => Op::Close,
        3 => Op::Write { offset: a.cast_unsigned(), data },
        4 => Op::Truncate { length: a.cast_unsigned() },
        5 => Op::Sync,
        6 | 16 => {
            let mut parts = data.splitn(2, |byte| *byte == 0);
            let mut next = || parts.next().map(path).unwrap_or_default();
            let (from, to) = (next(), next());
            if kind == 6 { Op::Rename { from, to } } else { Op::Link { from, to } }
        }
        7 => Op::Unlink { path: path(&data) },
        8 => Op::Mkdir { path: path(&data) },
        9 => Op::Rmdir { path: path(&data) },
        10 => Op::Send { data },
        11 => Op::Accept,
        12 => Op::Start,
        14 => Op::Fault { errno: a, path: path(&data) },
        15 => Op::Note(text(&data)),
        other => {
            return Err(Unusable::Text(format!("an operation (kind {other}) that is not understood: {}", text(&data))));
        }
    })
}
