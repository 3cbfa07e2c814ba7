//! Random histories. Whether txns are applied at once or lag behind by up to fifty, the very same txns
//! must come out, with the digests and znodes that applying them gives (checked in
//! [`World::apply_one`]); and memory that forgets must change nothing.

use super::*;
use crate::auth::perm;
use zorilla_protocol::irregular::{MultiOp, MultiRequest};
use zorilla_protocol::records::CheckVersionRequest;

/// Marsaglia's xorshift: one number makes the whole history.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64) as usize]
    }
}

const PATHS: [&str; 16] = [
    "/a",
    "/a/b",
    "/a/b/c",
    "/a/d",
    "/a/s-",
    "/e",
    "/e/x",
    "/q",
    "/q/a",
    "/q/a/b",
    "/q/b",
    "/q/s-",
    "/zookeeper/n",
    "/zookeeper/quota/q/a/zookeeper_limits",
    "/bad/",
    "/none/x",
];

fn path(dice: &mut Dice) -> String {
    dice.pick(&PATHS).to_owned()
}

fn version(dice: &mut Dice) -> i32 {
    dice.pick(&[-1, -1, -1, 0, 1, 2])
}

fn acl(dice: &mut Dice) -> Option<Vec<Acl>> {
    match dice.roll(12) {
        0 => perms(perm::ALL & !perm::CREATE),
        1 => Some(vec![tests::acl(31, "digest", "bob:x")]),
        2 => Some(vec![tests::acl(31, "auth", ""), tests::acl(1, "world", "anyone")]),
        3 => None,
        _ => open(),
    }
}

fn data(dice: &mut Dice) -> Option<Bytes> {
    match dice.roll(4) {
        0 => None,
        1 => bytes("count=-1,bytes=-1=;countHardLimit=2"),
        n => bytes(&"x".repeat(n as usize * 3)),
    }
}

fn random_create(dice: &mut Dice) -> CreateRequest {
    let flags = dice.pick(&[0, 0, 0, 0, 1, 1, 2, 3, 4, 5]);
    CreateRequest { path: path(dice), data: data(dice), acl: acl(dice), flags }
}

fn random_ttl(dice: &mut Dice) -> CreateTtlRequest {
    let CreateRequest { path, data, acl, .. } = random_create(dice);
    CreateTtlRequest { path, data, acl, flags: dice.pick(&[5, 5, 6, 0]), ttl: dice.pick(&[1, 20, 0]) }
}

fn random_set(dice: &mut Dice) -> SetDataRequest {
    SetDataRequest { path: Some(path(dice)), data: data(dice), version: version(dice) }
}

fn random_op(dice: &mut Dice) -> MultiOp {
    match dice.roll(8) {
        0 | 1 => MultiOp::Create(random_create(dice)),
        2 => MultiOp::Create2(random_create(dice)),
        3 => MultiOp::CreateTtl(random_ttl(dice)),
        4 | 5 => MultiOp::SetData(random_set(dice)),
        6 => MultiOp::Delete(DeleteRequest { path: path(dice), version: version(dice) }),
        _ => MultiOp::Check(CheckVersionRequest { path: path(dice), version: version(dice) }),
    }
}

fn random_request(dice: &mut Dice) -> Request {
    match dice.roll(16) {
        0..5 => Request::Create(random_create(dice)),
        5 => Request::CreateContainer(random_create(dice)),
        6 => Request::CreateTtl(random_ttl(dice)),
        7..9 => Request::SetData(random_set(dice)),
        9..12 => delete(&path(dice), version(dice)),
        12 => set_acl(&path(dice), acl(dice), version(dice)),
        13 => Request::Create2(random_create(dice)),
        _ => {
            let count = 1 + dice.roll(4);
            Request::Multi(Ok(MultiRequest { ops: (0..count).map(|_| random_op(dice)).collect() }))
        }
    }
}

fn start() -> World {
    let mut world = World::new();
    for path in ["/zookeeper/quota/q", "/zookeeper/quota/q/a", "/q", "/q/a"] {
        world.must(&create(path, 0));
    }
    let limits = "count=-1,bytes=-1=;countHardLimit=5;byteHardLimit=30";
    for (path, text) in [("q/zookeeper_limits", limits), ("q/zookeeper_stats", ""), ("q/a/zookeeper_stats", "")] {
        let path = format!("/zookeeper/quota/{path}");
        world.must(&Request::Create(CreateRequest { data: bytes(text), ..create_request(&path, 0) }));
    }
    world
}

/// One step of a history, the same in every world.
fn step(world: &mut World, dice: &mut Dice) -> Prepared {
    let session = dice.pick(&[SESSION, SESSION, OTHER]);
    let who = if dice.roll(3) == 0 { tests::caller(&[("digest", "bob:x")]) } else { anybody(session) };
    world.caller = Caller { session, ..who };
    match dice.roll(40) {
        0 => world.prepare(Write::CloseSession),
        1 | 2 => {
            let path = path(dice);
            world.caller = Caller { session: SessionId::NONE, ids: [].into() };
            world.prepare(Write::Reap { path: &path })
        }
        3 => world.prepare(Write::CreateSession { timeout_ms: 4000 }),
        _ => {
            let request = random_request(dice);
            world.ask(&request)
        }
    }
}

#[test]
fn lagging_behind_changes_nothing() {
    let (mut succeeded, mut failed, mut loads) = (0, 0, 0);
    for seed in 1..=60 {
        let (mut at_once, mut lagging) = (start(), start());
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let mut lag = Dice(seed);
        for at in 0..400 {
            let fork = dice.0;
            let expected = step(&mut at_once, &mut dice);
            let closes = matches!(expected.entry.txn, Txn::CloseSession(_));
            at_once.settle();
            let found = step(&mut lagging, &mut Dice(fork));
            assert_eq!(found, expected, "seed {seed}, step {at}");
            match expected.code {
                Code::Ok => succeeded += 1,
                _ => failed += 1,
            }
            // A session that is outstanding in its end refuses writes, which an applied one no longer does.
            if closes || lagging.outstanding.len() > 50 {
                lagging.settle();
            }
            for _ in 0..lag.roll(3) {
                lagging.apply_one();
            }
            if lag.roll(20) == 0 {
                forget(&mut lagging);
            }
        }
        lagging.settle();
        assert_eq!(lagging.tree.digest(), at_once.tree.digest());
        loads += lagging.store.loads.load(std::sync::atomic::Ordering::Relaxed);
    }
    assert!(succeeded > 5000 && failed > 5000, "{succeeded} succeeded, {failed} failed");
    assert!(loads > 1000, "{loads} times something was missing in memory");
}

/// Puts everything into the store and most of it out of memory.
fn forget(world: &mut World) {
    tests::checkpoint(&mut world.tree, &world.store);
    world.tree.evict(usize::MAX, 1000);
}
