//! Reads and watch requests, answered on the connection's own task under the tree's shared lock.

use super::driver::{put_event, put_header};
use super::shared::Shared;
use crate::net::Connection;
use crate::net::connection::{Job, Work};
use bytes::{BufMut, BytesMut};
use std::sync::Arc;
use zorilla_core::auth::Caller;
use zorilla_core::tree::Tree;
use zorilla_core::tree::cold::Miss;
use zorilla_core::tree::read::{self, ReadRules, SetWatchOutcome, WatchKind};
use zorilla_protocol::ops::Request;
use zorilla_protocol::records::{AddWatchRequest, ErrorResponse, ReplyHeader};
use zorilla_protocol::{Code, Jute, Zxid};

/// Where the error code stands in a reply frame: behind length, xid and zxid.
const ERR_AT: usize = 4 + 4 + 8;

/// Carries out a job whose turn has come and appends its whole frame to `out`. On a miss nothing is
/// appended and nothing registered.
pub fn carry_out(shared: &Shared, conn: &Connection, tree: &Tree, job: &Job, out: &mut BytesMut) -> Result<(), Miss> {
    match &job.work {
        Work::Read(request) => answer(shared, conn, tree, job.xid, &job.ids, request, out),
        Work::Refuse { code, zxid } => {
            put_header(out, job.xid, zxid.unwrap_or_else(|| tree.last_zxid()), *code);
            Ok(())
        }
        Work::Frame(frame) => {
            out.put_slice(frame);
            Ok(())
        }
    }
}

/// Answers one read. Registering a watch and reading are one step: the caller holds the tree.
pub fn answer(
    shared: &Shared,
    conn: &Connection,
    tree: &Tree,
    xid: i32,
    ids: &Arc<[zorilla_protocol::records::Id]>,
    request: &Request,
    out: &mut BytesMut,
) -> Result<(), Miss> {
    let start = out.len();
    out.put_i32(0);
    ReplyHeader { xid, zxid: tree.last_zxid(), err: 0 }.put(out);
    let result = match request {
        Request::AddWatch(request) => Ok(add_watch(shared, conn, request, out)),
        Request::CheckWatches(request) => Ok(check_watches(shared, conn, request.path.as_deref(), request.kind, false)),
        Request::RemoveWatches(request) => Ok(check_watches(shared, conn, request.path.as_deref(), request.kind, true)),
        Request::SetWatches(_) | Request::SetWatches2(_) => set_watches(shared, conn, tree, xid, request, start, out),
        Request::Ping(_) => {
            // Always this xid, whatever the request's was.
            out[start + 4..start + 8].copy_from_slice(&PING_XID.to_be_bytes());
            Ok(Code::Ok)
        }
        request => read_tree(shared, conn, tree, ids, request, out),
    };
    let code = match result {
        Ok(code) => code,
        Err(miss) => {
            out.truncate(start);
            return Err(miss);
        }
    };
    // setWatches puts events in front of its reply, which then begins later and is complete.
    if !matches!(request, Request::SetWatches(_) | Request::SetWatches2(_)) {
        let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        out[start + ERR_AT..start + ERR_AT + 4].copy_from_slice(&code.number().to_be_bytes());
    }
    Ok(())
}

const PING_XID: i32 = -2;

fn read_tree(
    shared: &Shared,
    conn: &Connection,
    tree: &Tree,
    ids: &Arc<[zorilla_protocol::records::Id]>,
    request: &Request,
    out: &mut BytesMut,
) -> Result<Code, Miss> {
    let caller = Caller { session: conn.session_id(), ids: ids.clone() };
    let answer = read::read(tree, request, &caller, &ReadRules { skip_acl: shared.rules.skip_acl }, out)?;
    if let (Some(kind), Some(path)) = (answer.watch, watched_path(request)) {
        let mut watches = shared.watches.lock();
        match kind {
            WatchKind::Data => watches.add_data(path, conn.id),
            WatchKind::Child => watches.add_child(path, conn.id),
        }
    }
    Ok(answer.code)
}

fn watched_path(request: &Request) -> Option<&str> {
    match request {
        Request::Exists(r) => Some(&r.path),
        Request::GetData(r) => Some(&r.path),
        Request::GetChildren(r) => Some(&r.path),
        Request::GetChildren2(r) => Some(&r.path),
        _ => None,
    }
}

/// No ACL check, no existence check, no path validation, as Apache: events are filtered when sent.
fn add_watch(shared: &Shared, conn: &Connection, request: &AddWatchRequest, out: &mut BytesMut) -> Code {
    let recursive = match request.mode {
        0 => false,
        1 => true,
        _ => return Code::MarshallingError,
    };
    shared.watches.lock().add_persistent(request.path.as_deref().unwrap_or_default(), conn.id, recursive);
    ErrorResponse { err: 0 }.put(out);
    Code::Ok
}

fn check_watches(shared: &Shared, conn: &Connection, path: Option<&str>, kind: i32, remove: bool) -> Code {
    if !(1..=5).contains(&kind) {
        return Code::MarshallingError;
    }
    let path = path.unwrap_or_default();
    let mut watches = shared.watches.lock();
    let found = if remove { watches.remove(path, conn.id, kind) } else { watches.contains(path, conn.id, kind) };
    if found { Code::Ok } else { Code::NoWatcher }
}

/// Watches that a client brings back. What changed in the meantime is told at once, before the reply,
/// with no txn's zxid.
fn set_watches(
    shared: &Shared,
    conn: &Connection,
    tree: &Tree,
    xid: i32,
    request: &Request,
    start: usize,
    out: &mut BytesMut,
) -> Result<Code, Miss> {
    out.truncate(start);
    let outcomes = read::set_watches(tree, request)?;
    let mut watches = shared.watches.lock();
    for outcome in outcomes {
        match outcome {
            SetWatchOutcome::Event { kind, path } => put_event(out, Zxid::NONE, kind as i32, path),
            SetWatchOutcome::Data { path } => watches.add_data(path, conn.id),
            SetWatchOutcome::Child { path } => watches.add_child(path, conn.id),
            SetWatchOutcome::Persistent { path, recursive } => watches.add_persistent(path, conn.id, recursive),
        }
    }
    put_header(out, xid, tree.last_zxid(), Code::Ok);
    Ok(Code::Ok)
}
