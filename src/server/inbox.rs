//! The driver's mailbox: many writers, one reader that takes everything at once.

use parking_lot::{Condvar, Mutex};
use std::time::Instant;

/// A queue whose reader always takes all there is, so that a burst costs one wake-up.
#[derive(Debug)]
pub struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    filled: Condvar,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Inbox { queue: Mutex::new(Vec::new()), filled: Condvar::new() }
    }
}

impl<T> Inbox<T> {
    /// Adds one; never blocks on the reader. Bounds are kept by the senders, who wait for answers.
    pub fn push(&self, item: T) {
        let mut queue = self.queue.lock();
        queue.push(item);
        if queue.len() == 1 {
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Swaps everything into `batch` (which is empty), waiting until there is something or `deadline`.
    pub fn take(&self, batch: &mut Vec<T>, deadline: Instant) {
        let mut queue = self.queue.lock();
        while queue.is_empty() {
            if self.filled.wait_until(&mut queue, deadline).timed_out() {
                break;
            }
        }
        std::mem::swap(&mut *queue, batch);
    }
}
