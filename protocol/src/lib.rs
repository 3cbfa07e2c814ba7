//! ZooKeeper's bytes and types.
//!
//! Everything here is a pure function between bytes and values: no runtime, clock, randomness or
//! files. In reading order:
//!
//! - [`jute`]: the encoding (`put` and `get` side by side), the [`jute::Reader`] and its limits
//! - [`records`]: every record of `zookeeper.jute`, one table
//! - [`irregular`]: what the table cannot say (connect's optional flag, multi bodies)
//! - [`ops`]: the opcode table, [`ops::Request`]
//! - [`code`]: the error codes a client can see
//! - [`txn`]: transactions as they stand in the log and in proposals
//! - [`packet`], [`snapshot`], [`election`]: what members say to each other
//! - [`frame`], [`path`], [`ids`], [`password`]: framing, path rules, number types, session passwords
#![warn(missing_docs)]

pub mod code;
pub mod election;
pub mod frame;
pub mod ids;
pub mod irregular;
pub mod jute;
pub mod ops;
pub mod packet;
pub mod password;
pub mod path;
pub mod records;
pub mod snapshot;
pub mod txn;

pub use code::Code;
pub use ids::{SessionId, Sid, Zxid};
pub use jute::{Jute, Malformed, Reader};
