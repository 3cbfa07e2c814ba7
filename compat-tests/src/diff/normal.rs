//! Everything that two servers may do differently, and nothing else. Each rule here has its reason.
//!
//! | what | becomes | why it must differ |
//! |---|---|---|
//! | session ids | the name of the session in the history | each server counts from a clock |
//! | passwords | whether it is the one that belongs to the session id | computed from the session id |
//! | ctime, mtime | whether it is the time of its zxid | wall clocks |
//! | order of children, ephemerals, identities | sorted | hash order in Apache |
//! | order of an ACL, only where `auth` stood for several identities | sorted | hash order in Apache |
//! | order of the events of one closed session | sorted | Apache deletes its ephemerals in hash order |
//! | texts of four-letter words | the lines that speak of the tree, watches and sessions | clocks, ports, counters, paths of the machine |

use std::collections::HashMap;

use super::history::SessionName;
use super::layout::{self, Layout, List};
use super::side::Item;
use crate::load::wire::long_at;

/// What one server gave where the other gave something else.
#[derive(Default)]
pub struct Given {
    sessions: HashMap<i64, SessionName>,
    times: HashMap<i64, i64>,
    closes: Vec<i64>,
}

const TIME_RIGHT: i64 = 1;
const TIME_WRONG: i64 = 2;
const SESSION_UNKNOWN: i64 = 0xdead;
/// Offsets in a Stat: a zxid, and the time that belongs to it.
const TIME_OF_ZXID: [(usize, usize); 2] = [(0, 16), (8, 24)];
const OWNER: usize = 44;

impl Given {
    pub fn session(&mut self, id: i64, name: SessionName) {
        self.sessions.insert(id, name);
    }

    /// This zxid closed a session.
    pub fn close(&mut self, zxid: i64) {
        self.closes.push(zxid);
    }

    fn named(&self, id: i64) -> i64 {
        match (id, self.sessions.get(&id)) {
            (0, _) => 0,
            (_, Some(name)) => i64::from(*name) + 1,
            (_, None) => SESSION_UNKNOWN,
        }
    }

    pub fn connect_response(&self, frame: &[u8]) -> Vec<u8> {
        let mut out = frame.to_vec();
        if let Some(id) = long_at(frame, 8).filter(|id| *id != 0) {
            put(&mut out, 8, self.named(id));
            if let Some(password) = out.get_mut(20..36) {
                let right = *password == password_of(id);
                password.fill(u8::from(right));
            }
        }
        out
    }

    pub fn answer(&mut self, frame: &[u8], layout: &Layout, acl_order_is_free: bool) -> Vec<u8> {
        let mut out = frame.to_vec();
        for (kind, items) in &layout.lists {
            if items.len() > 1 && (*kind == List::Free || acl_order_is_free) {
                let mut sorted: Vec<&[u8]> = items.iter().map(|item| &frame[item.clone()]).collect();
                sorted.sort_unstable();
                out[items[0].start..items[items.len() - 1].end].copy_from_slice(&sorted.concat());
            }
        }
        for stat in &layout.stats {
            self.stat(&mut out, *stat);
        }
        out
    }

    fn stat(&mut self, out: &mut [u8], stat: usize) {
        for (zxid_at, time_at) in TIME_OF_ZXID {
            let (Some(zxid), Some(time)) = (long_at(out, stat + zxid_at), long_at(out, stat + time_at)) else { return };
            // What was there before the first txn has whatever time it has.
            let right = zxid <= 0 || *self.times.entry(zxid).or_insert(time) == time;
            if time != 0 {
                put(out, stat + time_at, if right { TIME_RIGHT } else { TIME_WRONG });
            }
        }
        if let Some(owner) = long_at(out, stat + OWNER) {
            put(out, stat + OWNER, self.named(owner));
        }
    }

