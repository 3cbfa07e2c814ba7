//! Keys and values of the store, byte by byte (`docs/storage.md`).

use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use zorilla_core::tree::cold::{Checkpoint, Header};
use zorilla_core::tree::{Owner, Znode};
use zorilla_protocol::records::{Acl, StatPersisted};
use zorilla_protocol::{Jute, Malformed, Reader, SessionId, Zxid, path};

/// The first byte of every value.
const FORMAT: u8 = 1;
/// Longer data stands under a key of its own, so that a change of the stat does not
/// rewrite it.
const INLINE_BYTES_MAX: usize = 2048;
/// The one key of its kind.
pub const HEADER_KEY: &[u8] = b"h";
/// The first byte of a key says what it is about: a znode,
pub const NODE: u8 = b'n';
/// the data of a znode, if it is long,
pub const DATA: u8 = b'd';
/// who owns a znode,
pub const OWNED: u8 = b'o';
/// or a session.
pub const SESSION: u8 = b's';

/// Where a znode's data is.
const DATA_NULL: u8 = 0;
const DATA_INLINE: u8 = 1;
const DATA_SEPARATE: u8 = 2;

/// `n parent 00 name`: the children of a parent stand together, in byte order, and those of `/a` never
/// mix with those of `/ab`, because no path holds a zero byte. The root is `n 00`.
pub fn node_key(znode: &str) -> Vec<u8> {
    key_of(NODE, znode)
}

/// The same with a `d` in front.
pub fn data_key(znode: &str) -> Vec<u8> {
    key_of(DATA, znode)
}

fn key_of(kind: u8, znode: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(znode.len() + 2);
    put_key(kind, znode, &mut key);
    key
}

/// Appends a znode's key.
pub fn put_key(kind: u8, znode: &str, out: &mut Vec<u8>) {
    out.push(kind);
    if znode == path::ROOT {
        out.push(0);
        return;
    }
    out.extend_from_slice(path::parent(znode).unwrap_or(path::ROOT).as_bytes());
    out.push(0);
    out.extend_from_slice(path::name(znode).as_bytes());
}

/// First key and end of the children of `parent`.
pub fn children_range(parent: &str) -> (Vec<u8>, Vec<u8>) {
    let bound = |last| [&[NODE], parent.as_bytes(), &[last]].concat();
    (bound(0), bound(1))
}

/// Appends a node's value without separate data.
pub fn put_node(znode: &Znode, out: &mut BytesMut) {
    out.put_u8(FORMAT);
    out.put_u8(match &znode.data {
        None => DATA_NULL,
        Some(data) if data.len() <= INLINE_BYTES_MAX => DATA_INLINE,
        Some(_) => DATA_SEPARATE,
    });
    znode.stat.put(out);
    out.put_i32(znode.num_children);
    out.put_u32(znode.prefix_crc);
    znode.acl.as_ref().map(|acl| acl.to_vec()).put(out);
    if let Some(data) = znode.data.as_deref().filter(|data| data.len() <= INLINE_BYTES_MAX) {
        out.put_slice(data);
    }
}

/// The data that does not stand in the node's own value.
pub fn separate_data(znode: &Znode) -> Option<&[u8]> {
    znode.data.as_deref().filter(|data| data.len() > INLINE_BYTES_MAX)
}

/// A node as its own value tells it.
pub struct StoredNode {
    /// Without its data, if that is separate.
    pub znode: Znode,
    /// Whether the data has a key of its own.
    pub data_is_separate: bool,
}

