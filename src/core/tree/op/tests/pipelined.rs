use super::*;
use crate::auth::perm;
use zorilla_protocol::irregular::{MultiOp, MultiRequest};

#[test]
fn a_write_behind_a_set_acl_is_judged_by_the_new_list() {
    let mut world = World::new();
    world.ask(&create("/a", 0));
    world.ask(&set_acl("/a", perms(perm::ADMIN), -1));
    assert_eq!(world.ask(&set_data("/a", "x", -1)).code, Code::NoAuth);
    assert_eq!(world.ask(&create("/a/b", 0)).code, Code::NoAuth);
    world.ask(&set_acl("/a", open(), -1));
    assert_eq!(world.ask(&set_data("/a", "x", 0)).code, Code::Ok);
    world.settle();
}

#[test]
fn a_container_made_with_ephemeral_flags_is_a_container_at_once() {
    let mut world = World::new();
    for flags in [1, 3] {
        let made = world.ask(&Request::CreateContainer(create_request("/c", flags)));
        let child = format!("{}/child", path_of(&made.entry.txn));
        assert_eq!(world.ask(&create(&child, 0)).code, Code::Ok, "{flags}");
    }
    world.settle();
}

#[test]
fn writes_see_deletes_and_creations_on_their_way() {
    let mut world = World::new();
    world.must(&create("/p", 0));
    world.ask(&delete("/p", -1));
    assert_eq!(world.ask(&set_data("/p", "x", -1)).code, Code::NoNode);
    assert_eq!(world.ask(&create("/p/c", 0)).code, Code::NoNode);
    world.ask(&create("/p", 1));
    assert_eq!(world.ask(&create("/p/c", 0)).code, Code::NoChildrenForEphemerals);
    assert_eq!(world.ask(&delete("/p", 1)).code, Code::BadVersion);
    world.settle();
    assert_eq!(world.node("/p").unwrap().stat.version, 0);
}

#[test]
fn forgetting_is_step_by_step() {
    let mut world = World::new();
    world.ask(&create("/a", 0));
    world.ask(&set_data("/a", "x", 0));
    world.ask(&set_data("/a", "y", 1));
    assert_eq!(world.pending.outstanding(), 3);
    world.apply_one();
    assert_eq!(world.pending.outstanding(), 2);
    assert_eq!(world.ask(&set_data("/a", "z", 2)).code, Code::Ok, "the newest value stays");
    world.settle();
    assert_eq!(world.pending.outstanding(), 0);
}

#[test]
fn what_the_log_refused_never_was() {
    let mut world = World::new();
    world.must(&create("/a", 0));
    world.ask(&set_data("/a", "x", 0));
    world.ask(&create("/b", 1));
    world.prepare(Write::CloseSession);
    world.pending.roll_back();
    world.outstanding.clear();
    assert_eq!(world.pending.outstanding(), 0);
    world.zxid -= 3;
    assert_eq!(world.ask(&set_data("/a", "y", 0)).code, Code::Ok);
    assert_eq!(world.ask(&delete("/b", -1)).code, Code::NoNode);
    world.settle();
}

fn quota(world: &mut World, limits: &str) {
    world.must(&create("/q", 0));
    world.must(&create("/zookeeper/quota/q", 0));
    let limits = CreateRequest { data: bytes(limits), ..create_request("/zookeeper/quota/q/zookeeper_limits", 0) };
    world.must(&Request::Create(limits));
    world.must(&create("/zookeeper/quota/q/zookeeper_stats", 0));
}

