//! 10,000 connections with 100 watches each are ordinary: in time, and in memory.

use std::time::Instant;
use zorilla_core::ids::ConnId;
use zorilla_core::watch::Watches;

const CONNECTIONS: u64 = 10_000;
const EACH: u64 = 100;
const ENTRIES: u64 = CONNECTIONS * EACH;

/// The resident size of this process in bytes; `None` where the system has no such file.
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

fn timed(what: &str, act: impl FnOnce()) {
    let start = Instant::now();
    act();
    let taken = start.elapsed();
    println!("  {what}: {:.0} ns each", taken.as_nanos() as f64 / ENTRIES as f64);
    // Several hundred times what it takes: only a walk over everything would be slower.
    assert!(taken.as_secs() < 60, "{what} took {taken:?}");
}

fn rounds(name: &str, path: impl Fn(u64, u64) -> String, paths: u64, bytes_max: u64) {
    println!("{name}");
    let before = resident();
    let mut watches = Watches::new();
    timed("add", || {
        for (conn, n) in (0..CONNECTIONS).flat_map(|conn| (0..EACH).map(move |n| (conn, n))) {
            watches.add_data(&path(conn, n), ConnId(conn));
        }
    });
    assert_eq!(watches.len() as u64, ENTRIES);
    if let (Some(before), Some(after)) = (before, resident()) {
        let bytes = (after - before) / ENTRIES;
        println!("  {bytes} bytes each");
        assert!(bytes < bytes_max, "{bytes} bytes for an entry");
    }
    let mut told = 0;
    timed("fire", || {
        for n in 0..paths {
            watches.data_changed(&path(n / EACH, n % EACH), &mut |_, _, _| told += 1);
        }
    });
    assert_eq!((told, watches.len()), (ENTRIES, 0));
    for (conn, n) in (0..CONNECTIONS).flat_map(|conn| (0..EACH).map(move |n| (conn, n))) {
        watches.add_persistent(&path(conn, n), ConnId(conn), false);
    }
    timed("drop", || (0..CONNECTIONS).for_each(|conn| watches.remove_connection(ConnId(conn))));
    assert!(watches.is_empty());
}

/// One test, so that nothing else moves the resident size.
#[test]
fn a_million_watches() {
    rounds("everyone watches the same 100 paths", |_, n| format!("/service/members/{n:010}"), EACH, 120);
    rounds("everyone watches 100 paths of their own", |conn, n| format!("/app/{conn:06}/item-{n:010}"), ENTRIES, 200);
}
