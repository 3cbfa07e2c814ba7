//! The log against Apache's files, crashes, and disks that fail.

mod crash;
mod fixtures;
mod space;
mod writing;

use super::disk::Disk;
use super::sim_disk::SimDisk;
use super::*;
use bytes::{Bytes, BytesMut};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use zorilla_protocol::jute::Jute;
use zorilla_protocol::txn::{LogEntry, SetDataTxn, Txn, TxnDigest, TxnHeader};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn options(dir: impl Into<PathBuf>) -> LogOptions {
    LogOptions { pre_alloc_bytes: 64 << 10, ..LogOptions::new(dir) }
}

fn entry(zxid: Zxid, data: Bytes) -> LogEntry {
    let txn = Txn::SetData(SetDataTxn { path: "/some/path".to_owned(), data: Some(data), version: 3 });
    let header = TxnHeader {
        client_id: zorilla_protocol::SessionId(0x1234),
        cxid: 7,
        zxid,
        time: 1_700_000_000_000,
        kind: txn.kind(),
    };
    LogEntry { header, txn, digest: Some(TxnDigest { version: 2, tree_digest: zxid.0 * 77 }) }
}

#[derive(Clone, Debug)]
struct Record {
    zxid: Zxid,
    payload: Bytes,
}

fn batch_of(records: Vec<Record>) -> Records {
    let mut batch = Records::default();
    for Record { zxid, payload } in records {
        let length = batch.push(zxid, payload.len(), |out| out.extend_from_slice(&payload));
        assert_eq!(length, payload.len());
    }
    batch
}

fn record_of(entry: &LogEntry) -> Record {
    let mut payload = BytesMut::new();
    entry.put(&mut payload);
    Record { zxid: entry.zxid(), payload: payload.freeze() }
}

/// A record of some size, whose data has no zero bytes.
fn record(zxid: i64, data_bytes: usize) -> Record {
    record_of(&entry(Zxid(zxid), vec![0x5a; data_bytes].into()))
}

/// A log on a simulated disk and what it says.
fn start(disk: &SimDisk, options: LogOptions, last: i64) -> (TxnLog, Receiver<LogEvent>) {
    let (sender, events) = channel();
    let log = TxnLog::start_on(Arc::new(disk.clone()), options, Zxid(last), move |event| drop(sender.send(event)));
    (log.unwrap(), events)
}

fn next(events: &Receiver<LogEvent>) -> LogEvent {
    events.recv_timeout(PATIENCE).expect("an event")
}

fn await_synced(events: &Receiver<LogEvent>, through: i64) {
    loop {
        match next(events) {
            LogEvent::Synced { through: at } if at.0 == through => return,
            LogEvent::Synced { through: at } => assert!(at.0 < through),
            other => panic!("{other:?}"),
        }
    }
}

/// All that is behind `after`, and what replay said.
fn read(disk: &dyn Disk, dir: &Path, after: i64) -> Result<(Vec<LogEntry>, Replayed), LogError> {
    let mut entries = Vec::new();
    let replayed = replay_on(disk, dir, Zxid(after), &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    assert_eq!(replayed.records, entries.len() as u64);
    assert_eq!(replayed.last, entries.last().map(LogEntry::zxid));
    Ok((entries, replayed))
}

fn zxids(entries: &[LogEntry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.zxid().0).collect()
}

/// A seeded source of randomness (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