#[test]
fn a_count_limit_counts_what_is_on_its_way() {
    let mut world = World::new();
    quota(&mut world, "count=-1,bytes=-1=;countHardLimit=3;byteHardLimit=-1");
    assert_eq!(world.ask(&create("/q/a", 0)).code, Code::Ok);
    assert_eq!(world.ask(&create("/q/b", 0)).code, Code::Ok);
    assert_eq!(world.ask(&create("/q/c", 0)).code, Code::QuotaExceeded);
    assert_eq!(world.ask(&set_data("/q/a", "longer than before", -1)).code, Code::Ok, "not about the count");
    world.ask(&delete("/q/a", -1));
    assert_eq!(world.ask(&create("/q/c", 0)).code, Code::Ok, "there is room again");
    assert_eq!(world.ask(&create("/q/d", 0)).code, Code::QuotaExceeded);
    world.settle();
    assert_eq!(world.run(&create("/q/d", 0)), Code::QuotaExceeded);
    assert_eq!(world.run(&create("/outside", 0)), Code::Ok);
    world.rules.enforce_quota = false;
    assert_eq!(world.run(&create("/q/d", 0)), Code::Ok);
}

#[test]
fn what_a_hard_limit_refuses_names_the_top_of_its_path() {
    let mut world = World::new();
    quota(&mut world, "count=-1,bytes=-1=;countHardLimit=2");
    world.must(&create("/q/a", 0));
    assert_eq!(world.ask(&create("/q/b", 0)).over_quota.as_deref(), Some("q"));
    assert_eq!(world.ask(&create("/q/missing/b", 0)).over_quota, None, "fails for another reason");
    let ops = ["/q/c", "/q/d"].map(|path| MultiOp::Create(create_request(path, 0))).to_vec();
    assert_eq!(world.ask(&Request::Multi(Ok(MultiRequest { ops }))).over_quota.as_deref(), Some("q"), "once");
    assert_eq!(world.ask(&create("/r", 0)).over_quota, None);
    world.settle();
}

#[test]
fn a_bytes_limit_counts_differences() {
    let mut world = World::new();
    quota(&mut world, "count=1,bytes=1=;byteHardLimit=12");
    // /q has 4 bytes.
    assert_eq!(world.ask(&create("/q/a", 0)).code, Code::Ok, "soft limits only warn");
    assert_eq!(world.ask(&set_data("/q/a", "12345678", -1)).code, Code::Ok, "equal to the limit");
    assert_eq!(world.ask(&set_data("/q/a", "123456789", 7)).code, Code::QuotaExceeded, "before the version");
    assert_eq!(world.ask(&set_data("/q/a", "12345679", 7)).code, Code::BadVersion, "no difference, no check");
    assert_eq!(world.ask(&set_data("/q/a", "1", -1)).code, Code::Ok);
    assert_eq!(world.ask(&create("/q/b", 0)).code, Code::Ok);
    world.settle();
    assert_eq!(world.run(&create("/q/c", 0)), Code::QuotaExceeded);
}

#[test]
fn only_the_deepest_quota_counts_and_registering_takes_effect_at_once() {
    let mut world = World::new();
    quota(&mut world, "count=-1,bytes=-1=;countHardLimit=3");
    world.must(&create("/q/a", 0));
    world.must(&create("/q/b", 0));
    assert_eq!(world.run(&create("/q/c", 0)), Code::QuotaExceeded);
    for path in ["/zookeeper/quota/q/a", "/zookeeper/quota/q/a/zookeeper_limits"] {
        assert_eq!(world.ask(&create(path, 0)).code, Code::Ok);
    }
    assert_eq!(world.ask(&create("/q/a/x", 0)).code, Code::Ok, "the inner quota has no limits");
    assert_eq!(world.ask(&create("/q/c", 0)).code, Code::QuotaExceeded);
    world.ask(&delete("/zookeeper/quota/q/a/zookeeper_limits", -1));
    assert_eq!(world.ask(&create("/q/a/y", 0)).code, Code::QuotaExceeded, "the outer one again");
    world.settle();
    world.ask(&delete("/zookeeper/quota/q/zookeeper_limits", -1));
    assert_eq!(world.ask(&create("/q/c", 0)).code, Code::Ok);
    world.settle();
}
