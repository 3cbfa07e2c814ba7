//! Transactions as they stand in the log, in proposals and in the committed list:
//! header, body by type, optional digest; no lengths in between.

use crate::ids::{SessionId, Zxid};
use crate::jute::{Jute, Malformed, Reader, jute_length};
use crate::records::{Acl, records};
use bytes::{Bytes, BytesMut};

records! {
    /// Who asked, where in the order, when by the proposer's clock (ms since the epoch), and what.
    TxnHeader { client_id: SessionId, cxid: i32, zxid: Zxid, time: i64, kind: i32 }
    /// The digest of the whole tree after the transaction.
    TxnDigest { version: i32, tree_digest: i64 }
    /// create and create2. `path` is final; `parent_cversion` is the parent's stored cversion after
    /// it, -1 for "one more" (records from before 3.3).
    CreateTxn { path: String, data: Option<Bytes>, acl: Option<Vec<Acl>>, ephemeral: bool, parent_cversion: i32 }
    CreateContainerTxn { path: String, data: Option<Bytes>, acl: Option<Vec<Acl>>, parent_cversion: i32 }
    /// `ttl` in milliseconds.
    CreateTtlTxn { path: String, data: Option<Bytes>, acl: Option<Vec<Acl>>, parent_cversion: i32, ttl: i64 }
    DeleteTxn { path: String }
    /// `version` is the new one.
    SetDataTxn { path: String, data: Option<Bytes>, version: i32 }
    /// `version` is the new aversion.
    SetAclTxn { path: String, acl: Option<Vec<Acl>>, version: i32 }
    /// Inside a multi only; appliers ignore it. `version` is the checked one plus one.
    CheckVersionTxn { path: String, version: i32 }
    CreateSessionTxn { time_out_ms: i32 }
    CloseSessionTxn { paths_to_delete: Vec<String> }
    ErrorTxn { err: i32 }
    /// The first 16 bytes of a log file (magic `ZKLG`) and of a snapshot file (`ZKSN`).
    FileHeader { magic: i32, version: i32, dbid: i64 }
    /// In the schema, never sent.
    SetMaxChildrenTxn { path: Option<String>, max: i32 }
}

/// The digest algorithm's version that [`TxnDigest`] carries since 3.6.
pub const DIGEST_VERSION: i32 = 2;

/// A transaction's body, by type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as the types of the table below
pub enum Txn {
    Create(CreateTxn),
    Create2(CreateTxn),
    CreateContainer(CreateContainerTxn),
    CreateTtl(CreateTtlTxn),
    Delete(DeleteTxn),
    /// A container or expired TTL node removed by the server.
    DeleteContainer(DeleteTxn),
    SetData(SetDataTxn),
    Reconfig(SetDataTxn),
    SetAcl(SetAclTxn),
    Check(CheckVersionTxn),
    Multi(Vec<Txn>),
    CreateSession(CreateSessionTxn),
    /// `None`: from a server before 3.6, or with `closeSessionTxn.enabled=false`; each server then
    /// deletes what its own index holds.
    CloseSession(Option<CloseSessionTxn>),
    Error(ErrorTxn),
}

impl Txn {
    /// The type number in the header.
    pub fn kind(&self) -> i32 {
        match self {
            Txn::Create(_) => 1,
            Txn::Delete(_) => 2,
            Txn::SetData(_) => 5,
            Txn::SetAcl(_) => 7,
            Txn::Check(_) => 13,
            Txn::Multi(_) => 14,
            Txn::Create2(_) => 15,
            Txn::Reconfig(_) => 16,
            Txn::CreateContainer(_) => 19,
            Txn::DeleteContainer(_) => 20,
            Txn::CreateTtl(_) => 21,
            Txn::CreateSession(_) => -10,
            Txn::CloseSession(_) => -11,
            Txn::Error(_) => -1,
        }
    }

    /// Appends the body.
    pub fn put(&self, out: &mut BytesMut) {
        match self {
            Txn::Create(t) | Txn::Create2(t) => t.put(out),
            Txn::CreateContainer(t) => t.put(out),
            Txn::CreateTtl(t) => t.put(out),
            Txn::Delete(t) | Txn::DeleteContainer(t) => t.put(out),
            Txn::SetData(t) | Txn::Reconfig(t) => t.put(out),
            Txn::SetAcl(t) => t.put(out),
            Txn::Check(t) => t.put(out),
            Txn::Multi(parts) => {
                jute_length(parts.len()).put(out);
                parts.iter().for_each(|part| put_part(part, out));
            }
            Txn::CreateSession(t) => t.put(out),
            Txn::CloseSession(t) => {
                if let Some(t) = t {
                    t.put(out);
                }
            }
            Txn::Error(t) => t.put(out),
        }
    }

