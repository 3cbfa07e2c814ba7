use super::*;

const TICK: i64 = 2000;
const S: SessionId = SessionId(0x100);
const T: SessionId = SessionId(0x101);

fn silent(_: SessionId) -> Option<i64> {
    None
}

#[test]
fn a_silent_session_dies_between_its_timeout_and_a_tick_later() {
    for (now, timeout, due) in
        [(0, 4000, 6000), (1, 4000, 6000), (1999, 4000, 6000), (2000, 4000, 8000), (500, 5000, 6000)]
    {
        let mut tracker = SessionTracker::new(TICK);
        tracker.add(S, timeout, now);
        assert_eq!(tracker.next_deadline(), Some(due), "added at {now} with {timeout}");
        assert_eq!(tracker.expire(due - 1, &mut silent), []);
        assert_eq!(tracker.expire(due, &mut silent), [S]);
        assert!((i64::from(timeout)..=i64::from(timeout) + TICK).contains(&(due - now)));
    }
}

#[test]
fn touching_moves_it_on_and_a_new_timeout_holds() {
    let mut tracker = SessionTracker::new(TICK);
    tracker.add(S, 4000, 0);
    assert!(tracker.touch(S, None, 3000));
    assert_eq!((tracker.next_deadline(), tracker.timeout(S)), (Some(8000), Some(4000)));
    assert!(tracker.touch(S, Some(10_000), 3000));
    assert_eq!((tracker.next_deadline(), tracker.timeout(S)), (Some(14_000), Some(10_000)));
    assert!(tracker.touch(S, None, 4000));
    assert_eq!(tracker.next_deadline(), Some(16_000));
    assert!(tracker.touch(S, Some(4000), 4000), "shorter is as good");
    assert_eq!(tracker.next_deadline(), Some(10_000));
    assert!(!tracker.touch(T, None, 0) && !tracker.contains(T), "touching makes no session");
}

#[test]
fn a_due_session_that_was_heard_of_stays() {
    let mut tracker = SessionTracker::new(TICK);
    tracker.add(S, 4000, 0);
    tracker.add(T, 4000, 0);
    let mut asked = Vec::new();
    let expired = tracker.expire(6000, &mut |id| {
        asked.push(id);
        (id == S).then_some(5000)
    });
    assert_eq!((expired, asked), (vec![T], vec![S, T]));
    assert_eq!(tracker.next_deadline(), Some(10_000), "counted from when it was heard of");
    // Hearing of it long ago, or at a time that is not this bucket's, saves nobody.
    assert_eq!(tracker.expire(10_000, &mut |_| Some(5000)), [S]);
}

#[test]
fn a_late_check_expires_every_bucket_in_order() {
    let mut tracker = SessionTracker::new(TICK);
    tracker.add(S, 8000, 0);
    tracker.add(T, 4000, 0);
    assert_eq!(tracker.expire(1_000_000, &mut silent), [T, S]);
    assert_eq!(tracker.expire(2_000_000, &mut silent), [], "each is named once");
    assert_eq!(tracker.len(), 2, "until its closeSession is applied");
}

#[test]
fn a_closing_session_takes_nothing_and_does_not_expire() {
    let mut tracker = SessionTracker::new(TICK);
    tracker.add(S, 4000, 0);
    assert!(tracker.mark_closing(S) && tracker.is_closing(S));
    assert!(!tracker.mark_closing(S) && !tracker.mark_closing(T));
    assert!(!tracker.touch(S, Some(9000), 100));
    assert_eq!((tracker.next_deadline(), tracker.timeout(S)), (None, Some(4000)));
    tracker.add(S, 4000, 100);
    assert!(tracker.is_closing(S) && tracker.next_deadline().is_none());
    tracker.remove(S);
    assert!(tracker.is_empty() && !tracker.is_closing(S));
}

#[test]
fn a_close_that_could_not_be_written_comes_again() {
    let mut tracker = SessionTracker::new(TICK);
    tracker.add(S, 4000, 0);
    assert_eq!(tracker.expire(6000, &mut silent), [S]);
    tracker.defer_close(S, 6000);
    assert!(tracker.is_closing(S) && !tracker.touch(S, None, 7000));
    assert_eq!(tracker.expire(12_000, &mut |_| Some(12_000)), [S], "whatever is heard of it");
    tracker.defer_close(T, 0);
    tracker.add(T, 4000, 0);
    tracker.defer_close(T, 1_000_000);
    assert_eq!(tracker.next_deadline(), Some(6000), "only closing sessions can be deferred");
}

#[test]
fn an_old_connection_does_not_take_the_owner_away() {
    let (old, new) = (ConnId(1), ConnId(2));
    let mut tracker = SessionTracker::new(TICK);
    assert_eq!(tracker.set_owner(S, old), None);
    assert_eq!(tracker.owner(S), None, "unknown session");
    tracker.add(S, 4000, 0);
    assert_eq!((tracker.set_owner(S, old), tracker.set_owner(S, new)), (None, Some(old)));
    tracker.clear_owner(S, old);
    assert_eq!(tracker.owner(S), Some(new));
    tracker.add(S, 4000, 0);
    assert_eq!(tracker.owner(S), Some(new));
    tracker.clear_owner(S, new);
    assert_eq!(tracker.owner(S), None);
}

