//! What a write costs in the core, without sockets, log and store: decode, prepare, the record, apply, the reply;
//! in batches, as the driver does it.
//!
//! `cargo bench -p zorilla-core --bench write_path -- [set|create|small|multi] [ops]`; instructions, which do not
//! depend on what else the machine does: `valgrind --tool=callgrind --toggle-collect='*measured*' BINARY set 20000`.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zorilla_core::auth::{AuthRules, Caller, ip_identity};
use zorilla_core::tree::cold::NothingCold;
use zorilla_core::tree::{Committed, Event, Pending, Prepared, Rules, Tree, TxnResult, Write};
use zorilla_core::zab::{Broadcast, Majority};
use zorilla_protocol::frame::{put_frame, take_frame};
use zorilla_protocol::irregular::{MultiOp, MultiRequest};
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::{Acl, CreateRequest, Id, ReplyHeader, RequestHeader, SetDataRequest};
use zorilla_protocol::{Jute, Reader, SessionId, Sid, Zxid};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 16 connections with 16 requests each.
const BATCH: usize = 256;
/// As the driver's.
const APPLY_MAX: usize = 128;
/// Writes between two checkpoints.
const CHECKPOINT_EVERY: usize = 50_000;
const SETTABLE: usize = 10_000;
const PARENTS: usize = 16;

fn open() -> Option<Vec<Acl>> {
    Some(vec![Acl { perms: 31, id: Id { scheme: Some("world".into()), id: Some("anyone".into()) } }])
}

fn create(path: String, bytes: usize) -> Request {
    Request::Create(CreateRequest { path, data: Some(vec![b'x'; bytes].into()), acl: open(), flags: 0 })
}

fn set(n: usize, bytes: usize) -> Request {
    // Every znode once in a round, in an order that no cache foresees.
    let path = format!("/bench/set/node-{:010}", n.wrapping_mul(7919) % SETTABLE);
    Request::SetData(SetDataRequest { path: Some(path), data: Some(vec![b'y'; bytes].into()), version: -1 })
}

fn request(kind: &str, n: usize) -> Request {
    let path = |n: usize| format!("/bench/create/c{:02}/node-{n:010}", n % PARENTS);
    match kind {
        "set" => set(n, 1024),
        "create" => create(path(n), 1024),
        "small" => create(path(n), 100),
        "multi" => Request::Multi(Ok(MultiRequest {
            ops: (0..20)
                .map(|part| match create(path(n * 20 + part), 100) {
                    Request::Create(request) => MultiOp::Create(request),
                    _ => unreachable!(),
                })
                .collect(),
        })),
        other => panic!("{other}: set, create, small or multi"),
    }
}

/// The driver's state, as far as it costs anything here.
struct Driver {
    tree: Tree,
    pending: Pending,
    rules: Rules,
    caller: Caller,
    broadcast: Broadcast,
    proposals: VecDeque<(i32, Prepared)>,
    applied: Vec<(i32, Prepared, TxnResult)>,
    events: Vec<Event>,
    scratch: BytesMut,
    records: Vec<(Zxid, Bytes)>,
    replies: BytesMut,
    spent: [Duration; 5],
}

impl Driver {
    fn new() -> Driver {
        let rules = Rules {
            skip_acl: false,
            enforce_quota: false,
            extended_types: true,
            digest_enabled: true,
            close_session_txn: true,
            auth: AuthRules::default(),
            request_bytes_max: 1 << 20,
        };
        let ids: Arc<[Id]> = [ip_identity([127, 0, 0, 1].into())].into();
        Driver {
            tree: Tree::new_standalone(Arc::new(NothingCold), 1),
            pending: Pending::new(),
            rules,
            caller: Caller { session: SessionId(1), ids },
            broadcast: Broadcast::new(Majority::of([Sid(1)]), Zxid::ZERO),
            proposals: VecDeque::new(),
            applied: Vec::new(),
            events: Vec::new(),
            scratch: BytesMut::new(),
            records: Vec::new(),
            replies: BytesMut::new(),
            spent: [Duration::ZERO; 5],
        }
    }

    fn propose(&mut self, xid: i32, request: &Request) {
        let zxid = self.broadcast.proposed().next();
        let write = Write::Request(request);
        let prepared = self.pending.prepare(&self.tree, &self.rules, write, &self.caller, xid, zxid, 1_700_000_000_000);
        let prepared = prepared.unwrap();
        assert_eq!(prepared.code, zorilla_protocol::Code::Ok);
        self.broadcast.propose();
        if self.scratch.capacity() - self.scratch.len() < 2048 {
            self.scratch.reserve(32 << 10);
        }
        prepared.entry.put(&mut self.scratch);
        self.records.push((zxid, self.scratch.split().freeze()));
        self.proposals.push_back((xid, prepared));
    }

    fn apply_some(&mut self) {
        for _ in 0..APPLY_MAX {
            let Some((xid, prepared)) = self.proposals.pop_front() else { break };
            let (header, txn) = (&prepared.entry.header, &prepared.entry.txn);
            self.events.clear();
            let result = self.pending.commit(&mut self.tree, header, txn, &mut self.events).unwrap();
            assert_eq!(prepared.entry.digest.as_ref().map(|digest| digest.tree_digest), Some(self.tree.digest()));
            self.applied.push((xid, prepared, result));
        }
    }

