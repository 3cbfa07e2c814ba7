//! Every client record that Apache's own classes serialised: read, compared value by value, written
//! again to the same bytes.

mod common;

use bytes::{Bytes, BytesMut};
use common::{Show, Vector, homes::home, unhex, vectors};
use serde_json::{Value, json};
use zorilla_protocol::frame::{JUTE_MAXBUFFER_DEFAULT, put_frame, take_frame};
use zorilla_protocol::irregular::{ConnectRequest, MultiOp, MultiRequest, MultiResponse, MultiResult};
use zorilla_protocol::jute::{Jute, Malformed, Reader, from_bytes};
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::{ReplyHeader, RequestHeader, WatcherEvent};

/// Where a null has no meaning to a server, reading it is an error on purpose (Apache's server answers
/// these with MARSHALLINGERROR as well): a null path or name, or a null list of watches.
const NULL_REFUSED: [&str; 18] = [
    "CreateRequest",
    "CreateTTLRequest",
    "CreateResponse",
    "Create2Response",
    "DeleteRequest",
    "CheckVersionRequest",
    "ExistsRequest",
    "GetDataRequest",
    "GetACLRequest",
    "GetChildrenRequest",
    "GetChildren2Request",
    "GetAllChildrenNumberRequest",
    "SetWatches",
    "SetWatches2",
    "GetChildrenResponse",
    "GetChildren2Response",
    "GetEphemeralsResponse",
    "CloseSessionTxn",
];

/// Whether a null stands where one of [`NULL_REFUSED`] may not have it: anywhere but in data and ACLs.
fn holds_refused_null(value: &Value) -> bool {
    let list_with_null = |v: &Value| v.as_array().is_some_and(|items| items.contains(&Value::Null));
    let fields = value.as_object().unwrap();
    fields.iter().any(|(name, v)| match name.as_str() {
        "path" => v.is_null(),
        "children" | "ephemerals" => list_with_null(v),
        name => name.ends_with("Watches") && (v.is_null() || list_with_null(v)),
    })
}

