//! Holds the process to its budget: the tree's size in memory is an estimate, and an allocator keeps pages that
//! are only partly in use, so what the system counts decides how much the tree may keep.

use super::shared::Shared;
use std::sync::atomic::Ordering;

/// How often the system is asked.
pub const INTERVAL_MS: i64 = 250;
/// Least part of the usual allowance that the tree keeps, however large the process is.
const FLOOR: usize = 6;

/// Adjusts what the tree may keep to what the process takes.
pub fn adjust(shared: &Shared) {
    let Some(resident) = resident_bytes() else { return };
    let usual = shared.limits.tree_bytes_max;
    let now = shared.tree_bytes_max.load(Ordering::Relaxed);
    let next = allowance(now, usual, resident, shared.limits.budget_bytes);
    if next != now {
        shared.tree_bytes_max.store(next, Ordering::Relaxed);
        shared.make_room();
    }
}

/// Quickly down, slowly up again.
fn allowance(now: usize, usual: usize, resident: usize, budget: usize) -> usize {
    if resident > budget {
        (now - now / 8).max(usual / FLOOR)
    } else if resident < budget / 8 * 7 {
        (now + usual / 64).min(usual)
    } else {
        now
    }
}

/// What the system counts as the process's memory; `None` where it does not say.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_follows_the_process_between_its_bounds() {
        let (usual, budget) = (600, 1000);
        let mut now = usual;
        for _ in 0..100 {
            now = allowance(now, usual, 1001, budget);
        }
        assert_eq!(now, 100, "never nothing");
        assert_eq!(allowance(now, usual, 950, budget), now, "near the budget it stays");
        for _ in 0..100 {
            now = allowance(now, usual, 100, budget);
        }
        assert_eq!(now, usual);
    }

    #[test]
    fn the_system_counts_this_process() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