    /// Sorts runs of events of one closed session.
    pub fn order_events(&self, items: &mut [Item]) {
        let close = |item: &Item| match item {
            Item::Frame { bytes, .. } if item.is_event() => long_at(bytes, 4).filter(|zxid| self.closes.contains(zxid)),
            _ => None,
        };
        for run in items.chunk_by_mut(|a, b| close(a).is_some() && close(a) == close(b)) {
            if run.len() > 1 {
                run.sort_unstable_by(|a, b| bytes_of(a).cmp(bytes_of(b)));
            }
        }
    }

    /// The lines of a four-letter word's answer that both servers have to give, in one order.
    pub fn word(&self, word: &[u8], answer: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(answer);
        let mut lines: Vec<String> = text.lines().filter_map(|line| self.line(word, line)).collect();
        if matches!(word, b"dump" | b"wchc" | b"wchp") {
            owned(&mut lines);
        }
        if !matches!(word, b"ruok" | b"isro" | b"gtmk" | b"wchs") {
            lines.sort_unstable();
        }
        lines.join("\n").into_bytes()
    }

    fn line(&self, word: &[u8], line: &str) -> Option<String> {
        let starts = |names: &[&str]| names.iter().any(|name| line.starts_with(name));
        let kept = line.contains("not executed")
            || match word {
                // Versions, builds, latencies, counts of packets: the rest is the server's own.
                b"srvr" | b"stat" => starts(&["Zxid", "Mode", "Node count", "Outstanding"]),
                b"mntr" => starts(&[
                    "zk_server_state",
                    "zk_znode_count",
                    "zk_watch_count",
                    "zk_ephemerals_count",
                    "zk_global_sessions",
                    "zk_local_sessions",
                    "zk_num_alive_connections",
                    "zk_outstanding_requests",
                ]),
                // Expiry times of sessions, and addresses.
                b"dump" => line.starts_with("\t/") || line.starts_with("0x"),
                // The second line: Apache's first one also counts connections whose watches are all gone.
                b"wchs" => starts(&["Total"]),
                b"cons" | b"conf" | b"envi" | b"dirs" | b"hash" | b"stmk" => return None,
                _ => true,
            };
        kept.then(|| self.rename_sessions(line))
    }

    /// `0x` and a session id becomes the session's name; other numbers stay.
    fn rename_sessions(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find("0x") {
            let digits = rest[at + 2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - at - 2);
            let (number, behind) = rest[at + 2..].split_at(digits);
            out.push_str(&rest[..at]);
            match i64::from_str_radix(number, 16).ok().and_then(|id| self.sessions.get(&id)) {
                Some(name) => out.push_str(&format!("session {name}")),
                None => out.push_str(&format!("0x{number}")),
            }
            rest = behind;
        }
        out + rest
    }
}

/// Puts each indented line behind the one that it belongs to: Apache also names sessions and connections whose
/// ephemerals and watches are all gone.
fn owned(lines: &mut Vec<String>) {
    let mut owner = String::new();
    lines.retain_mut(|line| {
        if !line.starts_with('\t') {
            owner = std::mem::take(line);
            return false;
        }
        line.insert_str(0, &owner);
        true
    });
}

/// Java: ZooKeeperServer.generatePasswd, `new Random(id ^ superSecret).nextBytes`.
fn password_of(session: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session as u64 ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_mut(4) {
        state = (state.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        let mut bytes = ((state >> 16) as u32).to_be_bytes();
        // Random.nextBytes puts the lowest byte first.
        bytes.reverse();
        word.copy_from_slice(&bytes);
    }
    password
}

fn bytes_of(item: &Item) -> &[u8] {
    match item {
        Item::Frame { bytes, .. } | Item::Text(bytes) => bytes,
        Item::End(_) => &[],
    }
}

fn put(out: &mut [u8], at: usize, value: i64) {
    if let Some(field) = out.get_mut(at..at + 8) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// The layout of an answer; see [`layout`].
pub fn layout_of(frame: &[u8], op: Option<i32>) -> Layout {
    match op {
        Some(op) => layout::of_answer(frame, op),
        None => layout::of_connect_response(frame),
    }
}
