//! The parts of a serialised tree, in order: sessions, ACL table, znodes (parents first), end mark and
//! signature. The same in a SNAP stream and inside a snapshot file (Java: `SerializeUtils`,
//! `DataTree.serialize`). They are parts so that neither side ever holds a whole tree in one buffer.

use crate::ids::SessionId;
use crate::jute::{Jute, Malformed, Reader, put_str};
use crate::records::{Acl, StatPersisted, records};
use bytes::{Bytes, BytesMut};

records! {
    /// A session with its negotiated time-out. The stream begins with a counted run of these.
    SnapshotSession { session_id: SessionId, time_out_ms: i32 }
    /// A row of the ACL table, the second counted run.
    SnapshotAcl { acl_id: i64, acl: Option<Vec<Acl>> }
    /// A znode; the root's path is the empty text. `acl_id` [`OPEN_ACL_ID`] stands in no table.
    SnapshotNode { path: String, data: Option<Bytes>, acl_id: i64, stat: StatPersisted }
}

/// The ACL id of `world:anyone` with all permissions.
pub const OPEN_ACL_ID: i64 = -1;

/// What a SNAP stream ends with.
pub const SIGNATURE: &str = "BenWasHere";

/// In place of a path: no znode follows.
const END: &str = "/";

/// The next znode, `None` behind the last.
pub fn get_node(r: &mut Reader<'_>) -> Result<Option<SnapshotNode>, Malformed> {
    let path = String::get(r)?;
    if path == END {
        return Ok(None);
    }
    Ok(Some(SnapshotNode { path, data: Jute::get(r)?, acl_id: Jute::get(r)?, stat: Jute::get(r)? }))
}

/// Appends the mark behind the last znode.
pub fn put_end(out: &mut BytesMut) {
    put_str(END, out);
}
