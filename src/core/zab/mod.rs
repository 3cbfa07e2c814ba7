//! Where proposals become commits.
//!
//! A standalone server is a leader in its broadcast phase whose quorum is itself: there is no second
//! code path. Election, discovery and synchronisation will stand beside this module.

pub mod broadcast;
pub mod quorum;

pub use broadcast::Broadcast;
pub use quorum::Majority;
