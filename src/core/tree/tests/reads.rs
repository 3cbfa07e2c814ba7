//! Bodies, codes and watches of reads; order of checks as in the table of opcodes.

use super::*;
use crate::tree::read::{SetWatchOutcome, WatchKind, set_watches};
use crate::watch::EventType;
use zorilla_protocol::irregular::{MultiOp, MultiRequest, MultiResponse, MultiResult};
use zorilla_protocol::jute::{from_bytes, to_bytes};
use zorilla_protocol::ops::NoBody;
use zorilla_protocol::records::*;
use zorilla_protocol::txn::*;

/// `/open` (data "hello", children a and b) and `/mine`, which only digest identity `u:h` may read.
fn tree() -> Tree {
    let (mut tree, _) = fresh();
    apply(&mut tree, 1, &Txn::Create(create("/open", "hello", 1)));
    apply(&mut tree, 2, &Txn::Create(create("/open/a", "", 1)));
    apply(&mut tree, 3, &Txn::Create(CreateTxn { data: None, ..create("/open/b", "", 2) }));
    let list = vec![acl(1, "digest", "u:h"), acl(16, "digest", "root:x"), acl(4, "world", "anyone")];
    apply(&mut tree, 4, &Txn::Create(CreateTxn { acl: Some(list), ..create("/mine", "", 2) }));
    tree
}

fn exists(path: &str) -> Request {
    Request::Exists(ExistsRequest { path: path.into(), watch: true })
}
fn get_data(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: true })
}
fn get_children(path: &str) -> Request {
    Request::GetChildren(GetChildrenRequest { path: path.into(), watch: true })
}
fn get_acl(path: &str) -> Request {
    Request::GetAcl(GetAclRequest { path: path.into() })
}

#[test]
fn codes_and_watches() {
    let mut tree = tree();
    let nobody = caller(&[]);
    let (data, child) = (Some(WatchKind::Data), Some(WatchKind::Child));
    let children2 = |path: &str| Request::GetChildren2(GetChildren2Request { path: path.into(), watch: true });
    for (request, code, watch) in [
        (exists("/open"), Code::Ok, data),
        (exists("/none"), Code::NoNode, data),
        (exists("/mine"), Code::NoAuth, None),
        (exists("/a\0"), Code::BadArguments, None),
        (exists("junk//"), Code::NoNode, data),
        (get_data("/open"), Code::Ok, data),
        (get_data("/none"), Code::NoNode, None),
        (get_data("/mine"), Code::NoAuth, None),
        (get_data(""), Code::Ok, data),
        (get_children("/open"), Code::Ok, child),
        (get_children("/none"), Code::NoNode, None),
        (get_children("/mine"), Code::NoAuth, None),
        (children2("/open"), Code::Ok, child),
        (children2("/mine"), Code::NoAuth, None),
        (get_acl("/none"), Code::NoNode, None),
        (get_acl("/mine"), Code::NoAuth, None),
        (Request::Delete(DeleteRequest { path: "/open".into(), version: -1 }), Code::Unimplemented, None),
    ] {
        let (answer, body) = read_as(&mut tree, &request, &nobody);
        assert_eq!(answer, Answer { code, watch }, "{request:?}");
        assert_eq!(body.is_empty(), code != Code::Ok, "{request:?}");
    }
    let unwatched = Request::Exists(ExistsRequest { path: "/none".into(), watch: false });
    assert_eq!(read_as(&mut tree, &unwatched, &nobody).0, Answer { code: Code::NoNode, watch: None });
    for ids in [[("digest", "u:h")], [("super", "")]] {
        assert_eq!(read_as(&mut tree, &get_data("/mine"), &caller(&ids)).0.code, Code::Ok);
    }
    let mut out = BytesMut::new();
    let answer = read(&tree, &get_data("/mine"), &nobody, &ReadRules { skip_acl: true }, &mut out).unwrap();
    assert_eq!(answer.code, Code::Ok);
}

