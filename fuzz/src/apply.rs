//! A log's records against the tree, whoever wrote them and in whatever order.

use crate::tree::Server;
use bytes::Bytes;
use zorilla_core::tree::Committed;
use zorilla_protocol::path;
use zorilla_protocol::txn::{LogEntry, Txn};
use zorilla_protocol::{Jute, Reader, Zxid};

/// The bytes of a log file, whose checksums are not looked at.
pub fn history(data: &[u8]) {
    let entries = entries(data);
    let mut careless = Server::default();
    entries.iter().cloned().for_each(|entry| careless.apply_foreign(entry));
    // Paths that no server ever let in have no place in the tree's shape: what is left of it is that
    // nothing panics. With paths as they are, its sums hold, and a second start finds the same.
    let mut server = Server::default();
    for (at, entry) in entries.into_iter().filter(|entry| has_paths(&entry.txn)).enumerate() {
        server.apply_foreign(entry);
        if at % 32 == 31 {
            server.forget();
        }
    }
    server.check_sums();
    let digest = server.tree.digest();
    server.forget();
    server.restart();
    server.check_sums();
    assert_eq!(server.tree.digest(), digest);
}

/// A log file's header, and what stands before a record's length.
const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 8;

fn entries(data: &[u8]) -> Vec<LogEntry> {
    let mut rest = data.get(HEADER_BYTES..).unwrap_or_default();
    let mut entries: Vec<LogEntry> = Vec::new();
    while let Some((length, behind)) = rest.get(CHECKSUM_BYTES..).and_then(|rest| rest.split_first_chunk::<4>()) {
        let Some(payload) = behind.get(..u32::from_be_bytes(*length) as usize) else { break };
        let payload = Bytes::copy_from_slice(payload);
        if let Ok(entry) = LogEntry::get(&mut Reader::new(&payload)) {
            // The log's order holds; the replay refuses any other.
            let last = entries.last().map_or(Zxid::ZERO, LogEntry::zxid);
            if entry.zxid() > last {
                entries.push(entry);
            }
        }
        rest = behind.get(payload.len() + 1..).unwrap_or_default();
    }
    entries
}

fn has_paths(txn: &Txn) -> bool {
    let is_valid = |text: &str| path::validate(text).is_ok();
    match txn {
        Txn::Create(txn) | Txn::Create2(txn) => is_valid(&txn.path),
        Txn::CreateContainer(txn) => is_valid(&txn.path),
        Txn::CreateTtl(txn) => is_valid(&txn.path),
        Txn::Delete(txn) | Txn::DeleteContainer(txn) => is_valid(&txn.path),
        Txn::SetData(txn) | Txn::Reconfig(txn) => is_valid(&txn.path),
        Txn::SetAcl(txn) => is_valid(&txn.path),
        Txn::Check(txn) => is_valid(&txn.path),
        Txn::Multi(parts) => parts.iter().all(has_paths),
        Txn::CloseSession(txn) => txn.iter().flat_map(|txn| &txn.paths_to_delete).all(|path| is_valid(path)),
        Txn::CreateSession(_) | Txn::Error(_) => true,
    }
}
