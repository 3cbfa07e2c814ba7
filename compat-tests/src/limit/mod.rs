//! The limit server: the ceiling of what this machine can do for `zkload`'s requests.

mod log;
mod replies;

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::load::ops::Names;
use crate::load::wire;
use log::Log;
use replies::{FRAME_BYTES_MAX, Kind, Replies};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 256 << 10;

/// The server.
pub struct Limit {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    replies: Replies,
    log: Log,
    input: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    connected: bool,
    /// The start of a frame whose rest has not come.
    torn: Vec<u8>,
    output: Vec<u8>,
    written: usize,
}

impl Limit {
    /// Binds the port and fills the log; `data_bytes` is the size of every znode.
    pub fn bind(address: SocketAddr, log: &Path, data_bytes: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let replies = Replies::new(&Names::new("", 0, 1, data_bytes).data);
        let input = vec![0; READ_BYTES];
        Ok(Self { poll, listener, connections: Vec::new(), replies, log: Log::create(log)?, input })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the poller or the disk fails.
    pub fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut touched = Vec::new();
        loop {
            if let Err(e) = self.poll.poll(&mut events, None)
                && e.kind() != ErrorKind::Interrupted
            {
                return Err(e);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => {
                        touched.push((index, event.is_read_closed()));
                        self.receive(index);
                    }
                }
            }
            // Everything that arrived together shares this flush; then the replies may leave.
            self.log.flush()?;
            for (index, at_end) in touched.drain(..) {
                let slot = &mut self.connections[index];
                if slot.as_mut().is_some_and(|connection| connection.send().is_err() || at_end) {
                    *slot = None;
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            let (torn, output) = (Vec::new(), Vec::new());
            self.connections.push(Some(Connection { stream, connected: false, torn, output, written: 0 }));
        }
    }

    /// Reads and answers what there is; a connection that ends or errs is dropped.
    fn receive(&mut self, index: usize) {
        let slot = &mut self.connections[index];
        let Some(connection) = slot else { return };
        if connection.receive(&mut self.input, &mut self.replies, &mut self.log).is_err() {
            *slot = None;
        }
    }
}

impl Connection {
    fn receive(&mut self, input: &mut [u8], replies: &mut Replies, log: &mut Log) -> io::Result<()> {
        loop {
            let torn = self.torn.len();
            if torn >= input.len() / 2 {
                return self.receive_long(replies, log);
            }
            input[..torn].copy_from_slice(&self.torn);
            let count = match self.stream.read(&mut input[torn..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let used = self.frames(&input[..torn + count], replies, log)?;
            self.torn.clear();
            self.torn.extend_from_slice(&input[used..torn + count]);
            if torn + count < input.len() {
                return Ok(());
            }
        }
    }

    /// A frame too long for the shared buffer gathers in its own.
    fn receive_long(&mut self, replies: &mut Replies, log: &mut Log) -> io::Result<()> {
        loop {
            let at = self.torn.len();
            self.torn.resize(at + READ_BYTES, 0);
            let read = self.stream.read(&mut self.torn[at..]);
            self.torn.truncate(at + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
            let torn = std::mem::take(&mut self.torn);
            let used = self.frames(&torn, replies, log)?;
            self.torn = torn;
            self.torn.drain(..used);
        }
    }

    /// Answers the complete frames and returns how many bytes they were.
    fn frames(&mut self, bytes: &[u8], replies: &mut Replies, log: &mut Log) -> io::Result<usize> {
        let mut at = 0;
        while let Some(length) = wire::int_at(bytes, at) {
            let length = usize::try_from(length).ok().filter(|length| *length <= FRAME_BYTES_MAX);
            let length = length.ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
            let Some(frame) = bytes.get(at + 4..at + 4 + length) else { break };
            at += 4 + length;
            if !self.connected {
                self.connected = true;
                replies.connect(frame, &mut self.output);
                continue;
            }
            let kind = replies.answer(frame, &mut self.output).ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
            if kind == Kind::Write {
                log.append(frame);
            }
        }
        Ok(at)
    }

    fn send(&mut self) -> io::Result<()> {
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
}
