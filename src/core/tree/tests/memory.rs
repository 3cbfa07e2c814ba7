//! What memory knows, what it asks the store for, what it writes and what it drops.

use super::*;
use crate::tree::quota::QuotaSums;
use crate::tree::{Committed, Lookup};
use std::collections::BTreeMap;
use zorilla_protocol::txn::*;

fn kind(tree: &Tree, path: &str) -> &'static str {
    match tree.lookup(path) {
        Lookup::Hit(..) => "hit",
        Lookup::Absent => "absent",
        Lookup::Cold => "cold",
    }
}

/// `/p` with children `a`, `b`, `c`, all in the store, nothing in memory.
fn stored() -> (Tree, Arc<Store>) {
    let (mut tree, store) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/p", "data", 1)));
    for (zxid, name) in (2..).zip(["a", "b", "c"]) {
        apply(&mut tree, zxid, &Txn::Create(create(&format!("/p/{name}"), name, zxid as i32 - 1)));
    }
    checkpoint(&mut tree, &store);
    (Tree::open(store.header(), store.clone(), 2).unwrap(), store)
}

fn children(tree: &mut Tree, path: &str) -> Vec<String> {
    let request =
        Request::GetChildren(zorilla_protocol::records::GetChildrenRequest { path: path.into(), watch: false });
    let (code, body) = read_all(tree, &request);
    assert_eq!(code, Code::Ok);
    let response: zorilla_protocol::records::GetChildrenResponse = zorilla_protocol::jute::from_bytes(&body).unwrap();
    let mut names = response.children.unwrap();
    names.sort();
    names
}

#[test]
fn memory_that_knows_nothing_asks() {
    let (mut tree, _) = stored();
    assert_eq!((kind(&tree, "/p"), kind(&tree, "/p/a"), kind(&tree, "")), ("cold", "cold", "cold"));
    fault_in(&mut tree, &Miss::Node("/p".into()));
    assert_eq!((kind(&tree, "/p"), kind(&tree, "/p/a"), kind(&tree, "/p/x")), ("hit", "cold", "cold"));
    fault_in(&mut tree, &Miss::Node("/p/x".into()));
    assert_eq!((kind(&tree, "/p/x"), kind(&tree, "/p/x/y"), kind(&tree, "/p/x/y/z")), ("absent", "absent", "absent"));
    fault_in(&mut tree, &Miss::Children("/p".into()));
    assert_eq!((kind(&tree, "/p/a"), kind(&tree, "/p/z")), ("cold", "absent"), "the list proves what is not there");
    fault_in(&mut tree, &Miss::Node("/p/a".into()));
    assert_eq!(kind(&tree, "/p/a/b"), "absent", "a node without children proves it, too");
    for junk in ["a", "//", "/p/", "/p//q", "/p/..", "/\0"] {
        assert_eq!(kind(&tree, junk), "absent", "{junk:?}");
    }
}

#[test]
fn a_fresh_tree_never_asks() {
    let (mut tree, store) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/a", "", 1)));
    apply(&mut tree, 2, &Txn::Create(create("/a/b", "", 1)));
    apply(&mut tree, 3, &delete("/a/b"));
    assert_eq!((kind(&tree, "/a"), kind(&tree, "/a/b"), kind(&tree, "/x")), ("hit", "absent", "absent"));
    assert_eq!(store.loads.load(Ordering::Relaxed), 0);
}

#[test]
fn changes_lie_over_the_stores_list() {
    let (mut tree, store) = stored();
    apply(&mut tree, 5, &Txn::Create(create("/p/d", "", 4)));
    apply(&mut tree, 6, &delete("/p/b"));
    assert_eq!(children(&mut tree, "/p"), ["a", "c", "d"]);
    assert_eq!(stat(&mut tree, "/p").unwrap().num_children, 3);
    checkpoint(&mut tree, &store);
    let mut reopened = Tree::open(store.header(), store.clone(), 3).unwrap();
    assert_eq!(children(&mut reopened, "/p"), ["a", "c", "d"]);
}

#[test]
fn a_list_loaded_before_a_checkpoint_became_durable_is_refused() {
    let (mut tree, store) = stored();
    fault_in(&mut tree, &Miss::Node("/p".into()));
    let miss = Miss::Children("/p".into());
    let token = tree.begin_fault();
    let loaded = load_miss(&*store, &miss).unwrap();
    apply(&mut tree, 5, &Txn::Create(create("/p/d", "", 4)));
    checkpoint(&mut tree, &store);
    // Now the change may be forgotten by memory, and what was loaded does not have it.
    assert!(!tree.finish_fault(token, &miss, loaded));
    assert_eq!(children(&mut tree, "/p"), ["a", "b", "c", "d"]);
}

