//! What is read from files and from operators: configuration, four-letter words, the store's values, logs.

mod memory_disk;

use crate::input::Input;
use crate::{BYTES_PER_BYTE, bounded};
use bytes::{Bytes, BytesMut};
use memory_disk::MemoryDisk;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zorilla::admin::four_letter::{FirstBytes, Word};
use zorilla::config::{Config, FileText, Sources, Whitelist, describe};
use zorilla::storage::log::format::{self, HEADER, Mark};
use zorilla::storage::log::{LogError, Replayed, replay_on};
use zorilla::storage::store::layout;
use zorilla_core::tree::cold::Checkpoint;
use zorilla_core::tree::{Owner, Znode};
use zorilla_protocol::path;
use zorilla_protocol::records::{Acl, StatPersisted};
use zorilla_protocol::txn::{LogEntry, SetDataTxn, Txn, TxnDigest, TxnHeader};
use zorilla_protocol::{Jute, SessionId, Zxid};

/// Stands in every configuration as a password, and must come out of none.
const CANARY: &str = "super:c4n4ry";

/// Pieces between zero bytes: `zoo.cfg`, the dynamic file, `myid`, variables, properties, arguments.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut pieces = text.split('\0').map(str::to_owned);
    let file = |name: &str, text: String| FileText { path: PathBuf::from(name), text };
    let mut sources = Sources {
        file: pieces.next().filter(|text| !text.is_empty()).map(|text| file("zoo.cfg", text)),
        dynamic_file: pieces.next().filter(|text| !text.is_empty()).map(|text| file("zoo.cfg.dynamic", text)),
        myid: pieces.next().filter(|text| !text.is_empty()),
        environment: pairs(pieces.next()),
        defines: pairs(pieces.next()),
        positional: pieces.next().iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect(),
        memory_bytes: Some(1 << 30),
    };
    sources.defines.push(("zookeeper.DigestAuthenticationProvider.superDigest".to_owned(), CANARY.to_owned()));
    let outcome = bounded(data.len(), || Config::from_sources(&sources));
    let mut shown = format!("{:?}", describe(&sources));
    match &outcome {
        Ok((config, notices)) => {
            assert_eq!(config.super_digest.as_ref().map(|secret| secret.reveal()), Some(CANARY));
            check_bounds(config);
            shown += &format!("{config:?} {notices:?}");
        }
        Err(error) => shown += &format!("{error} {error:?}"),
    }
    if !text.contains("c4n4ry") {
        assert!(!shown.contains("c4n4ry"), "a password is shown: {shown}");
    }
    assert_eq!(format!("{:?}", Config::from_sources(&sources)), format!("{outcome:?}"), "the same every time");
}

fn pairs(lines: Option<String>) -> Vec<(String, String)> {
    let lines = lines.unwrap_or_default();
    let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    lines.lines().filter_map(pair).collect()
}

/// What the server takes for granted.
fn check_bounds(config: &Config) {
    assert!(config.tick_time_ms > 0);
    assert!(config.min_session_timeout_ms <= config.max_session_timeout_ms);
    assert!(config.memory_budget_bytes >= 128 << 20);
    assert!(config.snap_count >= 2);
    assert!(config.container_max_per_minute >= 1);
    assert!(config.client_port != Some(0));
    assert!(config.four_letter_whitelist.allows("srvr"));
}

/// The first bytes of a connection, then the text of a whitelist.
pub fn words(data: &[u8]) {
    let (received, list) = data.split_at(data.len().min(16));
    let mut earlier = FirstBytes::Unfinished;
    for length in 0..=received.len() {
        let now = FirstBytes::of(&received[..length]);
        assert!(earlier == FirstBytes::Unfinished || now == earlier, "what it is does not depend on what follows");
        earlier = now;
    }
    let word = Word::ALL.iter().find(|word| received.starts_with(word.text().as_bytes()));
    match earlier {
        FirstBytes::Word(found) => assert_eq!(Some(&found), word),
        FirstBytes::SetTraceMask(mask) => assert_eq!(received[4..12], mask.to_be_bytes()),
        FirstBytes::NoWord => assert!(word.is_none() && received.len() >= 4),
        FirstBytes::Unfinished => assert!(received.len() < 4 || word == Some(&Word::Stmk)),
    }
    let list = String::from_utf8_lossy(list);
    let allowed = Whitelist::new(&list, false);
    let listed: BTreeSet<&str> = list.split([',', ' ', '\t', '\n', '\r']).collect();
    for word in Word::ALL.iter().map(|word| word.text()) {
        let expected = listed.contains("*") || listed.contains(word) || word == "srvr";
        if list.is_ascii() && !list.contains(['\u{b}', '\u{c}']) {
            assert_eq!(allowed.allows(word), expected, "{word} in {list:?}");
        }
    }
    assert_eq!(Whitelist::new(&allowed.to_string(), false).to_string(), allowed.to_string());
}

