//! The canned answer to each request of `zkload`.

use crate::load::ops::LISTED_CHILDREN;
use crate::load::wire::{self, Put, STAT_BYTES, op};

/// Whether a request has to be durable before it is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Read,
    Write,
}

/// The parts of replies that are the same every time.
pub struct Replies {
    stat: [u8; STAT_BYTES],
    get: Vec<u8>,
    children: Vec<u8>,
    zxid: i64,
}

impl Replies {
    /// Replies for znodes that hold `data`.
    pub fn new(data: &[u8]) -> Self {
        let mut stat = [0; STAT_BYTES];
        stat[52..56].copy_from_slice(&(data.len() as u32).to_be_bytes());
        let mut get = Vec::new();
        get.buffer(data);
        get.extend_from_slice(&stat);
        let mut children = Vec::new();
        children.int(LISTED_CHILDREN as i32);
        for number in 0..LISTED_CHILDREN {
            children.buffer(&wire::digits(number));
        }
        children.extend_from_slice(&stat);
        Self { stat, get, children, zxid: 0 }
    }

    /// Answers a `ConnectRequest` with the timeout it asks for.
    pub fn connect(&self, request: &[u8], out: &mut Vec<u8>) {
        let timeout_ms = wire::int_at(request, 12).unwrap_or(0);
        wire::frame(out, |out| {
            out.int(0);
            out.int(timeout_ms);
            out.long(1);
            out.buffer(&[0; 16]);
            out.boolean(false);
        });
    }

    /// Answers one request; `None` when it is not one of `zkload`'s.
    pub fn answer(&mut self, request: &[u8], out: &mut Vec<u8>) -> Option<Kind> {
        let (xid, opcode) = (wire::int_at(request, 0)?, wire::int_at(request, 4)?);
        let body = &request[8..];
        let kind = match opcode {
            op::GET_DATA | op::EXISTS | op::GET_CHILDREN2 | op::PING => Kind::Read,
            _ => Kind::Write,
        };
        self.zxid += i64::from(kind == Kind::Write);
        let mut known = Some(());
        wire::frame(out, |out| {
            out.int(xid);
            out.long(self.zxid);
            out.int(0);
            known = match opcode {
                op::MULTI => self.multi(body, out),
                _ => self.result(opcode, body, out).map(drop),
            };
        });
        known.map(|()| kind)
    }

    /// Appends the result of one operation and returns the bytes behind its record.
    fn result<'a>(&self, opcode: i32, body: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
        match opcode {
            op::GET_DATA => out.extend_from_slice(&self.get),
            op::GET_CHILDREN2 => out.extend_from_slice(&self.children),
            op::EXISTS => out.extend_from_slice(&self.stat),
            op::SET_DATA => {
                out.extend_from_slice(&self.stat);
                let (_, rest) = split_buffer(body)?;
                return split_buffer(rest)?.1.get(4..);
            }
            op::CREATE => {
                let (path, rest) = split_buffer(body)?;
                out.buffer(path);
                let (_, rest) = split_buffer(rest)?;
                const OPEN_ACL_BYTES: usize = 4 + 4 + 4 + 5 + 4 + 6;
                return rest.get(OPEN_ACL_BYTES + 4..);
            }
            op::DELETE => return split_buffer(body)?.1.get(4..),
            op::PING | op::CLOSE_SESSION => {}
            _ => return None,
        }
        Some(body)
    }

    fn multi(&self, mut body: &[u8], out: &mut Vec<u8>) -> Option<()> {
        while body.get(4) == Some(&0) {
            let opcode = wire::int_at(body, 0)?;
            out.int(opcode);
            out.boolean(false);
            out.int(0);
            body = self.result(opcode, body.get(wire::MULTI_HEADER_BYTES..)?, out)?;
        }
        wire::multi_end(out);
        Some(())
    }
}

fn split_buffer(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(wire::int_at(bytes, 0)?).ok()?;
    bytes[4..].split_at_checked(length)
}

/// Bytes of the largest frame a client may send.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::ops::{FIRST_CREATE_DIR, Names, Op};
    use crate::load::wire::ReplyHeader;

    #[test]
    fn every_operation_of_the_load_gets_an_answer_it_accepts() {
        let names = Names::new("/r", 1, 50, 100);
        let mut replies = Replies::new(&names.data);
        let (dir, number, count) = (FIRST_CREATE_DIR, 7, 30);
        for op in [
            Op::Get { key: 1, watch: false },
            Op::Exists { key: 1 },
            Op::Children,
            Op::Set { key: 1 },
            Op::CreateDir { dir },
            Op::DeleteDir { dir },
            Op::Create { dir, number },
            Op::CreateEphemeral { dir, number },
            Op::SetCreated { dir, number },
            Op::Delete { dir, number },
            Op::MultiSet { key: 1 },
            Op::CreateBatch { dir, number, count },
            Op::DeleteBatch { dir, number, count },
            Op::CloseSession,
            Op::Ping,
        ] {
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            wire::request(&mut request, 5, op.opcode(), |out| names.body(out, op));
            assert!(replies.answer(&request[4..], &mut reply).is_some(), "{op:?}");
            let (header, body) = ReplyHeader::split(&reply[4..]).unwrap();
            assert_eq!((header.xid, header.err), (5, 0));
            assert_eq!(names.complaint(op, body), None);
        }
    }

    #[test]
    fn only_writes_need_the_disk_and_what_is_unknown_is_refused() {
        let mut replies = Replies::new(b"x");
        let mut kind = |opcode: i32| {
            let mut request = Vec::new();
            wire::request(&mut request, 1, opcode, |out| out.buffer(b"/a"));
            replies.answer(&request[4..], &mut Vec::new())
        };
        assert_eq!(kind(op::GET_DATA), Some(Kind::Read));
        assert_eq!(kind(op::CLOSE_SESSION), Some(Kind::Write));
        assert_eq!(kind(77), None);
        assert_eq!(kind(op::SET_DATA), None, "a torn record");
    }
}
