use super::*;
use crate::auth::perm;
use zorilla_protocol::records::{DeleteContainerRequest, ReconfigRequest};
use zorilla_protocol::txn::CloseSessionTxn;

/// `/open` with a child and data at version 1, `/closed` that nobody may change, `/ephemeral`.
fn world() -> World {
    let mut world = World::new();
    for request in [
        create("/open", 0),
        create("/open/child", 0),
        set_data("/open", "two", 0),
        create("/closed", 0),
        create("/closed/child", 0),
        set_acl("/closed", perms(perm::READ), -1),
        create("/ephemeral", 1),
        create("/plain", 0),
    ] {
        world.must(&request);
    }
    world
}

#[test]
fn each_check_of_a_delete_and_their_order() {
    for (path, version, expected) in [
        ("no-slash", -1, Code::BadArguments),
        ("/nul\0", -1, Code::BadArguments),
        ("/", -1, Code::BadArguments),
        ("/zookeeper", -1, Code::BadArguments),
        ("/zookeeper/quota", 9, Code::BadArguments),
        ("/zookeeper/config", -1, Code::BadArguments),
        ("/none/x", -1, Code::NoNode),
        ("/a//b", -1, Code::NoNode),
        ("/closed/none", -1, Code::NoAuth),
        ("/closed/child", 9, Code::NoAuth),
        ("/none", -1, Code::NoNode),
        ("/open", 9, Code::BadVersion),
        ("/open", -2, Code::BadVersion),
        ("/open", 1, Code::NotEmpty),
        ("/open", -1, Code::NotEmpty),
        ("/open/child", 0, Code::Ok),
        ("/ephemeral", -1, Code::Ok),
        ("/closed", -1, Code::NotEmpty),
    ] {
        assert_eq!(world().run(&delete(path, version)), expected, "{path:?} {version}");
    }
}

#[test]
fn each_check_of_set_data_and_their_order() {
    for (path, version, expected) in [
        ("no-slash", -1, Code::BadArguments),
        ("/open/", -1, Code::BadArguments),
        ("", -1, Code::BadArguments),
        ("/none", 5, Code::NoNode),
        ("/closed", 5, Code::NoAuth),
        ("/open", 0, Code::BadVersion),
        ("/open", -2, Code::BadVersion),
        ("/open", 1, Code::Ok),
        ("/open", -1, Code::Ok),
        ("/", -1, Code::Ok),
        ("/zookeeper/quota", -1, Code::Ok),
    ] {
        assert_eq!(world().run(&set_data(path, "x", version)), expected, "{path:?} {version}");
    }
    let null = Request::SetData(SetDataRequest { path: None, data: None, version: -1 });
    assert_eq!(world().run(&null), Code::BadArguments);
}

#[test]
fn each_check_of_set_acl_and_their_order() {
    let bad = || Some(vec![tests::acl(1, "nobody", "knows")]);
    for (path, acl, version, expected) in [
        ("/open/", bad(), 5, Code::BadArguments),
        ("/none", bad(), 5, Code::InvalidAcl),
        ("/closed", None, 5, Code::InvalidAcl),
        ("/none", open(), 5, Code::NoNode),
        ("/closed", open(), 5, Code::NoAuth),
        ("/open", open(), 5, Code::BadVersion),
        ("/open", open(), 0, Code::Ok),
        ("/open", open(), -1, Code::Ok),
    ] {
        assert_eq!(world().run(&set_acl(path, acl, version)), expected, "{path:?} {version}");
    }
    let null = Request::SetAcl(SetAclRequest { path: None, acl: open(), version: -1 });
    assert_eq!(world().run(&null), Code::BadArguments);
    let null_id = Acl { perms: 1, id: zorilla_protocol::records::Id { scheme: Some("world".into()), id: None } };
    assert_eq!(world().run(&set_acl("/open", Some(vec![null_id]), -1)), Code::MarshallingError);
}

/// The one permission that a write asks for is enough, and all others together are not; of the other znode it touches,
/// none is needed.
#[test]
fn each_write_asks_for_one_permission_of_one_znode() {
    let (parent, child) = ("/parent", "/parent/child");
    let ttl = Request::CreateTtl(ttl_request("/parent/new", 5, 1000));
    for (asked, permission, request) in [
        (parent, perm::CREATE, create("/parent/new", 0)),
        (parent, perm::CREATE, create("/parent/new", 3)),
        (parent, perm::CREATE, Request::Create2(create_request("/parent/new", 1))),
        (parent, perm::CREATE, Request::CreateContainer(create_request("/parent/new", 0))),
        (parent, perm::CREATE, ttl),
        (parent, perm::DELETE, delete(child, -1)),
        (parent, perm::DELETE, Request::DeleteContainer(DeleteContainerRequest { path: child.into() })),
        (child, perm::WRITE, set_data(child, "x", -1)),
        (child, perm::ADMIN, set_acl(child, open(), -1)),
    ] {
        for (allowed, expected) in [(permission, Code::Ok), (perm::ALL & !permission, Code::NoAuth)] {
            let mut world = World::new();
            world.must(&create(parent, 0));
            world.must(&create(child, 0));
            for path in [parent, child] {
                world.must(&set_acl(path, perms(if path == asked { allowed } else { 0 }), -1));
            }
            assert_eq!(world.run(&request), expected, "{request:?} with {allowed:#b} on {asked}");
        }
    }
}

