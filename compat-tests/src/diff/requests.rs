//! A random body for every opcode, encoded by hand: nothing here shares code with the server.

use fastrand::Rng;

use super::ops;
use super::universe::{ADMIN_ID, Entry, Universe, pick};
use crate::load::wire::Put;

const NEVER: i64 = 1 << 40;

/// A body, and whether it needs company that is kept away.
#[derive(Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    /// Something of which Apache's answer to the *next* pipelined request is chance.
    pub fence: bool,
    /// Zorilla may answer something else on purpose, so that nothing is to be under way.
    pub alone: bool,
    /// Whether it begins with a zxid that is to be near the newest one.
    pub zxid_ahead: Option<i64>,
}

/// What kind of servers the bodies are for.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Quotas are in the history: Apache checks them against what is applied, not against what is under way.
    pub quotas: bool,
}

pub fn body(rng: &mut Rng, universe: &Universe, rules: Rules, op: i32) -> Body {
    let mut body = Body::default();
    match op {
        ops::MULTI | ops::MULTI_READ => multi(rng, universe, op, &mut body),
        ops::SET_WATCHES | ops::SET_WATCHES2 => set_watches(rng, universe, op, &mut body),
        _ => {
            body.fence = fields(rng, universe, op, &mut body.bytes);
            // Pending changes of setACL carry the old ACL in Apache.
            body.fence |= op == ops::SET_ACL;
        }
    }
    body.fence |= rules.quotas && ops::is_write(op);
    body
}

/// Everything that is one flat record. True when what is pipelined behind it would be answered by chance.
fn fields(rng: &mut Rng, universe: &Universe, op: i32, out: &mut Vec<u8>) -> bool {
    match op {
        ops::CREATE | ops::CREATE2 => {
            let flags = *pick(rng, &[0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, -1]);
            create(rng, universe, flags, out);
        }
        ops::CREATE_CONTAINER => {
            let flags = *pick(rng, &[4, 4, 4, 4, 0, 1, 2, 3, 5, 6, 7, -1]);
            create(rng, universe, flags, out);
            // A container made with ephemeral flags looks ephemeral to Apache while it is under way.
            return matches!(flags, 1 | 3);
        }
        ops::CREATE_TTL => create_ttl(rng, universe, out),
        ops::DELETE | ops::CHECK => {
            out.text(&universe.path(rng));
            out.int(universe.version(rng));
        }
        ops::DELETE_CONTAINER => out.text(&universe.path(rng)),
        ops::EXISTS | ops::GET_DATA | ops::GET_CHILDREN | ops::GET_CHILDREN2 => {
            out.text(&universe.path(rng));
            out.push(*pick(rng, &[0, 0, 1, 1, 1, 2, 255]));
        }
        ops::SET_DATA => {
            let path = universe.path(rng);
            out.text(&path);
            out.opaque(universe.data(rng, &path).as_deref());
            out.int(universe.version(rng));
        }
        ops::SET_ACL => {
            out.text(&universe.path(rng));
            out.acl(&universe.acl(rng));
            out.int(universe.version(rng));
        }
        ops::CHECK_WATCHES | ops::REMOVE_WATCHES => {
            out.text(&universe.path(rng));
            out.int(*pick(rng, &[1, 2, 3, 3, 4, 5, 1, 2, 3, 4, 5, 0, 6, -1]));
        }
        ops::ADD_WATCH => {
            out.text(&universe.path(rng));
            out.int(*pick(rng, &[0, 0, 0, 1, 1, 1, 2, -1]));
        }
        ops::AUTH => auth(rng, out),
        ops::SASL => out.opaque(Some(*pick::<&[u8]>(rng, &[b"", b"x", b"bob\0pw"]))),
        ops::RECONFIG => reconfig(rng, out),
        ops::PING | ops::WHO_AM_I | ops::CLOSE_SESSION => {}
        ops::CREATE_SESSION => out.int(30000),
        // getACL, sync, getEphemerals, getAllChildrenNumber: a path.
        _ => out.text(&universe.path(rng)),
    }
    false
}

