//! The same random histories for two servers, every answer compared byte by byte: see `zkdiff --help`.
//!
//! A history is generated from a seed ([`generate`]), as data ([`history`]), and played on both servers ([`run`]). One
//! line at a time is active; its requests are pipelined, and answers and events of one connection have one order, so
//! that nothing is left to chance. What may differ is taken out ([`normal`]); what differs on purpose is data
//! ([`explain`]). Histories that show a difference are shortened ([`shrink`]) and kept.

pub mod clean;
pub mod damage;
pub mod explain;
pub mod generate;
pub mod hex;
pub mod history;
pub mod layout;
pub mod link;
pub mod normal;
pub mod ops;
pub mod requests;
pub mod run;
pub mod show;
pub mod shrink;
pub mod side;
pub mod tally;
pub mod universe;