#[test]
fn what_memory_knows_by_now_wins_over_what_was_loaded() {
    let (mut tree, store) = stored();
    let miss = Miss::Node("/p/a".into());
    let token = tree.begin_fault();
    let loaded = load_miss(&*store, &miss).unwrap();
    apply(&mut tree, 5, &delete("/p/a"));
    assert!(tree.finish_fault(token, &miss, loaded));
    assert_eq!(kind(&tree, "/p/a"), "absent");
}

#[test]
fn a_list_loaded_while_a_checkpoint_is_being_written_keeps_the_changes() {
    for written in [false, true] {
        let (mut tree, store) = stored();
        apply(&mut tree, 5, &Txn::Create(create("/p/d", "", 4)));
        let taken = tree.begin_checkpoint().unwrap();
        apply(&mut tree, 6, &delete("/p/a"));
        if written {
            store.write(&taken);
        }
        assert_eq!(children(&mut tree, "/p"), ["b", "c", "d"]);
        if !written {
            store.write(&taken);
        }
        tree.checkpoint_done(taken.generation);
        checkpoint(&mut tree, &store);
        let mut reopened = Tree::open(store.header(), store.clone(), 3).unwrap();
        assert_eq!(children(&mut reopened, "/p"), ["b", "c", "d"]);
    }
}

#[test]
fn a_checkpoint_holds_each_change_once_and_only_one_is_under_way() {
    let (mut tree, store) = fresh();
    checkpoint(&mut tree, &store);
    assert!(tree.begin_checkpoint().is_none(), "nothing is dirty");
    apply(&mut tree, 1, &Txn::CreateSession(CreateSessionTxn { time_out_ms: 9 }));
    apply(&mut tree, 2, &Txn::Create(CreateTxn { ephemeral: true, ..create("/a", "x", 1) }));
    for zxid in 3..100 {
        apply(&mut tree, zxid, &set_data("/a", &zxid.to_string(), zxid as i32));
    }
    let taken = tree.begin_checkpoint().unwrap();
    let mut paths: Vec<_> = taken.nodes.iter().map(|node| (&*node.path, node.data_changed)).collect();
    paths.sort_unstable();
    assert_eq!(paths, [("/", false), ("/a", true)]);
    assert_eq!((taken.zxid, taken.digest, taken.znodes), (Zxid(99), tree.digest(), 5));
    assert_eq!((&taken.sessions[..], taken.owned.len()), (&[(SESSION, Some(9))][..], 1));
    apply(&mut tree, 100, &delete("/a"));
    assert!(tree.begin_checkpoint().is_none(), "one is under way");
    assert!(tree.dirty_bytes() > 0);
    store.write(&taken);
    tree.checkpoint_done(taken.generation);
    let next = tree.begin_checkpoint().unwrap();
    assert!(next.nodes.iter().any(|node| &*node.path == "/a" && node.znode.is_none()));
    assert_eq!(next.owned, [(Owner::Session(SESSION), "/a".into(), false)]);
    store.write(&next);
    tree.checkpoint_done(next.generation);
    assert_eq!(tree.dirty_bytes(), 0);
    apply(&mut tree, 101, &Txn::Error(ErrorTxn { err: -101 }));
    let last = tree.begin_checkpoint().expect("the zxid moved, and with it the log that is needed");
    assert_eq!((last.zxid, last.nodes.len()), (Zxid(101), 0));
}

#[test]
fn a_stat_change_does_not_claim_the_data_changed() {
    let (mut tree, store) = stored();
    apply(&mut tree, 5, &Txn::Create(create("/p/d", "", 4)));
    let taken = tree.begin_checkpoint().unwrap();
    let changed: Vec<_> = taken.nodes.iter().map(|node| (&*node.path, node.data_changed)).collect();
    assert_eq!(changed, [("/p", false), ("/p/d", true)]);
    store.write(&taken);
    assert_eq!(store.load("/p").unwrap().unwrap().data.as_deref(), Some(&b"data"[..]));
}

