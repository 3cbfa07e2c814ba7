//! Files: the data directory, the transaction log, the tree behind the log.

pub mod dir;
pub mod log;
pub mod store;
