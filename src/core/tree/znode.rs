//! One znode, as an immutable shared value.

use std::sync::Arc;
use zorilla_protocol::SessionId;
use zorilla_protocol::records::{Acl, Stat, StatPersisted};

/// A znode. Values are shared between the tree, pending changes and a running checkpoint; whoever
/// changes one takes a copy first (`Arc::make_mut`), and the data is never copied with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    /// As stored: `cversion` counts child creations, `ephemeral_owner` holds the type marks.
    pub stat: StatPersisted,
    /// Direct children.
    pub num_children: i32,
    /// CRC-32 over path (root: empty) and data: the part of the digest that a stat change leaves.
    pub prefix_crc: u32,
    /// [`Znode::digest`], once [`Znode::seal`] has summed it up; not stored.
    pub digest: u32,
    /// `None` is [`crate::auth::OPEN_ACL`].
    pub acl: Option<Arc<[Acl]>>,
    /// Null and empty are different things to clients.
    pub data: Option<Arc<[u8]>>,
}

/// What `ephemeral_owner` says about a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A persistent node.
    Nobody,
    /// An ephemeral node.
    Session(SessionId),
    /// Removed by the server once it is empty after having had children.
    Container,
    /// Removed by the server once it is empty and unchanged for this long, in milliseconds.
    Ttl(i64),
}

const CONTAINER: i64 = i64::MIN;
/// High byte 0xff, then 16 reserved bits (0 for TTL), then 40 bits of milliseconds.
const TTL_MARK: i64 = -1 << 56;
/// The longest TTL, in milliseconds (2^40 - 1).
pub const TTL_MAX_MS: i64 = (1 << 40) - 1;

impl Owner {
    /// Reads `ephemeral_owner`. TTL nodes are recognised whatever `extendedTypesEnabled` says: taking
    /// them for ephemerals of an unknown session would delete them.
    pub fn of(raw: i64) -> Owner {
        match raw {
            0 => Owner::Nobody,
            CONTAINER => Owner::Container,
            raw if raw & !TTL_MAX_MS == TTL_MARK => Owner::Ttl(raw & TTL_MAX_MS),
            raw => Owner::Session(SessionId(raw)),
        }
    }

    /// What is stored in `ephemeral_owner`.
    pub fn raw(self) -> i64 {
        match self {
            Owner::Nobody => 0,
            Owner::Session(session) => session.0,
            Owner::Container => CONTAINER,
            Owner::Ttl(ms) => TTL_MARK | (ms & TTL_MAX_MS),
        }
    }
}

impl Znode {
    /// What kind of node this is.
    pub fn owner(&self) -> Owner {
        Owner::of(self.stat.ephemeral_owner)
    }

    /// Length of the data in bytes; 0 for null.
    pub fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.len())
    }

    /// The stat as clients see it: cversion counts creations and deletions, container and TTL nodes
    /// have no owner (Java: `DataNode.copyStat`).
    pub fn client_stat(&self) -> Stat {
        let s = &self.stat;
        let ephemeral_owner = match self.owner() {
            Owner::Session(session) => session.0,
            Owner::Nobody | Owner::Container | Owner::Ttl(_) => 0,
        };
        Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion.wrapping_mul(2).wrapping_sub(self.num_children),
            aversion: s.aversion,
            ephemeral_owner,
            data_length: i32::try_from(self.data_len()).unwrap_or(i32::MAX),
            num_children: self.num_children,
            pzxid: s.pzxid,
        }
    }

    /// [`Znode::prefix_crc`] of a path and data.
    pub fn crc_of(path: &str, data: Option<&[u8]>) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        if path != "/" {
            crc.update(path.as_bytes());
        }
        if let Some(data) = data {
            crc.update(data);
        }
        crc.finalize()
    }

    /// What this node adds to the tree's digest (Java: `DigestCalculator`, version 2); as of the last
    /// [`Znode::seal`].
    pub fn digest(&self) -> i64 {
        i64::from(self.digest)
    }

    /// Sums up the digest: whoever makes or changes a znode does so before others see it. `path` only
    /// decides whether it counts at all: what lies below `/zookeeper` does not.
    pub fn seal(&mut self, path: &str) {
        self.digest = if path.starts_with("/zookeeper/") { 0 } else { self.computed_digest() };
    }

    fn computed_digest(&self) -> u32 {
        let s = &self.stat;
        let mut fields = [0; 60];
        let longs = [s.czxid.0, s.mzxid.0, s.pzxid.0, s.ctime, s.mtime];
        for (field, value) in fields.chunks_exact_mut(8).zip(longs) {
            field.copy_from_slice(&value.to_be_bytes());
        }
        for (field, value) in fields[40..52].chunks_exact_mut(4).zip([s.version, s.cversion, s.aversion]) {
            field.copy_from_slice(&value.to_be_bytes());
        }
        fields[52..].copy_from_slice(&s.ephemeral_owner.to_be_bytes());
        let mut crc = crc32fast::Hasher::new_with_initial(self.prefix_crc);
        crc.update(&fields);
        crc.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_survive_the_raw_form() {
        for owner in [
            Owner::Nobody,
            Owner::Container,
            Owner::Ttl(1),
            Owner::Ttl(TTL_MAX_MS),
            Owner::Session(SessionId(0x0100_0000_0000_0001)),
            Owner::Session(SessionId(-2)),
        ] {
            assert_eq!(Owner::of(owner.raw()), owner);
        }
        assert_eq!(Owner::Ttl(1000).raw().cast_unsigned(), 0xff00_0000_0000_03e8);
    }

    #[test]
    fn the_empty_tree_has_apaches_digest() {
        let digest = |path| {
            let mut znode = Znode {
                stat: StatPersisted::default(),
                num_children: 0,
                prefix_crc: Znode::crc_of(path, Some(b"")),
                digest: 0,
                acl: None,
                data: Some([].into()),
            };
            znode.seal(path);
            znode.digest()
        };
        assert_eq!(digest("/") + digest("/zookeeper"), 1_371_985_504);
        assert_eq!(digest("/zookeeper/quota"), 0);
    }
}
