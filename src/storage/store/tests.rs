use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use zorilla_core::tree::Owner;
use zorilla_core::tree::cold::DirtyNode;
use zorilla_protocol::records::{Acl, Id, StatPersisted};
use zorilla_protocol::{SessionId, Zxid};

const MEMORY: usize = 32 << 20;

fn znode(path: &str, zxid: i64, data: Option<&[u8]>) -> Znode {
    let stat = StatPersisted { mzxid: Zxid(zxid), version: -3, ephemeral_owner: 7, ..StatPersisted::default() };
    Znode {
        stat,
        num_children: 2,
        prefix_crc: Znode::crc_of(path, data),
        digest: 0,
        acl: None,
        data: data.map(Arc::from),
    }
}

fn dirty(path: &str, znode: Option<Znode>) -> DirtyNode {
    DirtyNode { path: path.into(), znode: znode.map(Arc::new), data_changed: true }
}

fn checkpoint(generation: u32, nodes: Vec<DirtyNode>) -> Checkpoint {
    Checkpoint { generation, zxid: Zxid(i64::from(generation)), nodes, ..Checkpoint::default() }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, MEMORY).unwrap()
}

#[test]
fn a_node_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let big = vec![9; 100_000];
    let acl = Acl { perms: 5, id: Id { scheme: Some("digest".into()), id: Some("bob:x".into()) } };
    let mut guarded = znode("/guarded", 4, Some(b"x"));
    guarded.acl = Some([acl].into());
    let nodes = [
        ("/", znode("/", 1, Some(b""))),
        ("/null", znode("/null", 2, None)),
        ("/big", znode("/big", 3, Some(&big))),
        ("/edge", znode("/edge", 3, Some(&big[..2048]))),
        ("/over", znode("/over", 3, Some(&big[..2049]))),
        ("/guarded", guarded),
    ];
    let store = open(dir.path());
    store.write(&checkpoint(1, nodes.iter().map(|(path, znode)| dirty(path, Some(znode.clone()))).collect())).unwrap();
    drop(store);
    let store = open(dir.path());
    for (path, expected) in nodes {
        assert_eq!(store.load(path).unwrap().as_ref(), Some(&expected), "{path}");
    }
    assert_eq!(store.load("/none").unwrap(), None);
}

#[test]
fn children_are_ordered_and_never_a_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let paths = ["/", "/a", "/a/z", "/a/b", "/a/b/deep", "/ab", "/ab/x", "/a-", "/a-/y", "/a/\u{e9}"];
    store.write(&checkpoint(1, paths.iter().map(|path| dirty(path, Some(znode(path, 1, None)))).collect())).unwrap();
    let names = |parent| store.child_names(parent).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names("/"), ["a", "a-", "ab"]);
    assert_eq!(names("/a"), ["b", "z", "\u{e9}"]);
    assert_eq!(names("/ab"), ["x"]);
    assert_eq!(names("/a/z"), [""; 0]);
    store.write(&checkpoint(2, vec![dirty("/a/b", None)])).unwrap();
    assert_eq!(names("/a"), ["z", "\u{e9}"]);
    assert_eq!(store.load("/a/b").unwrap(), None);
}

#[test]
fn unchanged_data_is_not_rewritten_and_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let big = vec![1; 5000];
    store.write(&checkpoint(1, vec![dirty("/n", Some(znode("/n", 1, Some(&big))))])).unwrap();
    // A lie about the data shows who believes the flag.
    let mut node = dirty("/n", Some(znode("/n", 2, Some(&vec![2; 5000]))));
    node.data_changed = false;
    store.write(&checkpoint(2, vec![node])).unwrap();
    let error = store.load("/n").unwrap_err().to_string();
    assert!(error.contains("/n is damaged"), "the old data under the new checksum must be noticed: {error}");
    store.write(&checkpoint(3, vec![dirty("/n", Some(znode("/n", 3, Some(&big))))])).unwrap();
    assert_eq!(store.load("/n").unwrap().unwrap().data.as_deref(), Some(big.as_slice()));
}

#[test]
fn the_header_brings_back_sessions_and_owners() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.header().unwrap(), None, "a fresh store has none");
    let owners = [Owner::Session(SessionId(-5)), Owner::Container, Owner::Ttl(9000)];
    let first = Checkpoint {
        generation: 1,
        zxid: Zxid(77),
        digest: -8,
        znodes: 3,
        data_bytes: 99,
        sessions: vec![(SessionId(-5), Some(4000)), (SessionId(6), Some(1))],
        owned: owners.iter().map(|owner| (*owner, Arc::from("/o"), true)).collect(),
        nodes: vec![],
    };
    store.write(&first).unwrap();
    let second = Checkpoint {
        generation: 2,
        zxid: Zxid(78),
        sessions: vec![(SessionId(6), None)],
        owned: vec![(Owner::Container, Arc::from("/o"), false)],
        ..first.clone()
    };
    store.write(&second).unwrap();
    drop(store);
    let header = open(dir.path()).header().unwrap().unwrap();
    assert_eq!((header.zxid, header.digest, header.znodes, header.data_bytes), (Zxid(78), -8, 3, 99));
    assert_eq!(header.sessions, [(SessionId(-5), 4000)]);
    let mut owned = header.owned;
    owned.sort_by_key(|(owner, _)| owner.raw());
    assert_eq!(owned.len(), 2);
    assert!(owned.contains(&(Owner::Ttl(9000), "/o".into())) && owned.contains(&(owners[0], "/o".into())));
}