fn check_record(vector: &Vector) {
    let name = vector.name();
    let decode = home(&vector.record).unwrap_or_else(|| panic!("no type for {name}"));
    if NULL_REFUSED.contains(&vector.record.as_str()) && holds_refused_null(&vector.value) {
        assert_eq!(decode(&vector.bytes).err(), Some(Malformed::Null), "{name}");
        return;
    }
    let read = decode(&vector.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(read.position, vector.bytes.len(), "{name}: not read to the end");
    assert_eq!(read.again, vector.bytes, "{name}: written differently");
    assert_eq!(read.shown.json(), vector.value, "{name}");
}

#[test]
fn every_client_record() {
    let all = vectors("client-records.json");
    assert_eq!(all.len(), 290);
    for vector in &all {
        match vector.record.as_str() {
            "MultiOperationRecord" => check_multi_request(vector),
            "MultiResponse" => check_multi_response(vector),
            record if record.starts_with("frame:") => check_frame(vector),
            _ => check_record(vector),
        }
    }
}

#[test]
fn refused_nulls_are_few() {
    let all = vectors("client-records.json");
    let plain = |v: &&Vector| NULL_REFUSED.contains(&v.record.as_str());
    let refused = all.iter().filter(plain).filter(|v| holds_refused_null(&v.value)).count();
    assert_eq!(refused, 19, "of 290; every other vector is read and written back");
}

fn check_multi_request(vector: &Vector) {
    let multi: MultiRequest = from_bytes(&vector.bytes).unwrap();
    assert_eq!(zorilla_protocol::jute::to_bytes(&multi), vector.bytes, "{}", vector.name());
    let expected = vector.value.as_array().unwrap();
    assert_eq!(multi.ops.len(), expected.len());
    for (op, expected) in multi.ops.iter().zip(expected) {
        let (name, body) = match op {
            MultiOp::Create(op) => ("create", op.show()),
            MultiOp::Create2(op) => ("create2", op.show()),
            MultiOp::CreateContainer(op) => ("createContainer", op.show()),
            MultiOp::CreateTtl(op) => ("createTTL", op.show()),
            MultiOp::Delete(op) => ("delete", op.show()),
            MultiOp::SetData(op) => ("setData", op.show()),
            MultiOp::Check(op) => ("check", op.show()),
            MultiOp::GetData(op) => ("getData", op.show()),
            MultiOp::GetChildren(op) => ("getChildren", op.show()),
        };
        let mut shown = body.json();
        shown["op"] = json!(name);
        shown["type"] = json!(op.kind());
        if shown.get("acl").is_some() {
            assert_eq!(shown["acl"], json!([{ "perms": 31, "id": { "scheme": "world", "id": "anyone" } }]));
            shown["acl"] = json!("world:anyone:31");
        }
        assert_eq!(&shown, expected);
    }
}

fn check_multi_response(vector: &Vector) {
    let multi: MultiResponse = from_bytes(&vector.bytes).unwrap();
    assert_eq!(zorilla_protocol::jute::to_bytes(&multi), vector.bytes, "{}", vector.name());
    let shown: Vec<Value> = multi.results.iter().map(shown_result).collect();
    assert_eq!(Value::Array(shown), vector.value, "{}", vector.name());
}

fn shown_result(result: &MultiResult) -> Value {
    let (kind, mut shown) = match result {
        MultiResult::Create(body) => (1, body.show().json()),
        MultiResult::Create2(body) => (15, body.show().json()),
        MultiResult::Delete => (2, json!({})),
        MultiResult::SetData(body) => (5, body.show().json()),
        MultiResult::Check => (13, json!({})),
        MultiResult::GetData(body) => (4, body.show().json()),
        MultiResult::GetChildren(body) => (8, body.show().json()),
        MultiResult::Error(err) => (-1, json!({ "err": err })),
    };
    shown["type"] = json!(kind);
    shown
}

/// A whole frame, length prefix included: cut off a stream, read, put together again.
fn check_frame(vector: &Vector) {
    let name = vector.name();
    let mut received = BytesMut::from(&vector.bytes[..]);
    let frame = take_frame(&mut received, JUTE_MAXBUFFER_DEFAULT).unwrap().expect("a whole frame");
    assert!(received.is_empty(), "{name}");
    let mut again = BytesMut::new();
    let mut r = Reader::new(&frame);
    let shown = match &vector.record["frame:".len()..] {
        "ConnectRequest" => {
            let connect: ConnectRequest = Jute::get(&mut r).unwrap();
            put_frame(&mut again, |out| connect.put(out));
            connect.show().json()
        }
        "ping-request" | "auth-request" | "setWatches" | "closeSession-request" => request(&mut r, &mut again),
        "ping-reply" | "auth-reply-ok" | "auth-reply-failed" | "reply-noNode" => {
            let header: ReplyHeader = Jute::get(&mut r).unwrap();
            put_frame(&mut again, |out| header.put(out));
            header.show().json()
        }
        "notification" | "notification-from-setWatches" => {
            let (header, event): (ReplyHeader, WatcherEvent) = (Jute::get(&mut r).unwrap(), Jute::get(&mut r).unwrap());
            put_frame(&mut again, |out| {
                header.put(out);
                event.put(out);
            });
            let mut shown = header.show().json();
            shown["body"] = event.show().json();
            shown
        }
        other => panic!("no home for frame {other}"),
    };
    assert!(r.is_empty(), "{name}: not read to the end");
    assert_eq!(again, vector.bytes, "{name}: written differently");
    let mut expected = vector.value.clone();
    if let Some(auth) = expected.pointer_mut("/body/auth") {
        let text = auth.as_str().unwrap();
        *auth = json!({ "$hex": common::hex(text.as_bytes()) });
    }
    assert_eq!(shown, expected, "{name}");
}

fn request(r: &mut Reader<'_>, again: &mut BytesMut) -> Value {
    let header: RequestHeader = Jute::get(r).unwrap();
    let request = Request::decode(header.kind, r).unwrap();
    put_frame(again, |out| {
        header.put(out);
        request.put(out);
    });
    let mut shown = header.show().json();
    match request {
        Request::Ping(_) | Request::CloseSession(_) => {}
        Request::Auth(body) => shown["body"] = body.show().json(),
        Request::SetWatches(body) => shown["body"] = body.show().json(),
        other => panic!("unexpected {}", other.name()),
    }
    shown
}

#[test]
fn text_is_decoded_as_java_does() {
    let text = |hex: &str| from_bytes::<String>(&unhex(hex)).unwrap();
    assert_eq!(text("00000004f09f9880"), "\u{1f600}", "four bytes, as other clients send it");
    assert_eq!(text("00000006eda0bdedb880"), "\u{1f600}", "two surrogates, as Java sends it");
    assert_eq!(text("0000000161"), "a");
    assert_eq!(text("00000002ff61"), "\u{fffd}a");
    assert!(text("00000003eda0bd").chars().all(|c| c == '\u{fffd}'), "half a pair");
    assert_eq!(from_bytes::<Option<Bytes>>(&unhex("00000000")).unwrap(), Some(Bytes::new()));
    assert_eq!(from_bytes::<Option<Bytes>>(&unhex("ffffffff")).unwrap(), None);
    assert_eq!(from_bytes::<Option<Vec<i32>>>(&unhex("fffffffe")).unwrap(), Some(vec![]), "below -1: empty");
    assert_eq!(from_bytes::<Option<Bytes>>(&unhex("fffffffe")), Err(Malformed::Length(-2)));
}
