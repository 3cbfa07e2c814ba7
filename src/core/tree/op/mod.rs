//! Writes, a file per family: the checks in Apache's order, the txn, and what it will change.

mod acl;
mod check;
mod create;
mod delete;
mod multi;
mod quota;
mod session;
mod set_data;
#[cfg(test)]
mod tests;

use super::acl_table::is_open;
use super::pending::{Pending, Rules, Write};
use super::{Committed, Lookup, Miss, Znode};
use crate::auth::{self, Caller};
use std::sync::Arc;
use zorilla_protocol::jute::Word;
use zorilla_protocol::ops::Request;
use zorilla_protocol::path::{self, ROOT};
use zorilla_protocol::records::Acl;
use zorilla_protocol::txn::Txn;
use zorilla_protocol::{Code, Zxid};

/// Why a write yields no txn of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The first check that failed.
    Code(Code),
    /// Not known in memory.
    Miss(Miss),
}

impl From<Code> for Stop {
    fn from(code: Code) -> Stop {
        Stop::Code(code)
    }
}

/// One write in the making.
pub(super) struct Prep<'a> {
    pub pending: &'a mut Pending,
    pub tree: &'a dyn Committed,
    pub rules: &'a Rules,
    pub caller: &'a Caller,
    pub zxid: Zxid,
    pub time_ms: i64,
    /// See [`Prepared::over_quota`](super::pending::Prepared::over_quota).
    pub over_quota: Option<Box<str>>,
}

/// A znode as it will be, and where.
#[derive(Clone, Debug)]
pub(super) struct Found {
    hash: u64,
    path: Arc<str>,
    znode: Arc<Znode>,
}

impl std::ops::Deref for Found {
    type Target = Znode;
    fn deref(&self) -> &Znode {
        &self.znode
    }
}

impl Prep<'_> {
    /// The znode as it will be, if it will exist.
    fn find(&self, path: &str) -> Result<Option<Found>, Stop> {
        let path = if path.is_empty() { ROOT } else { path };
        self.find_at(self.tree.hash(path), path)
    }

    /// The same, of the path with this hash.
    fn find_at(&self, hash: u64, path: &str) -> Result<Option<Found>, Stop> {
        let found = |path: &Arc<str>, znode: &Arc<Znode>| Found { hash, path: path.clone(), znode: znode.clone() };
        if let Some((path, znode)) = self.pending.change(hash, path) {
            return Ok(znode.map(|znode| found(path, znode)));
        }
        match self.tree.lookup_at(hash, path) {
            Lookup::Hit(path, znode) => Ok(Some(found(path, znode))),
            Lookup::Absent => Ok(None),
            Lookup::Cold => Err(Stop::Miss(Miss::Node(path.to_owned()))),
        }
    }

    /// The znode as it will be, or NoNode.
    fn get(&self, path: &str) -> Result<Found, Stop> {
        self.find(path)?.ok_or(Stop::Code(Code::NoNode))
    }

    /// Whether the caller may do `wanted` to the znode.
    fn check_acl(&self, znode: &Znode, wanted: i32) -> Result<(), Stop> {
        if self.rules.skip_acl {
            return Ok(());
        }
        Ok(auth::check_acl(znode.acl.as_deref(), wanted, &self.caller.ids)?)
    }

    /// The ACL list of a request in the form that is stored.
    fn fix_acl(&self, list: Option<&[Acl]>) -> Result<Vec<Acl>, Code> {
        auth::fix_acl(list, &self.caller.ids, &self.rules.auth)
    }

    /// A session whose end is outstanding writes no more: its ephemerals would outlive it.
    fn check_session(&self) -> Result<(), Code> {
        if self.pending.is_closing(self.caller.session) { Err(Code::SessionExpired) } else { Ok(()) }
    }

    /// Puts a znode where none is.
    fn insert(&mut self, hash: u64, path: Arc<str>, znode: Znode) {
        self.pending.write(hash, path, 0, Some(znode));
    }

    /// Replaces a znode; `None` removes it.
    fn replace(&mut self, old: Found, new: Option<Znode>) {
        self.pending.write(old.hash, old.path, old.znode.digest(), new);
    }
}

/// Makes the txn and tells its [length](txn_bytes); notes what it will change. On `Err`, changes noted so far are the caller's to undo.
pub(super) fn prepare(prep: &mut Prep<'_>, write: Write<'_>) -> Result<(Txn, usize), Stop> {
    let txn = match write {
        Write::Request(request) => prepare_request(prep, request)?,
        Write::CreateSession { timeout_ms } => session::create(timeout_ms),
        Write::CloseSession => session::close(prep)?,
        Write::Reap { path } => delete::reap(prep, path)?,
    };
    // A log with a record that no reader takes is a server that does not start again. Requests are
    // bounded, but `auth` in an ACL stands for as many entries as the connection has identities.
    // closeSession is left alone: the session has to end, and our reader takes any length.
    let bytes = txn_bytes(&txn);
    if bytes > txn_bytes_max(prep.rules) && !matches!(txn, Txn::CloseSession(_)) {
        return Err(Stop::Code(Code::BadArguments));
    }
    Ok((txn, bytes))
}

