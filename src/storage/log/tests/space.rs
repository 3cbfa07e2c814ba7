//! A disk that fills up, and has room again.

use super::*;
use crate::storage::log::disk::RealDisk;
use crate::storage::log::sim_disk::{Crash, Op};
use std::process::Command;

const DIR: &str = "/log";
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

/// At a write and at a sync, whatever the disk took of it.
#[test]
fn a_full_disk_is_told_and_nothing_of_the_refused_batch_remains() {
    for op in [Op::Write, Op::Sync] {
        for errno in [ENOSPC, EDQUOT] {
            let disk = SimDisk::default();
            let (log, events) = start(&disk, LogOptions { pre_alloc_bytes: 0, ..options(DIR) }, 0);
            log.append(7, batch_of(vec![record(1, 10)]));
            await_synced(&events, 1);
            disk.fail_next(op, errno);
            log.append(7, batch_of(vec![record(2, 10), record(3, 10)]));
            assert_eq!(next(&events), LogEvent::NoSpace { last: Zxid(1), generation: 7 });
            // A restart at this moment, by kill or power cut, finds the synced record alone.
            for crash in [Crash::Kill, Crash::Prefix(usize::MAX), Crash::Prefix(0)] {
                assert_eq!(zxids(&read(&disk.crashed(crash), Path::new(DIR), 0).unwrap().0), [1], "{op:?}");
            }
            // On its way while the disk filled up: dropped.
            log.append(7, batch_of(vec![record(4, 10)]));
            assert_eq!(next(&events), LogEvent::SpaceAvailable { generation: 7 });
            log.append(7, batch_of(vec![record(5, 10)]));
            log.append(8, batch_of(vec![record(2, 20)]));
            await_synced(&events, 2);
            log.close().unwrap();
            let (entries, _) = read(&disk, Path::new(DIR), 0).unwrap();
            assert_eq!(record_of(&entries[1]).payload, record(2, 20).payload);
            assert_eq!(zxids(&entries), [1, 2], "{op:?}");
        }
    }
}

/// A file that cannot be begun leaves nothing behind that its name would stand for.
#[test]
fn a_full_disk_at_the_first_record() {
    for op in [Op::Create, Op::Write, Op::Sync] {
        let disk = SimDisk::default();
        disk.fail_next(op, ENOSPC);
        disk.fail_next(op, ENOSPC);
        let (log, events) = start(&disk, options(DIR), 0);
        log.append(0, batch_of(vec![record(1, 10)]));
        assert_eq!(next(&events), LogEvent::NoSpace { last: Zxid(0), generation: 0 });
        assert!(log_files(&disk, Path::new(DIR)).unwrap().is_empty(), "{op:?}");
        assert_eq!(next(&events), LogEvent::SpaceAvailable { generation: 0 });
        // Another epoch's record comes first now.
        log.append(1, batch_of(vec![record(0x1_0000_0001, 10)]));
        await_synced(&events, 0x1_0000_0001);
        assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), 1, "{op:?}");
    }
}

#[test]
fn closing_a_full_log_says_what_was_not_written() {
    let disk = SimDisk::default();
    let (log, events) = start(&disk, options(DIR), 0);
    disk.limit(Some(0));
    log.append(0, batch_of(vec![record(1, 10)]));
    assert_eq!(next(&events), LogEvent::NoSpace { last: Zxid(0), generation: 0 });
    log.append(1, batch_of(vec![record(1, 10)]));
    assert!(log.close().unwrap_err().to_string().contains("1 records"));
}

/// Fills up for real (in memory), several times, at whatever byte it happens.
#[test]
fn a_disk_that_fills_up_again_and_again_loses_nothing() {
    let disk = SimDisk::default();
    let (log, events) = start(&disk, LogOptions { roll_records_max: 400, ..options(DIR) }, 0);
    let (mut last, mut generation) = (0, 0);
    for round in 1..4 {
        disk.limit(Some(round * (700 << 10)));
        loop {
            log.append(generation, batch_of((last + 1..=last + 20).map(|zxid| record(zxid, 997)).collect()));
            match next(&events) {
                LogEvent::Synced { through } => last = through.0,
                LogEvent::NoSpace { last: at, .. } => {
                    assert_eq!(at.0, last);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read(&disk.crashed(Crash::Kill), Path::new(DIR), 0).unwrap().1.records, last as u64);
        disk.limit(Some((round + 1) * (700 << 10)));
        assert_eq!(next(&events), LogEvent::SpaceAvailable { generation });
        generation += 1;
    }
    log.append(generation, batch_of(vec![record(last + 1, 10)]));
    await_synced(&events, last + 1);
    log.close().unwrap();
    assert_eq!(read(&disk, Path::new(DIR), 0).unwrap().1.records, last as u64 + 1);
}

/// A file system of 2 MiB, mounted for the test; without the right to mount there is nothing to see.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(dir)),
            Ok(output) => {
                eprintln!("skipped, needs the right to mount: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(e) => {
                eprintln!("skipped, needs mount(8): {e}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_real_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let dir = disk.0.path().join("version-2");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let (sender, events) = channel();
    let log = TxnLog::start(LogOptions::new(&dir), Zxid(0), move |event| drop(sender.send(event))).unwrap();
    let mut last = 0;
    loop {
        log.append(0, batch_of((last + 1..=last + 50).map(|zxid| record(zxid, 1000)).collect()));
        match next(&events) {
            LogEvent::Synced { through } => last = through.0,
            LogEvent::NoSpace { last: at, generation: 0 } => {
                assert_eq!(at.0, last);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(last > 0);
    assert_eq!(read(&RealDisk, &dir, 0).unwrap().1.records, last as u64);
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(next(&events), LogEvent::SpaceAvailable { generation: 0 });
    log.append(1, batch_of(vec![record(last + 1, 1000)]));
    await_synced(&events, last + 1);
    log.close().unwrap();
    assert_eq!(read(&RealDisk, &dir, 0).unwrap().1.records, last as u64 + 1);
}
