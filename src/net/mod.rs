//! Client connections: bytes in, requests on; replies and events out.

pub mod address;
pub mod connection;
pub mod listener;
pub mod task;

pub use connection::{Connection, Session};
