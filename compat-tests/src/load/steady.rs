//! Workloads that keep every session at its number of outstanding requests for a fixed time.

use super::failure::Failure;
use super::fleet::Plan;
use super::ops::{FIRST_CREATE_DIR, Op};
use super::tally::Tally;

/// What a session asks next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mix {
    Get,
    Exists,
    Children,
    Set,
    Create,
    /// create, setData and delete of the same znode.
    CreateSetDelete,
    /// 90 % getData, 10 % setData.
    Mixed,
    /// A multi of setData.
    Multi,
}

/// A warm-up, a measured window, and the end of what was begun.
pub struct Steady {
    mix: Mix,
    keys: u32,
    outstanding: usize,
    warmup_ns: u64,
    window_ns: u64,
    /// Requests of each session so far.
    asked: Vec<u32>,
    random: Random,
    begun_ns: Option<u64>,
    over: bool,
    tally: Tally,
}

impl Steady {
    /// Times in seconds; `keys` is how many there are to choose from.
    pub fn new(mix: Mix, sessions: usize, outstanding: usize, keys: u32, seconds: (u64, u64), tally: Tally) -> Self {
        let (warmup, window) = seconds;
        Self {
            mix,
            keys,
            outstanding,
            warmup_ns: warmup * 1_000_000_000,
            window_ns: window * 1_000_000_000,
            asked: vec![0; sessions],
            random: Random(0x2545_f491_4f6c_dd1d),
            begun_ns: None,
            over: false,
            tally,
        }
    }

    /// Znodes that each session created and left.
    pub fn created(&self) -> &[u32] {
        if self.mix == Mix::Create { &self.asked } else { &[] }
    }

    /// What was measured.
    pub fn into_tally(self) -> Tally {
        self.tally
    }

    fn key(&mut self) -> u32 {
        self.random.below(self.keys)
    }
}

impl Plan for Steady {
    fn next(&mut self, session: usize) -> Option<Op> {
        let asked = self.asked[session];
        let torn_cycle = self.mix == Mix::CreateSetDelete && !asked.is_multiple_of(3);
        if self.over && !torn_cycle {
            return None;
        }
        self.asked[session] += 1;
        let dir = FIRST_CREATE_DIR + session as u32;
        Some(match self.mix {
            Mix::Get => Op::Get { key: self.key(), watch: false },
            Mix::Exists => Op::Exists { key: self.key() },
            Mix::Children => Op::Children,
            Mix::Set => Op::Set { key: self.key() },
            Mix::Create => Op::Create { dir, number: asked },
            Mix::Mixed if self.random.below(10) == 0 => Op::Set { key: self.key() },
            Mix::Mixed => Op::Get { key: self.key(), watch: false },
            Mix::Multi => Op::MultiSet { key: self.key() },
            Mix::CreateSetDelete => {
                let number = asked / 3;
                match asked % 3 {
                    0 => Op::Create { dir, number },
                    1 => Op::SetCreated { dir, number },
                    _ => Op::Delete { dir, number },
                }
            }
        })
    }

    fn answered(&mut self, _session: usize, op: Op, err: i32, sent_ns: u64, now_ns: u64) {
        self.tally.reply(op, err, now_ns - sent_ns);
    }

    fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn tick(&mut self, now_ns: u64) -> Result<(), Failure> {
        let elapsed_ns = now_ns - *self.begun_ns.get_or_insert(now_ns);
        if self.over {
            return Ok(());
        }
        if elapsed_ns >= self.warmup_ns + self.window_ns {
            self.over = true;
            self.tally.stop(now_ns)?;
        } else if elapsed_ns >= self.warmup_ns && !self.tally.is_measuring() {
            self.tally.start(now_ns)?;
        }
        Ok(())
    }
}

/// Xorshift: the same keys in every run, at the cost of three shifts.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn plan(mix: Mix) -> Steady {
        Steady::new(mix, 2, 4, 1000, (1, 2), Tally::new(None))
    }

    #[test]
    fn the_window_opens_after_the_warm_up_and_ends_the_asking() {
        let mut plan = plan(Mix::Get);
        for (at, measuring, asks) in [(5, false, true), (6, true, true), (7, true, true), (8, false, false)] {
            plan.tick(at * SECOND).unwrap();
            assert_eq!(plan.tally.is_measuring(), measuring, "at {at} s");
            assert_eq!(plan.next(0).is_some(), asks, "at {at} s");
            if let Some(op) = plan.next(1) {
                plan.answered(1, op, 0, at * SECOND, at * SECOND + 5);
            }
        }
        assert_eq!(plan.into_tally().count(), 2);
    }

    #[test]
    fn a_cycle_begun_is_finished() {
        let mut plan = plan(Mix::CreateSetDelete);
        plan.tick(0).unwrap();
        let dir = FIRST_CREATE_DIR + 1;
        (0..3).for_each(|_| assert!(plan.next(1).is_some()));
        assert_eq!(plan.next(1), Some(Op::Create { dir, number: 1 }));
        plan.tick(9 * SECOND).unwrap();
        assert_eq!(plan.next(1), Some(Op::SetCreated { dir, number: 1 }));
        assert_eq!(plan.next(1), Some(Op::Delete { dir, number: 1 }));
        assert_eq!(plan.next(1), None);
        assert_eq!(plan.next(0), None);
        assert!(plan.created().is_empty());
    }

    #[test]
    fn mixed_is_a_tenth_sets_over_all_keys() {
        let mut plan = plan(Mix::Mixed);
        let mut seen = vec![0u32; 1000];
        let mut sets = 0;
        for _ in 0..100_000 {
            match plan.next(0) {
                Some(Op::Set { key }) => {
                    sets += 1;
                    seen[key as usize] += 1;
                }
                Some(Op::Get { key, watch: false }) => seen[key as usize] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!((9_500..10_500).contains(&sets), "{sets} sets");
        assert!(seen.iter().all(|count| (40..200).contains(count)), "keys are even");
    }
}
