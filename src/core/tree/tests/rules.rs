//! One test per rule of applying.

use super::*;
use crate::tree::{Committed, EventKind};
use zorilla_protocol::txn::*;

fn events(applied: &Applied) -> Vec<(EventKind, &str)> {
    applied.events.iter().map(|event| (event.kind, &*event.path)).collect()
}

/// cversion as stored, pzxid.
fn stored(tree: &Tree, path: &str) -> (i32, i64) {
    let stat = &tree.node(path).unwrap().stat;
    (stat.cversion, stat.pzxid.0)
}

#[test]
fn a_fresh_tree_is_apaches() {
    let (mut tree, _) = fresh();
    assert_eq!((tree.digest(), tree.znode_count(), tree.data_bytes()), (1_371_985_504, 4, 44));
    for (path, cversion, aversion, num_children) in
        [("/", -1, 0, 1), ("/zookeeper", -2, 0, 2), ("/zookeeper/quota", 0, 0, 0), ("/zookeeper/config", 0, -1, 0)]
    {
        let expected = Stat { cversion, aversion, num_children, ..Stat::default() };
        assert_eq!(stat(&mut tree, path), Some(expected), "{path}");
    }
    assert_eq!(tree.node("/zookeeper/config").unwrap().acl.as_deref(), Some(&[acl(1, "world", "anyone")][..]));
}

#[test]
fn stats_follow_the_table() {
    let (mut tree, _) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/p", "", 1)));
    apply(&mut tree, 2, &Txn::Create(create("/p/a", "x", 1)));
    apply(&mut tree, 3, &Txn::Create(create("/p/b", "", 2)));
    apply(&mut tree, 4, &delete("/p/a"));
    let at = |zxid: i64| (Zxid(zxid), 1000 + zxid);
    let ((czxid, ctime), (pzxid, _)) = (at(1), at(4));
    let born =
        Stat { czxid, mzxid: czxid, ctime, mtime: ctime, pzxid, cversion: 3, num_children: 1, ..Stat::default() };
    assert_eq!(stat(&mut tree, "/p"), Some(born.clone()));
    let result = apply(&mut tree, 5, &set_data("/p", "hello", 1)).result;
    let changed = Stat { mzxid: Zxid(5), mtime: 1005, version: 1, data_length: 5, ..born };
    assert_eq!(result, TxnResult::SetData { stat: changed.clone() });
    let set_acl = SetAclTxn { path: "/p".into(), acl: Some(vec![acl(1, "world", "anyone")]), version: 1 };
    let applied = apply(&mut tree, 6, &Txn::SetAcl(set_acl));
    assert_eq!(applied.result, TxnResult::SetAcl { stat: Stat { aversion: 1, ..changed } });
    assert_eq!(applied.events, []);
}

/// Whoever wrote it: the parts before its error are answered with OK, those behind it with -2.
#[test]
fn a_multi_with_an_error_changes_nothing() {
    let (mut tree, _) = fresh();
    let digest = apply(&mut tree, 1, &Txn::Create(create("/a", "", 1))).digest;
    let error = |err| Txn::Error(ErrorTxn { err });
    let parts = vec![delete("/a"), error(-110), set_data("/a", "x", 1), error(-2)];
    let applied = apply(&mut tree, 2, &Txn::Multi(parts));
    assert_eq!(applied.result, TxnResult::Multi([0, -110, -2, -2].map(TxnResult::Error).to_vec()));
    assert_eq!((applied.events, applied.digest), (vec![], digest));
}

#[test]
fn owners_are_those_of_the_txn() {
    let (mut tree, _) = fresh();
    let container = CreateContainerTxn { path: "/c".into(), data: None, acl: None, parent_cversion: 1 };
    let ttl = CreateTtlTxn { path: "/t".into(), data: None, acl: None, parent_cversion: 2, ttl: 60_000 };
    apply(&mut tree, 1, &Txn::CreateContainer(container));
    apply(&mut tree, 2, &Txn::CreateTtl(ttl));
    apply(&mut tree, 3, &Txn::Create2(CreateTxn { ephemeral: true, ..create("/e", "", 3) }));
    let owner = |path| tree.node(path).unwrap().owner();
    assert_eq!(
        (owner("/c"), owner("/t"), owner("/e")),
        (Owner::Container, Owner::Ttl(60_000), Owner::Session(SESSION))
    );
    assert_eq!((tree.container_count(), tree.ttl_count(), tree.ephemeral_count()), (1, 1, 1));
    assert_eq!(tree.ephemerals(SESSION), ["/e".into()]);
    for (zxid, path) in [(4, "/c"), (5, "/t"), (6, "/e")] {
        apply(&mut tree, zxid, &delete(path));
    }
    assert_eq!((tree.container_count(), tree.ttl_count(), tree.ephemeral_count()), (0, 0, 0));
}

