//! Zorilla: a drop-in ZooKeeper server. The map, in reading order:
//!
//! - [`cli`] reads arguments, [`config`] what the operator wants; [`exit`] is how the process ends
//! - [`storage`] keeps what must survive a restart; [`mod@time`] is the only reader of clocks
//! - [`admin`] answers operators

pub mod admin;
pub mod cli;
pub mod config;
pub mod exit;
pub mod storage;
pub mod time;
