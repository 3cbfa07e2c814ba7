//! Where the fields of an answer lie, by the opcode that it answers. Offsets count behind the length prefix.

use std::ops::Range;

use super::ops;
use crate::load::wire::{NOTIFICATION_XID, REPLY_HEADER_BYTES, STAT_BYTES, int_at};

const STAT: &[(&str, usize)] = &[
    ("czxid", 8),
    ("mzxid", 8),
    ("ctime", 8),
    ("mtime", 8),
    ("version", 4),
    ("cversion", 4),
    ("aversion", 4),
    ("ephemeralOwner", 8),
    ("dataLength", 4),
    ("numChildren", 4),
    ("pzxid", 8),
];
const CONNECT_RESPONSE: &[(&str, usize)] =
    &[("protocolVersion", 4), ("timeOut", 4), ("sessionId", 8), ("passwd length", 4), ("passwd", 16), ("readOnly", 1)];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum List {
    /// Children, ephemerals or identities: the server may choose their order.
    Free,
    /// An ACL keeps the order that it was given.
    Acl,
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// Which result of a multi.
    pub result: Option<usize>,
    pub at: Range<usize>,
}

/// The fields of one answer, in order, and the items of its lists.
#[derive(Debug, Default)]
pub struct Layout {
    pub fields: Vec<Field>,
    pub lists: Vec<(List, Vec<Range<usize>>)>,
    /// Where each Stat begins.
    pub stats: Vec<usize>,
}

pub fn of_connect_response(frame: &[u8]) -> Layout {
    let mut walk = Walk { frame, at: 0, result: None, layout: Layout::default() };
    for (name, length) in CONNECT_RESPONSE {
        if walk.fixed(name, *length).is_none() {
            break;
        }
    }
    walk.layout
}

/// As far as it can be made out, when it is not what it should be.
pub fn of_answer(frame: &[u8], op: i32) -> Layout {
    let mut walk = Walk { frame, at: 0, result: None, layout: Layout::default() };
    let _ = walk.answer(op);
    walk.layout
}

struct Walk<'a> {
    frame: &'a [u8],
    at: usize,
    result: Option<usize>,
    layout: Layout,
}

impl Walk<'_> {
    fn answer(&mut self, op: i32) -> Option<()> {
        self.fixed("xid", 4)?;
        self.fixed("zxid", 8)?;
        self.fixed("err", 4)?;
        if int_at(self.frame, 0)? == NOTIFICATION_XID {
            self.fixed("event type", 4)?;
            self.fixed("event state", 4)?;
            return self.buffer("path");
        }
        debug_assert_eq!(self.at, REPLY_HEADER_BYTES);
        if matches!(op, ops::MULTI | ops::MULTI_READ) { self.results() } else { self.body(op) }
    }

    fn results(&mut self) -> Option<()> {
        for result in 0.. {
            self.result = Some(result);
            let kind = int_at(self.frame, self.at)?;
            self.fixed("type", 4)?;
            let done = *self.frame.get(self.at)? != 0;
            self.fixed("done", 1)?;
            self.fixed("err", 4)?;
            if done {
                break;
            }
            if kind == -1 { self.fixed("code", 4)? } else { self.body(kind)? }
        }
        Some(())
    }

    fn body(&mut self, op: i32) -> Option<()> {
        match op {
            ops::CREATE | ops::SYNC => self.buffer("path"),
            ops::CREATE2 | ops::CREATE_CONTAINER | ops::CREATE_TTL => {
                self.buffer("path")?;
                self.stat()
            }
            ops::EXISTS | ops::SET_DATA | ops::SET_ACL => self.stat(),
            ops::GET_DATA | ops::RECONFIG => {
                self.buffer("data")?;
                self.stat()
            }
            ops::GET_ACL => {
                self.list("acl", List::Acl, 4, 2)?;
                self.stat()
            }
            ops::GET_CHILDREN | ops::GET_EPHEMERALS => self.list("names", List::Free, 0, 1),
            ops::GET_CHILDREN2 => {
                self.list("names", List::Free, 0, 1)?;
                self.stat()
            }
            ops::WHO_AM_I => self.list("identities", List::Free, 0, 2),
            ops::GET_ALL_CHILDREN_NUMBER => self.fixed("totalNumber", 4),
            ops::ADD_WATCH => self.fixed("err of addWatch", 4),
            ops::SASL => self.buffer("token"),
            _ => Some(()),
        }
    }

    fn stat(&mut self) -> Option<()> {
        let at = self.at;
        self.frame.get(at..at + STAT_BYTES)?;
        for (name, length) in STAT {
            self.fixed(name, *length)?;
        }
        self.layout.stats.push(at);
        Some(())
    }

    fn list(&mut self, name: &'static str, kind: List, fixed_each: usize, buffers_each: usize) -> Option<()> {
        let start = self.at;
        let count = int_at(self.frame, self.at)?;
        self.at += 4;
        let mut items = Vec::new();
        for _ in 0..count.max(0) {
            let item = self.at;
            self.at += fixed_each;
            for _ in 0..buffers_each {
                self.skip_buffer()?;
            }
            items.push(item..self.at);
        }
        self.layout.lists.push((kind, items));
        self.named(name, start);
        Some(())
    }

    fn buffer(&mut self, name: &'static str) -> Option<()> {
        let start = self.at;
        self.skip_buffer()?;
        self.named(name, start);
        Some(())
    }

    fn skip_buffer(&mut self) -> Option<()> {
        let length = int_at(self.frame, self.at)?.max(0) as usize;
        self.frame.get(self.at + 4..self.at + 4 + length)?;
        self.at += 4 + length;
        Some(())
    }

    fn fixed(&mut self, name: &'static str, length: usize) -> Option<()> {
        let start = self.at;
        self.frame.get(start..start + length)?;
        self.at += length;
        self.named(name, start);
        Some(())
    }

    fn named(&mut self, name: &'static str, start: usize) {
        self.layout.fields.push(Field { name, result: self.result, at: start..self.at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::wire::Put;

    #[test]
    fn a_multi_is_walked_to_its_end() {
        let mut frame = Vec::new();
        frame.int(5);
        frame.long(9);
        frame.int(0);
        for (kind, done) in [(ops::CREATE, false), (-1, false), (-1, true)] {
            frame.int(kind);
            frame.boolean(done);
            frame.int(-101);
            match (kind, done) {
                (ops::CREATE, _) => frame.buffer(b"/a"),
                (_, false) => frame.int(-101),
                _ => {}
            }
        }
        let layout = of_answer(&frame, ops::MULTI);
        assert_eq!(layout.fields.last().map(|field| field.at.end), Some(frame.len()));
        assert_eq!(layout.fields.last().and_then(|field| field.result), Some(2));
    }

    #[test]
    fn items_of_a_list_are_found() {
        let mut frame = vec![0; REPLY_HEADER_BYTES];
        frame.int(2);
        frame.buffer(b"b");
        frame.buffer(b"a");
        let layout = of_answer(&frame, ops::GET_CHILDREN);
        assert_eq!(layout.lists, [(List::Free, vec![20..25, 25..30])]);
    }

    #[test]
    fn a_short_answer_has_the_fields_that_are_there() {
        assert_eq!(of_answer(&[0; 20], ops::EXISTS).fields.len(), 3);
    }
}