#[test]
fn replaying_a_create_changes_the_acl_and_never_moves_the_parent_back() {
    let (mut tree, _) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/a", "x", 1)));
    apply(&mut tree, 2, &Txn::Create(create("/b", "", 2)));
    let again = CreateTxn { acl: Some(vec![acl(1, "world", "anyone")]), ..create("/a", "y", 1) };
    let applied = apply(&mut tree, 1, &Txn::Create(again));
    assert_eq!((code_of(&applied), events(&applied)), (-110, vec![]));
    assert_eq!(tree.node("/a").unwrap().acl.as_deref(), Some(&[acl(1, "world", "anyone")][..]));
    assert_eq!(tree.node("/a").unwrap().data.as_deref(), Some(&b"x"[..]));
    assert_eq!((stored(&tree, "/"), tree.last_zxid()), ((2, 2), Zxid(2)));
    // Only plain creates raise it.
    apply(&mut tree, 9, &Txn::Create2(create("/a", "", 7)));
    assert_eq!(stored(&tree, "/"), (2, 2));
    apply(&mut tree, 9, &Txn::Create(create("/a", "", 7)));
    assert_eq!(stored(&tree, "/"), (7, 9));
    apply(&mut tree, 10, &Txn::Create(create("/a", "", -1)));
    assert_eq!(stored(&tree, "/"), (8, 10), "-1 stands for one more");
}

#[test]
fn a_create_behind_the_parents_cversion_leaves_it_and_its_pzxid() {
    let (mut tree, _) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/a", "", 5)));
    apply(&mut tree, 2, &Txn::Create(create("/b", "", 3)));
    assert_eq!(stored(&tree, "/"), (5, 1));
    assert_eq!(tree.node("/").unwrap().num_children, 3);
}

#[test]
fn what_is_missing_is_no_node() {
    let (mut tree, _) = fresh();
    let set_acl = Txn::SetAcl(SetAclTxn { path: "/x".into(), acl: None, version: 1 });
    for txn in [Txn::Create(create("/x/y", "", 1)), delete("/x/y"), delete("/x"), set_data("/x", "", 1), set_acl] {
        let applied = apply(&mut tree, 1, &txn);
        assert_eq!((code_of(&applied), events(&applied)), (-101, vec![]), "{txn:?}");
    }
}

#[test]
fn a_delete_raises_pzxid_even_if_the_node_is_gone() {
    let (mut tree, _) = fresh();
    apply(&mut tree, 5, &Txn::Create(create("/a", "", 1)));
    apply(&mut tree, 6, &delete("/gone"));
    assert_eq!(stored(&tree, "/"), (1, 6));
    apply(&mut tree, 3, &delete("/a"));
    assert_eq!(stored(&tree, "/"), (1, 6), "only if larger");
    assert_eq!(stat(&mut tree, "/").unwrap().num_children, 1);
}

#[test]
fn replaying_the_deletion_of_a_node_that_has_children_by_now_leaves_no_orphans() {
    let (mut tree, _) = fresh();
    let history = [
        Txn::Create(create("/p", "", 1)),
        delete("/p"),
        Txn::Create(create("/p", "", 2)),
        Txn::Create(create("/p/c", "", 1)),
        Txn::Create(create("/p/c/d", "x", 1)),
    ];
    for _ in 0..2 {
        for (zxid, txn) in (1..).zip(&history) {
            apply(&mut tree, zxid, txn);
        }
        assert_eq!(stat(&mut tree, "/p").unwrap().num_children, 1);
        assert_eq!(stat(&mut tree, "/p/c").unwrap().num_children, 1);
        assert_eq!((tree.znode_count(), stored(&tree, "/p")), (7, (1, 4)));
    }
}

#[test]
fn events_come_in_order_with_the_acls_that_guard_them() {
    let (mut tree, _) = fresh();
    let secret = vec![acl(1, "digest", "u:h")];
    apply(&mut tree, 1, &Txn::Create(CreateTxn { acl: Some(secret.clone()), ..create("/p", "", 1) }));
    let multi = Txn::Multi(vec![
        Txn::Create(create("/p/c", "", 1)),
        set_data("/p", "x", 1),
        Txn::Check(CheckVersionTxn { path: "/p".into(), version: 2 }),
        delete("/p/c"),
    ]);
    let applied = apply(&mut tree, 2, &multi);
    assert_eq!(
        events(&applied),
        [(EventKind::Created, "/p/c"), (EventKind::DataChanged, "/p"), (EventKind::Deleted, "/p/c")]
    );
    let acls: Vec<_> = applied.events.iter().map(|event| (event.acl.is_some(), event.parent_acl.as_deref())).collect();
    assert_eq!(acls, [(false, Some(&secret[..])), (true, None), (false, Some(&secret[..]))]);
    let TxnResult::Multi(results) = applied.result else { panic!() };
    let TxnResult::SetData { stat } = &results[1] else { panic!() };
    assert_eq!((stat.num_children, stat.cversion), (1, 1), "children are counted at that moment");
    assert_eq!(results[2..], [TxnResult::Check, TxnResult::Delete]);
}

