//! What flows between a leader and its learners on the quorum port: concatenated packets, no outer
//! length, and their payloads (Java: `server.quorum.QuorumPacket`, `Learner`, `LearnerHandler`).

use crate::ids::{SessionId, Sid, Zxid};
use crate::jute::{Jute, Malformed, Reader};
use crate::records::{Id, records};
use bytes::{BufMut, Bytes, BytesMut};

records! {
    /// Null `data` and `authinfo` are the common case, and not the same bytes as empty ones.
    QuorumPacket { kind: i32, zxid: Zxid, data: Option<Bytes>, authinfo: Option<Vec<Id>> }
    /// One SASL step between members, in front of everything else. `magic` is [`AUTH_MAGIC`]; `status`
    /// 0 in progress, 1 success, -1 error.
    QuorumAuthPacket { magic: i64, status: i32, token: Option<Bytes> }
    /// One session that a learner heard of, in the data of its PING; the data is a run of them.
    Touch { session_id: SessionId, time_out_ms: i32 }
    /// A learner asks whether a session may go on here (data of REVALIDATE).
    Revalidate { session_id: SessionId, time_out_ms: i32 }
    /// The leader's answer to it.
    Revalidated { session_id: SessionId, valid: bool }
    /// In front of the client's own bytes in the data of REQUEST.
    ForwardedRequest { session_id: SessionId, cxid: i32, kind: i32 }
}

/// Java: `QuorumAuth.QUORUM_AUTH_MAGIC_NUMBER`.
pub const AUTH_MAGIC: i64 = 0x5F24_3501_3501_EDCC;

/// What every server since 3.4 calls itself in [`LearnerInfo`] and LEADERINFO.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;

macro_rules! packets {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// The packet types. A packet keeps its number as it came: unknown ones are logged and ignored.
        pub mod kind {
            $($(#[$doc])* pub const $name: i32 = $value;)*
        }
        /// A packet type's name, for people.
        pub fn kind_name(kind: i32) -> &'static str {
            match kind { $($value => $text,)* _ => "UNKNOWN" }
        }
    };
}

packets! {
    /// Learner to leader: a client's write or sync.
    REQUEST = 1, "REQUEST";
    /// To participants: header, txn and digest, to be logged.
    PROPOSAL = 2, "PROPOSAL";
    /// Logged; also answers NEWLEADER and UPTODATE.
    ACK = 3, "ACK";
    /// To participants: the txn is decided.
    COMMIT = 4, "COMMIT";
    /// Both ways; a learner's carries its touched sessions, empty rather than null when there are none.
    PING = 5, "PING";
    /// Both ways: may this session go on at that learner.
    REVALIDATE = 6, "REVALIDATE";
    /// To a learner: the sync it asked for has been reached.
    SYNC = 7, "SYNC";
    /// To observers: a decided txn with its bytes.
    INFORM = 8, "INFORM";
    /// A COMMIT of a reconfig, with the leader designated by it.
    COMMITANDACTIVATE = 9, "COMMITANDACTIVATE";
    /// The history is complete; data is the last seen config.
    NEWLEADER = 10, "NEWLEADER";
    /// A participant's first packet.
    FOLLOWERINFO = 11, "FOLLOWERINFO";
    /// The learner may serve.
    UPTODATE = 12, "UPTODATE";
    /// The missing txns follow.
    DIFF = 13, "DIFF";
    /// Cut the log behind this zxid.
    TRUNC = 14, "TRUNC";
    /// A whole tree follows (see [`crate::snapshot`]).
    SNAP = 15, "SNAP";
    /// An observer's first packet.
    OBSERVERINFO = 16, "OBSERVERINFO";
    /// The new epoch.
    LEADERINFO = 17, "LEADERINFO";
    /// A learner's answer to it: its last zxid and current epoch.
    ACKEPOCH = 18, "ACKEPOCH";
    /// An INFORM of a reconfig, with the leader designated by it in front.
    INFORMANDACTIVATE = 19, "INFORMANDACTIVATE";
}

/// Who a learner is: the data of FOLLOWERINFO and OBSERVERINFO. Older servers send less of it: the
/// data's end decides, so it is the last thing in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerInfo {
    /// The learner's number.
    pub sid: Sid,
    /// See [`PROTOCOL_VERSION`]; absent in 8 bytes.
    pub protocol_version: Option<i32>,
    /// The version of its committed config; absent in fewer than 20 bytes.
    pub config_version: Option<i64>,
}

impl Jute for LearnerInfo {
    fn put(&self, out: &mut BytesMut) {
        self.sid.put(out);
        if let Some(version) = self.protocol_version {
            out.put_i32(version);
            if let Some(config) = self.config_version {
                out.put_i64(config);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let sid = Sid::get(r)?;
        let protocol_version = if r.rest().len() >= 4 { Some(i32::get(r)?) } else { None };
        let config_version = if r.rest().len() >= 8 { Some(i64::get(r)?) } else { None };
        Ok(LearnerInfo { sid, protocol_version, config_version })
    }
}