/// A value of the store as it might stand there, then keys of paths.
pub fn layout(data: &[u8]) {
    let mut input = Input(data);
    let which = input.byte();
    let rest = input.0;
    match which % 6 {
        0 => {
            if let Ok(node) = bounded(rest.len(), || layout::get_node(rest))
                && !node.data_is_separate
                && layout::separate_data(&node.znode).is_none()
            {
                stored_alike(&node.znode);
            }
        }
        1 => {
            if let Ok((owner, path)) = bounded(rest.len(), || layout::get_owned(rest)) {
                let again = layout::get_owned(&layout::owned_key(owner, &path));
                assert_eq!(again, Ok((owner, path)));
            }
        }
        2 => {
            let (key, value) = rest.split_at(rest.len().min(9));
            if let Ok((session, timeout_ms)) = layout::get_session(key, value) {
                assert_eq!(layout::session_key(session)[1..], key[1..]);
                assert_eq!(timeout_ms.to_be_bytes(), value);
            }
        }
        3 => {
            // With its checksum, which nobody guesses.
            let sealed = [rest, &crc32fast::hash(rest).to_be_bytes()].concat();
            for value in [rest, &sealed] {
                if let Ok(header) = bounded(rest.len(), || layout::get_header(value)) {
                    let written = layout::put_header(&Checkpoint {
                        zxid: header.zxid,
                        digest: header.digest,
                        znodes: header.znodes,
                        data_bytes: header.data_bytes,
                        ..Checkpoint::default()
                    });
                    assert_eq!(layout::get_header(&written), Ok(header));
                }
            }
        }
        4 => stored_alike(&znode(&mut input)),
        _ => keys(rest),
    }
}

fn stored_alike(znode: &Znode) {
    let mut value = BytesMut::new();
    layout::put_node(znode, &mut value);
    let stored = layout::get_node(&value).unwrap_or_else(|why| panic!("{znode:?}: {why}"));
    let separate = layout::separate_data(znode);
    assert_eq!(stored.data_is_separate, separate.is_some());
    let data = separate.map(Arc::from).or(stored.znode.data.clone());
    assert_eq!(&Znode { data, ..stored.znode }, znode);
}

fn znode(input: &mut Input<'_>) -> Znode {
    let int = |input: &mut Input<'_>| input.long() as i32;
    let stat = StatPersisted {
        czxid: Zxid(input.long()),
        mzxid: Zxid(input.long()),
        ctime: input.long(),
        mtime: input.long(),
        version: int(input),
        cversion: int(input),
        aversion: int(input),
        ephemeral_owner: Owner::of(input.long()).raw(),
        pzxid: Zxid(input.long()),
    };
    let acl: Option<Vec<Acl>> = (input.byte() > 99).then(|| (0..input.roll(4)).map(|_| acl(input)).collect());
    let (num_children, prefix_crc) = (int(input), int(input).cast_unsigned());
    let data = match input.byte() {
        0..64 => None,
        64..128 => Some(vec![7; 2000 + input.roll(100)].into()),
        _ => Some(input.0.into()),
    };
    Znode { stat, num_children, prefix_crc, digest: 0, acl: acl.map(Arc::from), data }
}

fn acl(input: &mut Input<'_>) -> Acl {
    let bytes = Bytes::copy_from_slice(input.take(12));
    Acl::get(&mut zorilla_protocol::Reader::new(&bytes)).unwrap_or_default()
}

/// Children of different parents never mix, and no two paths share a key.
fn keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut paths: BTreeSet<&str> = text.split('\n').filter(|text| path::validate(text).is_ok()).take(40).collect();
    paths.insert("/");
    let keys: BTreeSet<Vec<u8>> = paths.iter().map(|path| layout::node_key(path)).collect();
    assert_eq!(keys.len(), paths.len());
    for parent in &paths {
        let (first, end) = layout::children_range(parent);
        for child in &paths {
            let key = layout::node_key(child);
            let inside = key > first && key < end;
            assert_eq!(inside, *child != "/" && path::parent(child) == Some(parent), "{child} in {parent}");
            assert!(!inside || key[first.len()..] == *path::name(child).as_bytes());
        }
    }
}

const DIR: &str = "/log";

/// Odd first byte: the rest is a log file as it stands. Even: records are made, then one thing goes wrong.
pub fn log(data: &[u8]) {
    let mut input = Input(data);
    if input.byte() % 2 == 1 {
        let disk = MemoryDisk::default();
        disk.put(&format::log_path(Path::new(DIR), first_zxid(input.0)), input.0);
        drop(read_twice(&disk, data.len()));
    } else {
        damaged_log(&mut input);
    }
}