fn prepare_request(prep: &mut Prep<'_>, request: &Request) -> Result<Txn, Stop> {
    match request {
        Request::Multi(ops) => return multi::prepare(prep, ops),
        Request::CloseSession(_) => return session::close(prep),
        _ => prep.check_session()?,
    }
    match request {
        Request::Create(request) => create::create(prep, request),
        Request::Create2(request) => create::create2(prep, request),
        Request::CreateContainer(request) => create::create_container(prep, request),
        Request::CreateTtl(request) => create::create_ttl(prep, request),
        Request::Delete(request) => delete::delete(prep, &request.path, request.version),
        Request::DeleteContainer(request) => delete::delete_container(prep, &request.path),
        Request::SetData(request) => set_data::prepare(prep, request),
        Request::SetAcl(request) => acl::prepare(prep, request),
        // `reconfigEnabled` is off, as it is by default. (Switched on, a standalone server says -6.)
        Request::Reconfig(_) => Err(Stop::Code(Code::ReconfigDisabled)),
        Request::Multi(_) | Request::CloseSession(_) => Err(Stop::Code(Code::MarshallingError)),
        Request::Exists(_)
        | Request::GetData(_)
        | Request::GetAcl(_)
        | Request::GetChildren(_)
        | Request::GetChildren2(_)
        | Request::Sync(_)
        | Request::Ping(_)
        | Request::CheckWatches(_)
        | Request::RemoveWatches(_)
        | Request::MultiRead(_)
        | Request::Auth(_)
        | Request::SetWatches(_)
        | Request::Sasl(_)
        | Request::GetEphemerals(_)
        | Request::GetAllChildrenNumber(_)
        | Request::SetWatches2(_)
        | Request::AddWatch(_)
        | Request::WhoAmI(_) => Err(Stop::Code(Code::Unimplemented)),
    }
}

/// The version behind a change of something that has version `current` (Java: `checkAndIncVersion`).
/// Expecting -1 is expecting nothing; every other number has to be the very one.
fn next_version(current: i32, expected: i32) -> Result<i32, Code> {
    if expected == -1 || expected == current { Ok(current.wrapping_add(1)) } else { Err(Code::BadVersion) }
}

fn validate(path: &str) -> Result<(), Code> {
    path::validate(path).map_err(|_| Code::BadArguments)
}

/// A list as a znode holds it.
fn stored_acl(list: &[Acl]) -> Option<Arc<[Acl]>> {
    if is_open(list) { auth::OPEN_ACL } else { Some(list.into()) }
}

/// What a reader of the log takes: `jute.maxbuffer` and as much again.
fn txn_bytes_max(rules: &Rules) -> usize {
    rules.request_bytes_max.saturating_mul(2)
}

/// The length of a txn's body, give or take the few bytes of its fixed fields.
fn txn_bytes(txn: &Txn) -> usize {
    const FIXED: usize = 40;
    let word = |word: &Option<Word>| word.as_ref().map_or(0, |word| word.len());
    let acl = |list: &Option<Vec<Acl>>| -> usize {
        list.iter().flatten().map(|acl| 12 + word(&acl.id.scheme) + word(&acl.id.id)).sum()
    };
    let data = |data: &Option<bytes::Bytes>| data.as_ref().map_or(0, bytes::Bytes::len);
    FIXED
        + match txn {
            Txn::Create(txn) | Txn::Create2(txn) => txn.path.len() + data(&txn.data) + acl(&txn.acl),
            Txn::CreateContainer(txn) => txn.path.len() + data(&txn.data) + acl(&txn.acl),
            Txn::CreateTtl(txn) => txn.path.len() + data(&txn.data) + acl(&txn.acl),
            Txn::Delete(txn) | Txn::DeleteContainer(txn) => txn.path.len(),
            Txn::SetData(txn) | Txn::Reconfig(txn) => txn.path.len() + data(&txn.data),
            Txn::SetAcl(txn) => txn.path.len() + acl(&txn.acl),
            Txn::Check(txn) => txn.path.len(),
            // Without the slack, so that a multi of many small parts is not refused for it.
            Txn::Multi(parts) => parts.iter().map(|part| txn_bytes(part) - FIXED + 8).sum(),
            Txn::CreateSession(_) | Txn::CloseSession(_) | Txn::Error(_) => 0,
        }
}
