use super::*;
use crate::auth::perm;
use crate::tree::Owner;

/// What a create makes, or its code.
fn outcome(world: &mut World, request: &Request) -> Result<Owner, Code> {
    let prepared = world.ask(request);
    if prepared.code != Code::Ok {
        assert_eq!(prepared.entry.txn, Txn::Error(zorilla_protocol::txn::ErrorTxn { err: prepared.code.number() }));
        assert_eq!(prepared.entry.digest, None, "errors carry no digest");
        world.settle();
        return Err(prepared.code);
    }
    let path = path_of(&prepared.entry.txn).to_owned();
    world.settle();
    Ok(world.node(&path).expect("created").owner())
}

#[test]
fn flags_and_opcodes() {
    const BAD: Result<Owner, Code> = Err(Code::BadArguments);
    let ephemeral = Ok(Owner::Session(SESSION));
    let (nobody, container, ttl) = (Ok(Owner::Nobody), Ok(Owner::Container), Ok(Owner::Ttl(5000)));
    // flags, opcodes 1 and 15, opcode 19, opcode 21 with ttl 5000
    let table = [
        (0, nobody, container, BAD),
        (1, ephemeral, container, BAD),
        (2, nobody, container, BAD),
        (3, ephemeral, container, BAD),
        (4, nobody, container, BAD),
        (5, BAD, BAD, ttl),
        (6, BAD, BAD, ttl),
        (7, BAD, BAD, BAD),
        (-1, BAD, BAD, BAD),
    ];
    for (flags, plain, as_container, with_ttl) in table {
        let mut world = World::new();
        assert_eq!(outcome(&mut world, &create("/a", flags)), plain, "create {flags}");
        let request = Request::Create2(create_request("/b", flags));
        assert_eq!(outcome(&mut world, &request), plain, "create2 {flags}");
        let request = Request::CreateContainer(create_request("/c", flags));
        assert_eq!(outcome(&mut world, &request), as_container, "createContainer {flags}");
        let request = Request::CreateTtl(ttl_request("/d", flags, 5000));
        assert_eq!(outcome(&mut world, &request), with_ttl, "createTTL {flags}");
        let request = Request::CreateTtl(ttl_request("/e", flags, -1));
        assert_eq!(outcome(&mut world, &request), BAD, "createTTL {flags} with ttl -1");
    }
}

#[test]
fn ttl_needs_the_switch_and_a_value_in_bounds() {
    let mut world = World::new();
    for (ttl, expected) in [
        (1, Ok(Owner::Ttl(1))),
        ((1 << 40) - 1, Ok(Owner::Ttl((1 << 40) - 1))),
        (0, Err(Code::BadArguments)),
        (1 << 40, Err(Code::BadArguments)),
        (i64::MIN, Err(Code::BadArguments)),
    ] {
        assert_eq!(outcome(&mut world, &Request::CreateTtl(ttl_request("/t", 6, ttl))), expected, "{ttl}");
    }
    world.rules.extended_types = false;
    for request in [
        Request::CreateTtl(ttl_request("no-slash", 5, 0)),
        create("/x", 5),
        Request::CreateContainer(create_request("/x", 6)),
    ] {
        assert_eq!(outcome(&mut world, &request), Err(Code::Unimplemented), "{request:?}");
    }
    assert_eq!(outcome(&mut world, &Request::CreateTtl(ttl_request("/x", 0, 5))), Err(Code::BadArguments));
}

/// Nodes for the checks to stumble over: `/open` with a child, `/closed` that takes no children,
/// `/ephemeral`, and a quota of two nodes that is used up.
fn obstacles() -> World {
    let mut world = World::new();
    for request in [
        create("/open", 0),
        create("/open/taken", 0),
        create("/closed", 0),
        create("/closed/taken", 0),
        set_acl("/closed", perms(perm::READ), -1),
        create("/ephemeral", 1),
        create("/full", 0),
        create("/full/taken", 0),
        create("/zookeeper/quota/full", 0),
        Request::Create(CreateRequest {
            data: bytes("count=-1,bytes=-1=;countHardLimit=2"),
            ..create_request("/zookeeper/quota/full/zookeeper_limits", 0)
        }),
        create("/zookeeper/quota/full/zookeeper_stats", 0),
    ] {
        world.must(&request);
    }
    world
}

#[test]
fn each_check_of_a_create() {
    for (path, acl, flags, expected) in [
        ("/a", open(), 9, Code::BadArguments),
        ("no-slash", open(), 0, Code::BadArguments),
        ("", open(), 0, Code::BadArguments),
        ("/nul\0", open(), 0, Code::BadArguments),
        ("/a", None, 0, Code::InvalidAcl),
        ("/a", Some(Vec::new()), 0, Code::InvalidAcl),
        ("/a", Some(vec![tests::acl(1, "auth", "")]), 0, Code::InvalidAcl),
        ("/none/a", open(), 0, Code::NoNode),
        ("a/b", open(), 0, Code::NoNode),
        ("/p//q", open(), 0, Code::NoNode),
        ("/closed/a", open(), 0, Code::NoAuth),
        ("/zookeeper/config/a", open(), 0, Code::NoAuth),
        ("/.", open(), 0, Code::BadArguments),
        ("/open/", open(), 0, Code::BadArguments),
        ("//", open(), 0, Code::BadArguments),
        ("/open/\u{1}", open(), 0, Code::BadArguments),
        ("/open/taken", open(), 0, Code::NodeExists),
        ("/", open(), 0, Code::NodeExists),
        ("/zookeeper/quota", open(), 0, Code::NodeExists),
        ("/ephemeral/a", open(), 0, Code::NoChildrenForEphemerals),
        ("/full/a", open(), 0, Code::QuotaExceeded),
        ("/open/a", open(), 0, Code::Ok),
        ("/open/", open(), 2, Code::Ok),
        ("/open/..", open(), 2, Code::Ok),
    ] {
        let mut world = obstacles();
        assert_eq!(world.run(&create_with(path, flags, acl)), expected, "{path:?}, flags {flags}");
    }
}

