//! The tree at a million znodes: what an operation and a znode cost. Run by hand:
//! `cargo test --release -p zorilla-core --test tree_scale -- --ignored --nocapture`

use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use zorilla_core::auth::Caller;
use zorilla_core::tree::Tree;
use zorilla_core::tree::cold::NothingCold;
use zorilla_core::tree::read::{ReadRules, read};
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::GetDataRequest;
use zorilla_protocol::txn::{CreateTxn, SetDataTxn, Txn, TxnHeader};
use zorilla_protocol::{SessionId, Zxid};

fn apply(tree: &mut Tree, zxid: i64, txn: &Txn) {
    let header = TxnHeader { client_id: SessionId(1), cxid: 0, zxid: Zxid(zxid), time: zxid, kind: 0 };
    black_box(tree.apply(&header, txn).unwrap());
}

fn create(path: String, bytes: usize, parent_cversion: i32) -> Txn {
    let data = Some(Bytes::from(vec![b'x'; bytes]));
    Txn::Create2(CreateTxn { path, data, acl: None, ephemeral: false, parent_cversion })
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Processor time of this thread: other work on the machine does not count.
fn now() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn path(n: usize) -> String {
    format!("/services/group-{:04}/instance-{n:010}", n % 1000)
}

#[test]
#[ignore = "a measurement, with nothing to pass"]
fn a_million_znodes() {
    const NODES: usize = 1_000_000;
    let mut tree = Tree::new_standalone(Arc::new(NothingCold), 1);
    let mut zxid = 1;
    apply(&mut tree, zxid, &create("/services".into(), 0, 1));
    for group in 0..1000 {
        zxid += 1;
        apply(&mut tree, zxid, &create(format!("/services/group-{group:04}"), 0, group + 1));
    }
    let txns: Vec<_> = (0..NODES).map(|n| create(path(n), 100, (n / 1000 + 1) as i32)).collect();
    let before = resident_bytes();
    let start = now();
    for txn in &txns {
        zxid += 1;
        apply(&mut tree, zxid, txn);
    }
    println!("create: {} ns", (now() - start).as_nanos() / NODES as u128);
    let start = now();
    let checkpoint = tree.begin_checkpoint().unwrap();
    println!("begin_checkpoint of {}: {:?}", checkpoint.nodes.len(), (now() - start));
    let generation = checkpoint.generation;
    drop(checkpoint);
    tree.checkpoint_done(generation);
    println!(
        "bytes per znode of 100: {} by the system, {} by our count",
        (resident_bytes() - before) / NODES,
        tree.resident_bytes() / NODES
    );

    let caller = Caller { session: SessionId(1), ids: [].into() };
    let request = |n| Request::GetData(GetDataRequest { path: path(n), watch: false });
    let mut out = BytesMut::with_capacity(1 << 20);
    let requests: Vec<_> = (0..NODES).map(|n| request(n.wrapping_mul(7919) % NODES)).collect();
    let start = now();
    for request in &requests {
        out.clear();
        black_box(read(&tree, request, &caller, &ReadRules::default(), &mut out).unwrap());
    }
    println!("getData of 100 bytes over all: {} ns", (now() - start).as_nanos() / NODES as u128);

    for n in 0..1000 {
        zxid += 1;
        let data = Some(Bytes::from(vec![b'x'; 1024]));
        apply(&mut tree, zxid, &Txn::SetData(SetDataTxn { path: path(n), data, version: 1 }));
    }
    for hot in [1000, 16] {
        let requests: Vec<_> = (0..hot).map(request).collect();
        let start = now();
        for request in requests.iter().cycle().take(4 * NODES) {
            out.clear();
            black_box(read(&tree, request, &caller, &ReadRules::default(), &mut out).unwrap());
        }
        println!("getData of 1 KiB over {hot}: {} ns", (now() - start).as_nanos() / (4 * NODES) as u128);
    }

    let start = now();
    let freed = tree.evict(usize::MAX, NODES / 10);
    println!("evict, {} steps that clear marks: {:?}, {freed} bytes", NODES / 10, (now() - start));
    for _ in 0..12 {
        tree.evict(usize::MAX, NODES / 10);
    }
    let start = now();
    let freed = tree.evict(usize::MAX, NODES / 100);
    println!("evict, {} steps that free: {:?}, {freed} bytes", NODES / 100, (now() - start));

    drop((tree, txns));
    let txns: Vec<_> = (0..NODES).map(|n| create(format!("/instance-{n:010}"), 100, n as i32 + 1)).collect();
    let mut flat = Tree::new_standalone(Arc::new(NothingCold), 1);
    let start = now();
    for (n, txn) in (1..).zip(&txns) {
        apply(&mut flat, n, txn);
    }
    println!("create under one parent: {} ns", (now() - start).as_nanos() / NODES as u128);
}
