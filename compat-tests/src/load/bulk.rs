//! Plans with a known end: preparing znodes, loading many, and taking them away again.

use super::failure::Failure;
use super::fleet::{Fleet, Plan};
use super::ops::{FIRST_CREATE_DIR, KEYS_DIR, LIST_DIR, LISTED_CHILDREN, Names, Op};
use super::tally::Tally;

/// Asks the operations of a list, over however many sessions there are.
pub struct Bulk<I> {
    ops: I,
    outstanding: usize,
    tally: Tally,
}

impl<I: Iterator<Item = Op>> Bulk<I> {
    /// `outstanding` is per session. With more than one session the order is loose.
    pub fn new(ops: I, outstanding: usize, tally: Tally) -> Self {
        Self { ops, outstanding, tally }
    }

    /// Runs to the end, with the whole of it measured.
    pub fn measured(mut self, fleet: &mut Fleet<'_>) -> Result<Tally, Failure> {
        self.tally.start(fleet.now_ns())?;
        fleet.run(&mut self)?;
        self.tally.stop(fleet.now_ns())?;
        Ok(self.tally)
    }
}

impl<I: Iterator<Item = Op>> Plan for Bulk<I> {
    fn next(&mut self, _session: usize) -> Option<Op> {
        self.ops.next()
    }

    fn answered(&mut self, _session: usize, op: Op, err: i32, sent_ns: u64, now_ns: u64) {
        self.tally.reply(op, err, now_ns - sent_ns);
    }

    fn outstanding(&self) -> usize {
        self.outstanding
    }
}

/// Creates the parents, the first `keys` keys and the listed children of a run.
pub fn prepare(fleet: &mut Fleet<'_>, names: &Names, keys: u32) -> Result<(), Failure> {
    let dirs = names.dirs.len() as u32;
    // The root is the dir behind the last, and has to come first.
    let ops = [dirs].into_iter().chain(0..dirs).map(|dir| Op::CreateDir { dir });
    let ops = ops.chain(create_batches(KEYS_DIR, keys, names.batch()));
    expect_success(fleet, ops.chain(create_batches(LIST_DIR, LISTED_CHILDREN, names.batch())))
}

/// Deletes what [`prepare`] made and the first `created[i]` znodes under parent `i`.
pub fn clean_up(fleet: &mut Fleet<'_>, names: &Names, created: &[u32]) -> Result<(), Failure> {
    let dirs = names.dirs.len() as u32;
    let keys = delete_batches(KEYS_DIR, names.keys).chain(delete_batches(LIST_DIR, LISTED_CHILDREN));
    let created = created.iter().zip(FIRST_CREATE_DIR..).flat_map(|(count, dir)| delete_batches(dir, *count));
    expect_success(fleet, keys.chain(created).chain((0..=dirs).map(|dir| Op::DeleteDir { dir })))
}

/// Creates of `count` znodes under `dir`, `batch` in a multi.
pub fn create_batches(dir: u32, count: u32, batch: u32) -> impl Iterator<Item = Op> {
    batches(count, batch).map(move |(number, count)| Op::CreateBatch { dir, number, count })
}

fn delete_batches(dir: u32, count: u32) -> impl Iterator<Item = Op> {
    batches(count, super::ops::BATCH_MAX).map(move |(number, count)| Op::DeleteBatch { dir, number, count })
}

fn batches(count: u32, batch: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..count).step_by(batch as usize).map(move |number| (number, batch.min(count - number)))
}

fn expect_success(fleet: &mut Fleet<'_>, ops: impl Iterator<Item = Op>) -> Result<(), Failure> {
    const OUTSTANDING: usize = 8;
    let tally = Bulk::new(ops, OUTSTANDING, Tally::new(None)).measured(fleet)?;
    if tally.errors() == 0 {
        return Ok(());
    }
    Err(Failure::Wrong { session: 0, what: format!("while preparing or cleaning up: {}", tally.report()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_every_znode_once() {
        assert_eq!(batches(250, 100).collect::<Vec<_>>(), [(0, 100), (100, 100), (200, 50)]);
        assert_eq!(batches(100, 100).collect::<Vec<_>>(), [(0, 100)]);
        assert_eq!(batches(0, 100).count(), 0);
    }
}
