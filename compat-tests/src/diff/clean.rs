//! Between histories: both trees are compared as a whole, then emptied; after a difference they are made equal again.
//!
//! The servers run for hundreds of histories, so what outlives a history (zxids, versions of the system nodes) has to
//! be equal on both, not what it was at the start.

use super::history::Ask;
use super::layout;
use super::ops;
use super::requests::PutMore;
use super::run::{Broken, Difference, Pair};
use super::side::{CONTROL, Item, Side, request};
use super::universe::Entry;
use crate::load::wire::{Put, int_at};

const SYSTEM: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];
const OPEN: &[Entry] = &[(31, Some("world"), Some("anyone"))];
const READABLE: &[Entry] = &[(1, Some("world"), Some("anyone"))];
/// Nodes asked for at once.
const CHUNK: usize = 50;
/// Beyond this, equal servers are cheaper to start anew.
const APART_MAX: i64 = 500_000;
const CVERSION: usize = 36;
const VERSION: usize = 32;
const AVERSION: usize = 40;

/// The end of a history: what is still under way to each line, the trees, and the ends of all sessions.
pub fn finish(pair: &mut Pair, at: usize) -> Result<(), Difference> {
    for line in pair.reference.open_lines() {
        pair.each(at, &format!("at the end, line {line}"), |side| side.probe(line))?;
    }
    let paths = compare_trees(pair, at)?;
    for (session, line) in pair.reference.open_sessions() {
        pair.each(at, &format!("session {session} is closed"), |side| side.end_session(session, line))?;
    }
    for chunk in removal(&paths).chunks(CHUNK * 3) {
        pair.ask(CONTROL, chunk, at, "the tree is emptied")?;
    }
    Ok(())
}

/// Data, Stat, ACL and children of every node, as an administrator sees them. Returns the paths, parents first.
fn compare_trees(pair: &mut Pair, at: usize) -> Result<Vec<Vec<u8>>, Difference> {
    let mut paths = vec![b"/".to_vec()];
    let mut done = 0;
    while done < paths.len() {
        let chunk = paths[done..paths.len().min(done + CHUNK)].to_vec();
        done += chunk.len();
        let asks: Vec<Ask> = chunk.iter().flat_map(|path| views(path)).collect();
        pair.tested.send(CONTROL, &asks);
        let items = pair.reference.ask(CONTROL, &asks);
        let tested = pair.tested.receive(CONTROL, &asks);
        let what = format!("the trees at the end, {}", String::from_utf8_lossy(&chunk.join(&b' ')));
        pair.tally.trees += asks.len();
        super::run::compare(at, &what, &tested, &items)?;
        for (path, views) in chunk.iter().zip(items.chunks(3)) {
            paths.extend(views.last().map(|view| children(path, view)).unwrap_or_default());
        }
    }
    Ok(paths)
}

fn views(path: &[u8]) -> [Ask; 3] {
    let mut read = path_body(path);
    let acl = request(ops::GET_ACL, read.clone());
    read.push(0);
    [request(ops::GET_DATA, read.clone()), acl, request(ops::GET_CHILDREN2, read)]
}

fn children(path: &[u8], view: &Item) -> Vec<Vec<u8>> {
    let Item::Frame { bytes, .. } = view else { return Vec::new() };
    let layout = layout::of_answer(bytes, ops::GET_CHILDREN2);
    let names = layout.lists.iter().flat_map(|(_, items)| items).map(|item| &bytes[item.start + 4..item.end]);
    let base = if path == b"/" { &b""[..] } else { path };
    names.map(|name| [base, b"/", name].concat()).collect()
}

/// Deletes every node of `paths` (parents first) that is not the system's, and opens the system's again.
fn removal(paths: &[Vec<u8>]) -> Vec<Ask> {
    let ours = |path: &&Vec<u8>| !SYSTEM.iter().any(|system| system.as_bytes() == path.as_slice());
    let mut asks: Vec<Ask> = paths.iter().rev().filter(ours).map(|path| delete(path)).collect();
    asks.extend(SYSTEM.iter().flat_map(|path| [set_acl(path), set_data(path)]));
    asks
}

/// Both servers are emptied, each by itself, and made equal.
pub fn after_difference(pair: &mut Pair) -> Result<(), Broken> {
    for side in [&mut pair.tested, &mut pair.reference] {
        for (session, line) in side.open_sessions() {
            side.end_session(session, line);
        }
        empty(side)?;
    }
    align(pair)
}

