//! Which type each recorded record is read with.

use super::{Show, Shown};
use bytes::Bytes;
use zorilla_protocol::election::{InitialMessage, Notification};
use zorilla_protocol::irregular::{ConnectRequest, ConnectResponse, MultiRequest, MultiResponse};
use zorilla_protocol::jute::{Jute, Malformed, Reader, to_bytes};
use zorilla_protocol::packet::*;
use zorilla_protocol::records::*;
use zorilla_protocol::snapshot::{SnapshotAcl, SnapshotNode, SnapshotSession};
use zorilla_protocol::txn::*;

/// What reading gave: the value shown and written again, and how much was read.
#[derive(Debug)]
pub struct Read {
    pub shown: Shown,
    pub again: Bytes,
    pub position: usize,
}

/// A decoder, its type forgotten.
pub type Decoder = fn(&Bytes) -> Result<Read, Malformed>;

fn read<T: Jute + Show>(bytes: &Bytes) -> Result<Read, Malformed> {
    let mut r = Reader::new(bytes);
    let value = T::get(&mut r)?;
    Ok(Read { shown: value.show(), again: to_bytes(&value), position: r.position() })
}

/// `path_to_delete` is `pathToDelete` in the schema; two names are ours.
fn schema_name(field: &str) -> String {
    match field {
        "kind" => return "type".to_owned(),
        "time_out_ms" => return "timeOut".to_owned(),
        _ => {}
    }
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

macro_rules! records_shown {
    ($($record:literal $ty:ident { $($field:ident),* })*) => {
        $(impl Show for $ty {
            fn show(&self) -> Shown {
                // No `..`: a field that the test does not look at does not compile.
                let $ty { $($field),* } = self;
                Shown::Record(vec![$((schema_name(stringify!($field)), $field.show())),*])
            }
        })*
        const TABLE: &[(&str, Decoder)] = &[$(($record, read::<$ty>)),*];
    };
}

records_shown! {
    "Id" Id { scheme, id }
    "ACL" Acl { perms, id }
    "Stat" Stat {
        czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner, data_length, num_children, pzxid
    }
    "StatPersisted" StatPersisted {
        czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner, pzxid
    }
    "ClientInfo" ClientInfo { auth_scheme, user }
    "ConnectRequest" ConnectRequest { protocol_version, last_zxid_seen, time_out_ms, session_id, passwd, read_only }
    "ConnectResponse" ConnectResponse { protocol_version, time_out_ms, session_id, passwd, read_only }
    "RequestHeader" RequestHeader { xid, kind }
    "ReplyHeader" ReplyHeader { xid, zxid, err }
    "MultiHeader" MultiHeader { kind, done, err }
    "AuthPacket" AuthPacket { kind, scheme, auth }
    "WatcherEvent" WatcherEvent { kind, state, path }
    "ErrorResponse" ErrorResponse { err }
    "CreateRequest" CreateRequest { path, data, acl, flags }
    "CreateTTLRequest" CreateTtlRequest { path, data, acl, flags, ttl }
    "CreateResponse" CreateResponse { path }
    "Create2Response" Create2Response { path, stat }
    "DeleteRequest" DeleteRequest { path, version }
    "CheckVersionRequest" CheckVersionRequest { path, version }
    "DeleteContainerRequest" DeleteContainerRequest { path }
    "ExistsRequest" ExistsRequest { path, watch }
    "ExistsResponse" ExistsResponse { stat }
    "GetDataRequest" GetDataRequest { path, watch }
    "GetDataResponse" GetDataResponse { data, stat }
    "SetDataRequest" SetDataRequest { path, data, version }
    "SetDataResponse" SetDataResponse { stat }
    "GetACLRequest" GetAclRequest { path }
    "GetACLResponse" GetAclResponse { acl, stat }
    "SetACLRequest" SetAclRequest { path, acl, version }
    "SetACLResponse" SetAclResponse { stat }
    "GetChildrenRequest" GetChildrenRequest { path, watch }
    "GetChildrenResponse" GetChildrenResponse { children }
    "GetChildren2Request" GetChildren2Request { path, watch }
    "GetChildren2Response" GetChildren2Response { children, stat }
    "GetAllChildrenNumberRequest" GetAllChildrenNumberRequest { path }
    "GetAllChildrenNumberResponse" GetAllChildrenNumberResponse { total_number }
    "SyncRequest" SyncRequest { path }
    "SyncResponse" SyncResponse { path }
    "ReconfigRequest" ReconfigRequest { joining_servers, leaving_servers, new_members, cur_config_id }
    "SetWatches" SetWatches { relative_zxid, data_watches, exist_watches, child_watches }
    "SetWatches2" SetWatches2 {
        relative_zxid, data_watches, exist_watches, child_watches, persistent_watches, persistent_recursive_watches
    }
    "AddWatchRequest" AddWatchRequest { path, mode }
    "CheckWatchesRequest" CheckWatchesRequest { path, kind }
    "RemoveWatchesRequest" RemoveWatchesRequest { path, kind }
    "GetEphemeralsRequest" GetEphemeralsRequest { prefix_path }
    "GetEphemeralsResponse" GetEphemeralsResponse { ephemerals }
    "WhoAmIResponse" WhoAmIResponse { client_info }
    "GetSASLRequest" GetSaslRequest { token }
    "SetSASLRequest" SetSaslRequest { token }
    "SetSASLResponse" SetSaslResponse { token }
    "GetMaxChildrenRequest" GetMaxChildrenRequest { path }
    "GetMaxChildrenResponse" GetMaxChildrenResponse { max }
    "SetMaxChildrenRequest" SetMaxChildrenRequest { path, max }
    "TxnHeader" TxnHeader { client_id, cxid, zxid, time, kind }
    "TxnDigest" TxnDigest { version, tree_digest }
    "CreateTxn" CreateTxn { path, data, acl, ephemeral, parent_cversion }
    "CreateContainerTxn" CreateContainerTxn { path, data, acl, parent_cversion }
    "CreateTTLTxn" CreateTtlTxn { path, data, acl, parent_cversion, ttl }
    "DeleteTxn" DeleteTxn { path }
    "SetDataTxn" SetDataTxn { path, data, version }
    "SetACLTxn" SetAclTxn { path, acl, version }
    "CheckVersionTxn" CheckVersionTxn { path, version }
    "CreateSessionTxn" CreateSessionTxn { time_out_ms }
    "CloseSessionTxn" CloseSessionTxn { paths_to_delete }
    "ErrorTxn" ErrorTxn { err }
    "SetMaxChildrenTxn" SetMaxChildrenTxn { path, max }
    "FileHeader" FileHeader { magic, version, dbid }
    "QuorumPacket" QuorumPacket { kind, zxid, data, authinfo }
    "QuorumAuthPacket" QuorumAuthPacket { magic, status, token }
    "Touch" Touch { session_id, time_out_ms }
    "Revalidate" Revalidate { session_id, time_out_ms }
    "Revalidated" Revalidated { session_id, valid }
    "ForwardedRequest" ForwardedRequest { session_id, cxid, kind }
    "SnapshotSession" SnapshotSession { session_id, time_out_ms }
    "SnapshotAcl" SnapshotAcl { acl_id, acl }
    "SnapshotNode" SnapshotNode { path, data, acl_id, stat }
}

impl Show for LearnerInfo {
    fn show(&self) -> Shown {
        let LearnerInfo { sid, protocol_version, config_version } = self;
        let numbers = [Some(sid.0), protocol_version.map(i64::from), *config_version];
        Shown::Record(numbers.into_iter().flatten().map(|n| (String::new(), Shown::Number(n))).collect())
    }
}

/// For the records whose values the tests compare in their own way.
macro_rules! shown_as_debug {
    ($($ty:ident)*) => { $(impl Show for $ty { fn show(&self) -> Shown { format!("{self:?}").show() } })* };
}
shown_as_debug! { MultiRequest MultiResponse LogEntry InitialMessage }

impl Show for Notification {
    /// Without the version and what depends on it: it is always written in the newest form.
    fn show(&self) -> Shown {
        let Notification { state, leader, zxid, election_epoch, peer_epoch, version: _, config: _ } = self;
        format!("{state} {leader:?} {zxid} {election_epoch} {peer_epoch}").show()
    }
}

const IRREGULAR: &[(&str, Decoder)] = &[
    ("LearnerInfo", read::<LearnerInfo>),
    ("MultiOperationRecord", read::<MultiRequest>),
    ("MultiResponse", read::<MultiResponse>),
    ("TxnLogEntry(hdr+txn+digest)", read::<LogEntry>),
    ("Notification", read::<Notification>),
    ("ElectionInitialMessage", read::<InitialMessage>),
];

/// Every decoder, with the name of its record. What stands behind a slash in a name only says which
/// packet it is.
pub fn decoders() -> impl Iterator<Item = &'static (&'static str, Decoder)> {
    TABLE.iter().chain(IRREGULAR)
}

/// The decoder of a record.
pub fn home(record: &str) -> Option<Decoder> {
    let record = record.split('/').next()?;
    decoders().find(|(name, _)| *name == record).map(|(_, decoder)| *decoder)
}
