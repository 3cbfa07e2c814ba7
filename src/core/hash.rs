//! Hashing for keys that we number ourselves. Such keys cannot be chosen by an attacker, so one
//! multiplication does, and iteration order is the same in every run.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps keyed by our own numbers (connections, slots). Not for anything that a client names.
pub type NumberHash = BuildHasherDefault<NumberHasher>;

/// See [`NumberHash`].
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_i64(&mut self, n: i64) {
        self.write_u64(n.cast_unsigned());
    }
    fn write_u64(&mut self, n: u64) {
        // 2^64 divided by the golden ratio (Knuth's multiplicative hashing).
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