    fn answer(&mut self) {
        self.replies.clear();
        for (xid, prepared, result) in self.applied.drain(..) {
            put_frame(&mut self.replies, |out| {
                ReplyHeader { xid, zxid: prepared.entry.zxid(), err: 0 }.put(out);
                match &result {
                    TxnResult::SetData { stat } => stat.put(out),
                    TxnResult::Create { path, .. } => zorilla_protocol::jute::put_str(path, out),
                    _ => {}
                }
            });
        }
    }

    fn checkpoint(&mut self) {
        if let Some(checkpoint) = self.tree.begin_checkpoint() {
            let generation = checkpoint.generation;
            // Another thread lets go of it.
            let begun = Instant::now();
            drop(checkpoint);
            self.spent[4] -= begun.elapsed().min(self.spent[4]);
            self.tree.checkpoint_done(generation);
        }
    }

    #[inline(never)]
    fn measured(&mut self, frames: &[Bytes]) {
        let mut since_checkpoint = 0;
        for batch in frames.chunks(BATCH) {
            let t0 = Instant::now();
            let mut received = BytesMut::with_capacity(batch.iter().map(Bytes::len).sum());
            batch.iter().for_each(|frame| received.extend_from_slice(frame));
            let mut requests = Vec::with_capacity(batch.len());
            while let Some(frame) = take_frame(&mut received, 1 << 20).unwrap() {
                let mut reader = Reader::with_limit(&frame, 1 << 20);
                let header = RequestHeader::get(&mut reader).unwrap();
                requests.push((header.xid, Request::decode(header.kind, &mut reader).unwrap()));
            }
            let t1 = Instant::now();
            for (xid, request) in requests {
                self.propose(xid, &request);
            }
            let t2 = Instant::now();
            black_box(self.records.drain(..).map(|(_, record)| record.len()).sum::<usize>());
            let t3 = Instant::now();
            while !self.proposals.is_empty() {
                self.apply_some();
                let t = Instant::now();
                self.answer();
                self.spent[3] += t.elapsed();
            }
            self.spent[0] += t1 - t0;
            self.spent[1] += t2 - t1;
            self.spent[2] += t3.elapsed();
            since_checkpoint += batch.len();
            if since_checkpoint >= CHECKPOINT_EVERY {
                since_checkpoint = 0;
                let t = Instant::now();
                self.spent[4] += t.elapsed();
                self.checkpoint();
                self.spent[4] += t.elapsed();
            }
        }
    }
}

fn frames(requests: impl Iterator<Item = Request>) -> Vec<Bytes> {
    let frame = |(xid, request): (i32, Request)| {
        let mut out = BytesMut::new();
        put_frame(&mut out, |out| {
            RequestHeader { xid, kind: request.code() }.put(out);
            request.put(out);
        });
        out.freeze()
    };
    (1..).zip(requests).map(frame).collect()
}

/// Processor time of this thread: other work on the machine does not count.
fn now() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn round(kind: &str, ops: usize) -> (Duration, [Duration; 5]) {
    let mut driver = Driver::new();
    let roots = ["/bench", "/bench/set", "/bench/create"].map(str::to_owned);
    let parents = (0..PARENTS).map(|n| format!("/bench/create/c{n:02}"));
    let nodes = (0..SETTABLE).map(|n| format!("/bench/set/node-{n:010}"));
    let prologue = frames(roots.into_iter().chain(parents).chain(nodes).map(|path| create(path, 1024)));
    for batch in prologue.chunks(BATCH) {
        driver.prologue(batch);
    }
    let frames = frames((0..ops).map(|n| request(kind, n)));
    driver.checkpoint();
    driver.spent = [Duration::ZERO; 5];
    let start = now();
    driver.measured(&frames);
    (now() - start, driver.spent)
}

impl Driver {
    fn prologue(&mut self, frames: &[Bytes]) {
        for frame in frames {
            let frame = frame.slice(4..);
            let mut reader = Reader::with_limit(&frame, 1 << 20);
            let header = RequestHeader::get(&mut reader).unwrap();
            self.propose(header.xid, &Request::decode(header.kind, &mut reader).unwrap());
        }
        while !self.proposals.is_empty() {
            self.apply_some();
            self.answer();
        }
        self.records.clear();
    }
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let kinds =
        args.next().map_or_else(|| vec!["set".into(), "create".into(), "small".into(), "multi".into()], |k| vec![k]);
    let ops = args.next().map_or(200_000, |ops| ops.parse().expect("a number of operations"));
    let rounds = args.next().map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    for kind in kinds {
        let ops = if kind == "multi" { ops / 20 } else { ops };
        let best = (0..rounds).map(|_| round(&kind, ops)).min_by_key(|(total, _)| *total).unwrap();
        let each = |time: Duration| time.as_nanos() as usize / ops;
        let (total, spent) = best;
        let [decode, prepare, apply, answer, checkpoint] = spent.map(each);
        println!(
            "{kind}: {} ns (decode {decode}, prepare {prepare}, apply {}, answer {answer}, checkpoint {checkpoint})",
            each(total),
            apply - answer
        );
    }
}
