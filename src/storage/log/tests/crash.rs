//! What a kill, a power cut or rot leaves, and what replay makes of it.

use super::*;
use crate::storage::log::format;
use crate::storage::log::sim_disk::{Crash, Op};

const DIR: &str = "/log";

fn file_of(records: &[Record]) -> Vec<u8> {
    let mut file = format::HEADER.to_vec();
    records.iter().for_each(|record| format::put_record(&mut file, &record.payload));
    file
}

fn disk_with(content: &[u8]) -> (SimDisk, PathBuf) {
    let (disk, path) = (SimDisk::default(), Path::new(DIR).join("log.1"));
    disk.put(&path, content);
    (disk, path)
}

/// Cut at every byte of its last record, with and without padding behind, a log loses that record alone.
#[test]
fn every_truncation_of_the_last_record_is_a_torn_tail() {
    let whole = file_of(&[record(1, 40), record(2, 700), record(3, 900)]);
    let kept = file_of(&[record(1, 40), record(2, 700)]).len();
    for at in kept..whole.len() {
        for padding in [0, 3000] {
            let mut content = whole[..at].to_vec();
            content.resize(at + padding, 0);
            let (disk, path) = disk_with(&content);
            let (entries, replayed) = read(&disk, Path::new(DIR), 0).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert_eq!(zxids(&entries), [1, 2], "cut at {at}");
            // The first bytes of a checksum are zeros, as is padding: there is nothing to drop.
            let visible = content.iter().rposition(|byte| *byte != 0).unwrap() + 1 - kept;
            assert_eq!(replayed.torn.map_or(0, |torn| torn.bytes), visible as u64, "cut at {at}");
            if visible > 0 {
                assert_eq!(disk.crashed(Crash::Prefix(0)).content(&path).unwrap().len(), kept, "durably cut");
            }
        }
    }
}

/// A bit that flips anywhere in any record, the last one included, is noticed: never a wrong record, never
/// fewer records.
#[test]
fn every_bit_flip_is_damage() {
    let whole = file_of(&[record(1, 40), record(2, 10), record(3, 33)]);
    for padding in [0, 5000] {
        for bit in 16 * 8..whole.len() * 8 {
            let mut content = whole.clone();
            content[bit / 8] ^= 1 << (bit % 8);
            content.resize(whole.len() + padding, 0);
            let (disk, path) = disk_with(&content);
            match read(&disk, Path::new(DIR), 0) {
                Err(LogError::Damaged { .. }) => {}
                other => panic!("bit {bit}, padding {padding}: {other:?}"),
            }
            assert!(disk.content(&path).unwrap() == content, "damage must be left as it is");
        }
    }
}

/// The mark behind the records may rot; the records are still there.
#[test]
fn a_bit_flip_in_the_mark_costs_nothing() {
    let (disk, dir) = (SimDisk::default(), Path::new(DIR));
    let (log, events) = start(&disk, options(dir), 0);
    log.append(0, batch_of(vec![record(1, 40), record(2, 40)]));
    await_synced(&events, 2);
    let path = dir.join("log.1");
    let content = disk.content(&path).unwrap();
    let end = file_of(&[record(1, 40), record(2, 40)]).len();
    assert!(content[end..].iter().any(|byte| *byte != 0), "no mark");
    for bit in 0..format::Mark::BYTES * 8 {
        let mut content = content.clone();
        content[end + bit / 8] ^= 1 << (bit % 8);
        let disk = SimDisk::default();
        disk.put(&path, &content);
        assert_eq!(zxids(&read(&disk, dir, 0).unwrap().0), [1, 2], "bit {bit}");
    }
}

/// With the mark, a lost sector in what had been synced before the last write is damage; in the last
/// write it is what a power cut leaves.
#[test]
fn a_lost_sector_is_torn_in_the_last_write_and_damage_before() {
    let (disk, dir) = (SimDisk::default(), Path::new(DIR));
    let (log, events) = start(&disk, options(dir), 0);
    log.append(0, batch_of(vec![record(1, 2000), record(2, 2000)]));
    await_synced(&events, 2);
    log.append(0, batch_of(vec![record(3, 2000), record(4, 2000)]));
    await_synced(&events, 4);
    let path = dir.join("log.1");
    let content = disk.content(&path).unwrap();
    let lost = |offset: usize| {
        let disk = SimDisk::default();
        let mut content = content.clone();
        let sector = offset.next_multiple_of(512);
        content[sector..sector + 512].fill(0);
        disk.put(&path, &content);
        read(&disk, dir, 0)
    };
    assert_eq!(zxids(&lost(file_of(&[record(1, 2000), record(2, 2000)]).len()).unwrap().0), [1, 2]);
    assert!(matches!(lost(16), Err(LogError::Damaged { offset: 16, .. })));
}

/// Bytes in a client's data that look like a record are none.
#[test]
fn a_record_inside_torn_data_is_not_taken_for_damage() {
    let mut inner = Vec::new();
    format::put_record(&mut inner, &record(1, 100).payload);
    let outer = record_of(&entry(Zxid(2), [inner, vec![1; 500]].concat().into()));
    let content = file_of(&[record(1, 10), outer]);
    let (disk, _) = disk_with(&content[..content.len() - 1]);
    assert_eq!(zxids(&read(&disk, Path::new(DIR), 0).unwrap().0), [1]);
}

