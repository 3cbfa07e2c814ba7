//! A history: what some clients do to a server, step by step. Plain data, so that it can be cut, kept and replayed.

use serde::{Deserialize, Serialize};

use super::hex::Hex;

/// A place for a TCP connection. One history uses a few; each can be opened again after it closed.
pub type LineName = u8;
/// A session, by the connect that asked for it. On each server it stands for another session id.
pub type SessionName = u16;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// The configuration of the servers it is meant for, by the name in `harness/diff.py`.
    pub profile: String,
    /// The seed it came from.
    pub seed: u64,
    /// A connection has several identities, so that `auth` in an ACL stands for several entries in no given order.
    #[serde(default)]
    pub acl_order_is_free: bool,
    /// What was found with it, for the reader.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    Connect(Connect),
    Ask(Ask),
    /// Bytes that no request has, behind which the server closes.
    Raw {
        line: LineName,
        bytes: Hex,
    },
    /// A frame that stops in the middle, then the end of the connection.
    Stump {
        line: LineName,
        bytes: Hex,
    },
    /// The client closes its side and waits until the server has noticed. The session lives on.
    Drop {
        line: LineName,
    },
    /// Resumes a session with a short time-out, leaves, and waits until it has expired.
    Expire {
        session: SessionName,
        time_out: i32,
    },
    /// A four-letter word, on a connection of its own.
    Word {
        bytes: Hex,
    },
}

/// A ConnectRequest. `None` in `resumes` asks for a new session, which is called `session` from then on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connect {
    pub line: LineName,
    pub session: SessionName,
    pub resumes: bool,
    pub password: Password,
    pub time_out: i32,
    pub protocol_version: i32,
    /// Added to the newest zxid that the client knows; `None` sends 0.
    pub zxid_ahead: Option<i64>,
    /// `None`: an old client, whose request ends before this byte.
    pub read_only: Option<u8>,
    /// How many bytes of the request are sent (its length says the same); `None`: all.
    #[serde(default)]
    pub cut: Option<usize>,
    #[serde(default)]
    pub trailing: Hex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// What the server gave, or 16 zero bytes when it gave nothing yet.
    Given,
    Zeros(usize),
    Wrong,
    Null,
    /// A length below -1.
    Negative,
    /// A length that the request does not have.
    Huge,
}

/// A request in a frame of its own, answered once or by the end of the connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    pub line: LineName,
    pub xid: i32,
    pub op: i32,
    pub body: Hex,
    /// The body begins with a zxid: the newest one that the client knows, plus this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zxid_ahead: Option<i64>,
    /// All answers are awaited before anything else is sent.
    #[serde(default)]
    pub fence: bool,
    /// It may end the connection: nothing is under way before it, and a ping asks afterwards.
    #[serde(default)]
    pub alone: bool,
}

impl Step {
    /// The connection that it acts on, if any.
    pub fn line(&self) -> Option<LineName> {
        match self {
            Self::Connect(connect) => Some(connect.line),
            Self::Ask(ask) => Some(ask.line),
            Self::Raw { line, .. } | Self::Stump { line, .. } | Self::Drop { line } => Some(*line),
            Self::Expire { .. } | Self::Word { .. } => None,
        }
    }
}
