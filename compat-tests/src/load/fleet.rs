//! Sessions driven by one thread: whatever the poller reports is read, judged, and answered with new
//! requests in one write per session.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::failure::Failure;
use super::ops::{Names, Op};
use super::session::{Answer, Session, TIMEOUT_MS};

/// A server that is silent for this long has failed.
const STALL_SECONDS: u64 = 30;
/// A session that has asked nothing for this long sends a ping: a quarter of its timeout.
const PING_NS: u64 = TIMEOUT_MS as u64 * 1_000_000 / 4;
const PING_CHECK_NS: u64 = 1_000_000_000;
const POLL_TIMEOUT: Duration = Duration::from_millis(50);

/// What a run asks, and what it does with the answers. Times are nanoseconds on the fleet's clock.
pub trait Plan {
    /// The next request of a session, or nothing for now.
    fn next(&mut self, session: usize) -> Option<Op>;

    /// A reply has come; `err` is its header's.
    fn answered(&mut self, session: usize, op: Op, err: i32, sent_ns: u64, now_ns: u64);

    /// Requests that a session may have unanswered.
    fn outstanding(&self) -> usize;

    /// A request has been written behind its neighbours.
    fn sent(&mut self, _op: Op, _now_ns: u64) {}

    /// Called before every wait.
    fn tick(&mut self, _now_ns: u64) -> Result<(), Failure> {
        Ok(())
    }

    /// A watch event has come. Only a plan that set watches expects one.
    fn event(&mut self, session: usize, _body: &[u8], _now_ns: u64) -> Result<(), Failure> {
        Err(Failure::Wrong { session, what: "an event, but no watch was set".into() })
    }

    /// Whether a further session should be opened now, `opening` being on their way.
    fn wants_session(&mut self, _opening: usize, _now_ns: u64) -> bool {
        false
    }

    /// Whether nothing is awaited besides replies.
    fn finished(&self) -> bool {
        true
    }
}

/// The sessions of one run.
pub struct Fleet<'a> {
    names: &'a Names,
    address: SocketAddr,
    poll: Poll,
    sessions: Vec<Session<Op>>,
    clock: Instant,
    opening: usize,
    unanswered: usize,
    pings_checked_ns: u64,
}

impl<'a> Fleet<'a> {
    /// A fleet without sessions.
    pub fn new(names: &'a Names, address: SocketAddr) -> Result<Self, Failure> {
        let (poll, clock) = (Poll::new()?, Instant::now());
        let sessions = Vec::new();
        Ok(Self { names, address, poll, sessions, clock, opening: 0, unanswered: 0, pings_checked_ns: 0 })
    }

    /// A fleet of `count` open sessions.
    pub fn open(names: &'a Names, address: SocketAddr, count: usize) -> Result<Self, Failure> {
        let mut fleet = Self::new(names, address)?;
        fleet.run(&mut Open { left: count })?;
        Ok(fleet)
    }

