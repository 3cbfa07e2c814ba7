//! The writer: order, group commit, rolls, purges, failures.

use super::*;
use crate::storage::log::disk::RealDisk;
use crate::storage::log::sim_disk::Op;

const DIR: &str = "/log";
const EIO: i32 = 5;

fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    log_files(disk, dir).unwrap().iter().map(|file| format!("log.{:x}", file.first.0)).collect()
}

#[test]
fn records_come_back_from_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("version-2");
    let (sender, events) = channel();
    let log = TxnLog::start(LogOptions::new(&dir), Zxid(0), move |event| drop(sender.send(event))).unwrap();
    log.append(0, batch_of(vec![record(1, 0), record(2, 100_000)]));
    await_synced(&events, 2);
    assert_eq!(log.size_bytes(), 67_108_880);
    log.append(0, batch_of((3..5000).map(|zxid| record(zxid, 1000)).collect()));
    log.close().unwrap();
    await_synced(&events, 4999);
    let (entries, replayed) = read(&RealDisk, &dir, 0).unwrap();
    assert_eq!((zxids(&entries), replayed.torn), ((1..5000).collect(), None));
    assert_eq!(record_of(&entries[1]).payload, record(2, 100_000).payload);
    // The next run begins a file and leaves the old one alone.
    let log = TxnLog::start(LogOptions::new(&dir), Zxid(4999), |_| ()).unwrap();
    log.append(0, batch_of(vec![record(5000, 10)]));
    log.close().unwrap();
    assert_eq!(names(&RealDisk, &dir), ["log.1", "log.1388"]);
    assert_eq!(read(&RealDisk, &dir, 4990).unwrap().1.last, Some(Zxid(5000)));
}

#[test]
fn what_comes_during_a_sync_shares_the_next() {
    let (disk, dir) = (SimDisk::default(), Path::new(DIR));
    let (log, events) = start(&disk, LogOptions { pre_alloc_bytes: 0, ..options(dir) }, 0);
    log.append(0, batch_of(vec![record(1, 10)]));
    await_synced(&events, 1);
    let before = disk.syncs();
    disk.hold_syncs(true);
    log.append(0, batch_of(vec![record(2, 10)]));
    disk.await_held_sync();
    for zxid in 3..=200 {
        log.append(0, batch_of(vec![record(zxid, 10)]));
    }
    assert!(events.try_recv().is_err(), "reported before its sync");
    disk.hold_syncs(false);
    assert_eq!(next(&events), LogEvent::Synced { through: Zxid(2) });
    assert_eq!(next(&events), LogEvent::Synced { through: Zxid(200) });
    assert_eq!(disk.syncs() - before, 2);
}

#[test]
fn without_force_sync_nothing_waits_for_the_disk() {
    let (disk, dir) = (SimDisk::default(), Path::new(DIR));
    let (log, events) = start(&disk, LogOptions { force_sync: false, pre_alloc_bytes: 0, ..options(dir) }, 0);
    log.append(0, batch_of(vec![record(1, 10)]));
    await_synced(&events, 1);
    let before = disk.syncs();
    log.append(0, batch_of(vec![record(2, 10)]));
    await_synced(&events, 2);
    assert_eq!(disk.syncs(), before);
}

#[test]
fn short_writes_are_completed() {
    let (disk, dir) = (SimDisk::default(), Path::new(DIR));
    disk.write_short(7);
    let (log, _events) = start(&disk, LogOptions { pre_alloc_bytes: 0, ..options(dir) }, 0);
    log.append(0, batch_of((1..50).map(|zxid| record(zxid, 100)).collect()));
    log.close().unwrap();
    assert_eq!(zxids(&read(&disk, dir, 0).unwrap().0), (1..50).collect::<Vec<_>>());
}

