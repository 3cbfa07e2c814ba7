//! Random histories from a seed.
//!
//! Everything is generated before anything is sent: the generator has no model of the tree, it only knows which lines
//! are open and who they are. Where Apache's own answer would be chance (its pending changes, its I/O threads), the
//! request is fenced: nothing else is under way.

use fastrand::Rng;

use super::damage::{self, Damage};
use super::hex::Hex;
use super::history::{Ask, Connect, History, LineName, Password, SessionName, Step};
use super::ops;
use super::requests::{self, Body, Rules};
use super::universe::{ADMIN_ID, Universe, pick, weighted};

const LINES: LineName = 4;
/// Long enough that no session expires unless it is meant to.
const LONG_MS: i32 = 600_000;
const WORDS: &[&[u8; 4]] = &[
    b"ruok", b"isro", b"wchs", b"wchc", b"wchp", b"dump", b"srvr", b"mntr", b"stat", b"cons", b"conf", b"gtmk",
    b"crst", b"dirs", b"envi", b"hash",
];

const OPS: &[(i32, u32)] = &[
    (ops::CREATE, 14),
    (ops::CREATE2, 8),
    (ops::CREATE_CONTAINER, 3),
    (ops::CREATE_TTL, 4),
    (ops::DELETE, 12),
    (ops::DELETE_CONTAINER, 2),
    (ops::EXISTS, 8),
    (ops::GET_DATA, 8),
    (ops::SET_DATA, 12),
    (ops::GET_ACL, 3),
    (ops::SET_ACL, 4),
    (ops::GET_CHILDREN, 5),
    (ops::GET_CHILDREN2, 6),
    (ops::SYNC, 1),
    (ops::PING, 1),
    (ops::MULTI, 12),
    (ops::MULTI_READ, 4),
    (ops::RECONFIG, 1),
    (ops::CHECK_WATCHES, 3),
    (ops::REMOVE_WATCHES, 4),
    (ops::SET_WATCHES, 2),
    (ops::SET_WATCHES2, 3),
    (ops::ADD_WATCH, 5),
    (ops::GET_EPHEMERALS, 2),
    (ops::GET_ALL_CHILDREN_NUMBER, 2),
    (ops::WHO_AM_I, 1),
    (ops::SASL, 1),
];

#[derive(Clone, Copy, PartialEq)]
enum Who {
    Nobody,
    Bob,
    Admin,
    BobAndAlice,
}

#[derive(Clone, Copy)]
struct Session {
    name: SessionName,
    line: Option<LineName>,
    ended: bool,
}

struct Generator {
    rng: Rng,
    universe: Universe,
    rules: Rules,
    weights: Vec<(i32, u32)>,
    /// Of 1000 steps, how many are about sessions, damaged, or words.
    sessions_of_1000: u32,
    damaged_of_1000: u32,
    /// Another line's turn comes after about as many steps.
    turns: u8,
    /// Answers are awaited after each request.
    slow: bool,
    /// Clients authenticate again on the way, so that a connection may have several identities.
    mixed: bool,
    who: Vec<Who>,
    /// Nobody gets nothing but an error and a closed connection.
    guarded: bool,
    open: [Option<usize>; LINES as usize],
    sessions: Vec<Session>,
    current: LineName,
    xid: i32,
    steps: Vec<Step>,
}

/// The history of a seed: about `requests` requests for servers configured as `profile`.
pub fn history(profile: &str, seed: u64, requests: usize) -> History {
    let mut rng = Rng::with_seed(seed);
    let quotas = rng.u8(..6) == 0;
    let acl_percent = *pick(&mut rng, &[0, 5, 15, 15, 60]);
    let universe = Universe::new(&mut rng, quotas, acl_percent);
    let who = who(&mut rng, profile);
    let weights = OPS.iter().map(|(op, weight)| (*op, weight * *pick(&mut rng, &[0, 1, 4, 4, 4, 16]))).collect();
    let mut generator = Generator {
        universe,
        rules: Rules { quotas },
        weights,
        sessions_of_1000: *pick(&mut rng, &[2, 10, 30, 80]),
        damaged_of_1000: *pick(&mut rng, &[0, 10, 30, 100]),
        turns: *pick(&mut rng, &[4, 20, 60, 200]),
        slow: rng.u8(..12) == 0,
        mixed: rng.u8(..3) == 0,
        who,
        guarded: profile == "guarded",
        open: [None; LINES as usize],
        sessions: Vec::new(),
        current: 0,
        xid: 0,
        steps: Vec::new(),
        rng,
    };
    let acl_order_is_free = generator.mixed || generator.who.contains(&Who::BobAndAlice);
    generator.run(quotas, requests);
    History { profile: profile.into(), seed, acl_order_is_free, why: String::new(), steps: generator.steps }
}

