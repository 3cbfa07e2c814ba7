//! Sessions opened one after the other, each with an ephemeral znode, and all of them kept.

use super::failure::Failure;
use super::fleet::{Fleet, Plan};
use super::ops::{FIRST_CREATE_DIR, Op};
use super::tally::Tally;

/// Opens `wanted` sessions, at most `at_once` of them without their ephemeral yet.
struct Opening {
    wanted: usize,
    at_once: usize,
    begun_ns: Vec<u64>,
    asked: Vec<bool>,
    done: usize,
    tally: Tally,
}

/// Opens the sessions; an operation is one session with its ephemeral, its latency from before the
/// TCP connect to the reply of the create.
pub fn open_sessions(fleet: &mut Fleet<'_>, wanted: usize, at_once: usize, mut tally: Tally) -> Result<Tally, Failure> {
    tally.start(fleet.now_ns())?;
    let mut plan = Opening { wanted, at_once, begun_ns: Vec::new(), asked: Vec::new(), done: 0, tally };
    fleet.run(&mut plan)?;
    plan.tally.stop(fleet.now_ns())?;
    Ok(plan.tally)
}

impl Plan for Opening {
    fn next(&mut self, session: usize) -> Option<Op> {
        let first = !std::mem::replace(&mut self.asked[session], true);
        first.then_some(Op::CreateEphemeral { dir: FIRST_CREATE_DIR, number: session as u32 })
    }

    fn answered(&mut self, session: usize, op: Op, err: i32, _sent_ns: u64, now_ns: u64) {
        self.done += 1;
        self.tally.reply(op, err, now_ns - self.begun_ns[session]);
    }

    fn outstanding(&self) -> usize {
        1
    }

    fn wants_session(&mut self, _opening: usize, now_ns: u64) -> bool {
        let begun = self.begun_ns.len();
        let wanted = begun < self.wanted && begun - self.done < self.at_once;
        if wanted {
            self.begun_ns.push(now_ns);
            self.asked.push(false);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_opened_when_another_is_done_and_creates_once() {
        let tally = Tally::new(None);
        let mut plan = Opening { wanted: 3, at_once: 2, begun_ns: vec![], asked: vec![], done: 0, tally };
        assert!(plan.wants_session(0, 1) && plan.wants_session(1, 1) && !plan.wants_session(2, 1));
        let op = plan.next(1).unwrap();
        assert_eq!(op, Op::CreateEphemeral { dir: FIRST_CREATE_DIR, number: 1 });
        assert_eq!(plan.next(1), None);
        plan.answered(1, op, 0, 5, 9);
        assert!(plan.wants_session(1, 10) && !plan.wants_session(2, 10));
        assert_eq!(plan.begun_ns, [1, 1, 10]);
    }
}