#[test]
fn eviction_drops_what_is_clean_and_nothing_else() {
    let (mut tree, store) = stored();
    for name in ["a", "b", "c"] {
        stat(&mut tree, &format!("/p/{name}"));
    }
    children(&mut tree, "/p");
    apply(&mut tree, 5, &set_data("/p/b", "new", 1));
    let full = tree.resident_bytes();
    assert_eq!(tree.evict(usize::MAX, 100_000), full - tree.resident_bytes());
    assert_eq!(["/p", "/p/a", "/p/b", "/p/c"].map(|path| kind(&tree, path)), ["cold", "cold", "hit", "cold"]);
    assert_eq!(tree.node("/p/b").unwrap().data.as_deref(), Some(&b"new"[..]));
    checkpoint(&mut tree, &store);
    tree.evict(usize::MAX, 100_000);
    assert_eq!((kind(&tree, "/p/b"), tree.resident_bytes()), ("cold", 0));
    assert_eq!(children(&mut tree, "/p"), ["a", "b", "c"]);
}

#[test]
fn eviction_passes_over_what_was_used_since_the_hand_came_by() {
    let (mut tree, _) = stored();
    let names = ["/p", "/p/a", "/p/b", "/p/c"];
    for name in names {
        stat(&mut tree, name);
    }
    // The first round clears the marks and frees nothing.
    assert_eq!(tree.evict(1, tree.resident_entries()), 0);
    assert_eq!(kind(&tree, "/p/b"), "hit");
    tree.evict(usize::MAX, tree.resident_entries());
    assert_eq!(tree.resident_entries(), 1);
    assert_eq!(kind(&tree, "/p/b"), "hit");
}

#[test]
fn eviction_keeps_to_its_steps_and_its_aim() {
    let (mut tree, store) = fresh();
    for zxid in 1..=1000 {
        apply(&mut tree, zxid, &Txn::Create(create(&format!("/{zxid}"), "", zxid as i32)));
    }
    checkpoint(&mut tree, &store);
    tree.evict(usize::MAX, 1004);
    let (before, entries) = (tree.resident_bytes(), tree.resident_entries());
    assert_eq!(tree.evict(usize::MAX, 10), before - tree.resident_bytes());
    assert!(entries - tree.resident_entries() <= 10);
    let entries = tree.resident_entries();
    let freed = tree.evict(1000, 100_000);
    assert!((1000..3000).contains(&freed), "{freed}");
    assert!(entries - tree.resident_entries() < 10);
}

#[test]
fn deleted_nodes_leave_memory_once_the_store_has_forgotten_them() {
    let (mut tree, store) = fresh();
    for zxid in (1..1000).step_by(2) {
        let path = format!("/n{zxid}");
        apply(&mut tree, zxid, &Txn::Create(create(&path, "", zxid as i32)));
        apply(&mut tree, zxid + 1, &delete(&path));
    }
    assert_eq!(tree.resident_entries(), 504);
    checkpoint(&mut tree, &store);
    for zxid in 1001..1200 {
        apply(&mut tree, zxid, &Txn::Error(ErrorTxn { err: -101 }));
    }
    assert_eq!(tree.resident_entries(), 4);
    let (fresh, _) = fresh();
    assert_eq!(tree.resident_bytes(), fresh.resident_bytes(), "every byte is given back");
}

/// Deleted before one checkpoint and made again for the next, which the store holds before it says so: that it was deleted
/// once more is known in memory alone, and must not be forgotten with what the first deletion left.
#[test]
fn what_is_deleted_again_while_a_checkpoint_is_being_written_stays_deleted() {
    let (mut tree, store) = fresh();
    // Only a few remains are dropped with each txn, so that of the first to go is still there.
    let paths: Vec<String> = (0..40).map(|n| format!("/n{n}")).collect();
    let mut zxids = 1..;
    let mut run = |tree: &mut Tree, txn: &Txn| drop(apply(tree, zxids.next().unwrap(), txn));
    for path in &paths {
        run(&mut tree, &Txn::Create(create(path, "", -1)));
    }
    checkpoint(&mut tree, &store);
    // Of a tree that was opened, no list of children is complete: it would prove what is not there.
    let mut tree = Tree::open(store.header(), store.clone(), 2).unwrap();
    for path in &paths {
        run(&mut tree, &delete(path));
    }
    checkpoint(&mut tree, &store);
    run(&mut tree, &Txn::Create(create(&paths[0], "", -1)));
    store.write(&tree.begin_checkpoint().unwrap());
    run(&mut tree, &delete(&paths[0]));
    for _ in &paths {
        run(&mut tree, &Txn::Error(ErrorTxn { err: -101 }));
    }
    assert!(store.load(&paths[0]).unwrap().is_some());
    assert_eq!((stat(&mut tree, &paths[0]), tree.znode_count()), (None, 4));
}