/// Reads what [`put_node`] wrote.
pub fn get_node(value: &[u8]) -> Result<StoredNode, String> {
    let body = Bytes::copy_from_slice(value_of_this_format(value)?);
    let mut r = Reader::new(&body);
    let malformed = |why: Malformed| why.to_string();
    let place = r.take(1).map_err(malformed)?[0];
    let stat = StatPersisted::get(&mut r).map_err(malformed)?;
    let num_children = i32::get(&mut r).map_err(malformed)?;
    let prefix_crc = i32::get(&mut r).map_err(malformed)?.cast_unsigned();
    let acl = Option::<Vec<Acl>>::get(&mut r).map_err(malformed)?;
    let data: Option<Arc<[u8]>> = match place {
        DATA_NULL | DATA_SEPARATE => None,
        DATA_INLINE => Some(r.rest().into()),
        other => return Err(format!("unknown place of data {other}")),
    };
    let znode = Znode { stat, num_children, prefix_crc, digest: 0, acl: acl.map(Arc::from), data };
    Ok(StoredNode { znode, data_is_separate: place == DATA_SEPARATE })
}

/// `o, kind, session or ttl, path`.
pub fn owned_key(owner: Owner, path: &str) -> Vec<u8> {
    let (kind, number) = match owner {
        Owner::Nobody => (0, 0),
        Owner::Session(session) => (1, session.0),
        Owner::Container => (2, 0),
        Owner::Ttl(ms) => (3, ms),
    };
    [&[OWNED, kind], number.to_be_bytes().as_slice(), path.as_bytes()].concat()
}

/// Reads what [`owned_key`] wrote.
pub fn get_owned(key: &[u8]) -> Result<(Owner, Box<str>), String> {
    let ([_, kind], rest) = key.split_first_chunk().ok_or("empty key")?;
    let (number, path) = rest.split_first_chunk::<8>().ok_or("short key")?;
    let number = i64::from_be_bytes(*number);
    let owner = match kind {
        0 => Owner::Nobody,
        1 => Owner::Session(SessionId(number)),
        2 => Owner::Container,
        3 => Owner::Ttl(number),
        other => return Err(format!("unknown kind of owner {other}")),
    };
    Ok((owner, std::str::from_utf8(path).map_err(|e| e.to_string())?.into()))
}

/// `s, id`.
pub fn session_key(id: SessionId) -> Vec<u8> {
    [&[SESSION], id.0.to_be_bytes().as_slice()].concat()
}

/// Reads a session's key and value.
pub fn get_session(key: &[u8], value: &[u8]) -> Result<(SessionId, i32), String> {
    let id = key.get(1..).and_then(|id| id.try_into().ok()).ok_or("key of the wrong length")?;
    let timeout_ms = value.try_into().map_err(|_| "value of the wrong length")?;
    Ok((SessionId(i64::from_be_bytes(id)), i32::from_be_bytes(timeout_ms)))
}

/// The header with its checksum.
pub fn put_header(checkpoint: &Checkpoint) -> BytesMut {
    let mut out = BytesMut::with_capacity(37);
    out.put_u8(FORMAT);
    checkpoint.zxid.put(&mut out);
    out.put_i64(checkpoint.digest);
    out.put_u64(checkpoint.znodes);
    out.put_u64(checkpoint.data_bytes);
    let crc = crc32fast::hash(&out);
    out.put_u32(crc);
    out
}

/// Reads what [`put_header`] wrote.
pub fn get_header(value: &[u8]) -> Result<Header, String> {
    let (body, crc) = value.split_last_chunk::<4>().ok_or("too short")?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return Err("its checksum is wrong".to_owned());
    }
    let body = Bytes::copy_from_slice(value_of_this_format(body)?);
    let mut r = Reader::new(&body);
    let mut long = || i64::get(&mut r).map_err(|why| why.to_string());
    Ok(Header {
        zxid: Zxid(long()?),
        digest: long()?,
        znodes: long()?.cast_unsigned(),
        data_bytes: long()?.cast_unsigned(),
        ..Header::default()
    })
}

fn value_of_this_format(value: &[u8]) -> Result<&[u8], String> {
    match value.split_first() {
        Some((&FORMAT, body)) => Ok(body),
        Some((other, _)) => Err(format!("format {other} is not known to this version (written by a newer one?)")),
        None => Err("it is empty".to_owned()),
    }
}
