//! The pure core of Zorilla: what decides, without sockets, files, clocks, threads or randomness.
//!
//! Whatever could differ between two members that are fed the same events comes in as an argument:
//! time, zxids, session ids. In reading order:
//!
//! - [`ids`]: numbers that only live inside a server; [`hash`]: their hash
//! - [`tree`]: znodes; `prepare(request) -> Txn`, `apply(txn) -> effects`, `read(request) -> reply`
//! - [`pipeline`]: the order of one connection's replies
//! - [`zab`]: where proposals become commits
//! - [`session`]: who has a session, and until when
//! - [`watch`]: who watches what, and who hears of a change
//! - [`auth`]: identities, ACL checks and fix-up, the built-in schemes
#![warn(missing_docs)]

pub mod auth;
pub mod digest_alg;
pub mod hash;
pub mod ids;
pub mod pipeline;
pub mod session;
pub mod tree;
pub mod watch;
pub mod zab;