#[test]
fn an_overlay_keeps_what_the_store_has_not() {
    let (mut tree, _) = stored();
    for zxid in 10..1000 {
        apply(&mut tree, zxid, &Txn::Create(create(&format!("/p/n{zxid}"), "", zxid as i32)));
    }
    assert_eq!(children(&mut tree, "/p").len(), 993);
}

#[test]
fn an_overlay_forgets_what_the_store_has() {
    let (mut tree, store) = stored();
    for round in 0..100 {
        for n in 0..10 {
            let zxid = 10 + round * 10 + n;
            apply(&mut tree, zxid, &Txn::Create(create(&format!("/p/n{zxid}"), "", zxid as i32)));
        }
        checkpoint(&mut tree, &store);
    }
    let entry = tree.nodes.get("/p").unwrap();
    assert!(entry.children_bytes() < 64 * 200, "{}", entry.children_bytes());
    assert_eq!(children(&mut tree, "/p").len(), 1003);
}

#[test]
fn quotas_are_known_again_after_a_restart() {
    let (mut tree, store) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/zookeeper/quota/a", "", 1)));
    apply(&mut tree, 2, &Txn::Create(create("/zookeeper/quota/a/b", "", 1)));
    apply(&mut tree, 3, &Txn::Create(create("/zookeeper/quota/a/b/zookeeper_limits", "", 1)));
    checkpoint(&mut tree, &store);
    let reopened = Tree::open(store.header(), store, 3).unwrap();
    assert_eq!(reopened.quota_root("/a/b/c").as_deref(), Some("/a/b"));
    assert_eq!(reopened.quota_root("/a"), None);
}

#[test]
fn the_quotas_below_a_child_of_the_root_are_summed_up_from_memory_and_store() {
    let (mut tree, store) = fresh();
    let limits = [
        ("a", "count=5,bytes=-1"),
        ("a/b", "count=1,bytes=2=;byteHardLimit=70;countHardLimit=-1"),
        ("c", "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=9223372036854775807"),
        ("c/d", "count=1,bytes=7"),
    ];
    let mut zxid = 0;
    for path in ["/a", "/a/b", "/c", "/c/d"] {
        zxid += 1;
        apply(&mut tree, zxid, &Txn::Create(create(path, "four", 1)));
    }
    for (path, text) in limits {
        for (name, data) in [("", ""), ("/zookeeper_limits", text), ("/zookeeper_stats", "")] {
            zxid += 1;
            apply(&mut tree, zxid, &Txn::Create(create(&format!("/zookeeper/quota/{path}{name}"), data, 1)));
        }
    }
    let expected = BTreeMap::from([
        ("a".to_owned(), QuotaSums { count_limit: 6, bytes_limit: 69, count_usage: 3, bytes_usage: 12 }),
        // As in Java, a sum beyond the largest number begins again at the least.
        ("c".to_owned(), QuotaSums { count_limit: i64::MIN, bytes_limit: 7, count_usage: 3, bytes_usage: 12 }),
    ]);
    assert_eq!(tree.quota_sums().unwrap(), expected);
    checkpoint(&mut tree, &store);
    let reopened = Tree::open(store.header(), store, 3).unwrap();
    assert_eq!(reopened.quota_sums().unwrap(), expected);
}

#[test]
fn entries_of_deleted_znodes_go_a_few_at_a_time_once_the_store_forgot_them() {
    let (mut tree, store) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/p", "", 1)));
    for n in 0..100 {
        apply(&mut tree, 2 + n, &Txn::Create(create(&format!("/p/{n}"), "", 1 + n as i32)));
    }
    checkpoint(&mut tree, &store);
    for n in 0..100 {
        apply(&mut tree, 102 + n, &delete(&format!("/p/{n}")));
    }
    assert!(!tree.drop_tombstones(1000));
    let entries = tree.resident_entries();
    assert_eq!(kind(&tree, "/p/7"), "absent", "the store still has it");
    checkpoint(&mut tree, &store);
    assert!(tree.drop_tombstones(60));
    assert!(!tree.drop_tombstones(60));
    assert_eq!(tree.resident_entries(), entries - 100);
    assert_eq!(kind(&tree, "/p/7"), "absent");
}
