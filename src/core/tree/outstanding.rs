//! What outstanding txns make of the znodes they write: every value in the order of the txns, and
//! which of them is the newest of its path.

use super::Znode;
use super::map::is_same;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::sync::Arc;

/// A path that an outstanding txn writes.
#[derive(Debug)]
pub(super) struct Wrote {
    /// The path's, in the tree's tables.
    pub hash: u64,
    pub path: Arc<str>,
    /// `None`: deleted.
    pub znode: Option<Arc<Znode>>,
    /// The number of the write of the same path before this one, which may be applied by now.
    before: u64,
}

/// Writes in the order they were prepared, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Writes {
    queue: VecDeque<Wrote>,
    /// Writes that have left the queue at its front.
    gone: u64,
    newest: HashTable<Newest>,
}

/// The number of a path's newest write.
#[derive(Debug)]
struct Newest {
    hash: u64,
    number: u64,
}

impl Writes {
    /// How many were ever made and not taken back.
    pub fn count(&self) -> u64 {
        self.gone + self.queue.len() as u64
    }

    /// The newest write of a path.
    pub fn newest(&self, hash: u64, path: &str) -> Option<&Wrote> {
        let of = |newest: &Newest| &self.queue[(newest.number - self.gone - 1) as usize];
        self.newest.find(hash, |newest| newest.hash == hash && is_same(&of(newest).path, path)).map(of)
    }

    /// Appends a write.
    pub fn push(&mut self, hash: u64, path: Arc<str>, znode: Option<Arc<Znode>>) {
        let Writes { queue, gone, newest } = self;
        let number = *gone + queue.len() as u64 + 1;
        let is_this = |it: &Newest| it.hash == hash && is_same(&queue[(it.number - *gone - 1) as usize].path, &path);
        let before = match newest.find_mut(hash, is_this) {
            Some(newest) => std::mem::replace(&mut newest.number, number),
            None => {
                newest.insert_unique(hash, Newest { hash, number }, |newest| newest.hash);
                0
            }
        };
        queue.push_back(Wrote { hash, path, znode, before });
    }

    /// Takes the oldest write out, to apply it.
    pub fn pop_oldest(&mut self) -> Option<Wrote> {
        let wrote = self.queue.pop_front()?;
        self.gone += 1;
        let number = self.gone;
        if let Ok(newest) = self.newest.find_entry(wrote.hash, |newest| newest.number == number) {
            newest.remove();
        }
        Some(wrote)
    }

    /// Takes the newest write back.
    pub fn take_back(&mut self) -> Option<Wrote> {
        let number = self.count();
        let wrote = self.queue.pop_back()?;
        if let Ok(mut newest) = self.newest.find_entry(wrote.hash, |newest| newest.number == number) {
            if wrote.before > self.gone {
                newest.get_mut().number = wrote.before;
            } else {
                newest.remove();
            }
        }
        Some(wrote)
    }

    /// The last `count` of them, oldest first.
    pub fn newest_ones(&self, count: u64) -> impl Iterator<Item = &Wrote> {
        self.queue.range(self.queue.len() - count as usize..)
    }

    /// The newest writes behind the first `count`, oldest first.
    #[cfg(test)]
    pub fn behind(&self, count: u64) -> impl Iterator<Item = &Wrote> {
        let newest = move |(at, wrote): &(usize, &Wrote)| {
            let number = self.gone + *at as u64 + 1;
            number > count && self.newest.find(wrote.hash, |newest| newest.number == number).is_some()
        };
        self.queue.iter().enumerate().filter(newest).map(|(_, wrote)| wrote)
    }

    /// Whether none is outstanding, nor remembered.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.newest.is_empty()
    }
}
