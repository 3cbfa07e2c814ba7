//! One of the two servers, with the lines and sessions that a history has on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::history::{Ask, Connect, LineName, Password, SessionName};
use super::link::{Got, Link};
use super::normal::{Given, layout_of};
use super::ops;
use super::requests::auth_packet;
use super::universe::ADMIN_ID;
use crate::load::wire::{NOTIFICATION_XID, PING_XID, Put, REPLY_HEADER_BYTES, ReplyHeader, frame, int_at, long_at};

/// The line of the run itself: an administrator's, never a history's.
pub const CONTROL: LineName = 200;
/// A line for what is done once and left.
const PASSING: LineName = 201;
pub const CONTROL_SESSION: SessionName = 60_000;
const READ_ONLY_BYTE: Option<u8> = Some(0);

/// Something that came from a server, comparable with what came from the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A frame, normalised, and the opcode that it answers; none for the answer to a handshake.
    Frame {
        op: Option<i32>,
        bytes: Vec<u8>,
    },
    Text(Vec<u8>),
    /// Nothing more will come from this line, and why.
    End(&'static str),
}

impl Item {
    /// The header, when it is an answer to a request.
    pub fn header(&self) -> Option<ReplyHeader> {
        match self {
            Self::Frame { op: Some(_), bytes } => ReplyHeader::split(bytes).map(|(header, _)| header),
            _ => None,
        }
    }

    pub fn is_event(&self) -> bool {
        self.header().is_some_and(|header| header.xid == NOTIFICATION_XID)
    }
}

struct Line {
    link: Link,
    session: SessionName,
}

#[derive(Clone)]
struct Known {
    id: i64,
    password: Vec<u8>,
    ended: bool,
}

pub struct Side {
    pub name: &'static str,
    address: SocketAddr,
    lines: BTreeMap<LineName, Line>,
    sessions: BTreeMap<SessionName, Known>,
    given: Given,
    pub acl_order_is_free: bool,
    /// The newest zxid that an answer showed.
    pub last_zxid: i64,
    /// The newest zxid before a session was left to expire.
    before_expiry: i64,
}