fn first_zxid(file: &[u8]) -> Zxid {
    let payload = file.get(HEADER.len() + format::RECORD_HEAD_BYTES..).unwrap_or_default();
    format::payload_zxid(payload).filter(|zxid| zxid.0 >= 0).unwrap_or(Zxid(1))
}

/// Records that were written are read, or what is wrong is said; others are never made up.
fn damaged_log(input: &mut Input<'_>) {
    let (mut file, mut written, mut ends) = (HEADER.to_vec(), Vec::new(), vec![HEADER.len()]);
    for zxid in 1..=1 + input.roll(8) {
        let entry = entry(zxid as i64, input);
        let payload = zorilla_protocol::jute::to_bytes(&entry);
        format::put_record(&mut file, &payload);
        written.push(entry);
        ends.push(file.len());
    }
    let end = file.len();
    if input.byte() % 2 == 1 {
        let start = ends[input.roll(ends.len())] as u64;
        Mark { start, end: end as u64 }.put(&mut file);
    }
    file.resize(file.len() + input.short() % 3000, 0);
    let at = input.short() % file.len();
    let what = input.roll(4);
    match what {
        0 => {}
        1 => file.truncate(at),
        2 => file[at] ^= 1 << input.roll(8),
        _ => {
            let sector = at / 512 * 512;
            let length = file.len().min(sector + 512) - sector;
            file[sector..sector + length].fill(0);
        }
    }
    let disk = MemoryDisk::default();
    disk.put(&format::log_path(Path::new(DIR), Zxid(1)), &file);
    let Ok((read, replayed)) = read_twice(&disk, file.len()) else {
        assert!(what > 1, "what a crash leaves is no damage: {written:?}");
        return;
    };
    assert!(written.starts_with(&read), "read {read:?} of {written:?}");
    match what {
        0 => assert_eq!((read.len(), replayed.torn), (written.len(), None)),
        1 => assert_eq!(read.len(), ends.iter().filter(|end| **end <= file.len()).count().saturating_sub(1)),
        _ => {}
    }
}

fn entry(zxid: i64, input: &mut Input<'_>) -> LogEntry {
    let length = input.roll(200);
    let data = match input.byte() % 4 {
        0 => None,
        1 => Some(Bytes::from(vec![0; length * 8])),
        2 => Some(Bytes::from(vec![b'B'; length])),
        _ => Some(Bytes::copy_from_slice(input.take(length))),
    };
    let txn = Txn::SetData(SetDataTxn { path: "/a".to_owned(), data, version: zxid as i32 });
    let header = TxnHeader {
        client_id: SessionId(input.long()),
        cxid: 1,
        zxid: Zxid(zxid),
        time: input.long(),
        kind: txn.kind(),
    };
    LogEntry { header, txn, digest: Some(TxnDigest { version: 2, tree_digest: input.long() }) }
}

/// What a start holds while it makes the end of the log durable.
const SETTLE_BYTES: usize = 256 << 10;

/// A second start finds what the first one found, with nothing left to repair; a refusal changes nothing.
fn read_twice(disk: &MemoryDisk, input_bytes: usize) -> Result<(Vec<LogEntry>, Replayed), LogError> {
    let before = disk.content();
    match read(disk, input_bytes) {
        Ok((entries, replayed)) => {
            let repaired = disk.content();
            let (again, twice) = read(disk, input_bytes).expect("what was repaired can be read");
            assert_eq!(again, entries);
            assert_eq!((twice.last, twice.records, twice.torn), (replayed.last, replayed.records, None));
            assert_eq!(disk.content(), repaired);
            Ok((entries, replayed))
        }
        Err(error) => {
            assert_eq!(disk.content(), before, "a refusal changes nothing: {error}");
            Err(error)
        }
    }
}

fn read(disk: &MemoryDisk, input_bytes: usize) -> Result<(Vec<LogEntry>, Replayed), LogError> {
    let mut entries: Vec<LogEntry> = Vec::new();
    // The first record decides where the log begins; a server knows it from its store.
    let after = disk.first_zxid().map_or(Zxid::ZERO, |first| Zxid(first.0 - 1));
    let replayed = bounded(input_bytes * 4 + SETTLE_BYTES / BYTES_PER_BYTE, || {
        replay_on(disk, Path::new(DIR), after, &mut |entry| {
            entries.push(entry);
            Ok(())
        })
    })?;
    let zxids: Vec<Zxid> = entries.iter().map(LogEntry::zxid).collect();
    assert!(zxids.is_sorted(), "{zxids:?}");
    assert_eq!((replayed.last, replayed.records), (zxids.last().copied(), zxids.len() as u64));
    Ok((entries, replayed))
}