/// Who each line is once it is open. Two identities of one scheme on a line are rare: then ACLs lose their order.
fn who(rng: &mut Rng, profile: &str) -> Vec<Who> {
    let of = match (profile, rng.u8(..10)) {
        ("guarded", _) => &[Who::Bob, Who::Bob, Who::Admin, Who::Nobody][..],
        (_, 0) => &[Who::BobAndAlice, Who::Bob, Who::Nobody],
        (_, 1..=3) => &[Who::Nobody],
        _ => &[Who::Nobody, Who::Nobody, Who::Bob, Who::Bob, Who::Admin],
    };
    (0..LINES).map(|_| *pick(rng, of)).collect()
}

impl Generator {
    fn run(&mut self, quotas: bool, requests: usize) {
        for line in 0..self.rng.u8(1..=LINES) {
            self.open_new(line);
        }
        if self.rng.u8(..4) > 0 {
            self.populate();
        }
        if quotas {
            self.set_quota();
        }
        while self.steps.len() < requests {
            self.step();
        }
    }

    fn step(&mut self) {
        if self.line().is_none() {
            self.open_new(0);
        }
        let shut = (0..LINES).find(|line| self.refused(*line) && self.open[usize::from(*line)].is_none());
        if let Some(line) = shut.filter(|_| self.rng.u8(..10) == 0) {
            self.open_new(line);
        }
        let at = self.rng.u32(..1000);
        let sessions = self.sessions_of_1000;
        let damaged = sessions + self.damaged_of_1000;
        if at < sessions {
            self.session_step();
        } else if at < damaged {
            self.damaged_step();
        } else if at < damaged + 2 {
            self.word();
        } else if at < damaged + 10 && self.mixed {
            self.auth();
        } else {
            self.request();
        }
    }

    /// The line that acts: the same for a while, so that requests are pipelined.
    fn line(&mut self) -> Option<LineName> {
        let open: Vec<LineName> = (0..LINES).filter(|line| self.open[usize::from(*line)].is_some()).collect();
        if open.is_empty() {
            return None;
        }
        if !open.contains(&self.current) || self.rng.u8(..self.turns) == 0 {
            self.current = *pick(&mut self.rng, &open);
        }
        Some(self.current)
    }

    fn request(&mut self) {
        let refused = self.line().is_some_and(|line| self.refused(line));
        let op = match self.rng.usize(..=OPS.len()) {
            at if refused => OPS.get(at).map_or(ops::CLOSE_SESSION, |(op, _)| *op),
            _ => weighted(&mut self.rng, &self.weights),
        };
        let body = requests::body(&mut self.rng, &self.universe, self.rules, op);
        // sasl and auth are answered by Apache's I/O threads, ahead of what is under way.
        // Of deleteContainer and of quotas in a multi, Zorilla's answers may be other ones on purpose.
        let meant = op == ops::DELETE_CONTAINER || (op == ops::MULTI && self.rules.quotas);
        self.ask(op, body, meant || matches!(op, ops::SASL | ops::AUTH));
    }

    fn ask(&mut self, op: i32, body: Body, alone: bool) {
        let Some(line) = self.line() else { return };
        let xid = match op {
            ops::PING => -2,
            ops::AUTH if self.rng.bool() => -4,
            _ => self.next_xid(),
        };
        let fence = body.fence || self.slow;
        let refused = self.refused(line) && !matches!(op, ops::AUTH | ops::SASL);
        // What is pipelined behind a closeSession may still get an answer from Apache.
        let alone = alone || refused || body.alone || op == ops::CLOSE_SESSION;
        let ask = Ask { line, xid, op, body: Hex(body.bytes), zxid_ahead: body.zxid_ahead, fence, alone };
        self.steps.push(Step::Ask(ask));
        if refused {
            self.lost(line);
        }
    }

