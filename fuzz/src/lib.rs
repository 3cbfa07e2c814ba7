//! What is fuzzed, as functions from bytes: each takes any input at all and panics where a promise is
//! broken. `fuzz_targets/` feeds them from libFuzzer (`scripts/fuzz`), `tests/replay.rs` from what is
//! kept in `corpus/` and `regressions/`, in every ordinary test run.
//!
//! - [`client`], [`members`]: what travels on sockets
//! - [`files`], [`text`]: what is read from files and from people
//! - [`apply`]: a log's records against the tree, whoever wrote them
//! - [`tree`]: requests against the core, compared with a [`model`] of ZooKeeper
//! - [`corpus`]: the inputs to begin with

pub mod apply;
pub mod client;
pub mod corpus;
#[cfg(feature = "server")]
pub mod files;
pub mod input;
pub mod members;
pub mod model;
pub mod text;
pub mod tree;

use bytes::Bytes;
use cap::Cap;
use std::alloc::System;
use std::fmt::Debug;
use zorilla_protocol::jute::{Jute, Reader, from_bytes, to_bytes};

/// Counts what is allocated, so that a claimed length that costs memory is noticed.
#[global_allocator]
pub static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// A function under test, and the name of its corpus.
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($(#[$when:meta])? $name:ident = $run:path,)*) => {
        /// Everything that is fuzzed.
        pub const TARGETS: &[Target] = &[$($(#[$when])? Target { name: stringify!($name), run: $run }),*];
    };
}

targets! {
    connect = client::connect,
    requests = client::requests,
    replies = client::replies,
    stream = client::stream,
    members = members::messages,
    txn = members::txn,
    snapshot = members::snapshot,
    text = text::paths_and_lists,
    apply = apply::history,
    tree = tree::history,
    #[cfg(feature = "server")]
    config = files::config,
    #[cfg(feature = "server")]
    words = files::words,
    #[cfg(feature = "server")]
    layout = files::layout,
    #[cfg(feature = "server")]
    log = files::log,
}

/// The target of this name.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}

/// The entry points that libFuzzer looks for.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(init: $crate::start($name), |data: &[u8]| ($crate::target($name).run)(data));
    };
}

/// Before the first input: the corpus is put where libFuzzer looks for it, and a panic is told whatever limit
/// it happened under.
pub fn start(target: &str) {
    corpus::unpack(target);
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        ALLOCATOR.set_limit(usize::MAX).expect("no limit");
        tell(panic);
    }));
}

/// What decoding may allocate on top of [`BYTES_PER_BYTE`]: error texts, a first growth of a list.
const BYTES_ALWAYS: usize = 64 << 10;
/// What one byte of input may cost in memory: four bytes announce an empty text, which is 24 bytes in a
/// list that doubles as it grows.
const BYTES_PER_BYTE: usize = 40;

/// Runs `decode` and aborts if it holds more memory at once than `input_bytes` justify: a length must
/// cost nothing before its bytes are there.
pub fn bounded<T>(input_bytes: usize, decode: impl FnOnce() -> T) -> T {
    let limit = ALLOCATOR.allocated() + BYTES_ALWAYS + BYTES_PER_BYTE * input_bytes;
    ALLOCATOR.set_limit(limit).expect("less is allocated");
    let result = decode();
    ALLOCATOR.set_limit(usize::MAX).expect("no limit");
    result
}

/// The largest string or buffer that a live connection takes.
const FIELD_BYTES_MAX: usize = 2 << 20;

/// Reads one `T` as from a socket: within bounds, and what was read is written so that it reads the same.
pub fn both_ways<T: Jute + PartialEq + Debug>(bytes: &Bytes) -> Option<T> {
    let value = bounded(bytes.len(), || T::get(&mut Reader::with_limit(bytes, FIELD_BYTES_MAX)).ok())?;
    stable(&value);
    Some(value)
}

/// What was written means the same, and is written the same again: there is one form of it.
pub fn stable<T: Jute + PartialEq + Debug>(value: &T) {
    let written = to_bytes(value);
    let back: T = from_bytes(&written).unwrap_or_else(|why| panic!("{value:?} is written unreadably: {why}"));
    assert_eq!(&back, value);
    assert_eq!(to_bytes(&back), written, "{value:?}");
}
