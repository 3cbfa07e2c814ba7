//! Log files written by Apache (padding cut), whole and damaged.

use super::*;
use crate::storage::log::format;
use std::fs;
use tempfile::TempDir;

fn testdata(fixture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/log/testdata").join(fixture)
}

/// A copy of the fixtures' files, later ones over earlier ones.
fn copy(fixtures: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for fixture in fixtures {
        for file in fs::read_dir(testdata(fixture)).unwrap() {
            let file = file.unwrap();
            fs::write(dir.path().join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
        }
    }
    dir
}

fn read_dir(dir: &TempDir, after: i64) -> Result<(Vec<LogEntry>, Replayed), LogError> {
    read(&RealDisk, dir.path(), after)
}

fn refusal(dir: &TempDir, after: i64) -> (String, u64, String) {
    match read_dir(dir, after) {
        Err(LogError::Damaged { path, offset, reason, remedy }) => {
            assert!(remedy.contains("backup"), "{remedy}");
            (path.file_name().unwrap().to_str().unwrap().to_owned(), offset, reason)
        }
        other => panic!("{other:?}"),
    }
}

/// Every version's records come back as the bytes they were: our reader and writer are Apache's.
#[test]
fn whole_logs_of_every_version_round_trip() {
    let whole = [
        ("v3.4.14", 0, 0x63),
        ("v3.5.10", 0, 0x6a),
        ("v3.8.4", 0, 0x6e),
        ("v3.9.4-plain", 0, 0x6e),
        ("v3.9.4-onelog", 0, 0x5f),
        ("v3.9.4-oldclose", 0, 0x6e),
        ("v3.9.4-nodigest", 0, 0x6e),
        ("v3.9.4-ensemble-s1", 0, 0x3_0000_0003),
        ("v3.9.4-ensemble-s2", 0, 0x3_0000_0003),
        ("v3.9.4-ensemble-s3", 0, 0),
    ];
    for (fixture, after, last) in whole {
        let dir = copy(&[fixture]);
        let (entries, replayed) = read_dir(&dir, after).unwrap_or_else(|e| panic!("{fixture}: {e}"));
        assert_eq!(replayed.torn, None, "{fixture}");
        if last != 0 {
            assert_eq!(replayed.last, Some(Zxid(last)), "{fixture}");
        }
        let mut ours = Vec::new();
        entries.iter().for_each(|entry| format::put_record(&mut ours, &record_of(entry).payload));
        let mut theirs = Vec::new();
        for file in log_files(&RealDisk, dir.path()).unwrap() {
            let content = fs::read(&file.path).unwrap();
            assert_eq!(content[..16], format::HEADER, "{fixture}");
            let used = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            theirs.extend_from_slice(&content[16..used]);
        }
        assert!(ours == theirs, "{fixture}: other bytes");
    }
}

/// The same records through our writer give Apache's file, to its length.
#[test]
fn the_writer_makes_apaches_file() {
    let apache = copy(&["v3.9.4-onelog"]);
    let (entries, _) = read_dir(&apache, 0).unwrap();
    let theirs = fs::read(apache.path().join("log.1")).unwrap();
    let used = theirs.iter().rposition(|byte| *byte != 0).unwrap() + 1;

    let (disk, dir) = (SimDisk::default(), Path::new("/log"));
    let (log, events) = start(&disk, LogOptions { pre_alloc_bytes: 16 << 10, ..LogOptions::new(dir) }, 0);
    for entry in &entries {
        log.append(0, batch_of(vec![record_of(entry)]));
        await_synced(&events, entry.zxid().0);
    }
    // The fixture's length before its padding was cut for this repository.
    assert_eq!(disk.content(&dir.join("log.1")).unwrap().len(), 32784);
    log.close().unwrap();
    assert!(disk.content(&dir.join("log.1")).unwrap() == theirs[..used]);
}

#[test]
fn replay_begins_behind_what_the_caller_has() {
    let dir = copy(&["v3.9.4-plain"]);
    for after in [0x28, 0x55, 0x56, 0x57, 0x6d] {
        let (entries, _) = read_dir(&dir, after).unwrap();
        assert_eq!(zxids(&entries), (after + 1..=0x6e).collect::<Vec<_>>());
    }
    assert_eq!(read_dir(&dir, 0x6e).unwrap().1, Replayed::default());
    assert_eq!(read_dir(&dir, 0x99).unwrap().1, Replayed::default());
    assert_eq!(read(&RealDisk, Path::new("/no/such/directory"), 0).unwrap().1, Replayed::default());
}

#[test]
fn damage_in_a_log_that_nobody_needs_is_not_met() {
    let dir = copy(&["v3.9.4-plain", "v3.9.4-corrupt-old-log"]);
    assert_eq!(read_dir(&dir, 0x55).unwrap().1.last, Some(Zxid(0x6e)));
    assert_eq!(refusal(&dir, 0).0, "log.1");
}

#[test]
fn torn_tails_are_cut() {
    for fixture in ["v3.9.4-torn-truncated", "v3.9.4-torn-zeroed", "v3.9.4-torn-crc-only"] {
        let dir = copy(&[fixture]);
        let (entries, replayed) = read_dir(&dir, 0).unwrap_or_else(|e| panic!("{fixture}: {e}"));
        assert_eq!(replayed.last, Some(Zxid(0x5d)), "{fixture}");
        let torn = replayed.torn.unwrap();
        assert_eq!(fs::metadata(&torn.file).unwrap().len(), torn.offset, "{fixture}");
        assert!(torn.bytes > 0);
        let again = read_dir(&dir, 0).unwrap();
        assert_eq!((again.0.len(), again.1.torn), (entries.len(), None), "{fixture}");
    }
}

#[test]
fn damage_is_refused_and_left_alone() {
    let cases = [
        ("v3.9.4-corrupt-crc-middle", "checksum"),
        ("v3.9.4-corrupt-crc-tail", "checksum"),
        ("v3.9.4-corrupt-endbyte-middle", "some behind it"),
        ("v3.9.4-corrupt-length-middle", "some behind it"),
    ];
    for (fixture, wanted) in cases {
        let dir = copy(&[fixture]);
        let (file, offset, reason) = refusal(&dir, 0);
        assert!(reason.contains(wanted) && file == "log.1", "{fixture}: {reason}");
        let before = fs::read(testdata(fixture).join("log.1")).unwrap();
        assert!(before == fs::read(dir.path().join("log.1")).unwrap(), "{fixture} was changed");
        // The remedy it names works.
        fs::write(dir.path().join("log.1"), &before[..offset as usize]).unwrap();
        let (entries, replayed) = read_dir(&dir, 0).unwrap();
        assert_eq!(replayed.torn, None);
        assert_eq!(entries.len() as i64, if fixture.ends_with("tail") { 0x5e } else { 0x2f }, "{fixture}");
    }
}

#[test]
fn missing_transactions_are_refused() {
    // Within the log: log.27 ends before log.3c begins.
    let (file, offset, reason) = refusal(&copy(&["v3.9.4-plain", "v3.9.4-gap"]), 0);
    assert_eq!((file.as_str(), offset), ("log.3c", 16));
    assert!(reason.contains("0x3c follows 0x39"), "{reason}");
    // Right behind what the caller has, where Apache does not look.
    let dir = copy(&["v3.9.4-plain"]);
    fs::remove_file(dir.path().join("log.3c")).unwrap();
    let (file, _, reason) = refusal(&dir, 0x55);
    assert!(reason.contains("0x57 follows 0x55"), "{reason}");
    assert_eq!(file, "log.57");
    assert_eq!(read_dir(&dir, 0x56).unwrap().1.last, Some(Zxid(0x6e)));
    // An epoch begins at 1.
    let dir = copy(&["v3.9.4-ensemble-s1"]);
    fs::rename(dir.path().join("log.300000001"), dir.path().join("log.kept")).unwrap();
    let mut entries = read(&RealDisk, dir.path(), 0).unwrap().0;
    assert_eq!(entries.last().unwrap().zxid().epoch(), 1);
    entries.truncate(1);
    let mut file = format::HEADER.to_vec();
    format::put_record(&mut file, &record(0x3_0000_0002, 5).payload);
    fs::write(dir.path().join("log.300000002"), file).unwrap();
    assert!(refusal(&dir, 0).2.contains("0x300000002 follows"));
}

/// An empty file, half a header, zeros: what a crash leaves of a file that was just created.
#[test]
fn a_last_file_without_header_is_removed() {
    for (content, torn) in [(&b""[..], false), (&b"ZKLG\0\0\0\x02"[..], true), (&[0; 100][..], false)] {
        let dir = copy(&["v3.9.4-plain"]);
        let path = dir.path().join("log.ffff");
        fs::write(&path, content).unwrap();
        let replayed = read_dir(&dir, 0).unwrap().1;
        assert_eq!((replayed.last, replayed.torn.is_some()), (Some(Zxid(0x6e)), torn));
        assert!(!path.exists());
    }
    // In the middle it is damage.
    let dir = copy(&["v3.9.4-plain"]);
    fs::write(dir.path().join("log.3c"), b"ZKLG").unwrap();
    assert_eq!(refusal(&dir, 0).0, "log.3c");
}

/// Apache never cuts its torn tails: after a restart a new file goes on where the records ended.
#[test]
fn a_torn_end_of_an_earlier_file_is_accepted_if_the_next_one_goes_on() {
    let dir = copy(&["v3.9.4-torn-truncated"]);
    let mut file = format::HEADER.to_vec();
    format::put_record(&mut file, &record(0x5e, 5).payload);
    fs::write(dir.path().join("log.5e"), &file).unwrap();
    let replayed = read_dir(&dir, 0).unwrap().1;
    assert_eq!((replayed.last, replayed.torn), (Some(Zxid(0x5e)), None));
    // The same end with whole records behind it is damage, also there.
    let dir = copy(&["v3.9.4-corrupt-length-middle"]);
    fs::write(dir.path().join("log.60"), &file).unwrap();
    assert!(refusal(&dir, 0).2.contains("some behind it"));
}

/// As when the log's disk is not mounted: a tree that was saved at some zxid had a log there.
#[test]
fn no_log_at_all_behind_a_checkpoint_is_refused_until_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_dir(&dir, 0).unwrap().0, [], "a new server has none");
    let refused = read_dir(&dir, 0x2f).unwrap_err();
    assert!(matches!(&refused, LogError::Missing { after: Zxid(0x2f), .. }), "{refused}");
    assert!(refused.to_string().contains("create an empty file log.30 there"), "{refused}");
    fs::write(dir.path().join("log.30"), b"").unwrap();
    assert_eq!(read_dir(&dir, 0x2f).unwrap().0, []);
}
