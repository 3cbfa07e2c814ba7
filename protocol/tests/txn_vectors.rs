//! Every transaction, quorum packet and election message that Apache's own classes serialised.

mod common;

use bytes::{Bytes, BytesMut};
use common::{Show, Shown, Vector, hex, homes::home, vectors};
use zorilla_protocol::election::{InitialMessage, Notification, state};
use zorilla_protocol::jute::{Jute, Reader, from_bytes, to_bytes};
use zorilla_protocol::packet::{
    AUTH_MAGIC, ForwardedRequest, LearnerInfo, PROTOCOL_VERSION, QuorumAuthPacket, QuorumPacket, Revalidate,
    Revalidated, Touch, kind, kind_name,
};
use zorilla_protocol::password::session_password;
use zorilla_protocol::snapshot::{SIGNATURE, SnapshotAcl, SnapshotSession, get_node, put_end};
use zorilla_protocol::txn::{CreateTxn, ErrorTxn, LogEntry, Txn};
use zorilla_protocol::{SessionId, Sid, Zxid};

fn text(vector: &Vector) -> &str {
    vector.value.as_str().unwrap()
}

#[test]
fn every_txn_and_packet() {
    let all = vectors("txn-records.json");
    assert_eq!(all.len(), 111);
    for vector in &all {
        match vector.record.as_str() {
            "CreateTxnV0" => check_create_v0(vector),
            "Txn" => check_sub_txn(vector),
            "MultiTxn" => check_multi(vector),
            "TxnLogEntry(hdr+txn+digest)" => check_log_entry(vector),
            "WireSnapshotStream" => check_snapshot(vector),
            "SessionPassword" => check_password(vector),
            "Notification/v2" => check_notification(vector),
            "Notification/40-byte" => check_old_notification(vector),
            "ElectionInitialMessage/V1" | "ElectionInitialMessage/V2" => check_initial_message(vector),
            // A tree's digest, not bytes of a record: whoever computes digests checks it. And an id
            // drawn from a clock.
            "DigestVector" | "SessionIdBase" => {}
            record if record.starts_with("QuorumPacket/") => check_packet(vector),
            _ => check_plain(vector),
        }
    }
}

