//! Watch fan-out: every session watches every key, one more session sets them all, and each set must
//! reach each session exactly once.

use super::failure::Failure;
use super::fleet::{Fleet, Plan};
use super::ops::Op;
use super::tally::Tally;
use super::wire;

/// `EventType.NodeDataChanged`.
const NODE_DATA_CHANGED: i32 = 3;

/// A fan-out of `watchers` sessions times `keys` znodes, repeated.
pub struct Fanout {
    watchers: usize,
    keys: u32,
    outstanding: usize,
    firing: bool,
    /// Per session, how many requests of this phase have been made.
    asked: Vec<u32>,
    /// Per session and key, whether its watch is set and has not fired.
    armed: Vec<bool>,
    armed_count: usize,
    set_ns: Vec<u64>,
    tally: Tally,
    registered: u64,
    registering_ns: u64,
    firing_ns: u64,
}

/// What a fan-out measured.
pub struct FanoutResult {
    /// Counts events; its seconds and CPU are those of registering and firing together.
    pub tally: Tally,
    /// Events per second while firing.
    pub events_per_second: f64,
    /// Watches set per second while registering.
    pub watches_per_second: f64,
}

impl Fanout {
    /// The last session of the fleet is the writer.
    pub fn new(watchers: usize, keys: u32, outstanding: usize, tally: Tally) -> Self {
        Self {
            watchers,
            keys,
            outstanding,
            firing: false,
            asked: vec![0; watchers + 1],
            armed: vec![false; watchers * keys as usize],
            armed_count: 0,
            set_ns: vec![0; keys as usize],
            tally,
            registered: 0,
            registering_ns: 0,
            firing_ns: 0,
        }
    }

    /// Registers and fires for `warmup` seconds, then for `window` seconds measured.
    pub fn measured(mut self, fleet: &mut Fleet<'_>, warmup: u64, window: u64) -> Result<FanoutResult, Failure> {
        self.repeat(fleet, warmup)?;
        (self.registered, self.registering_ns, self.firing_ns) = (0, 0, 0);
        self.tally.start(fleet.now_ns())?;
        self.repeat(fleet, window)?;
        self.tally.stop(fleet.now_ns())?;
        Ok(FanoutResult {
            events_per_second: self.tally.count() as f64 * 1e9 / self.firing_ns.max(1) as f64,
            watches_per_second: self.registered as f64 * 1e9 / self.registering_ns.max(1) as f64,
            tally: self.tally,
        })
    }

    /// Whole rounds for at least `seconds`, and at least one.
    fn repeat(&mut self, fleet: &mut Fleet<'_>, seconds: u64) -> Result<(), Failure> {
        let end_ns = fleet.now_ns() + seconds * 1_000_000_000;
        loop {
            self.registering_ns += self.phase(fleet, false)?;
            self.firing_ns += self.phase(fleet, true)?;
            if fleet.now_ns() >= end_ns {
                return Ok(());
            }
        }
    }

    fn phase(&mut self, fleet: &mut Fleet<'_>, firing: bool) -> Result<u64, Failure> {
        self.firing = firing;
        self.asked.fill(0);
        let begun_ns = fleet.now_ns();
        fleet.run(self)?;
        Ok(fleet.now_ns() - begun_ns)
    }

    fn watch(&mut self, session: usize, key: u32) -> &mut bool {
        &mut self.armed[session * self.keys as usize + key as usize]
    }
}

impl Plan for Fanout {
    fn next(&mut self, session: usize) -> Option<Op> {
        let key = self.asked[session];
        if (session == self.watchers) != self.firing || key == self.keys {
            return None;
        }
        self.asked[session] += 1;
        Some(if self.firing { Op::Set { key } } else { Op::Get { key, watch: true } })
    }

    fn answered(&mut self, session: usize, op: Op, err: i32, _sent_ns: u64, _now_ns: u64) {
        if err != 0 {
            self.tally.reply(op, err, 0);
        } else if let Op::Get { key, .. } = op {
            *self.watch(session, key) = true;
            self.armed_count += 1;
            self.registered += 1;
        }
    }

    fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn event(&mut self, session: usize, body: &[u8], now_ns: u64) -> Result<(), Failure> {
        let wrong = |what: String| Failure::Wrong { session, what };
        let kind = wire::int_at(body, 0);
        let key = wire::trailing_number(body).filter(|key| *key < self.keys && session < self.watchers);
        let Some(key) = key.filter(|_| kind == Some(NODE_DATA_CHANGED)) else {
            return Err(wrong(format!("an event no key gives: {body:02x?}")));
        };
        if !std::mem::take(self.watch(session, key)) {
            return Err(wrong(format!("an event for key {key}, whose watch is not set")));
        }
        self.armed_count -= 1;
        let set_ns = self.set_ns[key as usize];
        self.tally.other(now_ns - set_ns);
        Ok(())
    }

    fn sent(&mut self, op: Op, now_ns: u64) {
        if let Op::Set { key } = op {
            self.set_ns[key as usize] = now_ns;
        }
    }

    fn finished(&self) -> bool {
        !self.firing || self.armed_count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::wire::Put;

    fn event(kind: i32, key: u32) -> Vec<u8> {
        let mut body = Vec::new();
        body.int(kind);
        body.int(3);
        body.numbered_path(b"/r/keys", key);
        body
    }

    #[test]
    fn each_watch_fires_once_and_all_must() {
        let mut plan = Fanout::new(1, 2, 4, Tally::new(None));
        for key in [0, 1] {
            let op = plan.next(0).unwrap();
            assert_eq!(op, Op::Get { key, watch: true });
            plan.answered(0, op, 0, 0, 0);
        }
        assert_eq!((plan.next(0), plan.next(1)), (None, None), "the writer waits");
        (plan.firing, plan.asked) = (true, vec![0, 0]);
        assert_eq!((plan.next(0), plan.next(1)), (None, Some(Op::Set { key: 0 })));
        plan.event(0, &event(3, 1), 9).unwrap();
        assert!(!plan.finished());
        assert!(plan.event(0, &event(3, 1), 9).is_err(), "fired twice");
        assert!(plan.event(0, &event(2, 0), 9).is_err(), "another type");
        assert!(plan.event(0, &event(3, 2), 9).is_err(), "no such key");
        assert!(plan.event(1, &event(3, 0), 9).is_err(), "the writer watches nothing");
        plan.event(0, &event(3, 0), 9).unwrap();
        assert!(plan.finished());
    }
}