#[test]
fn a_multi_with_an_error_applies_nothing() {
    let (mut tree, _) = fresh();
    let before = tree.digest();
    let error = |err| Txn::Error(ErrorTxn { err });
    let applied = apply(&mut tree, 1, &Txn::Multi(vec![Txn::Create(create("/a", "", 1)), error(-101), error(-2)]));
    let codes = [0, -101, -2].map(TxnResult::Error);
    assert_eq!(applied, Applied { result: TxnResult::Multi(codes.into()), events: vec![], digest: before });
    assert_eq!((tree.znode_count(), tree.last_zxid()), (4, Zxid(1)));
}

#[test]
fn close_session_deletes_the_list_in_order_then_what_is_left() {
    let (mut tree, _) = fresh();
    apply(&mut tree, 1, &Txn::CreateSession(CreateSessionTxn { time_out_ms: 5000 }));
    assert_eq!(tree.sessions().collect::<Vec<_>>(), [(SESSION, 5000)]);
    for (zxid, path) in (2..).zip(["/a", "/b", "/c"]) {
        apply(&mut tree, zxid, &Txn::Create(CreateTxn { ephemeral: true, ..create(path, "", zxid as i32) }));
    }
    let paths_to_delete = vec!["/c".to_owned(), "/gone".into(), "/a".into()];
    let applied = apply(&mut tree, 5, &Txn::CloseSession(Some(CloseSessionTxn { paths_to_delete })));
    let gone = ["/c", "/a", "/b"].map(|path| (EventKind::Deleted, path));
    assert_eq!(events(&applied), gone);
    assert_eq!((tree.sessions().count(), tree.ephemeral_count(), stored(&tree, "/").1), (0, 0, 5));
}

#[test]
fn quota_statistics_follow_changes_without_a_trace_in_the_stat() {
    let (mut tree, _) = fresh();
    let limits = "/zookeeper/quota/q/zookeeper_limits";
    let stats = "/zookeeper/quota/q/zookeeper_stats";
    apply(&mut tree, 1, &Txn::Create(create("/q", "12345", 1)));
    apply(&mut tree, 2, &Txn::Create(create("/q/a", "6", 1)));
    apply(&mut tree, 3, &Txn::Create(create("/zookeeper/quota/q", "", 1)));
    apply(&mut tree, 4, &Txn::Create(create(limits, "count=3,bytes=10", 1)));
    apply(&mut tree, 5, &Txn::Create(create(stats, "nonsense", 2)));
    let born = stat(&mut tree, stats).unwrap();
    let text = |tree: &Tree| String::from_utf8(tree.node(stats).unwrap().data.as_ref().unwrap().to_vec()).unwrap();
    assert_eq!(text(&tree), "count=2,bytes=6", "counted when the node is created");
    assert_eq!(tree.quota_root("/q/a/b").as_deref(), Some("/q"));
    assert_eq!(tree.quota_root("/qa"), None);
    let applied = apply(&mut tree, 6, &Txn::Create(create("/q/b", "xy", 2)));
    assert_eq!(events(&applied), [(EventKind::Created, "/q/b")]);
    assert_eq!(text(&tree), "count=3,bytes=8");
    apply(&mut tree, 7, &set_data("/q/b", "", 1));
    assert_eq!(text(&tree), "count=3,bytes=6");
    apply(&mut tree, 8, &delete("/q/a"));
    assert_eq!(text(&tree), "count=2,bytes=5");
    let now = stat(&mut tree, stats).unwrap();
    assert_eq!(now, Stat { data_length: 15, ..born });
    // Only the deepest quota counts.
    apply(&mut tree, 9, &Txn::Create(create("/zookeeper/quota/q/b", "", 3)));
    apply(&mut tree, 10, &Txn::Create(create("/zookeeper/quota/q/b/zookeeper_limits", "", 1)));
    apply(&mut tree, 11, &Txn::Create(create("/q/b/c", "xyz", 1)));
    assert_eq!((text(&tree), tree.quota_root("/q/b/c").as_deref()), ("count=2,bytes=5".into(), Some("/q/b")));
    apply(&mut tree, 12, &delete("/zookeeper/quota/q/b/zookeeper_limits"));
    assert_eq!(tree.quota_root("/q/b/c").as_deref(), Some("/q"));
    apply(&mut tree, 13, &delete(limits));
    apply(&mut tree, 14, &delete("/q/b/c"));
    assert_eq!((text(&tree), tree.quota_root("/q")), ("count=2,bytes=5".into(), None));
}