fn create(rng: &mut Rng, universe: &Universe, flags: i32, out: &mut Vec<u8>) {
    let path = if matches!(flags, 2 | 3 | 6) { universe.prefix(rng) } else { universe.path(rng) };
    create_at(rng, universe, &path, flags, out);
}

pub fn create_at(rng: &mut Rng, universe: &Universe, path: &str, flags: i32, out: &mut Vec<u8>) {
    out.text(path);
    out.opaque(universe.data(rng, path).as_deref());
    out.acl(&universe.acl(rng));
    out.int(flags);
}

/// Never flags 0 to 4 with a TTL of -1: Apache logs that, and dies of it at once and at every start.
fn create_ttl(rng: &mut Rng, universe: &Universe, out: &mut Vec<u8>) {
    let flags = *pick(rng, &[5, 5, 5, 5, 6, 6, 0, 1, 2, 4, 7]);
    let ttl = if flags < 5 {
        *pick(rng, &[NEVER - 1, 10_000_000, 0, -2])
    } else {
        *pick(rng, &[NEVER - 1, NEVER - 1, 10_000_000, 10_000_000, NEVER, 0, -1, -2, i64::MAX, i64::MIN])
    };
    create(rng, universe, flags, out);
    out.long(if flags < 5 && ttl < 0 { 0 } else { ttl });
}

pub fn auth(rng: &mut Rng, out: &mut Vec<u8>) {
    let packets: &[(&str, Option<&[u8]>)] = &[
        ("digest", Some(b"bob:pw")),
        ("digest", Some(b"bob:pw")),
        ("digest", Some(ADMIN_ID)),
        ("ip", Some(b"")),
        ("ip", Some(b"10.0.0.1")),
        ("digest", None),
        ("nosuch", Some(b"x")),
        ("world", Some(b"anyone")),
        ("super", Some(b"")),
        ("x509", Some(b"")),
        ("sasl", Some(b"x")),
        ("", Some(b"")),
    ];
    let (scheme, data) = *pick(rng, packets);
    auth_packet(scheme, data, out);
}

pub fn auth_packet(scheme: &str, data: Option<&[u8]>, out: &mut Vec<u8>) {
    out.int(0);
    out.text(scheme);
    out.opaque(data);
}

fn reconfig(rng: &mut Rng, out: &mut Vec<u8>) {
    for text in [Some("server.9=127.0.0.1:1:2;3"), None, None] {
        if rng.bool() { out.opaque(text.map(str::as_bytes)) } else { out.opaque(None) }
    }
    out.long(*pick(rng, &[-1, 0, 5]));
}

fn set_watches(rng: &mut Rng, universe: &Universe, op: i32, body: &mut Body) {
    body.zxid_ahead = Some(*pick(rng, &[0, -1, -2, -5, -10, -20, -50, 1, 1000]));
    for _ in 0..if op == ops::SET_WATCHES { 3 } else { 5 } {
        let count = *pick(rng, &[0, 0, 1, 1, 2, 3]);
        body.bytes.int(count);
        for _ in 0..count {
            let path = universe.path(rng);
            body.bytes.text(&path);
        }
    }
}

fn multi(rng: &mut Rng, universe: &Universe, op: i32, body: &mut Body) {
    if op == ops::MULTI && rng.u8(..3) == 0 {
        return likely_multi(rng, universe, body);
    }
    let out = &mut body.bytes;
    let count = *pick(rng, &[0, 1, 1, 2, 2, 2, 3, 3, 4, 6, 10]);
    let odd = rng.u8(..25) == 0;
    let odd_at = rng.usize(..count.max(1));
    for at in 0..count {
        let kind = kind_in_multi(rng, op, odd && at == odd_at);
        header(kind, out);
        match kind {
            ops::CREATE | ops::CREATE2 | ops::CREATE_CONTAINER => {
                let flags = *pick(rng, &[0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4]);
                // A container with ephemeral flags looks ephemeral to the rest of the multi, in Apache.
                let flags = if kind == ops::CREATE_CONTAINER { flags & !1 } else { flags };
                let flags = if rng.u8(..50) == 0 { *pick(rng, &[5, 6, 7, -1]) } else { flags };
                create(rng, universe, flags, out);
                // What is pipelined behind a multi that is answered with -5 as a whole sees some of it, in Apache.
                body.fence |= !(0..=4).contains(&flags);
            }
            ops::CREATE_TTL => create_ttl(rng, universe, out),
            _ => {
                fields(rng, universe, kind, out);
            }
        }
    }
    body.fence |= odd;
    body.alone |= odd && op == ops::MULTI_READ;
    // The reader stops at `done`, whatever the rest of the header says.
    let (kind, err) = *pick(rng, &[(-1, -1), (-1, -1), (-1, -1), (0, 0), (5, 7)]);
    if rng.u8(..40) == 0 {
        return;
    }
    out.int(kind);
    out.boolean(true);
    out.int(err);
}

