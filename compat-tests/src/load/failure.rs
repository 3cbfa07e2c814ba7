//! Why a run is worth nothing.

use std::io;

/// Anything that ends a run early: the server, the network, or an answer that cannot be right.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the server closed session {session} with {pending} requests unanswered")]
    Closed { session: usize, pending: usize },
    #[error("session {session}: reply to xid {got}, expected xid {expected:?}")]
    Order { session: usize, expected: Option<i32>, got: i32 },
    #[error("session {session}: zxid went back from {before:#x} to {after:#x}")]
    ZxidBack { session: usize, before: i64, after: i64 },
    #[error("session {session}: {what}")]
    Wrong { session: usize, what: String },
    #[error("the server refused a session (timeout 0)")]
    Refused,
    #[error("no answer for {seconds} s, {pending} requests outstanding")]
    Stalled { seconds: u64, pending: usize },
    #[error("{0}")]
    Usage(String),
}