    fn refused(&self, line: LineName) -> bool {
        self.guarded && self.who[usize::from(line)] == Who::Nobody
    }

    /// Mostly counted up; sometimes what no client would send. Never -1, which is an event's.
    fn next_xid(&mut self) -> i32 {
        self.xid += 1;
        match self.rng.u8(..60) {
            0 => *pick(&mut self.rng, &[0, -8, i32::MIN, i32::MAX, 1]),
            _ => self.xid,
        }
    }

    fn auth(&mut self) {
        let mut body = Body::default();
        requests::auth(&mut self.rng, &mut body.bytes);
        self.ask(ops::AUTH, body, true);
        self.perhaps_lost();
    }

    fn word(&mut self) {
        let bytes = if self.rng.u8(..8) == 0 {
            [self.rng.u8(b'a'..=b'z'), self.rng.u8(b'a'..=b'z'), b'x', b'q'].to_vec()
        } else {
            pick(&mut self.rng, WORDS).to_vec()
        };
        self.steps.push(Step::Word { bytes: Hex(bytes) });
    }

    /// Every path of the history becomes a node.
    fn populate(&mut self) {
        for path in self.universe.all() {
            let mut body = Body::default();
            requests::create_at(&mut self.rng, &self.universe, &path, 0, &mut body.bytes);
            self.ask(ops::CREATE, body, false);
        }
    }

    /// The nodes of a quota, made by whoever acts.
    fn set_quota(&mut self) {
        for path in self.universe.quota_nodes(&mut self.rng) {
            let mut body = Body { fence: true, ..Body::default() };
            requests::create_at(&mut self.rng, &self.universe, &path, 0, &mut body.bytes);
            self.ask(ops::CREATE, body, false);
        }
    }

    fn damaged_step(&mut self) {
        let Some(line) = self.line() else { return };
        match self.rng.u8(..40) {
            0 => {
                self.steps.push(Step::Raw { line, bytes: Hex(damage::no_frame(&mut self.rng)) });
                self.lost(line);
            }
            1 => {
                self.steps.push(Step::Stump { line, bytes: Hex(damage::stump(&mut self.rng)) });
                self.lost(line);
            }
            2 => self.no_such_op(line),
            _ => self.damaged_request(),
        }
    }

    fn no_such_op(&mut self, line: LineName) {
        let op =
            *pick(&mut self.rng, &[0, 10, ops::CHECK, -1, 23, 99, 108, 1000, i32::MAX, i32::MIN, ops::CREATE_SESSION]);
        let body = requests::body(&mut self.rng, &self.universe, self.rules, op);
        self.ask(op, body, true);
        self.lost(line);
    }

    fn damaged_request(&mut self) {
        let op = if self.mixed && self.rng.u8(..20) == 0 { ops::AUTH } else { pick(&mut self.rng, OPS).0 };
        let mut body = requests::body(&mut self.rng, &self.universe, self.rules, op);
        // A changed request may be one that needs to be alone.
        let changed = matches!(damage::damage(&mut self.rng, op, &mut body.bytes), Damage::Changed);
        let meant = ops::is_write(op) || matches!(op, ops::MULTI_READ | ops::SET_WATCHES | ops::SET_WATCHES2);
        let closes = matches!(op, ops::SASL | ops::AUTH);
        if body.zxid_ahead.is_some() {
            // The zxid is put in front when it is sent; there it may as well be a wrong one.
            body.zxid_ahead = None;
            let zxid = *pick(&mut self.rng, &[0i64, 1, -1, i64::MAX]);
            body.bytes.splice(..0, zxid.to_be_bytes());
        }
        self.ask(op, body, closes || op == ops::DELETE_CONTAINER || (changed && meant));
        if closes {
            self.perhaps_lost();
        }
    }

    /// The server may have closed the connection: sooner or later it is opened again.
    fn perhaps_lost(&mut self) {
        if self.rng.bool() {
            self.lost(self.current);
        }
    }