/// A multi that succeeds as long as the nodes that it names are there.
fn likely_multi(rng: &mut Rng, universe: &Universe, body: &mut Body) {
    let kinds =
        [ops::CREATE, ops::CREATE2, ops::CREATE_CONTAINER, ops::CREATE_TTL, ops::SET_DATA, ops::SET_DATA, ops::CHECK];
    let out = &mut body.bytes;
    let gone = format!("{}/gone", universe.good(rng));
    // Made and removed by the same multi, sometimes.
    let both = rng.bool();
    if both {
        header(ops::CREATE, out);
        create_at(rng, universe, &gone, 0, out);
    }
    for _ in 0..rng.usize(1..6) {
        let kind = *pick(rng, &kinds);
        header(kind, out);
        let path = universe.good(rng);
        match kind {
            ops::SET_DATA => {
                out.text(&path);
                out.opaque(universe.data(rng, &path).as_deref());
                out.int(-1);
            }
            ops::CHECK => {
                out.text(&path);
                out.int(-1);
            }
            _ => {
                let flags = if kind == ops::CREATE_TTL { 6 } else { 2 };
                create_at(rng, universe, &format!("{path}/n"), flags, out);
                if kind == ops::CREATE_TTL {
                    out.long(10_000_000);
                }
            }
        }
    }
    if both {
        header(ops::DELETE, out);
        out.text(&gone);
        out.int(-1);
    }
    out.int(-1);
    out.boolean(true);
    out.int(-1);
}

fn header(kind: i32, out: &mut Vec<u8>) {
    out.int(kind);
    out.boolean(false);
    out.int(-1);
}

fn kind_in_multi(rng: &mut Rng, op: i32, odd: bool) -> i32 {
    if odd {
        return ops::ALL[rng.usize(..ops::ALL.len())].0;
    }
    if op == ops::MULTI_READ {
        return *pick(rng, &[ops::GET_DATA, ops::GET_CHILDREN]);
    }
    *pick(
        rng,
        &[
            ops::CREATE,
            ops::CREATE,
            ops::CREATE,
            ops::CREATE2,
            ops::CREATE2,
            ops::CREATE_CONTAINER,
            ops::CREATE_TTL,
            ops::DELETE,
            ops::DELETE,
            ops::DELETE,
            ops::SET_DATA,
            ops::SET_DATA,
            ops::SET_DATA,
            ops::CHECK,
            ops::CHECK,
        ],
    )
}

/// Fields that a load does not need.
pub trait PutMore {
    fn text(&mut self, value: &str);
    /// A buffer or a string; `None` is null.
    fn opaque(&mut self, value: Option<&[u8]>);
    fn acl(&mut self, entries: &[Entry]);
}

impl PutMore for Vec<u8> {
    fn text(&mut self, value: &str) {
        self.buffer(value.as_bytes());
    }

    fn opaque(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => self.buffer(bytes),
            None => self.int(-1),
        }
    }

    fn acl(&mut self, entries: &[Entry]) {
        self.int(entries.len() as i32);
        for (perms, scheme, id) in entries {
            self.int(*perms);
            self.opaque(scheme.map(str::as_bytes));
            self.opaque(id.map(str::as_bytes));
        }
    }
}
