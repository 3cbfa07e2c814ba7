//! The core as the server drives it: writes are prepared ahead of those that are applied, batches
//! commit or are taken back, memory forgets, checkpoints are written, the process starts again. The
//! [`Model`] says what has to come of it.

mod server;

pub use server::Server;

use crate::input::Input;
use crate::model::{Context, Model, open_acl};
use bytes::Bytes;
use std::collections::VecDeque;
use zorilla_core::auth::{Caller, perm};
use zorilla_core::tree::{Prepared, Write};
use zorilla_protocol::irregular::{MultiOp, MultiRequest};
use zorilla_protocol::ops::{NoBody, Request};
use zorilla_protocol::records::*;
use zorilla_protocol::txn::Txn;
use zorilla_protocol::{Code, SessionId, Zxid};

const SESSIONS: [SessionId; 2] = [SessionId(0x0100_0000_0000_0001), SessionId(0x0100_0000_0000_0002)];
const PATHS: [&str; 14] =
    ["/a", "/a/b", "/a/b/c", "/a/d", "/a/", "/", "/e", "/e/x", "/zookeeper/n", "/zookeeper", "/no/x", "//x", "x", ""];
/// Long enough for every interplay, short enough to be quick.
const STEPS_MAX: usize = 400;

/// Bytes as a history.
pub fn history(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::default();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.commit(usize::MAX);
    world.compare();
    world.server.forget();
    world.compare();
    world.server.restart();
    world.compare();
}

#[derive(Default)]
struct World {
    server: Server,
    /// What is committed.
    now: Model,
    /// What will be once everything outstanding is.
    ahead: Model,
    outstanding: VecDeque<(Prepared, Model)>,
    zxid: i64,
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..8 => self.commit(usize::MAX),
            8..24 => self.commit(1 + input.roll(4)),
            24..28 => self.server.forget(),
            28..32 => self.server.begin_checkpoint(),
            32..36 => self.server.finish_checkpoint(),
            36..40 => self.server.evict(input.roll(8) * 512),
            40..42 => self.roll_back(),
            42..44 => {
                // A crash: what was not committed is in no log.
                self.roll_back();
                self.server.restart();
            }
            44..48 => self.compare(),
            48..52 => self.write(Write::CreateSession { timeout_ms: 4000 }, &caller(input)),
            52..56 => self.write(Write::CloseSession, &caller(input)),
            56..60 => {
                let path = path(input);
                self.write(Write::Reap { path: &path }, &Caller { session: SessionId::NONE, ids: [].into() });
            }
            _ => {
                let caller = caller(input);
                self.write(Write::Request(&request(input)), &caller);
            }
        }
    }

    fn write(&mut self, write: Write<'_>, caller: &Caller) {
        self.zxid += 1;
        let (zxid, time_ms) = (Zxid(self.zxid), 1000 + 10 * self.zxid);
        let prepared = self.server.prepare(write, caller, zxid, time_ms);
        let expected = self.ahead.write(write, &Context { caller, zxid, time_ms });
        assert_eq!(outcome(&prepared), expected, "{write:?} as {caller:?}");
        if prepared.code == Code::Ok {
            let digest = prepared.entry.digest.as_ref().expect("digests are on").tree_digest;
            assert_eq!(digest, self.ahead.digest(), "foretold by {write:?}");
        }
        self.outstanding.push_back((prepared, self.ahead.clone()));
    }

    fn commit(&mut self, count: usize) {
        for _ in 0..count {
            let Some((prepared, mut then)) = self.outstanding.pop_front() else { return };
            self.server.apply(&prepared);
            if matches!(prepared.entry.txn, Txn::CloseSession(_)) {
                // From here on it is the table of sessions that refuses it, not what is outstanding.
                let session = prepared.entry.header.client_id;
                let later = self.outstanding.iter().map(|(later, _)| &later.entry);
                let closes_again = later
                    .into_iter()
                    .any(|entry| entry.header.client_id == session && matches!(entry.txn, Txn::CloseSession(_)));
                if !closes_again {
                    self.ahead.closing.retain(|closing| *closing != session);
                }
            }
            then.closing.clear();
            self.now = then;
        }
    }

    fn roll_back(&mut self) {
        self.server.pending.roll_back();
        self.outstanding.clear();
        self.ahead = self.now.clone();
    }

    fn compare(&mut self) {
        self.server.compare(&self.now);
    }
}

/// As the model says it.
fn outcome(prepared: &Prepared) -> Result<Vec<Code>, Code> {
    match &prepared.entry.txn {
        _ if prepared.code != Code::Ok => Err(prepared.code),
        Txn::Multi(parts) => {
            let failed = parts.iter().any(|part| matches!(part, Txn::Error(_)));
            let code = |part: &Txn| match part {
                Txn::Error(error) => Code::from_number(error.err).expect("a code of ours"),
                _ => Code::Ok,
            };
            assert!(!failed || parts.iter().any(|part| code(part) != Code::Ok));
            Ok(parts.iter().map(code).collect())
        }
        _ => Ok(vec![Code::Ok]),
    }
}

