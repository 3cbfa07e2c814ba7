//! What clients were told, and what every zxid looks like.
//!
//! The records that were ever logged give a tree for each zxid, made by applying them in memory from the first on,
//! without a store. What was sent to clients says up to which zxid they know: that must never be gone. A record
//! whose write was answered with SYSTEMERROR must never be there again.

use crate::Unusable;
use crate::disk::{Disk, Ino};
use crate::recover::{Shown, hash_of, hash_of_sessions, shown};
use crate::trace::{Op, Operation, Step, Trace};
use bytes::{Buf, Bytes};
use std::collections::HashMap;
use std::sync::Arc;
use zorilla::storage::log::format;
use zorilla_core::tree::cold::NothingCold;
use zorilla_core::tree::{Committed, Lookup, Tree};
use zorilla_protocol::txn::{LogEntry, Txn};
use zorilla_protocol::{Code, Jute, Reader, SessionId, Zxid, path};

/// One logged txn.
struct Record {
    entry: LogEntry,
    /// What the tree shows behind it.
    hash: u64,
}

/// What was sent on one connection.
#[derive(Default)]
struct Conversation {
    session: Option<SessionId>,
    unread: Vec<u8>,
    /// A four-letter word's answer: no frames.
    is_text: bool,
}

/// See the module.
pub struct History {
    /// By zxid, from 1 on.
    records: Vec<Record>,
    /// The tree behind the last of them.
    reference: Reference,
    /// How far each log file was read.
    read: HashMap<Ino, usize>,
    conversations: HashMap<(u32, i32), Conversation>,
    /// Bytes of a send that is under way.
    floor: Zxid,
    /// Answers that named a txn.
    pub answers: u64,
    /// Writes that were answered with SYSTEMERROR.
    pub refusals: u64,
    /// Those of them that had been written to the log by then.
    pub refused: u64,
}

impl History {
    /// Before the first record.
    pub fn new() -> Result<History, Unusable> {
        Ok(History {
            records: Vec::new(),
            reference: Reference::new()?,
            read: HashMap::new(),
            conversations: HashMap::new(),
            floor: Zxid::ZERO,
            answers: 0,
            refusals: 0,
            refused: 0,
        })
    }

    /// What clients know of.
    pub fn floor(&self) -> Zxid {
        self.floor
    }

    /// The last record logged.
    pub fn last(&self) -> Zxid {
        Zxid(self.records.len() as i64)
    }

    /// What may be found: zxid and hash, from the floor on.
    pub fn allowed(&self) -> Vec<(Zxid, u64)> {
        (self.floor.0..=self.last().0).map(|zxid| (Zxid(zxid), self.hash_at(zxid))).collect()
    }

    fn hash_at(&self, zxid: i64) -> u64 {
        usize::try_from(zxid - 1)
            .ok()
            .and_then(|index| self.records.get(index))
            .map_or(self.reference.fresh, |r| r.hash)
    }

    /// Goes on by one step, behind the disk.
    pub fn step(&mut self, trace: &Trace, at: usize, disk: &Disk) -> Result<(), Unusable> {
        let operation = &trace.operations[trace.steps[at].operation()];
        match (trace.steps[at], &operation.op) {
            // A write that has begun may be on the disk.
            (Step::Begin(_), Op::Write { offset, data }) => self.written(operation, disk, *offset as usize, data),
            (Step::End(_), Op::Write { .. }) => match self.log_file(operation, disk) {
                Some(ino) => self.read_records(ino, disk),
                None => Ok(()),
            },
            (Step::End(_), Op::Truncate { length }) => {
                if let Some(read) = disk.opened(operation).and_then(|ino| self.read.get_mut(&ino)) {
                    *read = (*read).min(*length as usize);
                }
                Ok(())
            }
            // The client may see it from now on, as much of it as was taken.
            (Step::Begin(_), Op::Send { data }) => self.sent(operation, data),
            (Step::Instant(_), Op::Accept) => {
                self.conversations.insert((operation.pid, operation.fd), Conversation::default());
                Ok(())
            }
            // Whatever a killed process had written and could not say.
            (Step::Instant(_), Op::Note(_)) => {
                let known: Vec<Ino> = self.read.keys().copied().collect();
                known.into_iter().try_for_each(|ino| self.read_records(ino, disk))
            }
            _ => Ok(()),
        }
    }

    fn log_file(&self, operation: &Operation, disk: &Disk) -> Option<Ino> {
        let ino = disk.opened(operation)?;
        let name = disk.path(ino)?.file_name()?.to_str()?;
        format::zxid_of_name(name).map(|_| ino)
    }

