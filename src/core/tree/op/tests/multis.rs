use super::*;
use crate::auth::perm;
use zorilla_protocol::Malformed;
use zorilla_protocol::irregular::{MultiOp, MultiRequest};
use zorilla_protocol::records::{CheckVersionRequest, GetChildrenRequest, GetDataRequest, Id};
use zorilla_protocol::txn::{CheckVersionTxn, ErrorTxn};

fn multi(ops: Vec<MultiOp>) -> Request {
    Request::Multi(Ok(MultiRequest { ops }))
}

fn op_create(path: &str, flags: i32) -> MultiOp {
    MultiOp::Create(create_request(path, flags))
}

fn op_set(path: &str, version: i32) -> MultiOp {
    MultiOp::SetData(SetDataRequest { path: Some(path.into()), data: bytes("set"), version })
}

fn op_check(path: &str, version: i32) -> MultiOp {
    MultiOp::Check(CheckVersionRequest { path: path.into(), version })
}

fn op_delete(path: &str) -> MultiOp {
    MultiOp::Delete(DeleteRequest { path: path.into(), version: -1 })
}

fn parts(prepared: &Prepared) -> &[Txn] {
    match &prepared.entry.txn {
        Txn::Multi(parts) => parts,
        other => panic!("{other:?}"),
    }
}

/// Types of the parts, and the codes of errors.
fn shape(prepared: &Prepared) -> Vec<(i32, i32)> {
    let code = |part: &Txn| match part {
        Txn::Error(error) => error.err,
        _ => 0,
    };
    parts(prepared).iter().map(|part| (part.kind(), code(part))).collect()
}

#[test]
fn later_operations_see_earlier_ones() {
    let mut world = World::new();
    let prepared = world.ask(&multi(vec![
        op_create("/p", 0),
        op_create("/p/s-", 2),
        op_create("/p/s-", 2),
        op_set("/p", 0),
        op_check("/p", 1),
        op_set("/p", 1),
        op_delete("/p/s-0000000000"),
        MultiOp::Create2(create_request("/p/two", 0)),
    ]));
    assert_eq!(prepared.code, Code::Ok);
    assert_eq!(shape(&prepared).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [1, 1, 1, 5, 13, 5, 2, 15]);
    assert_eq!(path_of(&parts(&prepared)[2]), "/p/s-0000000001");
    // The txn of a check holds the version behind the checked one.
    assert_eq!(parts(&prepared)[4], Txn::Check(CheckVersionTxn { path: "/p".into(), version: 2 }));
    world.settle();
    assert_eq!(world.node("/p").unwrap().stat.version, 2);
    assert_eq!(world.node("/p").unwrap().num_children, 2);
}

#[test]
fn a_failed_multi_keeps_what_succeeded_and_takes_back_its_own_changes_only() {
    let mut world = World::new();
    world.ask(&create("/p", 0));
    world.ask(&set_data("/p", "outstanding", 0));
    let before = world.ask(&create("/p/s-", 2)).entry.digest;
    let failed = world.ask(&multi(vec![
        op_set("/p", 1),
        op_create("/p/s-", 2),
        op_create("/p/e", 1),
        op_delete("/none"),
        op_create("/late", 0),
    ]));
    assert_eq!(failed.code, Code::Ok, "the reply's header has no error");
    assert_eq!(shape(&failed), [(5, 0), (1, 0), (1, 0), (-1, -101), (-1, -2)]);
    assert_eq!(failed.entry.digest, before, "the digest of the state before");
    assert_eq!(failed.entry.header.kind, 14);
    let next = world.ask(&create("/p/s-", 2));
    assert_eq!(path_of(&next.entry.txn), "/p/s-0000000001", "no number was used up");
    assert_eq!(world.ask(&set_data("/p", "x", 1)).code, Code::Ok, "the version of before");
    let Txn::CloseSession(Some(closed)) = world.prepare(Write::CloseSession).entry.txn else { panic!("a list") };
    assert!(closed.paths_to_delete.is_empty(), "{closed:?}");
    world.settle();
    assert_eq!(world.node("/p/e"), None);
}