#[test]
fn bodies_are_the_records() {
    let mut tree = tree();
    let open = stat(&mut tree, "/open").unwrap();
    let (_, body) = read_all(&mut tree, &get_data("/open"));
    assert_eq!(body, to_bytes(&GetDataResponse { data: Some("hello".into()), stat: open.clone() }));
    let (_, body) = read_all(&mut tree, &get_data("/open/b"));
    assert_eq!(body[..4], [0xff; 4], "null is not empty");
    let (_, body) = read_all(&mut tree, &get_data("/open/a"));
    assert_eq!(body[..4], [0; 4]);
    let children = Some(vec!["a".to_owned(), "b".into()]);
    let (_, body) = read_all(&mut tree, &get_children("/open"));
    let mut listed: GetChildrenResponse = from_bytes(&body).unwrap();
    listed.children.as_mut().unwrap().sort();
    assert_eq!(listed, GetChildrenResponse { children: children.clone() });
    let request = Request::GetChildren2(GetChildren2Request { path: "/open".into(), watch: false });
    let (_, body) = read_all(&mut tree, &request);
    let mut listed: GetChildren2Response = from_bytes(&body).unwrap();
    listed.children.as_mut().unwrap().sort();
    assert_eq!(listed, GetChildren2Response { children, stat: open.clone() });
    let (_, body) = read_all(&mut tree, &get_children("/open/a"));
    assert_eq!(body, to_bytes(&GetChildrenResponse { children: Some(vec![]) }));
    let (_, body) = read_all(&mut tree, &get_acl("/open"));
    assert_eq!(body, to_bytes(&GetAclResponse { acl: Some(vec![acl(31, "world", "anyone")]), stat: open }));
    let sync = Request::Sync(SyncRequest { path: None });
    assert_eq!(read_all(&mut tree, &sync), (Code::Ok, to_bytes(&SyncResponse { path: None })));
    assert_eq!(read_all(&mut tree, &Request::Ping(NoBody)), (Code::Ok, Bytes::new()));
}

#[test]
fn digests_are_masked_without_admin() {
    let mut tree = tree();
    let ids_shown = |tree: &mut Tree, who| {
        let (_, body) = read_as(tree, &get_acl("/mine"), &caller(&[who]));
        let response: GetAclResponse = from_bytes(&body).unwrap();
        response.acl.unwrap().into_iter().map(|acl| acl.id.id.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids_shown(&mut tree, ("digest", "u:h")), ["u:x", "root:x", "anyone"]);
    assert_eq!(ids_shown(&mut tree, ("digest", "root:x")), ["u:h", "root:x", "anyone"], "ADMIN alone may look, too");
}

#[test]
fn all_children_are_counted_through_every_level() {
    let mut tree = tree();
    apply(&mut tree, 5, &Txn::Create(create("/open/a/x", "", 1)));
    apply(&mut tree, 6, &Txn::Create(create("/openly", "", 3)));
    let mut count = |path: &str| {
        let request = Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path.into() });
        let (code, body) = read_all(&mut tree, &request);
        (code == Code::Ok).then(|| from_bytes::<GetAllChildrenNumberResponse>(&body).unwrap().total_number)
    };
    assert_eq!(["/", "/open", "/open/a", "/open/a/x"].map(&mut count), [Some(9), Some(3), Some(1), Some(0)]);
    assert_eq!(count(""), Some(10), "the other name of the root, which has the root below it");
    assert_eq!(["/mine", "/none"].map(&mut count), [None, None]);
}

#[test]
fn ephemerals_are_those_of_the_session_by_prefix() {
    let mut tree = tree();
    apply(&mut tree, 5, &Txn::Create(CreateTxn { ephemeral: true, ..create("/ge", "", 3) }));
    apply(&mut tree, 6, &Txn::Create(CreateTxn { ephemeral: true, ..create("/open/e", "", 3) }));
    let mut of = |prefix: Option<&str>| {
        let request = Request::GetEphemerals(GetEphemeralsRequest { prefix_path: prefix.map(Into::into) });
        from_bytes::<GetEphemeralsResponse>(&read_all(&mut tree, &request).1).unwrap().ephemerals.unwrap()
    };
    for all in [None, Some(""), Some(" "), Some("/"), Some("\0\u{10} /\0")] {
        assert_eq!(of(all), ["/ge", "/open/e"]);
    }
    assert_eq!(of(Some("/g")), ["/ge"]);
    assert_eq!(of(Some("/x")), [""; 0]);
    assert_eq!(of(Some("\u{2003}")), [""; 0], "Java's trim knows no such space");
}

