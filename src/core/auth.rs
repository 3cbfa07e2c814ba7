//! Who a caller is and what an ACL lets them do.

use std::sync::Arc;
use zorilla_protocol::records::{Acl, Id};
use zorilla_protocol::{Code, SessionId};

/// Permission bits of an ACL entry (Java: `ZooDefs.Perms`).
pub mod perm {
    /// Read data and list children.
    pub const READ: i32 = 1;
    /// Change data.
    pub const WRITE: i32 = 2;
    /// Create children.
    pub const CREATE: i32 = 4;
    /// Delete children.
    pub const DELETE: i32 = 8;
    /// Change the ACL.
    pub const ADMIN: i32 = 16;
    /// Everything.
    pub const ALL: i32 = 31;
}

/// Who sends a request: the session and the identities that its connection had when the request was
/// received.
#[derive(Clone, Debug)]
pub struct Caller {
    /// 0 for the server itself.
    pub session: SessionId,
    /// Shared with the connection; replaced there as a whole when an identity is added.
    pub ids: Arc<[Id]>,
}

/// The ACL that everybody passes (`world:anyone:cdrwa`), stored as the absence of a list.
pub const OPEN_ACL: Option<Arc<[Acl]>> = None;

/// Outcome of a check: the code the client sees if it fails.
pub type Verdict = Result<(), Code>;