#[test]
fn files_roll_by_records_and_by_bytes() {
    let by_records = LogOptions { roll_records_max: 10, ..options(DIR) };
    let nine = 16 + 9 * (format::RECORD_HEAD_BYTES + record(1, 60).payload.len() + 1) as u64;
    let by_bytes = LogOptions { roll_bytes_max: Some(nine), ..options(DIR) };
    for options in [by_records, by_bytes] {
        let disk = SimDisk::default();
        let (log, events) = start(&disk, options, 0);
        for zxid in 1..=25 {
            log.append(0, batch_of(vec![record(zxid, 60)]));
            await_synced(&events, zxid);
        }
        log.close().unwrap();
        assert_eq!(names(&disk, Path::new(DIR)), ["log.1", "log.b", "log.15"]);
        assert_eq!(zxids(&read(&disk, Path::new(DIR), 0).unwrap().0), (1..=25).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_grows_by_its_step_and_ends_with_its_records() {
    let (disk, path) = (SimDisk::default(), Path::new(DIR).join("log.1"));
    let (log, events) = start(&disk, options(DIR), 0);
    let mut last = 0;
    let mut length = 0;
    while length < 3 * (64 << 10) {
        last += 1;
        log.append(0, batch_of(vec![record(last, 1000)]));
        await_synced(&events, last);
        length = disk.content(&path).unwrap().len();
        assert_eq!(length % (64 << 10), 16, "{length}");
    }
    log.close().unwrap();
    assert_eq!(disk.content(&path).unwrap().last(), Some(&b'B'));
    assert_eq!(read(&disk, Path::new(DIR), 0).unwrap().1.records, last as u64);
}

/// While idle, zeros are written ahead: the next records need no new blocks.
#[test]
fn zeros_are_written_ahead() {
    let disk = SimDisk::default();
    let (log, events) = start(&disk, LogOptions { pre_alloc_bytes: 2 << 20, ..options(DIR) }, 0);
    log.append(0, batch_of(vec![record(1, 10)]));
    await_synced(&events, 1);
    let began = std::time::Instant::now();
    while disk.used() < 2 << 20 {
        assert!(began.elapsed() < PATIENCE, "{} bytes written", disk.used());
        std::thread::sleep(Duration::from_millis(5));
    }
    let used = disk.used();
    log.append(0, batch_of((2..1000).map(|zxid| record(zxid, 1000)).collect()));
    await_synced(&events, 999);
    assert_eq!(disk.used(), used);
    drop(log);
    assert_eq!(read(&disk, Path::new(DIR), 0).unwrap().1.records, 999);
}

#[test]
fn purge_keeps_what_a_checkpoint_needs() {
    let disk = SimDisk::default();
    let (log, events) = start(&disk, LogOptions { roll_records_max: 10, ..options(DIR) }, 0);
    for zxid in 1..=45 {
        log.append(0, batch_of(vec![record(zxid, 60)]));
        await_synced(&events, zxid);
    }
    let purged = |checkpoint, retain, left: usize| {
        log.purge_retaining(Zxid(checkpoint), retain);
        let began = std::time::Instant::now();
        while names(&disk, Path::new(DIR)).len() > left && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        names(&disk, Path::new(DIR))
    };
    log.purge(Zxid(35));
    // Files begin at 1, 11, 21, 31, 41. 31 is behind the checkpoint's next, so log.1f stays.
    assert_eq!(purged(35, 2, 4), ["log.b", "log.15", "log.1f", "log.29"]);
    assert_eq!(purged(29, 0, 3), ["log.15", "log.1f", "log.29"]);
    assert_eq!(purged(30, 0, 2), ["log.1f", "log.29"]);
    assert_eq!(read(&disk, Path::new(DIR), 30).unwrap().1.records, 15);
    assert_eq!(purged(1000, 0, 1), ["log.29"]);
}

/// A sync that failed is never followed by another that succeeds on the same data: the log stops.
#[test]
fn other_failures_stop_the_log() {
    for (op, synced) in [(Op::Sync, 1), (Op::Write, 1), (Op::Create, 0), (Op::SyncDir, 0), (Op::SetLen, 0)] {
        let disk = SimDisk::default();
        let (log, events) = start(&disk, LogOptions { pre_alloc_bytes: 0, ..options(DIR) }, 0);
        if synced == 1 {
            log.append(0, batch_of(vec![record(1, 10)]));
            await_synced(&events, 1);
        }
        disk.fail_next(op, EIO);
        log.append(0, batch_of(vec![record(synced + 1, 10)]));
        match next(&events) {
            LogEvent::Failed { error } => assert!(error.contains("log."), "{error}"),
            other => panic!("{op:?}: {other:?}"),
        }
        log.append(0, batch_of(vec![record(synced + 2, 10)]));
        assert!(log.close().is_err(), "{op:?}");
        assert!(events.try_recv().is_err(), "{op:?}");
    }
}

#[test]
fn records_out_of_order_are_refused() {
    for (last, batch) in [(5, vec![record(5, 1)]), (0, vec![record(2, 1), record(1, 1)])] {
        let disk = SimDisk::default();
        let (log, events) = start(&disk, options(DIR), last);
        log.append(0, batch_of(batch));
        assert!(matches!(next(&events), LogEvent::Failed { .. }));
        drop(log);
        assert_eq!(read(&disk, Path::new(DIR), 0).unwrap().1.records, 0);
    }
}

/// A file whose first record a crash took is begun again; one that holds records never is.
#[test]
fn only_a_file_without_records_is_reused() {
    let disk = SimDisk::default();
    let path = Path::new(DIR).join("log.1");
    disk.put(&path, &format::HEADER);
    let (log, events) = start(&disk, options(DIR), 0);
    log.append(0, batch_of(vec![record(1, 10)]));
    await_synced(&events, 1);
    drop(log);
    let before = disk.content(&path);
    let (log, events) = start(&disk, options(DIR), 0);
    log.append(0, batch_of(vec![record(1, 10)]));
    assert!(matches!(next(&events), LogEvent::Failed { .. }));
    drop(log);
    assert!(disk.content(&path) == before);
}

#[test]
fn records_are_written_in_whole_blocks() {
    let disk = SimDisk::default();
    // Where a file's padding ends, 16 bytes behind a block, is one that is not whole.
    let (log, events) = start(&disk, LogOptions::new("/log"), 0);
    for zxid in 1..40 {
        log.append(0, batch_of(vec![record(zxid, zxid as usize * 700)]));
        await_synced(&events, zxid);
    }
    log.close().unwrap();
    assert_eq!(disk.unaligned_writes(), 1, "the header alone");
    assert_eq!(read(&disk, Path::new("/log"), 0).unwrap().0.len(), 39);
}
