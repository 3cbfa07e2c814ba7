//! One TCP connection that speaks frames, or bytes that are none.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take. Far more than any does: a server that is silent has a bug.
const SILENCE: Duration = Duration::from_secs(20);

pub struct Link {
    stream: TcpStream,
    buffered: Vec<u8>,
    read_up_to: usize,
    closed: bool,
}

#[derive(Debug, PartialEq)]
pub enum Got {
    /// Without its length.
    Frame(Vec<u8>),
    /// The end of the connection, however it came.
    Closed,
    /// Nothing for [`SILENCE`].
    Silent,
}

impl Link {
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, SILENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Self { stream, buffered: Vec::new(), read_up_to: 0, closed: false })
    }

    /// A connection that the server has closed takes nothing: then the next read says so.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// No more requests; answers may still come.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub fn receive(&mut self) -> Got {
        loop {
            if let Some(frame) = self.buffered_frame() {
                return Got::Frame(frame);
            }
            if let Some(end) = self.fill() {
                return end;
            }
        }
    }

    /// Frames up to the end of the connection, and that end.
    pub fn to_end(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        loop {
            let got = self.receive();
            let last = !matches!(got, Got::Frame(_));
            all.push(got);
            if last {
                return all;
            }
        }
    }

    /// Everything up to the end, when it is text. `None` when the end does not come.
    pub fn text(&mut self) -> Option<Vec<u8>> {
        let limit = Instant::now() + SILENCE;
        while Instant::now() < limit {
            match self.fill() {
                Some(Got::Closed) => return Some(self.buffered.split_off(self.read_up_to)),
                Some(_) => return None,
                None => {}
            }
        }
        None
    }

    fn buffered_frame(&mut self) -> Option<Vec<u8>> {
        let waiting = &self.buffered[self.read_up_to..];
        let length = u32::from_be_bytes(waiting.get(..4)?.try_into().ok()?) as usize;
        let frame = waiting.get(4..4 + length)?.to_vec();
        self.read_up_to += 4 + length;
        Some(frame)
    }

    fn fill(&mut self) -> Option<Got> {
        if self.closed {
            return Some(Got::Closed);
        }
        self.buffered.drain(..self.read_up_to);
        self.read_up_to = 0;
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(count) => self.buffered.extend_from_slice(&chunk[..count]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Some(Got::Silent),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.closed = true,
        }
        None
    }
}