fn empty(side: &mut Side) -> Result<(), Broken> {
    let mut paths = vec![b"/".to_vec()];
    let mut done = 0;
    while done < paths.len() {
        let path = paths[done].clone();
        done += 1;
        let view = side.ask(CONTROL, &[views(&path)[2].clone()]);
        paths.extend(view.last().map(|view| children(&path, view)).unwrap_or_default());
    }
    let asks = removal(&paths);
    for chunk in asks.chunks(CHUNK) {
        if side.ask(CONTROL, chunk).contains(&Item::End("closed")) {
            return Err(Broken(format!("the {} server closed the control connection", side.name)));
        }
    }
    Ok(())
}

/// Makes the counters of the system nodes and the zxids of both servers equal.
pub fn align(pair: &mut Pair) -> Result<(), Broken> {
    for path in SYSTEM {
        catch_up(pair, path, VERSION, |_| vec![set_data(path)], 1)?;
        catch_up(pair, path, AVERSION, |_| vec![set_acl(path)], 1)?;
        if path != "/zookeeper/config" {
            let child = format!("{}/alignment", path.trim_end_matches('/'));
            catch_up(pair, path, CVERSION, |_| vec![create(&child), delete(child.as_bytes())], 2)?;
        }
    }
    pair.tested.probe(CONTROL);
    pair.reference.probe(CONTROL);
    let apart = pair.tested.last_zxid - pair.reference.last_zxid;
    check(apart)?;
    take_zxids(if apart > 0 { &mut pair.reference } else { &mut pair.tested }, apart.unsigned_abs() as usize);
    // Now every zxid and time of the system nodes is one that both servers gave.
    for path in SYSTEM {
        let child = format!("{}/alignment", path.trim_end_matches('/'));
        for side in [&mut pair.tested, &mut pair.reference] {
            side.ask(CONTROL, &[create(&child), delete(child.as_bytes()), set_data(path)]);
        }
    }
    let asks: Vec<Ask> = SYSTEM.iter().flat_map(|path| views(path.as_bytes())).collect();
    pair.ask(CONTROL, &asks, 0, "alignment").map_err(|difference| Broken(difference.text))
}

fn check(apart: i64) -> Result<(), Broken> {
    if apart.abs() > APART_MAX {
        return Err(Broken(format!("the servers are {apart} txns apart: start both anew")));
    }
    Ok(())
}

/// Repeats `asks` on the server whose counter of `path` is behind.
fn catch_up(
    pair: &mut Pair,
    path: &str,
    counter: usize,
    asks: impl Fn(&str) -> Vec<Ask>,
    each: i64,
) -> Result<(), Broken> {
    let of = |side: &mut Side| -> Result<i64, Broken> {
        let items = side.ask(CONTROL, &[views(path.as_bytes())[0].clone()]);
        let stat = |item: &Item| match item {
            Item::Frame { bytes, .. } => {
                let at = *layout::of_answer(bytes, ops::GET_DATA).stats.first()?;
                int_at(bytes, at + counter).map(i64::from)
            }
            _ => None,
        };
        items.iter().find_map(stat).ok_or_else(|| Broken(format!("the {} server: {path}: {items:?}", side.name)))
    };
    let apart = of(&mut pair.tested)? - of(&mut pair.reference)?;
    check(apart)?;
    let behind = if apart > 0 { &mut pair.reference } else { &mut pair.tested };
    let all: Vec<Ask> = (0..apart.abs() / each).flat_map(|_| asks(path)).collect();
    for chunk in all.chunks(CHUNK) {
        behind.ask(CONTROL, chunk);
    }
    Ok(())
}

/// Takes zxids with requests that fail.
pub fn take_zxids(side: &mut Side, count: usize) {
    let asks = vec![delete(b"/no/such/node"); count];
    for chunk in asks.chunks(CHUNK) {
        side.ask(CONTROL, chunk);
    }
}

fn path_body(path: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.buffer(path);
    body
}

fn delete(path: &[u8]) -> Ask {
    let mut body = path_body(path);
    body.int(-1);
    request(ops::DELETE, body)
}

fn create(path: &str) -> Ask {
    let mut body = path_body(path.as_bytes());
    body.buffer(b"");
    body.acl(OPEN);
    body.int(0);
    request(ops::CREATE, body)
}

fn set_data(path: &str) -> Ask {
    let mut body = path_body(path.as_bytes());
    body.buffer(b"");
    body.int(-1);
    request(ops::SET_DATA, body)
}

fn set_acl(path: &str) -> Ask {
    let mut body = path_body(path.as_bytes());
    body.acl(if path == "/zookeeper/config" { READABLE } else { OPEN });
    body.int(-1);
    request(ops::SET_ACL, body)
}
