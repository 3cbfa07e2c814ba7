//! Zorilla: a drop-in ZooKeeper server. The map, in reading order: [`storage`] keeps what must
//! survive a restart.

pub mod storage;