#[test]
fn of_two_faults_the_first_in_order_answers() {
    let bad_acl = || Some(vec![tests::acl(1, "world", "nobody")]);
    let requests = [
        (create_with("/a", 9, bad_acl()), Code::BadArguments),
        (Request::CreateTtl(CreateTtlRequest { acl: bad_acl(), ..ttl_request("/a", 5, 0) }), Code::BadArguments),
        (create_with("no-slash", 0, bad_acl()), Code::BadArguments),
        (create_with("/none/a", 0, bad_acl()), Code::InvalidAcl),
        (create_with("/closed/a", 0, bad_acl()), Code::InvalidAcl),
        (create_with("/open/taken", 0, bad_acl()), Code::InvalidAcl),
        (create("/none/..", 0), Code::NoNode),
        (create("/closed/taken", 0), Code::NoAuth),
        (create("/closed/..", 0), Code::NoAuth),
        (create("/ephemeral/..", 0), Code::BadArguments),
        (create("/full/taken", 0), Code::NodeExists),
    ];
    for (request, expected) in requests {
        assert_eq!(obstacles().run(&request), expected, "{request:?}");
    }
}

#[test]
fn sequential_names_count_every_creation_that_is_on_its_way() {
    let mut world = World::new();
    world.ask(&create("/s", 0));
    let mut name = |flags| {
        let prepared = world.ask(&create("/s/n-", flags));
        path_of(&prepared.entry.txn).to_owned()
    };
    assert_eq!(name(2), "/s/n-0000000000");
    assert_eq!(name(3), "/s/n-0000000001");
    world.ask(&create("/s/plain", 0));
    world.ask(&delete("/s/plain", -1));
    assert_eq!(world.ask(&create("/s/plain/x", 0)).code, Code::NoNode, "a failure takes no number");
    let last = world.ask(&create("/s/", 2));
    assert_eq!(path_of(&last.entry.txn), "/s/0000000003");
    world.settle();
    let first = World::new().ask(&create("/r", 2));
    assert_eq!(path_of(&first.entry.txn), "/r0000000000");
}

#[test]
fn the_count_of_creations_ends_at_its_largest_value() {
    let mut world = World::new();
    world.must(&create("/s", 0));
    let full = CreateRequest { flags: 0, ..create_request("/s/first", 0) };
    // As a txn of another server would have it.
    let txn = Txn::Create(zorilla_protocol::txn::CreateTxn {
        path: full.path,
        data: full.data,
        acl: full.acl,
        ephemeral: false,
        parent_cversion: i32::MAX - 1,
    });
    world.zxid += 1;
    let mut header = tests::header(world.zxid);
    header.kind = 1;
    world.tree.apply(&header, &txn).unwrap();
    world.replayed.apply(&header, &txn).unwrap();
    for expected in ["/s/n2147483646", "/s/n2147483647"] {
        let prepared = world.ask(&create("/s/n", 2));
        assert_eq!(path_of(&prepared.entry.txn), expected);
    }
    assert_eq!(world.ask(&create("/s/n", 2)).code, Code::NodeExists, "outstanding");
    world.settle();
    assert_eq!(world.run(&create("/s/n", 2)), Code::NodeExists, "applied");
    world.must(&create("/s/plain", 0));
    assert_eq!(world.node("/s").unwrap().stat.cversion, i32::MAX);
}

#[test]
fn what_auth_stands_for_must_still_be_readable() {
    let mut world = World::new();
    world.rules.request_bytes_max = 1000;
    let ids: Vec<_> = (0..50).map(|i| format!("user{i}:{}", "x".repeat(40))).collect();
    let ids: Vec<(&str, &str)> = ids.iter().map(|id| ("digest", id.as_str())).collect();
    world.caller = tests::caller(&ids);
    let acl = Some(vec![tests::acl(1, "auth", "")]);
    assert_eq!(world.run(&create_with("/a", 0, acl.clone())), Code::BadArguments);
    assert_eq!(world.node("/a"), None);
    world.rules.request_bytes_max = 10_000;
    assert_eq!(world.run(&create_with("/a", 0, acl)), Code::Ok);
    assert_eq!(world.node("/a").unwrap().acl.as_ref().unwrap().len(), 50);
}

#[test]
fn skip_acl_skips_the_check_but_not_the_list() {
    let mut world = obstacles();
    world.rules.skip_acl = true;
    assert_eq!(world.run(&create("/closed/a", 0)), Code::Ok);
    assert_eq!(world.run(&create_with("/closed/b", 0, None)), Code::InvalidAcl);
}