    fn session_step(&mut self) {
        let dropped: Vec<usize> = self.which(|s| s.line.is_none() && !s.ended);
        let ended: Vec<usize> = self.which(|s| s.ended);
        let live: Vec<usize> = self.which(|s| s.line.is_some());
        match self.rng.u8(..20) {
            0..=2 => {
                let line = self.rng.u8(..LINES);
                self.leave(line);
                self.open_new(line);
            }
            3..=6 => {
                let line = self.current;
                self.leave(line);
            }
            7..=10 if !dropped.is_empty() => {
                let of = *pick(&mut self.rng, &dropped);
                self.resume(of, Password::Given);
            }
            11..=12 if !live.is_empty() => {
                let of = *pick(&mut self.rng, &live);
                self.resume(of, Password::Given);
            }
            13 if !self.sessions.is_empty() => {
                let of = self.rng.usize(..self.sessions.len());
                let password =
                    *pick(&mut self.rng, &[Password::Wrong, Password::Null, Password::Zeros(16), Password::Zeros(0)]);
                self.resume(of, password);
            }
            14 if !ended.is_empty() => {
                let of = *pick(&mut self.rng, &ended);
                self.resume(of, Password::Given);
            }
            15..=16 => self.close_session(),
            17 if !dropped.is_empty() && self.rng.u8(..4) == 0 => {
                let of = *pick(&mut self.rng, &dropped);
                self.sessions[of].ended = true;
                let time_out = *pick(&mut self.rng, &[1, 0, -5, i32::MIN, 100]);
                self.steps.push(Step::Expire { session: self.sessions[of].name, time_out });
            }
            _ => self.odd_handshake(),
        }
    }

    fn which(&self, wanted: impl Fn(&Session) -> bool) -> Vec<usize> {
        (0..self.sessions.len()).filter(|at| wanted(&self.sessions[*at])).collect()
    }

    fn close_session(&mut self) {
        let Some(line) = self.line() else { return };
        self.ask(ops::CLOSE_SESSION, Body::default(), true);
        if let Some(session) = self.open[usize::from(line)] {
            self.sessions[session].ended = true;
        }
        self.lost(line);
    }

    fn leave(&mut self, line: LineName) {
        if self.open[usize::from(line)].is_some() {
            self.steps.push(Step::Drop { line });
            self.lost(line);
        }
    }

    /// The line is closed, by whomever.
    fn lost(&mut self, line: LineName) {
        if let Some(session) = self.open[usize::from(line)].take() {
            self.sessions[session].line = None;
        }
    }

    fn free_line(&mut self) -> LineName {
        let free: Vec<LineName> = (0..LINES).filter(|line| self.open[usize::from(*line)].is_none()).collect();
        if !free.is_empty() {
            return *pick(&mut self.rng, &free);
        }
        let line = self.rng.u8(..LINES);
        self.leave(line);
        line
    }

    fn open_new(&mut self, line: LineName) {
        let connect = self.new_session(line);
        self.steps.push(Step::Connect(connect));
        self.opened(line, self.sessions.len() - 1);
    }

    fn new_session(&mut self, line: LineName) -> Connect {
        let name = self.sessions.len() as SessionName;
        self.sessions.push(Session { name, line: None, ended: false });
        Connect {
            line,
            session: name,
            resumes: false,
            password: *pick(
                &mut self.rng,
                &[Password::Zeros(16), Password::Zeros(16), Password::Zeros(0), Password::Null],
            ),
            time_out: *pick(&mut self.rng, &[LONG_MS, LONG_MS, 300_000, i32::MAX]),
            protocol_version: 0,
            zxid_ahead: *pick(&mut self.rng, &[None, None, Some(0), Some(-3)]),
            read_only: *pick(&mut self.rng, &[None, Some(0), Some(0), Some(1), Some(7)]),
            cut: None,
            trailing: Hex::default(),
        }
    }

