//! Digests and stats as Apache's own DataTree has them.

use super::fresh;
use crate::tree::Committed;
use bytes::Bytes;
use zorilla_protocol::jute::from_bytes;
use zorilla_protocol::txn::LogEntry;

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn every_txn_leaves_apaches_tree_behind() {
    let (mut tree, _) = fresh();
    let (mut txns, mut nodes, mut nodes_here) = (0, 0, 4);
    for line in include_str!("../testdata/digest-walk.txt").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split(' ').collect();
        if fields[0] == "txn" {
            assert_eq!(tree.znode_count(), nodes_here, "behind txn {txns}");
            let entry: LogEntry = from_bytes(&Bytes::from(unhex(fields[1]))).unwrap();
            let applied = tree.apply(&entry.header, &entry.txn).unwrap();
            assert_eq!(applied.digest.to_string(), fields[2], "{entry:?}");
            assert_eq!(tree.last_zxid(), entry.header.zxid);
            txns += 1;
            nodes_here = 0;
        } else {
            let path = if fields[1] == "-" { "/" } else { fields[1] };
            let node = tree.node(path).unwrap_or_else(|| panic!("no {path}")).clone();
            let data = node.data.as_ref().map_or("-".to_owned(), |data| match data.len() {
                0 => ".".to_owned(),
                _ => data.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
            let s = &node.stat;
            let longs = [
                s.czxid.0,
                s.mzxid.0,
                s.pzxid.0,
                s.ctime,
                s.mtime,
                s.version.into(),
                s.cversion.into(),
                s.aversion.into(),
                s.ephemeral_owner,
                node.digest(),
            ];
            let ours = longs.map(|n| n.to_string()).join(" ");
            assert_eq!((data, ours), (fields[2].to_owned(), fields[3..].join(" ")), "{path}");
            nodes_here += u64::from(txns > 0);
            nodes += 1;
        }
    }
    assert_eq!((txns, nodes), (18, 160));
    assert_eq!(tree.digest(), 8_536_776_298);
}
