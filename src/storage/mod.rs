//! What is on disk.

pub mod log;
