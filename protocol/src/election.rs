//! The election port's messages (Java: `QuorumCnxManager.InitialMessage`, `FastLeaderElection`). Both
//! are read from the whole of their bytes: their length decides their form.

use crate::ids::{Sid, Zxid};
use crate::jute::{Jute, Malformed, Reader};
use bytes::{BufMut, Bytes, BytesMut};

/// A frame on the election port is 1 to this many bytes.
pub const FRAME_BYTES_MAX: usize = 512 * 1024;

/// The addresses of an initial message take 1 to this many bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

const V1: i64 = -65536;
const V2: i64 = -65535;

/// The first bytes on an election connection: who calls, and where it can be called back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialMessage {
    /// From before 3.5: nothing but the number.
    Legacy(Sid),
    /// One address, `host:port`. What is sent unless several are configured.
    V1(Sid, String),
    /// Several addresses of one member.
    V2(Sid, Vec<String>),
}

impl Jute for InitialMessage {
    fn put(&self, out: &mut BytesMut) {
        let (version, sid, addresses) = match self {
            InitialMessage::Legacy(sid) => return sid.put(out),
            InitialMessage::V1(sid, address) => (V1, sid, address.clone()),
            InitialMessage::V2(sid, addresses) => (V2, sid, addresses.join("|")),
        };
        version.put(out);
        sid.put(out);
        // Java writes these as UTF-8, unlike the strings of jute.
        Bytes::from(addresses).put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let version = i64::get(r)?;
        if version >= 0 {
            return Ok(InitialMessage::Legacy(Sid(version)));
        }
        if version != V1 && version != V2 {
            return Err(Malformed::Type(version as i32));
        }
        let sid = Sid::get(r)?;
        let length = i32::get(r)?;
        let text = match usize::try_from(length) {
            Ok(size @ 1..=ADDRESS_BYTES_MAX) => String::from_utf8_lossy(r.take(size)?).into_owned(),
            _ => return Err(Malformed::Length(length)),
        };
        Ok(match version {
            V1 => InitialMessage::V1(sid, text),
            _ => InitialMessage::V2(sid, text.split('|').map(str::to_owned).collect()),
        })
    }
}

/// What a member is doing, as its notifications say.
pub mod state {
    /// In an election.
    pub const LOOKING: i32 = 0;
    /// A participant with a leader.
    pub const FOLLOWING: i32 = 1;
    /// The leader.
    pub const LEADING: i32 = 2;
    /// A learner without a vote.
    pub const OBSERVING: i32 = 3;
}

/// The version of the form that carries a config; we send no other.
pub const NOTIFICATION_VERSION: i32 = 2;

/// A vote, and the state of whoever sends it. `put` writes version 2 whatever was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// See [`state`]; kept as it came.
    pub state: i32,
    /// Who is voted for; `i64::MIN` by members without a vote.
    pub leader: Sid,
    /// The last zxid logged there.
    pub zxid: Zxid,
    /// The sender's round (its logical clock).
    pub election_epoch: i64,
    /// The current epoch of the member voted for.
    pub peer_epoch: i64,
    /// 0 for the two forms from before 3.4.6.
    pub version: i32,
    /// The sender's config text; `None` unless `version` is above 1.
    pub config: Option<Bytes>,
}

impl Jute for Notification {
    fn put(&self, out: &mut BytesMut) {
        out.put_i32(self.state);
        self.leader.put(out);
        self.zxid.put(out);
        out.put_i64(self.election_epoch);
        out.put_i64(self.peer_epoch);
        out.put_i32(NOTIFICATION_VERSION);
        self.config.clone().unwrap_or_default().put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = r.rest().len();
        let (state, leader, zxid, election_epoch) = (Jute::get(r)?, Jute::get(r)?, Zxid::get(r)?, Jute::get(r)?);
        let (peer_epoch, version) = match length {
            28 => (zxid.epoch(), 0),
            // The integer at the end is not looked at in this form.
            40 => (i64::get(r)?, i32::get(r).map(|_| 0)?),
            _ => (i64::get(r)?, i32::get(r)?),
        };
        let config = if version > 1 { Some(Bytes::get(r)?) } else { None };
        Ok(Notification { state, leader, zxid, election_epoch, peer_epoch, version, config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::{from_bytes, to_bytes};

    #[test]
    fn addresses_are_utf_8_whatever_they_hold() {
        for address in ["h:3888", "\u{e9}:3888", "\u{1f600}:3888"] {
            let message = InitialMessage::V1(Sid(1), address.to_owned());
            let bytes = to_bytes(&message);
            assert_eq!(bytes[20..], *address.as_bytes());
            assert_eq!(from_bytes::<InitialMessage>(&bytes), Ok(message));
        }
    }
}
