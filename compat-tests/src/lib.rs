//! Tools and harnesses that hold Zorilla against real clients and Apache ZooKeeper.

pub mod diff;
pub mod limit;
pub mod load;
