//! The numbers of ZooKeeper, each with a type of its own so that they cannot be swapped.

use crate::jute::{Jute, Malformed, Reader};
use bytes::BytesMut;
use std::fmt;

/// Position in the total order of transactions: epoch in the high 32 bits, counter in the low 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

impl Zxid {
    /// The reply header's zxid where no transaction is meant (notifications made up by setWatches,
    /// UNIMPLEMENTED).
    pub const NONE: Zxid = Zxid(-1);
    /// Before the first transaction.
    pub const ZERO: Zxid = Zxid(0);

    /// The epoch: high 32 bits.
    pub fn epoch(self) -> i64 {
        self.0 >> 32
    }

    /// The counter: low 32 bits.
    pub fn counter(self) -> i64 {
        self.0 & 0xffff_ffff
    }

    /// The next position in the same epoch.
    #[must_use]
    pub fn next(self) -> Zxid {
        Zxid(self.0 + 1)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// A session's id. High byte = the server that made it, low 56 bits unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

impl SessionId {
    /// "No session": asked for by a client that wants a new one, and the server's own txns.
    pub const NONE: SessionId = SessionId(0);
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// A member's number (`myid`, the N of `server.N`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub i64);

macro_rules! jute_long {
    ($($name:ident)*) => {$(
        impl Jute for $name {
            #[inline]
            fn put(&self, out: &mut BytesMut) { self.0.put(out); }
            #[inline]
            fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> { i64::get(r).map($name) }
        }
    )*};
}
jute_long! { Zxid SessionId Sid }