#[test]
fn versions_wrap_in_silence() {
    assert_eq!(super::super::next_version(i32::MAX, -1), Ok(i32::MIN));
    assert_eq!(super::super::next_version(i32::MAX, i32::MAX), Ok(i32::MIN));
    assert_eq!(super::super::next_version(-2, -1), Ok(-1));
    assert_eq!(super::super::next_version(5, 4), Err(Code::BadVersion));
}

#[test]
fn delete_container_from_a_client_is_a_delete() {
    for (path, expected) in [
        ("/", Code::BadArguments),
        ("no-slash", Code::BadArguments),
        ("/none/x", Code::NoNode),
        ("/closed/child", Code::NoAuth),
        ("/none", Code::NoNode),
        ("/open", Code::NotEmpty),
        ("/ephemeral", Code::BadVersion),
        ("/plain", Code::Ok),
    ] {
        let mut world = world();
        let prepared = world.ask(&Request::DeleteContainer(DeleteContainerRequest { path: path.into() }));
        assert_eq!(prepared.code, expected, "{path}");
        world.settle();
        if expected == Code::Ok {
            assert_eq!((prepared.entry.header.kind, world.node(path)), (20, None));
        }
    }
}

#[test]
fn the_server_reaps_only_what_is_still_due() {
    let mut world = world();
    world.must(&Request::CreateContainer(create_request("/container", 0)));
    world.must(&Request::CreateTtl(ttl_request("/ttl", 5, 2)));
    world.caller = Caller { session: SessionId::NONE, ids: [].into() };
    for (path, expected) in [
        ("/none", Code::NoNode),
        ("/open", Code::NotEmpty),
        ("/ephemeral", Code::BadVersion),
        ("/plain", Code::BadVersion),
        ("/container", Code::Ok),
    ] {
        assert_eq!(world.prepare(Write::Reap { path }).code, expected, "{path}");
    }
    world.settle();
    assert_eq!(world.node("/container"), None);
    assert!(world.node("/ttl").is_some());

    // Writing to it, or putting a child below it, while its end is being looked at.
    world.ask(&set_data("/ttl", "later", -1));
    for age_ms in [1, 2] {
        assert_eq!(world.prepare(Write::Reap { path: "/ttl" }).code, Code::BadVersion, "{age_ms} ms of 2");
    }
    world.ask(&create("/ttl/child", 0));
    world.zxid += 100;
    assert_eq!(world.prepare(Write::Reap { path: "/ttl" }).code, Code::NotEmpty);
    world.ask(&delete("/ttl/child", -1));
    let reaped = world.prepare(Write::Reap { path: "/ttl" });
    assert_eq!((reaped.code, reaped.entry.header.client_id), (Code::Ok, SessionId::NONE));
    world.settle();
    assert_eq!(world.node("/ttl"), None);
}

#[test]
fn reconfig_is_disabled_and_reads_are_no_writes() {
    let mut world = world();
    assert_eq!(world.run(&Request::Reconfig(ReconfigRequest::default())), Code::ReconfigDisabled);
    assert_eq!(world.run(&Request::Ping(zorilla_protocol::ops::NoBody)), Code::Unimplemented);
}

#[test]
fn the_end_of_a_session_takes_its_ephemerals() {
    let mut world = world();
    world.ask(&create("/open/e2", 1));
    world.ask(&create("/open/e1", 3));
    world.ask(&create("/open/gone", 1));
    world.ask(&delete("/open/gone", -1));
    world.ask_as(OTHER, &create("/open/others", 1));
    world.ask(&delete("/ephemeral", -1));
    world.ask_as(OTHER, &create("/ephemeral", 1));
    let closed = world.prepare(Write::CloseSession);
    let Txn::CloseSession(Some(CloseSessionTxn { paths_to_delete })) = &closed.entry.txn else {
        panic!("{closed:?}");
    };
    // /open has had one child before, and e2.
    assert_eq!(paths_to_delete, &["/open/e10000000002", "/open/e2"]);
    assert_eq!(world.ask(&create("/late", 1)).code, Code::SessionExpired);
    assert_eq!(world.ask_as(OTHER, &create("/other-session", 1)).code, Code::Ok);
    world.settle();
    assert!(world.node("/open/others").is_some() && world.node("/ephemeral").is_some());
    assert_eq!(world.node("/open/e2"), None);
    assert!(world.tree.ephemerals(SESSION).is_empty());
}

#[test]
fn sessions_leave_the_digest_alone_and_the_list_out_if_told_to() {
    let mut world = world();
    let before = world.tree.digest();
    let begun = world.prepare(Write::CreateSession { timeout_ms: 4000 });
    assert_eq!(begun.entry.digest.as_ref().unwrap().tree_digest, before);
    world.rules.close_session_txn = false;
    let closed = world.ask(&Request::CloseSession(zorilla_protocol::ops::NoBody));
    assert_eq!(closed.entry.txn, Txn::CloseSession(None));
    world.settle();
    assert_eq!(world.node("/ephemeral"), None);
    world.rules.digest_enabled = false;
    assert_eq!(world.ask(&create("/nodigest", 0)).entry.digest, None);
}

#[test]
fn every_session_txn_of_a_large_session_is_taken() {
    let mut world = world();
    world.rules.request_bytes_max = 100;
    for _ in 0..100 {
        world.ask(&create("/open/ephemeral-", 3));
    }
    assert_eq!(world.prepare(Write::CloseSession).code, Code::Ok);
    world.settle();
    assert_eq!(world.node("/open").unwrap().num_children, 1);
}