    fn written(&mut self, operation: &Operation, disk: &Disk, offset: usize, data: &[u8]) -> Result<(), Unusable> {
        let Some(ino) = self.log_file(operation, disk) else { return Ok(()) };
        let mut at = self.read.get(&ino).copied().unwrap_or(format::HEADER.len());
        // The rest of a write that was cut short is read when it is all there.
        while let Some((payload, next)) = at.checked_sub(offset).and_then(|at| record_at(data, at)) {
            self.add(&payload)?;
            at = offset + next;
        }
        self.read.insert(ino, at);
        Ok(())
    }

    fn read_records(&mut self, ino: Ino, disk: &Disk) -> Result<(), Unusable> {
        let mut at = self.read.get(&ino).copied().unwrap_or(format::HEADER.len());
        let Some(image) = disk.content(ino) else { return Ok(()) };
        while let Some((payload, next)) = record_at(&image.bytes, at) {
            self.add(&payload)?;
            at = next;
        }
        self.read.insert(ino, at);
        Ok(())
    }

    fn add(&mut self, payload: &Bytes) -> Result<(), Unusable> {
        let entry = LogEntry::get(&mut Reader::new(payload))
            .map_err(|e| Unusable::Text(format!("a logged record cannot be read: {e}")))?;
        let zxid = entry.zxid();
        if zxid.0 <= self.last().0 {
            self.cut(zxid)?;
        }
        if zxid != self.last().next() {
            return Err(Unusable::Text(format!("{zxid} was logged behind {}", self.last())));
        }
        let hash = self.reference.apply(&entry)?;
        self.records.push(Record { entry, hash });
        Ok(())
    }

    /// The records from `zxid` on are no more.
    fn cut(&mut self, zxid: Zxid) -> Result<(), Unusable> {
        if zxid <= self.floor {
            return Err(Unusable::Text(format!("{zxid} is written anew, and clients know of {}", self.floor)));
        }
        self.records.truncate((zxid.0 - 1) as usize);
        self.reference = Reference::new()?;
        self.records.iter().try_for_each(|record| self.reference.apply(&record.entry).map(drop))
    }

    fn sent(&mut self, operation: &Operation, data: &Bytes) -> Result<(), Unusable> {
        let taken = operation.result.and_then(|result| usize::try_from(result).ok()).unwrap_or(0).min(data.len());
        let key = (operation.pid, operation.fd);
        let Some(mut conversation) = self.conversations.remove(&key) else {
            return Err(Unusable::Text(format!("descriptor {} is no client's", operation.fd)));
        };
        conversation.unread.extend_from_slice(&data[..taken]);
        while let Some(frame) = conversation.frame() {
            self.told(&mut conversation, frame)?;
        }
        self.conversations.insert(key, conversation);
        Ok(())
    }

    fn told(&mut self, conversation: &mut Conversation, mut frame: Bytes) -> Result<(), Unusable> {
        let Some(session) = conversation.session else {
            // protocolVersion, timeOut, sessionId.
            if frame.len() >= 16 {
                frame.advance(8);
                let session = SessionId(frame.get_i64());
                conversation.session = Some(session);
                if let Some(zxid) = self.creation_of(session) {
                    self.floor = self.floor.max(zxid);
                }
            }
            return Ok(());
        };
        if frame.len() < 16 {
            return Err(Unusable::Text("a reply without a header".to_owned()));
        }
        let (xid, zxid, err) = (frame.get_i32(), Zxid(frame.get_i64()), frame.get_i32());
        if xid < 0 {
            // Events, pings: what they show is a txn that others were told of, or will be with this zxid.
            self.floor = self.floor.max(zxid);
            return Ok(());
        }
        self.refusals += u64::from(err == Code::SystemError.number());
        // A client that comes back counts from 1 again: the newest is meant.
        let logged = self.records.iter().rev().take(4096).find(|record| {
            let header = &record.entry.header;
            header.client_id == session && header.cxid == xid
        });
        match logged.map(|record| (record.entry.zxid(), matches!(record.entry.txn, Txn::Error(_)))) {
            Some((logged, _)) if err == Code::SystemError.number() && logged > self.floor => {
                self.refused += 1;
                self.cut(logged)?;
            }
            Some((logged, failed)) if zxid == logged => {
                self.answers += 1;
                if failed && err == 0 {
                    return Err(Unusable::Text(format!("{zxid} was logged as an error and answered with OK")));
                }
            }
            _ => {}
        }
        if zxid > self.last() {
            return Err(Unusable::Text(format!("a client was told of {zxid} before it was written")));
        }
        self.floor = self.floor.max(zxid);
        Ok(())
    }