#[test]
fn dump_shows_buckets() {
    let mut tracker = SessionTracker::new(TICK);
    tracker.add(S, 4000, 0);
    tracker.add(T, 8000, 0);
    tracker.add(SessionId(0x102), 4000, 100);
    let expected = [(5000, vec![S, SessionId(0x102)]), (9000, vec![T])];
    let expected = expected.map(|(due_in_ms, sessions)| ExpiryBucket { due_in_ms, sessions });
    assert_eq!(tracker.dump(1000), expected);
    let mut all: Vec<_> = tracker.sessions().collect();
    all.sort_unstable();
    assert_eq!(all, [(S, 4000), (T, 8000), (SessionId(0x102), 4000)]);
}

#[test]
fn ids_hold_server_and_time() {
    let mut ids = SessionIds::new(0x17_a9f1, 1);
    // From Apache's own generator at that time.
    assert_eq!(ids.next_id(), SessionId(0x0100_0017_a9f1_0000));
    assert_eq!(ids.next_id(), SessionId(0x0100_0017_a9f1_0001));
    assert_eq!(SessionIds::new(0x17_a9f9, 254).next_id().0.cast_unsigned(), 0xfe00_0017_a9f9_0000);
    // 41 bits of milliseconds: the highest is lost rather than mixed with the server's byte.
    assert_eq!(SessionIds::new(0x1ff_ffff_ffff, 3).next_id(), SessionId(0x03ff_ffff_ffff_0000));
    assert_eq!(SessionIds::new(0, 128).next_id(), SessionId(i64::MIN + 1), "not the container mark");
    assert_eq!(SessionIds::new(0, 0).next_id(), SessionId(1), "not the absence of a session");
    let mut ids = SessionIds { next: i64::MAX };
    assert_eq!([ids.next_id(), ids.next_id()], [SessionId(i64::MAX), SessionId(i64::MIN + 1)]);
}

#[test]
fn timeouts_are_clamped() {
    let cases = [(1, 4000), (5000, 5000), (1_000_000, 40_000), (-5, 4000), (0, 4000), (4000, 4000), (40_000, 40_000)];
    for (asked, negotiated) in cases {
        assert_eq!(clamp_timeout(asked, 4000, 40_000), negotiated, "{asked}");
    }
}

#[test]
fn absurd_times_do_no_harm() {
    let mut tracker = SessionTracker::new(0);
    tracker.add(S, i32::MAX, i64::MAX);
    tracker.add(T, i32::MIN, i64::MIN);
    assert_eq!(tracker.expire(0, &mut silent), [T]);
    assert_eq!(tracker.expire(i64::MAX, &mut silent), [S]);
}

/// What the type promises, without buckets: a list.
#[derive(Clone, Copy)]
struct Known {
    id: SessionId,
    timeout: i32,
    touched: i64,
    closing: bool,
}

struct XorShift(u64);

impl XorShift {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn does_what_a_list_would_do() {
    let mut random = XorShift(0x5eed_0004);
    let mut tracker = SessionTracker::new(TICK);
    let mut list: Vec<Known> = Vec::new();
    let (mut now, mut expired_in_all) = (0, 0);
    for _ in 0..100_000 {
        now += random.below(400) as i64;
        let id = SessionId(random.below(30) as i64 + 1);
        let timeout = 4000 + random.below(10_000) as i32;
        let unknown = list.iter().all(|known| known.id != id);
        let open = list.iter_mut().find(|known| known.id == id).filter(|known| !known.closing);
        match random.below(8) {
            0 if unknown => {
                tracker.add(id, timeout, now);
                list.push(Known { id, timeout, touched: now, closing: false });
            }
            1..=2 => {
                assert_eq!(tracker.touch(id, None, now), open.is_some());
                if let Some(known) = open {
                    known.touched = now;
                }
            }
            3 => {
                assert_eq!(tracker.touch(id, Some(timeout), now), open.is_some());
                if let Some(known) = open {
                    (known.touched, known.timeout) = (now, timeout);
                }
            }
            4 => {
                assert_eq!(tracker.mark_closing(id), open.is_some());
                if let Some(known) = open {
                    known.closing = true;
                }
            }
            5 => {
                tracker.remove(id);
                list.retain(|known| known.id != id);
            }
            _ => expired_in_all += check_expiry(&mut tracker, &mut list, now, random.below(2) == 0),
        }
        let closing = |id| list.iter().any(|known| known.id == id && known.closing);
        assert_eq!((tracker.len(), tracker.is_closing(id)), (list.len(), closing(id)));
        let queued: usize = tracker.buckets.values().map(IndexSet::len).sum();
        assert_eq!(queued, list.iter().filter(|known| !known.closing).count());
    }
    assert!(expired_in_all > 1000, "{expired_in_all}");
}

/// With `quiet`, or with odd sessions having been heard of a second ago.
fn check_expiry(tracker: &mut SessionTracker, list: &mut [Known], now: i64, quiet: bool) -> usize {
    let heard = |id: SessionId| (!quiet && id.0 % 2 == 1).then_some(now - 1000);
    let mut expired = tracker.expire(now, &mut { heard });
    let mut expected = Vec::new();
    let due = |touched: i64, timeout: i32| ((touched + i64::from(timeout)) / TICK + 1) * TICK;
    for known in list.iter_mut().filter(|known| !known.closing && due(known.touched, known.timeout) <= now) {
        match heard(known.id).filter(|heard| due(*heard, known.timeout) > now) {
            Some(heard) => known.touched = heard,
            None => {
                known.closing = true;
                expected.push(known.id);
            }
        }
    }
    expired.sort_unstable();
    expected.sort_unstable();
    assert_eq!(expired, expected, "at {now}");
    expired.len()
}