    fn opened(&mut self, line: LineName, session: usize) {
        self.lost(line);
        self.open[usize::from(line)] = Some(session);
        self.sessions[session].line = Some(line);
        self.current = line;
        let packets: &[&[u8]] = match self.who[usize::from(line)] {
            Who::Nobody => &[],
            Who::Bob => &[b"bob:pw"],
            Who::Admin => &[ADMIN_ID],
            Who::BobAndAlice => &[b"bob:pw", b"alice:pw"],
        };
        for packet in packets {
            self.auth_on(line, packet);
        }
        if self.rng.u8(..3) == 0 && !self.refused(line) {
            let op = *pick(&mut self.rng, &[ops::SET_WATCHES, ops::SET_WATCHES2]);
            let body = requests::body(&mut self.rng, &self.universe, self.rules, op);
            let xid = *pick(&mut self.rng, &[-8, 1]);
            let ask =
                Ask { line, xid, op, body: Hex(body.bytes), zxid_ahead: body.zxid_ahead, fence: false, alone: false };
            self.steps.push(Step::Ask(ask));
        }
    }

    fn auth_on(&mut self, line: LineName, data: &[u8]) {
        let mut body = Vec::new();
        requests::auth_packet("digest", Some(data), &mut body);
        let ask = Ask { line, xid: -4, op: ops::AUTH, body: Hex(body), zxid_ahead: None, fence: true, alone: true };
        self.steps.push(Step::Ask(ask));
    }

    fn resume(&mut self, of: usize, password: Password) {
        let line = self.free_line();
        let session = self.sessions[of];
        let connect = Connect {
            line,
            session: session.name,
            resumes: true,
            password,
            time_out: *pick(&mut self.rng, &[LONG_MS, 300_000]),
            protocol_version: 0,
            zxid_ahead: *pick(&mut self.rng, &[None, Some(0), Some(-3)]),
            read_only: *pick(&mut self.rng, &[None, Some(0), Some(1)]),
            cut: None,
            trailing: Hex::default(),
        };
        self.steps.push(Step::Connect(connect));
        // Whoever had it has lost it, even when the password is wrong.
        if let Some(line) = session.line {
            self.lost(line);
        }
        if password == Password::Given && !session.ended {
            self.opened(line, of);
        }
    }

    /// A handshake that no client makes. Its session, if one comes of it, is closed at once.
    fn odd_handshake(&mut self) {
        let line = self.free_line();
        let mut connect = self.new_session(line);
        let last = self.sessions.len() - 1;
        self.sessions[last].ended = true;
        match self.rng.u8(..7) {
            0 => connect.zxid_ahead = Some(*pick(&mut self.rng, &[1, 1000, i64::MAX / 2])),
            1 => {
                connect.password = *pick(
                    &mut self.rng,
                    &[Password::Negative, Password::Huge, Password::Zeros(500), Password::Zeros(15)],
                )
            }
            2 => connect.cut = Some(self.rng.usize(..45)),
            3 => connect.trailing = Hex((0..self.rng.usize(1..30)).map(|_| self.rng.u8(..)).collect()),
            4 => connect.protocol_version = *pick(&mut self.rng, &[1, 77, -1, i32::MAX]),
            5 => connect.resumes = true,
            _ => connect.zxid_ahead = Some(-1_000_000_000),
        }
        self.steps.push(Step::Connect(connect));
        let ask = Ask {
            line,
            xid: self.next_xid(),
            op: ops::CLOSE_SESSION,
            body: Hex::default(),
            zxid_ahead: None,
            fence: true,
            alone: true,
        };
        self.steps.push(Step::Ask(ask));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_history_each_time() {
        let [a, b] = [(); 2].map(|()| serde_json::to_string(&history("full", 7, 200)).unwrap());
        assert_eq!(a, b);
        assert_ne!(a, serde_json::to_string(&history("full", 8, 200)).unwrap());
    }

    #[test]
    fn what_ends_an_apache_server_is_never_generated() {
        for seed in 0..200 {
            for step in history("full", seed, 300).steps {
                let Step::Ask(ask) = step else { continue };
                assert_ne!(ask.xid, -1, "an answer that looks like an event");
                if ask.op == ops::CREATE_TTL && ask.body.ends_with(&(-1i64).to_be_bytes()) {
                    let flags = &ask.body[ask.body.len() - 12..ask.body.len() - 8];
                    assert!(i32::from_be_bytes(flags.try_into().unwrap()) > 4);
                }
            }
        }
    }
}