    fn creation_of(&self, session: SessionId) -> Option<Zxid> {
        let found = self.records.iter().rev().find(|record| {
            record.entry.header.client_id == session && matches!(record.entry.txn, Txn::CreateSession(_))
        });
        found.map(|record| record.entry.zxid())
    }
}

/// A tree in memory alone, whose hash follows what each txn touches.
struct Reference {
    tree: Tree,
    /// Of the tree before the first txn.
    fresh: u64,
    hashes: HashMap<String, u64>,
    sum: u64,
}

impl Reference {
    fn new() -> Result<Reference, Unusable> {
        let mut tree = Tree::new_standalone(Arc::new(NothingCold), 1);
        let Shown { hash, znodes, .. } = shown(&mut tree).map_err(Unusable::Text)?;
        let hashes: HashMap<_, _> = znodes.iter().map(|(path, znode)| (path.clone(), hash_of(path, znode))).collect();
        let sum = hashes.values().copied().fold(0, u64::wrapping_add);
        Ok(Reference { tree, fresh: hash, hashes, sum })
    }

    fn apply(&mut self, entry: &LogEntry) -> Result<u64, Unusable> {
        let mut touched = Vec::new();
        touched_by(&entry.txn, &mut touched);
        if let Txn::CloseSession(_) = entry.txn {
            touched.extend(self.tree.ephemerals(entry.header.client_id).iter().map(|path| path.to_string()));
        }
        let parents: Vec<_> = touched.iter().filter_map(|path| path::parent(path)).map(str::to_owned).collect();
        self.tree.apply(&entry.header, &entry.txn).map_err(|e| Unusable::Text(e.to_string()))?;
        for path in touched.into_iter().chain(parents) {
            let now = match self.tree.lookup(&path) {
                Lookup::Hit(_, znode) => Some(hash_of(&path, znode)),
                Lookup::Absent | Lookup::Cold => None,
            };
            let before = match now {
                Some(hash) => self.hashes.insert(path, hash),
                None => self.hashes.remove(&path),
            };
            self.sum = self.sum.wrapping_add(now.unwrap_or(0)).wrapping_sub(before.unwrap_or(0));
        }
        Ok(self.sum.wrapping_add(hash_of_sessions(&self.tree)))
    }
}

fn touched_by(txn: &Txn, paths: &mut Vec<String>) {
    match txn {
        Txn::Create(txn) | Txn::Create2(txn) => paths.push(txn.path.clone()),
        Txn::CreateContainer(txn) => paths.push(txn.path.clone()),
        Txn::CreateTtl(txn) => paths.push(txn.path.clone()),
        Txn::Delete(txn) | Txn::DeleteContainer(txn) => paths.push(txn.path.clone()),
        Txn::SetData(txn) | Txn::Reconfig(txn) => paths.push(txn.path.clone()),
        Txn::SetAcl(txn) => paths.push(txn.path.clone()),
        Txn::Multi(parts) => parts.iter().for_each(|part| touched_by(part, paths)),
        Txn::Check(_) | Txn::CreateSession(_) | Txn::CloseSession(_) | Txn::Error(_) => {}
    }
}

fn record_at(bytes: &[u8], at: usize) -> Option<(Bytes, usize)> {
    let head = format::RecordHead::get(bytes.get(at..)?)?;
    let length = usize::try_from(head.length).ok().filter(|length| *length > 0)?;
    let from = at + format::RECORD_HEAD_BYTES;
    let payload = bytes.get(from..from + length)?;
    let whole = bytes.get(from + length) == Some(&format::RECORD_END) && head.matches(payload);
    whole.then(|| (Bytes::copy_from_slice(payload), from + length + 1))
}

impl Conversation {
    fn frame(&mut self) -> Option<Bytes> {
        const LONGEST_BYTES: usize = 16 << 20;
        let length = self.unread.get(..4)?.get_u32() as usize;
        self.is_text |= self.session.is_none() && length > LONGEST_BYTES;
        if self.is_text || self.unread.len() < 4 + length {
            return None;
        }
        let rest = self.unread.split_off(4 + length);
        let frame = std::mem::replace(&mut self.unread, rest);
        Some(Bytes::from(frame).slice(4..))
    }
}