    /// Sessions opened so far.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session yet.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Nanoseconds since the fleet was made.
    pub fn now_ns(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    /// Runs `plan` until it asks nothing more and everything is answered.
    pub fn run(&mut self, plan: &mut impl Plan) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        let mut progress = Instant::now();
        for session in 0..self.sessions.len() {
            self.refill(session, plan)?;
        }
        loop {
            let now_ns = self.now_ns();
            plan.tick(now_ns)?;
            while plan.wants_session(self.opening, now_ns) {
                self.sessions.push(Session::open(self.sessions.len(), self.address, self.poll.registry())?);
                self.opening += 1;
            }
            self.ping_idle(now_ns)?;
            if self.opening + self.unanswered == 0 && plan.finished() {
                return Ok(());
            }
            if let Err(e) = self.poll.poll(&mut events, Some(POLL_TIMEOUT))
                && e.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(e.into());
            }
            for event in &events {
                self.serve(event.token().0, event.is_read_closed(), plan)?;
                progress = Instant::now();
            }
            if progress.elapsed() > Duration::from_secs(STALL_SECONDS) {
                return Err(Failure::Stalled { seconds: STALL_SECONDS, pending: self.unanswered });
            }
        }
    }

    /// Reads all there is before anything is asked again: a server fast enough to answer in between
    /// would otherwise keep this one session going and starve the others.
    fn serve(&mut self, index: usize, at_end: bool, plan: &mut impl Plan) -> Result<(), Failure> {
        loop {
            let session = &mut self.sessions[index];
            let more = session.fill()? || (at_end && !session.closing());
            let now_ns = self.clock.elapsed().as_nanos() as u64;
            let (names, opening, unanswered) = (self.names, &mut self.opening, &mut self.unanswered);
            session.drain(|answer| {
                match answer {
                    Answer::Connected => *opening -= 1,
                    Answer::Event { body } => plan.event(index, body, now_ns)?,
                    Answer::Reply { pending, header, body } => {
                        *unanswered -= 1;
                        let what = if header.err == 0 { names.complaint(pending.tag, body) } else { None };
                        if let Some(what) = what {
                            return Err(Failure::Wrong { session: index, what });
                        }
                        if pending.tag == Op::Ping && header.err == 0 {
                            return Ok(());
                        }
                        plan.answered(index, pending.tag, header.err, pending.sent_ns, now_ns);
                    }
                }
                Ok(())
            })?;
            if !more {
                return self.refill(index, plan);
            }
        }
    }

    /// Sends what the plan has for a session, in one write.
    fn refill(&mut self, index: usize, plan: &mut impl Plan) -> Result<(), Failure> {
        let session = &mut self.sessions[index];
        let now_ns = self.clock.elapsed().as_nanos() as u64;
        while session.connected() && session.outstanding() < plan.outstanding() {
            let Some(op) = plan.next(index) else { break };
            if op == Op::CloseSession {
                session.set_closing();
            }
            self.names.ask(session, op, now_ns);
            plan.sent(op, now_ns);
            self.unanswered += 1;
        }
        Ok(session.flush()?)
    }

    /// Keeps sessions alive that a plan leaves waiting, such as watchers. Looks once a second.
    fn ping_idle(&mut self, now_ns: u64) -> Result<(), Failure> {
        if now_ns - self.pings_checked_ns < PING_CHECK_NS {
            return Ok(());
        }
        self.pings_checked_ns = now_ns;
        for session in &mut self.sessions {
            let idle = session.connected() && !session.closing() && session.outstanding() == 0;
            if idle && now_ns - session.asked_ns() >= PING_NS {
                self.names.ask(session, Op::Ping, now_ns);
                session.flush()?;
                self.unanswered += 1;
            }
        }
        Ok(())
    }

    /// Closes every session, so that the server need not wait for them to expire.
    pub fn close(mut self) -> Result<(), Failure> {
        let open = vec![true; self.sessions.len()];
        self.run(&mut Close { open })
    }
}

/// Opens sessions, a hundred at a time.
struct Open {
    left: usize,
}

impl Plan for Open {
    fn next(&mut self, _session: usize) -> Option<Op> {
        None
    }

    fn answered(&mut self, _session: usize, _op: Op, _err: i32, _sent_ns: u64, _now_ns: u64) {}

    fn outstanding(&self) -> usize {
        0
    }

    fn wants_session(&mut self, opening: usize, _now_ns: u64) -> bool {
        let wanted = self.left > 0 && opening < 100;
        self.left -= usize::from(wanted);
        wanted
    }
}

/// One `closeSession` each.
struct Close {
    open: Vec<bool>,
}

impl Plan for Close {
    fn next(&mut self, session: usize) -> Option<Op> {
        std::mem::take(&mut self.open[session]).then_some(Op::CloseSession)
    }

    fn answered(&mut self, _session: usize, _op: Op, _err: i32, _sent_ns: u64, _now_ns: u64) {}

    fn outstanding(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Limit;

    /// Waits for pings to have been due, asking nothing.
    struct Idle {
        over: bool,
    }

    impl Plan for Idle {
        fn next(&mut self, _session: usize) -> Option<Op> {
            None
        }

        fn answered(&mut self, _session: usize, op: Op, _err: i32, _sent_ns: u64, _now_ns: u64) {
            panic!("a plan hears of {op:?}, which it did not ask");
        }

        fn outstanding(&self) -> usize {
            1
        }

        fn tick(&mut self, now_ns: u64) -> Result<(), Failure> {
            self.over = now_ns > 2 * PING_CHECK_NS;
            Ok(())
        }

        fn finished(&self) -> bool {
            self.over
        }
    }

    #[test]
    fn sessions_that_wait_send_pings_and_the_plan_does_not_see_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut limit = Limit::bind(([127, 0, 0, 1], 0).into(), &dir.path().join("log"), 0).unwrap();
        let address = limit.address().unwrap();
        std::thread::spawn(move || limit.serve());
        let names = Names::new("/r", 1, 1, 0);
        let mut fleet = Fleet::open(&names, address, 3).unwrap();
        // As if the last requests were long ago.
        fleet.clock -= Duration::from_nanos(PING_NS);
        fleet.pings_checked_ns = 0;
        fleet.run(&mut Idle { over: false }).unwrap();
        assert!(fleet.sessions.iter().all(|session| session.asked_ns() >= PING_NS), "each has pinged");
        fleet.close().unwrap();
    }
}