fn check_plain(vector: &Vector) {
    let name = vector.name();
    let decode = home(&vector.record).unwrap_or_else(|| panic!("no type for {name}"));
    let read = decode(&vector.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(read.position, vector.bytes.len(), "{name}: not read to the end");
    assert_eq!(read.again, vector.bytes, "{name}: written differently");
    assert_described(vector, &read.shown);
}

/// The recorded text is Java's, behind a remark perhaps.
fn assert_described(vector: &Vector, shown: &Shown) {
    let (shown, expected) = (shown.csv(), text(vector));
    // Behind these remarks the text has nothing that could be told from them.
    let remarked =
        expected.strip_suffix(shown.as_str()).is_some_and(|remark| remark.is_empty() || remark.ends_with(' '));
    assert!(remarked, "{}: read as {shown}", vector.name());
}

/// Before 3.3 a create ended behind `ephemeral`.
fn check_create_v0(vector: &Vector) {
    let mut r = Reader::new(&vector.bytes);
    let Txn::Create(create) = Txn::get(1, &mut r).unwrap() else { panic!("not a create") };
    assert!(r.is_empty());
    assert_eq!(create.parent_cversion, -1);
    let mut today = vector.bytes.to_vec();
    today.extend_from_slice(&[0xff; 4]);
    assert_eq!(to_bytes(&create), today, "written as of today");
    let CreateTxn { path, data, acl, ephemeral, .. } = create;
    let fields = [path.show(), data.show(), acl.show(), ephemeral.show()];
    assert_described(vector, &Shown::Record(fields.into_iter().map(|field| (String::new(), field)).collect()));
}

fn put(txn: &Txn) -> Bytes {
    let mut out = BytesMut::new();
    txn.put(&mut out);
    out.freeze()
}

/// As Java prints it: a multi as its parts with their bytes.
fn shown_txn(txn: &Txn) -> Shown {
    match txn {
        Txn::Create(t) | Txn::Create2(t) => t.show(),
        Txn::CreateContainer(t) => t.show(),
        Txn::CreateTtl(t) => t.show(),
        Txn::Delete(t) | Txn::DeleteContainer(t) => t.show(),
        Txn::SetData(t) | Txn::Reconfig(t) => t.show(),
        Txn::SetAcl(t) => t.show(),
        Txn::Check(t) => t.show(),
        Txn::Multi(parts) => Shown::List(Some(parts.iter().map(shown_part).collect())),
        Txn::CreateSession(t) => t.show(),
        Txn::CloseSession(t) => t.as_ref().expect("recorded with its list").show(),
        Txn::Error(t) => t.show(),
    }
}

fn shown_part(part: &Txn) -> Shown {
    let fields = [part.kind().show(), Some(put(part)).show()];
    Shown::Record(fields.into_iter().map(|field| (String::new(), field)).collect())
}

/// A part of a multi has the form of a multi of one without its count.
fn check_sub_txn(vector: &Vector) {
    let mut multi = BytesMut::from(&1_i32.to_be_bytes()[..]);
    multi.extend_from_slice(&vector.bytes);
    let multi = multi.freeze();
    let Txn::Multi(parts) = Txn::get(14, &mut Reader::new(&multi)).unwrap() else { panic!("not a multi") };
    assert_eq!(put(&Txn::Multi(parts.clone())), multi);
    let Shown::Record(fields) = shown_part(&parts[0]) else { panic!("not a record") };
    assert_described(vector, &Shown::Record(fields));
}

fn check_multi(vector: &Vector) {
    let mut r = Reader::new(&vector.bytes);
    let multi = Txn::get(14, &mut r).unwrap();
    assert!(r.is_empty());
    assert_eq!(put(&multi), vector.bytes, "{}", vector.name());
    assert_described(vector, &shown_txn(&multi));
}

fn check_log_entry(vector: &Vector) {
    let name = vector.name();
    let entry: LogEntry = from_bytes(&vector.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let field = |key: &str| vector.value[key].as_str().unwrap().trim_end();
    assert_eq!(entry.header.kind, entry.txn.kind());
    assert_eq!(entry.header.show().csv(), field("hdr"));
    let digest = entry.digest.as_ref().unwrap();
    assert_eq!((digest.version, Some(digest.tree_digest)), (2, vector.value["digestAfter"].as_i64()));
    if let Txn::Multi(parts) = &entry.txn
        && field("txn").contains("s{-1,#00032f6d32")
    {
        // Written by a server that had applied it: the create that was undone is called an error, with
        // the create's body. It is read as result 0, and written as that.
        let errors: Vec<Txn> = [0, -103, -2].map(|err| Txn::Error(ErrorTxn { err })).into();
        assert_eq!(*parts, errors);
        return;
    }
    assert_eq!(to_bytes(&entry), vector.bytes, "{name}: written differently");
    assert_eq!(shown_txn(&entry.txn).csv(), field("txn"));
}

fn check_snapshot(vector: &Vector) {
    let mut r = Reader::new(&vector.bytes);
    let mut again = BytesMut::new();
    let (sessions, acls) = (Vec::<SnapshotSession>::get(&mut r).unwrap(), Vec::<SnapshotAcl>::get(&mut r).unwrap());
    sessions.put(&mut again);
    acls.put(&mut again);
    let mut paths = Vec::new();
    while let Some(node) = get_node(&mut r).unwrap() {
        node.put(&mut again);
        paths.push(node.path);
    }
    put_end(&mut again);
    assert_eq!(String::get(&mut r).unwrap(), SIGNATURE);
    SIGNATURE.to_owned().put(&mut again);
    assert!(r.is_empty());
    assert_eq!(again, vector.bytes, "{}", vector.name());
    assert!(["", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"].iter().all(|p| paths.iter().any(|q| p == q)));
    let listed: Vec<String> = sessions.iter().map(|s| format!("{}={}", s.session_id.0, s.time_out_ms)).collect();
    assert_eq!(format!("{{{}}}", listed.join(", ")), vector.value["sessions"].as_str().unwrap());
}

fn check_password(vector: &Vector) {
    let id = vector.value["sessionId"].as_str().unwrap().trim_start_matches("0x");
    let session = SessionId(u64::from_str_radix(id, 16).unwrap().cast_signed());
    assert_eq!(session_password(session)[..], vector.bytes);
}

fn check_notification(vector: &Vector) {
    let notification: Notification = from_bytes(&vector.bytes).unwrap();
    assert_eq!(to_bytes(&notification), vector.bytes, "{}", vector.name());
    let Notification { state: sender, leader, zxid, election_epoch, peer_epoch, version, config } = notification;
    assert_eq!(version, 2);
    if text(vector).starts_with("observer vote") {
        let min = i64::MIN;
        assert_eq!((sender, leader, zxid, peer_epoch), (state::LOOKING, Sid(min), Zxid(min), min));
        assert_eq!(election_epoch, 1);
        return;
    }
    let name = if sender == state::LOOKING { "LOOKING" } else { "LEADING" };
    let config = String::from_utf8(config.unwrap().to_vec()).unwrap();
    let config = if config.is_empty() { "(empty)" } else { config.as_str() };
    let shown = format!(
        "state={sender} {name} leader={} zxid={zxid} electionEpoch={election_epoch} peerEpoch={peer_epoch} \
         version={version} config={config}",
        leader.0
    );
    assert_eq!(shown, text(vector));
}

fn check_old_notification(vector: &Vector) {
    let expected = Notification {
        state: state::FOLLOWING,
        leader: Sid(2),
        zxid: Zxid(5),
        election_epoch: 3,
        peer_epoch: 1,
        version: 0,
        config: None,
    };
    assert_eq!(from_bytes(&vector.bytes), Ok(expected.clone()));
    // The oldest form ends where the peer epoch would begin; the zxid's stands in for it.
    let oldest = vector.bytes.slice(..28);
    assert_eq!(from_bytes(&oldest), Ok(Notification { peer_epoch: 0, ..expected }));
}

fn check_initial_message(vector: &Vector) {
    let message: InitialMessage = from_bytes(&vector.bytes).unwrap();
    assert_eq!(to_bytes(&message), vector.bytes);
    let shown = match &message {
        InitialMessage::V1(sid, address) => format!("protocolVersion=-65536 sid={} addr={address}", sid.0),
        InitialMessage::V2(sid, many) => format!("protocolVersion=-65535 sid={} addr={}", sid.0, many.join("|")),
        InitialMessage::Legacy(sid) => panic!("legacy from {sid:?}"),
    };
    assert_eq!(shown, text(vector));
    assert_eq!(from_bytes(&common::unhex("0000000000000007")), Ok(InitialMessage::Legacy(Sid(7))));
}

/// The packet as the recording describes it, and its data read with the type that belongs there.
fn check_packet(vector: &Vector) {
    let name = vector.name();
    let packet: QuorumPacket = from_bytes(&vector.bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(to_bytes(&packet), vector.bytes, "{name}: written differently");
    let called = vector.record["QuorumPacket/".len()..].split(' ').next().unwrap();
    assert_eq!(kind_name(packet.kind), called, "{name}");
    let data = packet.data.as_ref().map_or("null".to_owned(), |data| hex(data));
    let authinfo = match &packet.authinfo {
        None => "null".to_owned(),
        Some(ids) => format!("[{}]", ids.iter().map(|id| id.show().csv() + "\n").collect::<Vec<_>>().join(", ")),
    };
    if packet.kind != kind::INFORMANDACTIVATE {
        let shown = format!("type={} zxid={} data={data} authinfo={authinfo}", packet.kind, hex_zxid(packet.zxid));
        assert_eq!(shown, text(vector), "{name}");
    }
    check_packet_data(&packet, vector);
}

fn hex_zxid(zxid: Zxid) -> String {
    format!("0x{:x}", zxid.0.cast_unsigned())
}

fn check_packet_data(packet: &QuorumPacket, vector: &Vector) {
    let name = vector.name();
    let data = packet.data.clone().unwrap_or_default();
    let mut r = Reader::new(&data);
    let session = SessionId(0x0100_000b_12ec_0000);
    match packet.kind {
        kind::REQUEST => {
            let head = ForwardedRequest::get(&mut r).unwrap();
            assert_eq!(head.session_id, session);
            let asked = [("create", 1), ("createSession", -10), ("closeSession", -11), ("sync", 9)];
            assert!(asked.contains(&(vector.record.split(' ').nth(1).unwrap(), head.kind)), "{name}");
        }
        kind::PROPOSAL | kind::INFORM => {
            assert_eq!(LogEntry::get(&mut r).unwrap().zxid(), packet.zxid);
            assert!(r.is_empty());
        }
        kind::INFORMANDACTIVATE => {
            assert_eq!(i64::get(&mut r), Ok(2), "the designated leader");
            let entry = LogEntry::get(&mut r).unwrap();
            assert!(matches!(entry.txn, Txn::Reconfig(_)) && entry.digest.is_some() && r.is_empty());
        }
        kind::COMMITANDACTIVATE => assert_eq!(from_bytes(&data), Ok(2_i64)),
        kind::PING if data.is_empty() => {
            assert_eq!(packet.data.is_some(), vector.record.contains("learner->leader"), "{name}");
        }
        kind::PING => assert_eq!(from_bytes(&data), Ok(Touch { session_id: session, time_out_ms: 8000 })),
        kind::REVALIDATE if vector.record.contains("learner->leader") => {
            assert_eq!(from_bytes(&data), Ok(Revalidate { session_id: session, time_out_ms: 8000 }));
        }
        kind::REVALIDATE => {
            let valid = vector.record.ends_with(" valid");
            assert_eq!(from_bytes(&data), Ok(Revalidated { session_id: session, valid }), "{name}");
        }
        kind::FOLLOWERINFO | kind::OBSERVERINFO => {
            let info: LearnerInfo = from_bytes(&data).unwrap();
            assert_eq!((info.protocol_version, info.config_version), (Some(PROTOCOL_VERSION), Some(0)));
            for length in [8, 12] {
                let shorter = data.slice(..length);
                assert_eq!(to_bytes(&from_bytes::<LearnerInfo>(&shorter).unwrap()), shorter);
            }
        }
        kind::LEADERINFO => assert_eq!(from_bytes(&data), Ok(PROTOCOL_VERSION)),
        kind::ACKEPOCH => assert!([1, -1].contains(&from_bytes::<i32>(&data).unwrap())),
        kind::NEWLEADER => assert!(data.starts_with(b"server.1=")),
        _ => assert_eq!(packet.data, None, "{name}"),
    }
}

#[test]
fn sasl_packets_begin_with_their_magic() {
    let sasl: Vec<Vector> =
        vectors("txn-records.json").into_iter().filter(|v| v.record == "QuorumAuthPacket").collect();
    assert_eq!(sasl.len(), 4);
    for vector in sasl {
        assert_eq!(from_bytes::<QuorumAuthPacket>(&vector.bytes).unwrap().magic, AUTH_MAGIC);
    }
}
