//! What members of an ensemble say to each other, and the records they agree on.

use crate::input::Input;
use crate::{both_ways, bounded, stable};
use bytes::{Bytes, BytesMut};
use zorilla_protocol::election::{InitialMessage, Notification};
use zorilla_protocol::jute::{Jute, Reader, to_bytes};
use zorilla_protocol::packet::{ForwardedRequest, LearnerInfo, QuorumAuthPacket, QuorumPacket, Revalidate};
use zorilla_protocol::packet::{Revalidated, Touch, kind_name};
use zorilla_protocol::snapshot::{SIGNATURE, SnapshotAcl, SnapshotNode, SnapshotSession, get_node, put_end};
use zorilla_protocol::txn::{DIGEST_VERSION, FileHeader, LogEntry, Txn};

/// A message of the quorum or the election port; the first byte says which.
pub fn messages(data: &[u8]) {
    let mut input = Input(data);
    let which = input.byte();
    let bytes = Bytes::copy_from_slice(input.0);
    match which % 9 {
        0 => {
            if let Some(packet) = both_ways::<QuorumPacket>(&bytes) {
                assert!(!kind_name(packet.kind).is_empty());
                // What leaders and learners look for inside.
                let data = packet.data.unwrap_or_default();
                both_ways::<LearnerInfo>(&data);
                both_ways::<ForwardedRequest>(&data);
                txn(&data);
            }
        }
        1 => {
            both_ways::<QuorumAuthPacket>(&bytes);
        }
        2 => {
            both_ways::<Touch>(&bytes);
        }
        3 => {
            both_ways::<Revalidate>(&bytes);
        }
        4 => {
            both_ways::<Revalidated>(&bytes);
        }
        5 => {
            both_ways::<LearnerInfo>(&bytes);
        }
        6 => initial_message(&bytes),
        7 => notification(&bytes),
        _ => {
            both_ways::<FileHeader>(&bytes);
        }
    }
}

fn initial_message(bytes: &Bytes) {
    let Ok(message) = bounded(bytes.len(), || InitialMessage::get(&mut Reader::new(bytes))) else { return };
    // Bytes that are no text are three times as long once they are marked as that.
    if to_bytes(&message).len() <= 2048 {
        stable(&message);
    }
}

/// Older forms are written in the newest.
fn notification(bytes: &Bytes) {
    let Ok(read) = bounded(bytes.len(), || Notification::get(&mut Reader::new(bytes))) else { return };
    let again: Notification = zorilla_protocol::jute::from_bytes(&to_bytes(&read)).expect("our own");
    let newest = Notification { version: 2, config: Some(read.config.clone().unwrap_or_default()), ..read };
    assert_eq!(again, newest);
}

/// A record of the log, of PROPOSAL and of INFORM.
pub fn txn(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let read = bounded(data.len(), || LogEntry::get(&mut Reader::new(&bytes)));
    let Ok(entry) = read else { return };
    assert_eq!(entry.header.kind, entry.txn.kind());
    // A closeSession without its list is told from one with a list by the digest behind it: only by a
    // digest of the version there is, and not by one that is zero.
    let unlisted = entry.txn == Txn::CloseSession(None);
    let ambiguous = entry.digest.as_ref().is_some_and(|d| d.version != DIGEST_VERSION || d.tree_digest == 0);
    if !(unlisted && ambiguous) {
        stable(&entry);
    }
}

/// A serialised tree, as in a SNAP stream and inside a snapshot file.
pub fn snapshot(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Some(tree) = bounded(data.len(), || Tree::get(&mut Reader::new(&bytes))) else { return };
    let written = tree.put();
    let again = Tree::get(&mut Reader::new(&written)).expect("our own");
    assert_eq!(again, tree);
    assert_eq!(again.put(), written);
}

#[derive(Debug, PartialEq)]
struct Tree {
    sessions: Vec<SnapshotSession>,
    acls: Vec<SnapshotAcl>,
    nodes: Vec<SnapshotNode>,
    is_signed: bool,
}

impl Tree {
    fn get(r: &mut Reader<'_>) -> Option<Tree> {
        let (sessions, acls) = (Jute::get(r).ok()?, Jute::get(r).ok()?);
        let mut nodes = Vec::new();
        while let Some(node) = get_node(r).ok()? {
            nodes.push(node);
        }
        let is_signed = String::get(r).is_ok_and(|text| text == SIGNATURE);
        Some(Tree { sessions, acls, nodes, is_signed })
    }

    fn put(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.sessions.put(&mut out);
        self.acls.put(&mut out);
        self.nodes.iter().for_each(|node| node.put(&mut out));
        put_end(&mut out);
        if self.is_signed {
            SIGNATURE.to_owned().put(&mut out);
        }
        out.freeze()
    }
}
