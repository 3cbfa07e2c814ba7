//! The only reader of clocks and entropy.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the clocks. Copies share their zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// A clock that stands at 0 now.
    pub fn start() -> Clock {
        Clock { zero: Instant::now() }
    }

    /// Milliseconds since [`Clock::start`]; never goes back. Sessions are counted by this one.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.zero.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The instant at which [`Clock::now_ms`] reads `ms`.
    pub fn instant(&self, ms: i64) -> Instant {
        self.zero + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// Milliseconds since 1970: what goes into txns and stats.
    pub fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// A number that nobody outside can guess, for the seeds of hash tables that clients fill.
    pub fn seed() -> u64 {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    }
}