#[test]
fn a_quota_on_the_root_counts_and_limits_nothing() {
    let (mut tree, _) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/zookeeper/quota/zookeeper_limits", "", 1)));
    assert_eq!(tree.quota_root("/a"), None);
    apply(&mut tree, 2, &Txn::Create(create("/zookeeper/quota/zookeeper_stats", "", 2)));
    let data = tree.node("/zookeeper/quota/zookeeper_stats").unwrap().data.clone().unwrap();
    assert_eq!(&*data, b"count=6,bytes=0");
}

#[test]
fn limits_keep_their_other_keys() {
    let track = crate::tree::quota::StatsTrack::parse(b"count=3,bytes=10=;byteHardLimit=20;countHardLimit=4");
    assert_eq!((track.count, track.bytes), (3, 10));
    assert_eq!(track.others, [("byteHardLimit".to_owned(), 20), ("countHardLimit".to_owned(), 4)]);
    assert_eq!(track.to_text(), "count=3,bytes=10=;byteHardLimit=20;countHardLimit=4");
}

#[test]
fn digests_are_remembered_every_128_zxids_and_1024_times() {
    let (mut tree, _) = fresh();
    for zxid in 1..=128 * 1026 {
        apply(&mut tree, zxid, &Txn::Error(ErrorTxn { err: -101 }));
    }
    let history: Vec<_> = tree.digest_history().collect();
    assert_eq!((history.len(), history[0].0, history[1023].0), (1024, Zxid(128 * 3), Zxid(128 * 1026)));
    assert_eq!(history[0].1, tree.digest());
}

#[test]
fn equal_acls_share_one_list_and_the_open_one_is_none() {
    let (mut tree, _) = fresh();
    let list = || Some(vec![acl(1, "digest", "u:h")]);
    apply(&mut tree, 1, &Txn::Create(CreateTxn { acl: list(), ..create("/a", "", 1) }));
    apply(&mut tree, 2, &Txn::Create(CreateTxn { acl: list(), ..create("/b", "", 2) }));
    apply(&mut tree, 3, &Txn::Create(CreateTxn { acl: Some(vec![acl(31, "world", "anyone")]), ..create("/c", "", 3) }));
    apply(&mut tree, 4, &Txn::Create(CreateTxn { acl: Some(vec![]), ..create("/d", "", 4) }));
    let of = |path: &str| tree.node(path).unwrap().acl.clone();
    assert!(Arc::ptr_eq(&of("/a").unwrap(), &of("/b").unwrap()));
    assert_eq!((of("/c"), of("/d").as_deref()), (None, Some(&[][..])));
}

#[test]
fn reaping_takes_used_empty_containers_and_expired_ttls() {
    let (mut tree, store) = fresh();
    let container = |path: &str, parent_cversion| {
        Txn::CreateContainer(CreateContainerTxn { path: path.into(), data: None, acl: None, parent_cversion })
    };
    apply(&mut tree, 1, &container("/new", 1));
    apply(&mut tree, 2, &container("/used", 2));
    apply(&mut tree, 3, &container("/full", 3));
    apply(&mut tree, 4, &Txn::Create(create("/used/x", "", 1)));
    apply(&mut tree, 5, &Txn::Create(create("/full/x", "", 1)));
    apply(&mut tree, 6, &delete("/used/x"));
    let ttl = CreateTtlTxn { path: "/ttl".into(), data: None, acl: None, parent_cversion: 4, ttl: 100 };
    apply(&mut tree, 7, &Txn::CreateTtl(ttl));
    let due = |tree: &Tree, now_ms, max| {
        let scan = tree.reap_scan(now_ms, max);
        let due = scan.finish(&**tree.cold(), now_ms, max).unwrap();
        due.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(due(&tree, 1107, 0), ["/used"], "a TTL must have passed, not just be reached");
    assert_eq!(due(&tree, 1108, 0), ["/used", "/ttl"]);
    assert_eq!(due(&tree, 1108, 107), ["/used", "/ttl"]);
    assert_eq!(due(&tree, 1109, 107), ["/new", "/used", "/ttl"]);
    checkpoint(&mut tree, &store);
    let reopened = Tree::open(store.header(), store.clone(), 1).unwrap();
    assert_eq!(due(&reopened, 1109, 107), ["/new", "/used", "/ttl"], "judged from the store");
    assert_eq!(reopened.resident_entries(), 0);
}
