//! The whole server's files under power cuts and faults.
//!
//! ```text
//!  shim.c (LD_PRELOAD) -> trace: what was written and synced, and what clients were told, in one order
//!  trace -> [`disk`]    what had to be durable at any moment, and what may be: old, new or torn
//!        -> [`history`] what clients had been told by then, and what every zxid looks like
//!  [`power`] picks moments and legal states, writes them to a directory, has it opened by [`recover`], compares
//!  [`faults`] damages one file of a directory at a time and says what a start makes of it
//! ```

pub mod arguments;
pub mod disk;
pub mod faults;
pub mod history;
pub mod power;
pub mod random;
pub mod recover;
pub mod trace;

/// Why a run could not be judged: the recording or the arguments are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// What is wrong, for the person who runs it.
    #[error("{0}")]
    Text(String),
    /// A file.
    #[error("{0}: {1}")]
    File(std::path::PathBuf, std::io::Error),
}

impl Unusable {
    /// For `map_err`.
    pub fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Unusable {
        move |error| Unusable::File(path.to_owned(), error)
    }
}