fn caller(input: &mut Input<'_>) -> Caller {
    let id = |scheme: &str, id: &str| Id { scheme: Some(scheme.to_owned().into()), id: Some(id.to_owned().into()) };
    let mut ids = vec![id("ip", "127.0.0.1")];
    let choice = input.byte();
    if choice & 6 == 2 {
        ids.push(id("digest", "bob:x"));
    }
    if choice & 0x70 == 0x70 {
        ids.push(id("super", ""));
    }
    Caller { session: SESSIONS[usize::from(choice & 1)], ids: ids.into() }
}

fn path(input: &mut Input<'_>) -> String {
    match input.byte() {
        255 => String::from_utf8_lossy(input.take(3)).into_owned(),
        254 => format!("/a/{}", String::from_utf8_lossy(input.take(2))),
        // Sequential names, which only a history knows.
        253 => format!("/a{:010}", input.roll(12)),
        252 => format!("/a/b{:010}", input.roll(12)),
        at => PATHS[usize::from(at) % PATHS.len()].to_owned(),
    }
}

fn version(input: &mut Input<'_>) -> i32 {
    input.pick(&[-1, -1, 0, 1, 2, -2])
}

fn data(input: &mut Input<'_>) -> Option<Bytes> {
    match input.roll(6) {
        0 => None,
        1 => Some(Bytes::new()),
        n => Some(vec![b'x'; n * n * n * 10].into()),
    }
}

fn acl(input: &mut Input<'_>) -> Option<Vec<Acl>> {
    let entry = |perms: i32, scheme: &str, id: Option<&str>| Acl {
        perms,
        id: Id { scheme: Some(scheme.to_owned().into()), id: id.map(|id| id.to_owned().into()) },
    };
    match input.roll(16) {
        0 => None,
        1 => Some(vec![]),
        2 => Some(vec![entry(perm::ALL, "digest", Some("bob:x"))]),
        3 => Some(vec![entry(perm::ALL, "auth", Some("")), entry(perm::READ, "world", Some("anyone"))]),
        4 => Some(vec![entry(input.roll(32) as i32, "world", Some("anyone"))]),
        5 => Some(vec![entry(perm::ALL, "ip", Some(input.pick(&["127.0.0.1", "10.0.0.0/8", "127.0.0.0/8", "x"])))]),
        6 => Some(vec![entry(perm::ALL, input.pick(&["world", "digest", "nobody"]), None)]),
        _ => Some(open_acl()),
    }
}

fn create(input: &mut Input<'_>) -> CreateRequest {
    let flags = input.pick(&[0, 0, 0, 1, 1, 2, 3, 4, 5, 7, -1]);
    CreateRequest { path: path(input), data: data(input), acl: acl(input), flags }
}

fn create_ttl(input: &mut Input<'_>) -> CreateTtlRequest {
    let flags = input.pick(&[5, 5, 6, 0, 4, 1, 9]);
    let ttl = input.pick(&[1, 50, 1 << 39, 1 << 40, 0, -1]);
    CreateTtlRequest { path: path(input), data: data(input), acl: acl(input), flags, ttl }
}

fn set_data(input: &mut Input<'_>) -> SetDataRequest {
    let path = Some(path(input)).filter(|_| input.byte() != 9);
    SetDataRequest { path, data: data(input), version: version(input) }
}

fn delete(input: &mut Input<'_>) -> DeleteRequest {
    DeleteRequest { path: path(input), version: version(input) }
}

fn operation(input: &mut Input<'_>) -> MultiOp {
    match input.roll(10) {
        0 | 1 => MultiOp::Create(create(input)),
        2 => MultiOp::Create2(create(input)),
        3 => MultiOp::CreateContainer(create(input)),
        4 => MultiOp::CreateTtl(create_ttl(input)),
        5 | 6 => MultiOp::SetData(set_data(input)),
        7 | 8 => MultiOp::Delete(delete(input)),
        _ => MultiOp::Check(CheckVersionRequest { path: path(input), version: version(input) }),
    }
}

fn request(input: &mut Input<'_>) -> Request {
    match input.roll(20) {
        0..4 => Request::Create(create(input)),
        4..6 => Request::Create2(create(input)),
        6 => Request::CreateContainer(create(input)),
        7 => Request::CreateTtl(create_ttl(input)),
        8..11 => Request::SetData(set_data(input)),
        11..14 => Request::Delete(delete(input)),
        14 => Request::DeleteContainer(DeleteContainerRequest { path: path(input) }),
        15 => Request::SetAcl(SetAclRequest { path: Some(path(input)), acl: acl(input), version: version(input) }),
        16 => match input.roll(2) {
            0 => Request::CloseSession(NoBody),
            _ => Request::Ping(NoBody),
        },
        _ => {
            let count = input.roll(6);
            Request::Multi(Ok(MultiRequest { ops: (0..count).map(|_| operation(input)).collect() }))
        }
    }
}