#[test]
fn who_am_i_shows_users_and_no_secrets() {
    let mut tree = tree();
    let caller = caller(&[("ip", "127.0.0.1"), ("digest", "bob:hash"), ("super", "")]);
    let (_, body) = read_as(&mut tree, &Request::WhoAmI(NoBody), &caller);
    let response: WhoAmIResponse = from_bytes(&body).unwrap();
    let shown: Vec<_> = response.client_info.unwrap().into_iter().map(|info| info.user.unwrap()).collect();
    assert_eq!(shown, ["127.0.0.1", "bob", ""]);
}

#[test]
fn a_multi_read_answers_each_operation_by_itself() {
    let mut tree = tree();
    apply(&mut tree, 9, &Txn::Create(create("/open/a/only", "", 1)));
    let data = |path: &str| MultiOp::GetData(GetDataRequest { path: path.into(), watch: true });
    let children = |path: &str| MultiOp::GetChildren(GetChildrenRequest { path: path.into(), watch: true });
    let multi = |ops| Request::MultiRead(Ok(MultiRequest { ops }));
    let request = multi(vec![data("/open"), data("/none"), data("/mine"), children("/open/a")]);
    let (answer, body) = read_as(&mut tree, &request, &caller(&[]));
    let open = stat(&mut tree, "/open").unwrap();
    let expected = MultiResponse {
        results: vec![
            MultiResult::GetData(GetDataResponse { data: Some("hello".into()), stat: open }),
            MultiResult::Error(-101),
            MultiResult::Error(-102),
            MultiResult::GetChildren(GetChildrenResponse { children: Some(vec!["only".into()]) }),
        ],
    };
    assert_eq!((answer, body), (Answer { code: Code::Ok, watch: None }, to_bytes(&expected)));
    let write = MultiOp::Delete(DeleteRequest { path: "/open".into(), version: -1 });
    let end = to_bytes(&MultiResponse::default());
    assert_eq!(read_all(&mut tree, &multi(vec![write])), (Code::MarshallingError, end.clone()));
    assert_eq!(read_all(&mut tree, &multi(vec![])), (Code::Ok, end));
    let unreadable = Request::MultiRead(Err(zorilla_protocol::Malformed::Null));
    assert_eq!(read_all(&mut tree, &unreadable), (Code::MarshallingError, Bytes::new()));
}

#[test]
fn set_watches_tells_what_was_missed_in_list_order() {
    let mut tree = tree();
    apply(&mut tree, 10, &set_data("/open/a", "new", 1));
    apply(&mut tree, 11, &Txn::Create(create("/open/a/x", "", 1)));
    let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let request = Request::SetWatches2(SetWatches2 {
        relative_zxid: Zxid(10),
        data_watches: list(&["/none", "/open/a", "/open"]),
        exist_watches: list(&["/none", "/open"]),
        child_watches: list(&["/none", "/open/a", "/open"]),
        persistent_watches: list(&["/p"]),
        persistent_recursive_watches: list(&["/r"]),
    });
    use SetWatchOutcome::{Child, Data, Event, Persistent};
    let event = |kind, path| Event { kind, path };
    let expected = [
        event(EventType::NodeDeleted, "/none"),
        Data { path: "/open/a" },
        Data { path: "/open" },
        Data { path: "/none" },
        event(EventType::NodeCreated, "/open"),
        event(EventType::NodeDeleted, "/none"),
        event(EventType::NodeChildrenChanged, "/open/a"),
        Child { path: "/open" },
        Persistent { path: "/p", recursive: false },
        Persistent { path: "/r", recursive: true },
    ];
    assert_eq!(set_watches(&tree, &request), Ok(expected.to_vec()));
    let data_watches = list(&["/open/a"]);
    let request = Request::SetWatches(SetWatches { relative_zxid: Zxid(9), data_watches, ..SetWatches::default() });
    let changed = event(EventType::NodeDataChanged, "/open/a");
    assert_eq!(set_watches(&tree, &request), Ok(vec![changed]));
}
