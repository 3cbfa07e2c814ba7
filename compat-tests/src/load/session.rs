//! One client session over a socket that never blocks: bytes in, replies in order out.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::failure::Failure;
use super::wire::{self, NOTIFICATION_XID, PING_XID, ReplyHeader};

/// Longest frame accepted from a server; anything above is a framing error.
const FRAME_BYTES_MAX: usize = 64 << 20;
const INPUT_BYTES_MIN: usize = 4 << 10;
const INPUT_BYTES_READ: usize = 256 << 10;
/// The session timeout asked for: the most that Apache's default tickTime allows.
pub const TIMEOUT_MS: i32 = 40_000;

/// A request whose reply has not come.
#[derive(Clone, Copy, Debug)]
pub struct Pending<T> {
    pub xid: i32,
    /// When the request was handed to the socket, on the run's clock.
    pub sent_ns: u64,
    /// What the caller needs to judge the reply.
    pub tag: T,
}

/// What a frame from the server was.
pub enum Answer<'a, T> {
    /// The session is open.
    Connected,
    /// The reply to the oldest request.
    Reply { pending: Pending<T>, header: ReplyHeader, body: &'a [u8] },
    /// A watch event.
    Event { body: &'a [u8] },
}

/// A session, its buffers and its unanswered requests.
pub struct Session<T> {
    index: usize,
    stream: TcpStream,
    connected: bool,
    closing: bool,
    input: Vec<u8>,
    filled: usize,
    /// The last read left no room: a larger buffer saves reads. Idle sessions keep their small one.
    full: bool,
    output: Vec<u8>,
    written: usize,
    pending: VecDeque<Pending<T>>,
    next_xid: i32,
    asked_ns: u64,
    last_zxid: i64,
}

impl<T: Copy> Session<T> {
    /// Connects, and writes the `ConnectRequest`. `index` is its token and its name in failures.
    pub fn open(index: usize, address: SocketAddr, registry: &Registry) -> io::Result<Self> {
        let std_stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        std_stream.set_nodelay(true)?;
        std_stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(std_stream);
        registry.register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let mut session = Self {
            index,
            stream,
            connected: false,
            closing: false,
            input: vec![0; INPUT_BYTES_MIN],
            filled: 0,
            full: false,
            output: Vec::new(),
            written: 0,
            pending: VecDeque::new(),
            next_xid: 1,
            asked_ns: 0,
            last_zxid: 0,
        };
        wire::connect(&mut session.output, TIMEOUT_MS);
        session.flush()?;
        Ok(session)
    }

    /// Whether the server has accepted the session.
    pub fn connected(&self) -> bool {
        self.connected
    }

    /// Requests without a reply.
    pub fn outstanding(&self) -> usize {
        self.pending.len()
    }

    /// Appends a request; [`Session::flush`] sends it together with its neighbours.
    pub fn request(&mut self, opcode: i32, tag: T, sent_ns: u64, body: impl FnOnce(&mut Vec<u8>)) {
        let xid = if opcode == wire::op::PING { PING_XID } else { self.take_xid() };
        wire::request(&mut self.output, xid, opcode, body);
        self.pending.push_back(Pending { xid, sent_ns, tag });
        self.asked_ns = sent_ns;
    }

    /// When the last request was made.
    pub fn asked_ns(&self) -> u64 {
        self.asked_ns
    }

    /// Like the Java client's: positive, and never 0.
    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid = if xid == i32::MAX { 1 } else { xid + 1 };
        xid
    }

    /// Expect the server to close the connection: `closeSession` has been asked for.
    pub fn set_closing(&mut self) {
        self.closing = true;
    }

    /// Whether the server is about to close the connection.
    pub fn closing(&self) -> bool {
        self.closing
    }

    /// Writes what the socket takes; the rest goes when it becomes writable.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once. `false` when no more bytes are there now: a read that does not fill the buffer has
    /// emptied the socket, and the poller reports what comes later (but not an end it has reported).
    pub fn fill(&mut self) -> Result<bool, Failure> {
        if self.full {
            let length = (self.filled * 2).clamp(INPUT_BYTES_READ, FRAME_BYTES_MAX + INPUT_BYTES_READ);
            self.input.resize(length.max(self.input.len()), 0);
        }
        loop {
            match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) if self.closing && self.pending.is_empty() => return Ok(false),
                Ok(0) => return Err(Failure::Closed { session: self.index, pending: self.pending.len() }),
                Ok(count) => {
                    self.filled += count;
                    self.full = self.filled == self.input.len();
                    return Ok(self.full);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) if self.closing && self.pending.is_empty() => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Hands every complete frame to `each`, checks their order, and keeps what is left of a torn one.
    pub fn drain(&mut self, mut each: impl FnMut(Answer<'_, T>) -> Result<(), Failure>) -> Result<(), Failure> {
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while let Some(length) = wire::int_at(&input[..self.filled], at) {
            let length = usize::try_from(length).ok().filter(|length| *length <= FRAME_BYTES_MAX);
            let length = length.ok_or_else(|| self.wrong("frame length out of range"))?;
            let Some(frame) = input[..self.filled].get(at + 4..at + 4 + length) else { break };
            at += 4 + length;
            let answer = self.judge(frame)?;
            each(answer)?;
        }
        self.input = input;
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    fn judge<'a>(&mut self, frame: &'a [u8]) -> Result<Answer<'a, T>, Failure> {
        if !self.connected {
            let timeout_ms = wire::int_at(frame, 4).ok_or_else(|| self.wrong("short ConnectResponse"))?;
            if timeout_ms <= 0 {
                return Err(Failure::Refused);
            }
            self.connected = true;
            return Ok(Answer::Connected);
        }
        let (header, body) = ReplyHeader::split(frame).ok_or_else(|| self.wrong("frame without a reply header"))?;
        if header.xid == NOTIFICATION_XID {
            return Ok(Answer::Event { body });
        }
        let expected = self.pending.front().map(|pending| pending.xid);
        let Some(pending) = self.pending.pop_front().filter(|pending| pending.xid == header.xid) else {
            return Err(Failure::Order { session: self.index, expected, got: header.xid });
        };
        if header.zxid < self.last_zxid {
            return Err(Failure::ZxidBack { session: self.index, before: self.last_zxid, after: header.zxid });
        }
        self.last_zxid = header.zxid;
        Ok(Answer::Reply { pending, header, body })
    }

    /// A failure in what this session was sent.
    pub fn wrong(&self, what: impl Into<String>) -> Failure {
        Failure::Wrong { session: self.index, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A session whose server has said `bytes`, and the session's view of it.
    fn hear(requests: usize, bytes: &[u8]) -> Result<Vec<i32>, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let mut session = Session::open(0, listener.local_addr().unwrap(), poll.registry()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        (0..requests).for_each(|_| session.request(wire::op::CLOSE_SESSION, (), 0, |_| {}));
        // Unread bytes would turn the close below into a reset.
        server.read_exact(&mut [0; 49]).unwrap();
        server.write_all(bytes).unwrap();
        drop(server);
        let mut xids = Vec::new();
        let mut events = mio::Events::with_capacity(4);
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while std::time::Instant::now() < end {
            poll.poll(&mut events, Some(Duration::from_millis(1))).unwrap();
            let filled = session.fill();
            session.drain(|answer| {
                xids.push(match answer {
                    Answer::Connected => 0,
                    Answer::Event { .. } => -1,
                    Answer::Reply { pending, .. } => pending.xid,
                });
                Ok(())
            })?;
            match filled {
                Err(Failure::Closed { .. }) => return Ok(xids),
                other => other?,
            };
        }
        panic!("the end of the connection was not noticed");
    }

    fn connected() -> Vec<u8> {
        let mut out = Vec::new();
        wire::frame(&mut out, |out| {
            out.extend_from_slice(b"\0\0\0\0\0\0\x9c\x40\0\0\0\0\0\0\0\x07\0\0\0\x10passwordpassword\0");
        });
        out
    }

    fn reply(out: &mut Vec<u8>, xid: i32, zxid: i64) {
        use super::super::wire::Put;
        wire::frame(out, |out| {
            out.int(xid);
            out.long(zxid);
            out.int(0);
        });
    }

    #[test]
    fn replies_in_order_with_events_between_them_are_accepted() {
        let mut bytes = connected();
        reply(&mut bytes, 1, 5);
        reply(&mut bytes, -1, -1);
        reply(&mut bytes, 2, 5);
        assert_eq!(hear(2, &bytes).unwrap(), [0, 1, -1, 2]);
    }

    #[test]
    fn a_reply_out_of_order_is_a_failure() {
        let mut bytes = connected();
        reply(&mut bytes, 2, 5);
        assert!(matches!(hear(2, &bytes), Err(Failure::Order { expected: Some(1), got: 2, .. })));
    }

    #[test]
    fn a_reply_to_nothing_is_a_failure() {
        let mut bytes = connected();
        reply(&mut bytes, 1, 5);
        reply(&mut bytes, 2, 5);
        assert!(matches!(hear(1, &bytes), Err(Failure::Order { expected: None, got: 2, .. })));
    }

    #[test]
    fn a_zxid_that_goes_back_is_a_failure() {
        let mut bytes = connected();
        reply(&mut bytes, 1, 5);
        reply(&mut bytes, 2, 4);
        assert!(matches!(hear(2, &bytes), Err(Failure::ZxidBack { before: 5, after: 4, .. })));
    }

    #[test]
    fn a_refused_session_is_a_failure() {
        let mut bytes = connected();
        bytes[10..12].copy_from_slice(&[0, 0]);
        assert!(matches!(hear(0, &bytes), Err(Failure::Refused)));
    }

    #[test]
    fn a_negative_length_is_a_failure() {
        let mut bytes = connected();
        bytes.extend_from_slice(&[0xff; 4]);
        assert!(matches!(hear(0, &bytes), Err(Failure::Wrong { .. })));
    }

    #[test]
    fn frames_larger_than_the_buffer_and_torn_ones_arrive_whole() {
        let mut bytes = connected();
        wire::frame(&mut bytes, |out| {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.resize(out.len() + 12 + 700_000, 0);
        });
        reply(&mut bytes, 2, 0);
        assert_eq!(hear(2, &bytes).unwrap(), [0, 1, 2]);
    }
}