#[test]
fn the_newest_of_many_checkpoints_counts_however_they_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Some znodes change in every checkpoint, some come and go, so that tables overlap and hold deletions.
    for generation in 1..=60_u32 {
        let always = dirty("/always", Some(znode("/always", i64::from(generation), Some(&[generation as u8; 3000]))));
        let path = format!("/comes{}", generation % 7);
        let comes = dirty(&path, (generation % 2 == 0).then(|| znode(&path, i64::from(generation), Some(b"x"))));
        let own = format!("/own{generation}");
        let own = dirty(&own, Some(znode(&own, i64::from(generation), None)));
        store.write(&checkpoint(generation, vec![always, comes, own])).unwrap();
    }
    let check = |store: &Store| {
        assert_eq!(store.header().unwrap().unwrap().zxid, Zxid(60));
        let always = store.load("/always").unwrap().unwrap();
        assert_eq!((always.stat.mzxid, always.data.as_deref()), (Zxid(60), Some([60; 3000].as_slice())));
        for generation in 54..=60_i64 {
            let comes = store.load(&format!("/comes{}", generation % 7)).unwrap();
            assert_eq!(comes.map(|node| node.stat.mzxid.0), (generation % 2 == 0).then_some(generation));
        }
        assert!((1..=60).all(|generation| store.load(&format!("/own{generation}")).unwrap().is_some()));
    };
    check(&store);
    drop(store);
    std::fs::write(dir.path().join(NEW_TABLE), b"what a crash left").unwrap();
    check(&open(dir.path()));
    assert!(!dir.path().join(NEW_TABLE).exists());
}

#[test]
fn a_store_that_is_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    assert!(Store::open(dir.path(), MEMORY).is_err());
}

/// Set for the child process of the crash test: where to write until killed.
const CRASH_DIR: &str = "ZORILLA_STORE_CRASH_DIR";
const CRASH_NODES: usize = 200;

/// Not a test by itself: the process that [`whatever_a_crash_leaves_is_one_checkpoint`] kills.
#[test]
fn crashing_writer() {
    let Some(dir) = std::env::var_os(CRASH_DIR) else { return };
    let store = open(Path::new(&dir));
    for generation in store.header().unwrap().map_or(1, |header| header.zxid.0 as u32 + 1).. {
        let data = vec![generation as u8; 3000];
        let nodes = (0..CRASH_NODES).map(|i| {
            let path = format!("/n{i}");
            dirty(&path, Some(znode(&path, i64::from(generation), Some(&data))))
        });
        store.write(&checkpoint(generation, nodes.collect())).unwrap();
        println!("durable {generation}");
    }
}

#[test]
fn whatever_a_crash_leaves_is_one_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "storage::store::tests::crashing_writer", "--nocapture"])
            .env(CRASH_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut durable = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(generation) = line.rsplit("durable ").next().and_then(|n| n.parse::<i64>().ok()) {
                durable = generation;
                if generation % 5 == 4 {
                    // Somewhere inside the next write.
                    std::thread::sleep(std::time::Duration::from_micros(700 * round));
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(dir.path());
        let zxid = store.header().unwrap().unwrap().zxid;
        assert!(zxid.0 >= durable, "checkpoint {durable} was durable, the store is at {zxid}");
        for i in 0..CRASH_NODES {
            let node = store.load(&format!("/n{i}")).unwrap().unwrap();
            assert_eq!(node.stat.mzxid, zxid, "/n{i} is of another checkpoint than the header");
        }
    }
}

#[test]
fn a_store_without_its_list_of_tables_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.write(&checkpoint(1, vec![dirty("/a", Some(znode("/a", 1, Some(b"x"))))])).unwrap();
    drop(store);
    let tables = || {
        std::fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .map(|f| f.file_name())
            .filter(|n| n.to_string_lossy().ends_with(".sst"))
            .count()
    };
    let before = tables();
    assert!(before > 0);
    std::fs::rename(dir.path().join("CURRENT"), dir.path().join("away")).unwrap();
    let refused = Store::open(dir.path(), MEMORY).err().unwrap().to_string();
    assert!(refused.contains("CURRENT is missing") && refused.contains("Restore the data directory"), "{refused}");
    assert_eq!(tables(), before);
    std::fs::rename(dir.path().join("away"), dir.path().join("CURRENT")).unwrap();
    assert_eq!(open(dir.path()).header().unwrap().unwrap().zxid, Zxid(1));
}