impl Side {
    pub fn new(name: &'static str, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            lines: BTreeMap::new(),
            sessions: BTreeMap::new(),
            given: Given::default(),
            acl_order_is_free: false,
            last_zxid: 0,
            before_expiry: 0,
        }
    }

    /// Forgets everything but the control line.
    pub fn forget(&mut self) {
        self.lines.retain(|name, _| *name == CONTROL);
        self.sessions.retain(|name, _| *name == CONTROL_SESSION);
        self.given = Given::default();
        for (name, known) in &self.sessions {
            self.given.session(known.id, *name);
        }
    }

    pub fn open_lines(&self) -> Vec<LineName> {
        self.lines.keys().copied().filter(|name| *name < CONTROL).collect()
    }

    /// Sessions of the history that were never closed, and the line of each that has one.
    pub fn open_sessions(&self) -> Vec<(SessionName, Option<LineName>)> {
        let open = self.sessions.iter().filter(|(name, known)| !known.ended && **name != CONTROL_SESSION);
        open.map(|(name, _)| (*name, self.line_of(*name))).collect()
    }

    fn line_of(&self, session: SessionName) -> Option<LineName> {
        self.lines.iter().find(|(_, line)| line.session == session).map(|(name, _)| *name)
    }

    // Requests: sent to both servers before either is read.

    pub fn send(&mut self, line: LineName, asks: &[Ask]) {
        let Some(Line { link, .. }) = self.lines.get_mut(&line) else { return };
        let mut out = Vec::new();
        for ask in asks {
            frame(&mut out, |out| {
                out.int(ask.xid);
                out.int(ask.op);
                if let Some(ahead) = ask.zxid_ahead {
                    out.long(self.last_zxid.saturating_add(ahead).max(0));
                }
                out.extend_from_slice(&ask.body);
            });
        }
        link.send(&out);
    }

    /// The answers to what was sent, and the events that came before them.
    pub fn receive(&mut self, line: LineName, asks: &[Ask]) -> Vec<Item> {
        let mut items = Vec::new();
        let mut answered = 0;
        while answered < asks.len() {
            let Some(Line { link, session }) = self.lines.get_mut(&line) else {
                items.push(Item::End("no connection"));
                break;
            };
            let session = *session;
            match link.receive() {
                Got::Frame(bytes) => {
                    let op = asks[answered].op;
                    self.note(op, session, &bytes);
                    answered += usize::from(int_at(&bytes, 0) != Some(NOTIFICATION_XID));
                    items.push(self.answer(bytes, op));
                }
                end => {
                    self.lines.remove(&line);
                    items.push(end_of(&end));
                }
            }
        }
        self.given.order_events(&mut items);
        items
    }

    pub fn ask(&mut self, line: LineName, asks: &[Ask]) -> Vec<Item> {
        self.send(line, asks);
        self.receive(line, asks)
    }

    /// A request that may end the connection: its answer, then the end, or the answer to a ping.
    pub fn receive_alone(&mut self, ask: &Ask) -> Vec<Item> {
        let mut items = self.receive(ask.line, std::slice::from_ref(ask));
        let err = items.last().and_then(Item::header).map(|header| header.err);
        if ends_the_line(ask.op, err) {
            if let Some(Line { mut link, .. }) = self.lines.remove(&ask.line) {
                items.extend(self.rest(&mut link));
            }
        } else if self.lines.contains_key(&ask.line) {
            items.extend(self.probe(ask.line));
        }
        items
    }

    pub fn is_open(&self, line: LineName) -> bool {
        self.lines.contains_key(&line)
    }

    /// What is under way to this line: the events before the answer to a ping, and that answer.
    pub fn probe(&mut self, line: LineName) -> Vec<Item> {
        self.ask(line, &[ping()])
    }

    fn note(&mut self, op: i32, session: SessionName, bytes: &[u8]) {
        let Some((header, _)) = ReplyHeader::split(bytes) else { return };
        // A createSession from a client is answered with a ConnectResponse, whose zxid is none.
        if op != ops::CREATE_SESSION {
            self.last_zxid = self.last_zxid.max(header.zxid);
        }
        if op == ops::CLOSE_SESSION && header.err == 0 && header.xid != NOTIFICATION_XID {
            self.given.close(header.zxid);
            if let Some(known) = self.sessions.get_mut(&session) {
                known.ended = true;
            }
        }
    }

    fn answer(&mut self, bytes: Vec<u8>, op: i32) -> Item {
        let is_event = int_at(&bytes, 0) == Some(NOTIFICATION_XID);
        if op == ops::CREATE_SESSION && bytes.len() > REPLY_HEADER_BYTES && !is_event {
            return Item::Frame { op: None, bytes: self.given.connect_response(&bytes) };
        }
        let layout = layout_of(&bytes, Some(op));
        let bytes = self.given.answer(&bytes, &layout, self.acl_order_is_free);
        Item::Frame { op: Some(op), bytes }
    }

    // Connections: one server after the other.

    pub fn connect(&mut self, connect: &Connect) -> Vec<Item> {
        let mut items = Vec::new();
        if self.lines.contains_key(&connect.line) {
            items.extend(self.leave(connect.line));
        }
        let owner = self.line_of(connect.session).filter(|_| connect.resumes);
        if let Some(owner) = owner {
            items.extend(self.probe(owner));
        }
        let Ok(mut link) = Link::open(self.address) else {
            items.push(Item::End("no connection"));
            return items;
        };
        link.send(&self.handshake(connect));
        match link.receive() {
            Got::Frame(bytes) => self.connected(connect, link, &bytes, &mut items),
            end => items.push(end_of(&end)),
        }
        // Whoever had the session has lost the connection, even when the password was wrong.
        if let Some(Line { mut link, .. }) = owner.and_then(|owner| self.lines.remove(&owner)) {
            items.extend(self.rest(&mut link));
        }
        self.given.order_events(&mut items);
        items
    }

    fn connected(&mut self, connect: &Connect, mut link: Link, bytes: &[u8], items: &mut Vec<Item>) {
        let id = long_at(bytes, 8).unwrap_or(0);
        if id != 0 && !connect.resumes {
            let password = bytes.get(20..36).unwrap_or_default().to_vec();
            self.given.session(id, connect.session);
            self.sessions.insert(connect.session, Known { id, password, ended: false });
        }
        items.push(Item::Frame { op: None, bytes: self.given.connect_response(bytes) });
        if id == 0 {
            items.extend(self.rest(&mut link));
        } else {
            self.lines.insert(connect.line, Line { link, session: connect.session });
        }
    }

    fn handshake(&self, connect: &Connect) -> Vec<u8> {
        let known = self.sessions.get(&connect.session);
        let (id, password) = match known {
            Some(known) if connect.resumes => (known.id, known.password.clone()),
            _ if connect.resumes => (0x0100_0077_0000_0000 + i64::from(connect.session), vec![0; 16]),
            _ => (0, vec![0; 16]),
        };
        let zxid = connect.zxid_ahead.map_or(0, |ahead| self.last_zxid.saturating_add(ahead));
        let mut body = Vec::new();
        body.int(connect.protocol_version);
        body.long(zxid);
        body.int(connect.time_out);
        body.long(id);
        match connect.password {
            Password::Given => body.buffer(&password),
            Password::Zeros(count) => body.buffer(&vec![0; count]),
            Password::Wrong => body.buffer(&password.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>()),
            Password::Null => body.int(-1),
            Password::Negative => body.int(-2),
            Password::Huge => body.int(i32::MAX),
        }
        body.extend(connect.read_only);
        body.extend_from_slice(&connect.trailing);
        body.truncate(connect.cut.unwrap_or(usize::MAX));
        let mut out = Vec::new();
        frame(&mut out, |out| out.extend_from_slice(&body));
        out
    }

    /// The client closes first, when nothing is under way, and waits until the server has noticed.
    pub fn leave(&mut self, line: LineName) -> Vec<Item> {
        let mut items = self.probe(line);
        if let Some(Line { mut link, .. }) = self.lines.remove(&line) {
            link.finish();
            items.extend(self.rest(&mut link));
        }
        items
    }

    /// Bytes behind which the server closes, or, with `finish`, the client does.
    pub fn raw(&mut self, line: LineName, bytes: &[u8], finish: bool) -> Vec<Item> {
        let mut items = self.probe(line);
        if let Some(Line { mut link, .. }) = self.lines.remove(&line) {
            link.send(bytes);
            if finish {
                link.finish();
            }
            items.extend(self.rest(&mut link));
        }
        items
    }

    fn rest(&mut self, link: &mut Link) -> Vec<Item> {
        let mut items = Vec::new();
        for got in link.to_end() {
            items.push(match got {
                Got::Frame(bytes) => self.answer(bytes, ops::PING),
                end => end_of(&end),
            });
        }
        self.given.order_events(&mut items);
        items
    }

    pub fn word(&mut self, bytes: &[u8]) -> Item {
        let Ok(mut link) = Link::open(self.address) else { return Item::End("no connection") };
        link.send(bytes);
        match link.text() {
            Some(text) => Item::Text(self.given.word(&bytes[..bytes.len().min(4)], &text)),
            None => Item::End("silent"),
        }
    }

    // Sessions.

    /// Resumes a session with a short time-out and leaves. `None` when there was nothing to resume.
    pub fn begin_expiry(&mut self, session: SessionName, time_out: i32) -> (Vec<Item>, bool) {
        // Handshakes and refusals show no zxid, so the newest one is asked for; a resume takes none.
        self.probe(CONTROL);
        self.before_expiry = self.last_zxid;
        let connect = Connect { time_out, ..resume(session, PASSING) };
        let mut items = self.connect(&connect);
        let resumed = self.lines.contains_key(&PASSING);
        if resumed {
            items.extend(self.leave(PASSING));
        }
        (items, resumed)
    }

    /// Waits until the session has expired: the close takes a zxid. False when it does not happen.
    pub fn await_expiry(&mut self, session: SessionName) -> bool {
        let before = self.before_expiry;
        for _ in 0..2000 {
            self.probe(CONTROL);
            if self.last_zxid > before {
                self.given.close(before + 1);
                if let Some(known) = self.sessions.get_mut(&session) {
                    known.ended = true;
                }
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        false
    }

    /// Ends a session of the history: on its line, or on one of its own.
    pub fn end_session(&mut self, session: SessionName, line: Option<LineName>) -> Vec<Item> {
        // Where authentication is enforced, a line may be one that nobody answers any more.
        let mut items = line.map_or_else(Vec::new, |line| self.ask(line, &[administrator()]));
        let line = line.filter(|line| self.is_open(*line)).unwrap_or_else(|| {
            items.extend(self.connect(&resume(session, PASSING)));
            items.extend(self.ask(PASSING, &[administrator()]));
            PASSING
        });
        items.extend(self.ask(line, &[request(ops::CLOSE_SESSION, Vec::new())]));
        if let Some(Line { mut link, .. }) = self.lines.remove(&line) {
            items.extend(self.rest(&mut link));
        }
        if let Some(known) = self.sessions.get_mut(&session) {
            known.ended = true;
        }
        items
    }

    /// Puts the line aside as if it had never been: for what only one server did.
    pub fn cut(&mut self, line: LineName) {
        self.lines.remove(&line);
    }
}

/// Whether the server closes behind such an answer. A ping right behind it may or may not be answered by Apache.
fn ends_the_line(op: i32, err: Option<i32>) -> bool {
    match err {
        Some(0) => op == ops::CLOSE_SESSION,
        Some(ops::UNIMPLEMENTED) => !ops::is_served(op),
        Some(err) => matches!(err, ops::AUTH_FAILED | ops::SESSION_CLOSED_REQUIRE_SASL_AUTH),
        None => false,
    }
}

fn end_of(got: &Got) -> Item {
    Item::End(if *got == Got::Closed { "closed" } else { "silent" })
}

pub fn ping() -> Ask {
    Ask { xid: PING_XID, ..request(ops::PING, Vec::new()) }
}

/// A request of the run itself.
pub fn request(op: i32, body: Vec<u8>) -> Ask {
    Ask { line: CONTROL, xid: 1, op, body: super::hex::Hex(body), zxid_ahead: None, fence: false, alone: false }
}

/// The auth packet that makes whoever sends it an administrator.
pub fn administrator() -> Ask {
    let mut body = Vec::new();
    auth_packet("digest", Some(ADMIN_ID), &mut body);
    request(ops::AUTH, body)
}

fn resume(session: SessionName, line: LineName) -> Connect {
    Connect { resumes: true, ..opening(session, line) }
}

/// An ordinary handshake for a new session.
pub fn opening(session: SessionName, line: LineName) -> Connect {
    Connect {
        line,
        session,
        resumes: false,
        password: Password::Given,
        time_out: i32::MAX,
        protocol_version: 0,
        zxid_ahead: None,
        read_only: READ_ONLY_BYTE,
        cut: None,
        trailing: super::hex::Hex::default(),
    }
}
