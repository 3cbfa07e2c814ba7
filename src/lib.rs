//! Zorilla: a drop-in ZooKeeper server. The map, in reading order: [`cli`] reads arguments, [`config`] what the
//! operator wants, [`storage`] keeps what must survive a restart; [`exit`] is how the process ends.

pub mod cli;
pub mod config;
pub mod exit;
pub mod storage;
