//! Touching a session costs what it touches, however many there are.

use std::time::Instant;
use zorilla_core::session::{SessionIds, SessionTracker};
use zorilla_protocol::SessionId;

const TICK_MS: i64 = 2000;

#[test]
fn a_hundred_thousand_sessions_are_cheap() {
    const SESSIONS: i64 = 100_000;
    const ROUNDS: i64 = 10;
    let mut tracker = SessionTracker::new(TICK_MS);
    let mut ids = SessionIds::new(1, 1);
    let all: Vec<SessionId> = (0..SESSIONS).map(|_| ids.next_id()).collect();
    let start = Instant::now();
    all.iter().for_each(|id| tracker.add(*id, 30_000, 0));
    for round in 1..=ROUNDS {
        for id in &all {
            assert!(tracker.touch(*id, None, round * TICK_MS));
        }
        assert!(tracker.expire(round * TICK_MS, &mut |_| None).is_empty());
    }
    assert_eq!(tracker.dump(0).len(), 1, "no buckets left behind");
    assert_eq!(tracker.expire(1_000_000, &mut |_| None).len() as i64, SESSIONS);
    all.iter().for_each(|id| tracker.remove(*id));
    let taken = start.elapsed();
    println!("{:.0} ns for a touch", taken.as_nanos() as f64 / (SESSIONS * (ROUNDS + 3)) as f64);
    assert!(tracker.is_empty() && tracker.next_deadline().is_none());
    // A walk over everything at each touch would take hours.
    assert!(taken.as_secs() < 30, "{taken:?}");
}