#[test]
fn flags_decide_the_kind_inside_a_multi() {
    let mut world = World::new();
    let ttl = |path: &str, flags| MultiOp::CreateTtl(ttl_request(path, flags, 5000));
    let container = |path: &str, flags| MultiOp::CreateContainer(create_request(path, flags));
    for (op, kind) in [
        (op_create("/a", 4), 19),
        (MultiOp::Create2(create_request("/b", 4)), 19),
        (MultiOp::Create2(create_request("/b2", 0)), 15),
        (container("/c0", 0), 19),
        (container("/c1", 1), 19),
        (container("/c2", 2), 19),
        (container("/c3", 3), 19),
        (container("/c4", 4), 19),
        (ttl("/t0", 0), 1),
        (ttl("/t1", 1), 1),
        (ttl("/t4", 4), 19),
        (ttl("/t5", 5), 21),
        (ttl("/t6", 6), 21),
    ] {
        let prepared = world.ask(&multi(vec![op.clone()]));
        assert_eq!(shape(&prepared), [(kind, 0)], "{op:?}");
        world.settle();
    }
    let bad_ttl = MultiOp::CreateTtl(ttl_request("/x", 5, 0));
    assert_eq!(shape(&world.ask(&multi(vec![bad_ttl]))), [(-1, -8)]);
    assert_eq!(shape(&world.ask(&multi(vec![ttl("/x", 9)]))), [(-1, -8)]);
}

#[test]
fn what_cannot_be_read_fails_the_whole_request() {
    let mut world = World::new();
    let null_id = Acl { perms: 1, id: Id { scheme: Some("digest".into()), id: None } };
    let unreadable = [
        multi(vec![op_create("/a", 0), op_create("/b", 7)]),
        multi(vec![op_create("/a", 0), op_create("/b", 5)]),
        multi(vec![op_create("/a", 0), MultiOp::Create2(create_request("/b", 6))]),
        multi(vec![op_create("/a", 0), MultiOp::CreateContainer(create_request("/b", 5))]),
        multi(vec![op_create("/a", 0), MultiOp::SetData(SetDataRequest::default())]),
        multi(vec![
            op_create("/a", 0),
            MultiOp::Create(CreateRequest { acl: Some(vec![null_id]), ..create_request("/b", 0) }),
        ]),
        multi(vec![MultiOp::GetData(GetDataRequest { path: "/".into(), watch: false })]),
        multi(vec![MultiOp::GetChildren(GetChildrenRequest { path: "/".into(), watch: false })]),
        Request::Multi(Err(Malformed::Type(20))),
    ];
    for request in unreadable {
        let prepared = world.ask(&request);
        assert_eq!(prepared.code, Code::MarshallingError, "{request:?}");
        assert_eq!(prepared.entry.txn, Txn::Error(ErrorTxn { err: -5 }));
        assert_eq!(world.ask(&create("/a/child", 0)).code, Code::NoNode, "nothing left behind by {request:?}");
        world.settle();
    }
}

#[test]
fn an_empty_multi_is_fine() {
    let mut world = World::new();
    let prepared = world.ask(&multi(Vec::new()));
    assert_eq!((prepared.code, &prepared.entry.txn), (Code::Ok, &Txn::Multi(Vec::new())));
    assert_eq!(prepared.entry.digest.unwrap().tree_digest, world.tree.digest());
    world.settle();
}

#[test]
fn each_check_of_a_check() {
    let mut world = World::new();
    world.must(&create("/open", 0));
    world.must(&create("/closed", 0));
    world.must(&set_acl("/closed", perms(perm::WRITE), -1));
    for (path, version, expected) in [
        ("/open/", 0, -8),
        ("/none", 0, -101),
        ("/closed", 9, -102),
        ("/open", 9, -103),
        ("/open", 0, 0),
        ("/open", -1, 0),
    ] {
        assert_eq!(shape(&world.ask(&multi(vec![op_check(path, version)])))[0].1, expected, "{path} {version}");
    }
    world.settle();
}

#[test]
fn a_closing_session_fails_at_the_first_operation() {
    let mut world = World::new();
    world.prepare(Write::CloseSession);
    assert_eq!(shape(&world.ask(&multi(vec![op_create("/a", 0), op_create("/b", 0)]))), [(-1, -112), (-1, -2)]);
    world.settle();
}

#[test]
fn deleting_and_creating_in_one_multi() {
    let mut world = World::new();
    world.must(&create("/a", 1));
    let prepared = world.ask_as(OTHER, &multi(vec![op_delete("/a"), op_create("/a", 1)]));
    assert_eq!(shape(&prepared), [(2, 0), (1, 0)]);
    let Txn::CloseSession(Some(closed)) = world.prepare(Write::CloseSession).entry.txn else { panic!("a list") };
    assert!(closed.paths_to_delete.is_empty(), "the other session owns it now");
    world.settle();
    assert!(world.node("/a").is_some());
}
