//! Zorilla: a drop-in ZooKeeper server. The map, in reading order:
//!
//! - [`cli`] reads arguments, [`config`] what the operator wants; [`exit`] is how the process ends
//! - [`server`] feeds the core (crate `zorilla_core`) and carries out what it says
//! - [`net`] is the clients' side, [`storage`] keeps what must survive a restart
//! - [`admin`] answers operators; [`mod@time`] is the only reader of clocks

pub mod admin;
pub mod cli;
pub mod config;
pub mod exit;
pub mod net;
pub mod server;
pub mod storage;
pub mod time;