/// Every 256 bytes of torn data look like the head of a record that is 1 MiB long and ends as one does: finding out
/// that they are none reads the file a few times, not 1 MiB for each.
#[test]
fn what_looks_like_records_costs_no_more_than_the_file() {
    const LOOK_ALIKE_BYTES: usize = 256;
    let mut look_alike = 0_i64.to_be_bytes().to_vec();
    look_alike.extend_from_slice(&(1_i32 << 20).to_be_bytes());
    look_alike.resize(format::RECORD_HEAD_BYTES + format::ZXID_OFFSET, format::RECORD_END);
    look_alike.extend_from_slice(&2_i64.to_be_bytes());
    look_alike.resize(LOOK_ALIKE_BYTES, format::RECORD_END);
    let data = look_alike.repeat((3 << 20) / LOOK_ALIKE_BYTES);
    let content = file_of(&[record(1, 10), record_of(&entry(Zxid(2), data.into()))]);
    let (disk, _) = disk_with(&content[..content.len() - 100]);
    assert_eq!(zxids(&read(&disk, Path::new(DIR), 0).unwrap().0), [1]);
    let times = disk.read_bytes() / content.len() as u64;
    assert!((2..8).contains(&times), "{} bytes were read {times} times", content.len());
}

/// Records that only the page cache has (the process was killed, or their sync failed) are read by the next start,
/// and clients build on them: a power cut behind that must find them.
#[test]
fn what_a_start_has_read_is_durable() {
    const EIO: i32 = 5;
    for killed in [true, false] {
        let dir = Path::new(DIR);
        let disk = SimDisk::default();
        let (log, events) = start(&disk, options(dir), 0);
        log.append(0, batch_of(vec![record(1, 3000)]));
        await_synced(&events, 1);
        if killed {
            disk.hold_syncs(true);
            log.append(0, batch_of(vec![record(2, 3000)]));
            disk.await_held_sync();
        } else {
            disk.fail_next(Op::Sync, EIO);
            log.append(0, batch_of(vec![record(2, 3000)]));
            assert!(matches!(next(&events), LogEvent::Failed { .. }));
        }
        // The page cache lives on, and with it what the second start sees.
        let next_life = if killed { disk.killed() } else { disk.clone() };
        disk.hold_syncs(false);
        drop(log);
        assert_eq!(zxids(&read(&next_life, dir, 0).unwrap().0), [1, 2]);
        let (log, events) = start(&next_life, options(dir), 2);
        log.append(0, batch_of(vec![record(3, 100)]));
        await_synced(&events, 3);
        drop(log);
        let after = next_life.crashed(Crash::Prefix(0));
        assert_eq!(zxids(&read(&after, dir, 0).unwrap().0), [1, 2, 3], "killed: {killed}");
    }
}

/// Random histories, cut at random moments: what was reported as synced is there, and what is there is
/// what was appended, in order and without a gap. Then the log goes on from what is left.
#[test]
fn no_crash_loses_a_synced_record() {
    for seed in 0..seeds() {
        let mut random = Random(seed);
        let mut disk = SimDisk::default();
        let mut last = 0;
        for _ in 0..4 {
            last = crash_once(seed, &mut random, &mut disk, last);
        }
    }
}

/// `LOG_CRASH_SEEDS` sets how many histories are tried.
fn seeds() -> u64 {
    std::env::var("LOG_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(400)
}

/// Writes behind `last`, crashes, reads back; the last zxid that survived.
fn crash_once(seed: u64, random: &mut Random, disk: &mut SimDisk, last: i64) -> i64 {
    let dir = Path::new(DIR);
    let max = 1 + random.below(60);
    let (log, events) = start(disk, LogOptions { roll_records_max: max, ..options(dir) }, last);
    let mut appended = last;
    for _ in 0..random.below(6) {
        appended = append_some(&log, random, appended);
        await_synced(&events, appended);
    }
    let synced = appended;
    disk.hold_syncs(true);
    appended = append_some(&log, random, appended);
    disk.await_held_sync();
    let after = match random.below(4) {
        0 => disk.crashed(Crash::Kill),
        1 => disk.crashed(Crash::Prefix(random.below(20_000) as usize)),
        _ => {
            let kept = random.below(101);
            disk.crashed(Crash::Sectors(&mut || random.below(100) < kept))
        }
    };
    disk.hold_syncs(false);
    drop(log);
    *disk = after;
    let (entries, replayed) = read(disk, dir, 0).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let survived = replayed.last.map_or(0, |zxid| zxid.0);
    assert_eq!(zxids(&entries), (1..=survived).collect::<Vec<_>>(), "seed {seed}");
    assert!((synced..=appended).contains(&survived), "seed {seed}: {synced} <= {survived} <= {appended}");
    survived
}

fn append_some(log: &TxnLog, random: &mut Random, mut last: i64) -> i64 {
    let batch = (0..1 + random.below(40)).map(|_| {
        last += 1;
        record(last, random.below(1500) as usize)
    });
    log.append(0, batch_of(batch.collect()));
    last
}