    /// Reads the body of type `kind`.
    pub fn get(kind: i32, r: &mut Reader<'_>) -> Result<Txn, Malformed> {
        Ok(match kind {
            1 => Txn::Create(get_create(r)?),
            2 => Txn::Delete(Jute::get(r)?),
            5 => Txn::SetData(Jute::get(r)?),
            7 => Txn::SetAcl(Jute::get(r)?),
            13 => Txn::Check(Jute::get(r)?),
            14 => {
                let parts = Vec::<SubTxn>::get(r)?;
                Txn::Multi(parts.into_iter().map(SubTxn::into_txn).collect::<Result<_, _>>()?)
            }
            15 => Txn::Create2(Jute::get(r)?),
            16 => Txn::Reconfig(Jute::get(r)?),
            19 => Txn::CreateContainer(Jute::get(r)?),
            20 => Txn::DeleteContainer(Jute::get(r)?),
            21 => Txn::CreateTtl(Jute::get(r)?),
            -10 => Txn::CreateSession(Jute::get(r)?),
            -11 => Txn::CloseSession(get_close_session(r)),
            -1 => Txn::Error(Jute::get(r)?),
            other => return Err(Malformed::Type(other)),
        })
    }
}

/// A plain create, or its form from before 3.3 that ends behind `ephemeral`. Only a body that really
/// ends there is the old form.
fn get_create(r: &mut Reader<'_>) -> Result<CreateTxn, Malformed> {
    let (path, data, acl, ephemeral) = (Jute::get(r)?, Jute::get(r)?, Jute::get(r)?, Jute::get(r)?);
    let parent_cversion = if r.is_empty() { -1 } else { i32::get(r)? };
    Ok(CreateTxn { path, data, acl, ephemeral, parent_cversion })
}

/// The size of [`TxnDigest`] on the wire.
const DIGEST_BYTES: usize = 12;

/// The paths, if there are any. A body of exactly a digest's size is a digest without a body: read
/// as a list it would claim two paths, of which the second cannot be there (a record that old or that
/// configured is legal, see the storage format's notes on closeSession).
fn get_close_session(r: &mut Reader<'_>) -> Option<CloseSessionTxn> {
    if r.rest().len() == DIGEST_BYTES && r.rest().starts_with(&DIGEST_VERSION.to_be_bytes()) {
        let mut probe = r.clone();
        if CloseSessionTxn::get(&mut probe).is_err() || !probe.is_empty() {
            return None;
        }
    }
    let mut attempt = r.clone();
    let txn = CloseSessionTxn::get(&mut attempt).ok()?;
    *r = attempt;
    Some(txn)
}

/// A part of a multi: type and body, without a header.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SubTxn {
    kind: i32,
    data: Bytes,
}

/// Appends a part of a multi as [`SubTxn`] reads it.
fn put_part(txn: &Txn, out: &mut BytesMut) {
    txn.kind().put(out);
    let at = out.len();
    0_i32.put(out);
    txn.put(out);
    let length = jute_length(out.len() - at - size_of::<i32>());
    out[at..at + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
}

impl SubTxn {
    fn into_txn(self) -> Result<Txn, Malformed> {
        match self.kind {
            // Nesting is not in the format; refusing it bounds the recursion.
            14 => Err(Malformed::Type(14)),
            // Apache's leader renames the operations of a failed multi to errors when it applies them and
            // keeps their bodies; learners that catch up get them so. Undone means result 0.
            -1 if self.data.len() != size_of::<i32>() => Ok(Txn::Error(ErrorTxn { err: 0 })),
            kind => Txn::get(kind, &mut Reader::new(&self.data)),
        }
    }
}

impl Jute for SubTxn {
    fn put(&self, out: &mut BytesMut) {
        self.kind.put(out);
        self.data.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(SubTxn { kind: Jute::get(r)?, data: Jute::get(r)? })
    }
}

/// A whole record: the payload of the log, of PROPOSAL and of INFORM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// `kind` equals the body's type.
    pub header: TxnHeader,
    /// The body.
    pub txn: Txn,
    /// Absent on error txns, and from servers before 3.6 or with digests off.
    pub digest: Option<TxnDigest>,
}

impl LogEntry {
    /// Where it stands in the order.
    pub fn zxid(&self) -> Zxid {
        self.header.zxid
    }
}

impl Jute for LogEntry {
    fn put(&self, out: &mut BytesMut) {
        self.header.put(out);
        self.txn.put(out);
        if let Some(digest) = &self.digest {
            digest.put(out);
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let header = TxnHeader::get(r)?;
        let txn = Txn::get(header.kind, r)?;
        let digest = if r.rest().len() >= DIGEST_BYTES { Some(TxnDigest::get(r)?) } else { None };
        Ok(LogEntry { header, txn, digest })
    }
}
