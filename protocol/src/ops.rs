//! The opcode table: number, name, how it is routed, and its body. Nothing else in the project knows
//! an opcode's number.

use crate::irregular::MultiRequest;
use crate::jute::{Jute, Malformed, Reader};
use crate::records::*;
use thiserror::Error;

/// Which way a request goes. Routing asks this, never the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Prepared, proposed, logged, applied, then answered.
    Write,
    /// Answered from the tree in place, behind the session's own earlier writes.
    Read,
    /// A read that on a learner goes through the leader first.
    Sync,
    /// Answered by the connection itself when it is reached (auth, sasl).
    Connection,
}

/// Why a frame is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// Answered with UNIMPLEMENTED, then the connection is closed.
    #[error("unknown operation {0}")]
    UnknownOp(i32),
    /// Answered with MARSHALLINGERROR; the connection stays.
    #[error("{op}: {why}")]
    Malformed {
        /// The operation's name.
        op: &'static str,
        /// What was wrong with its body.
        why: Malformed,
    },
}

impl From<BadRequest> for crate::Code {
    fn from(e: BadRequest) -> Self {
        match e {
            BadRequest::UnknownOp(_) => Self::Unimplemented,
            BadRequest::Malformed { .. } => Self::MarshallingError,
        }
    }
}

/// A multi's operations, or why they could not be read: Apache gives an unreadable multi a zxid and
/// an error txn, so it travels down the pipeline like any other write.
pub type MultiOps = Result<MultiRequest, Malformed>;

impl Jute for MultiOps {
    fn put(&self, out: &mut bytes::BytesMut) {
        if let Ok(ops) = self {
            ops.put(out);
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(MultiRequest::get(r))
    }
}

/// The body of operations that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NoBody;

impl Jute for NoBody {
    fn put(&self, _: &mut bytes::BytesMut) {}
    fn get(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(NoBody)
    }
}

macro_rules! ops {
    ($($name:ident = $code:literal, $label:literal, $short:literal, $route:ident, $body:ty;)*) => {
        /// A request that a client may send after the handshake.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Request { $(#[doc = $label] $name($body)),* }

        impl Request {
            /// Reads the body of operation `code`. Leftover bytes are ignored, as Apache does.
            pub fn decode(code: i32, r: &mut Reader<'_>) -> Result<Request, BadRequest> {
                match code {
                    $($code => <$body as Jute>::get(r).map(Request::$name)
                        .map_err(|why| BadRequest::Malformed { op: $label, why }),)*
                    other => Err(BadRequest::UnknownOp(other)),
                }
            }
            /// Appends the body.
            pub fn put(&self, out: &mut bytes::BytesMut) { match self { $(Request::$name(body) => body.put(out)),* } }
            /// The opcode.
            pub fn code(&self) -> i32 { match self { $(Request::$name(_) => $code),* } }
            /// The operation's name as ZooKeeper's documentation spells it.
            pub fn name(&self) -> &'static str { match self { $(Request::$name(_) => $label),* } }
            /// The name in `cons` (`lop=`), four letters mostly (Java: `Request.op2String` and its kin).
            pub fn short_name(&self) -> &'static str { match self { $(Request::$name(_) => $short),* } }
            /// Which way it goes.
            pub fn route(&self) -> Route { match self { $(Request::$name(_) => Route::$route),* } }
        }

        /// Which way an operation goes, before its body is read; `None` for unknown ones.
        pub fn route_of(code: i32) -> Option<Route> {
            match code { $($code => Some(Route::$route),)* _ => None }
        }
    };
}

ops! {
    Create = 1, "create", "CREA", Write, CreateRequest;
    Delete = 2, "delete", "DELE", Write, DeleteRequest;
    Exists = 3, "exists", "EXIS", Read, ExistsRequest;
    GetData = 4, "getData", "GETD", Read, GetDataRequest;
    SetData = 5, "setData", "SETD", Write, SetDataRequest;
    GetAcl = 6, "getACL", "GETA", Read, GetAclRequest;
    SetAcl = 7, "setACL", "SETA", Write, SetAclRequest;
    GetChildren = 8, "getChildren", "GETC", Read, GetChildrenRequest;
    Sync = 9, "sync", "SYNC", Sync, SyncRequest;
    Ping = 11, "ping", "PING", Read, NoBody;
    GetChildren2 = 12, "getChildren2", "GETC", Read, GetChildren2Request;
    Multi = 14, "multi", "MULT", Write, MultiOps;
    Create2 = 15, "create2", "CREA", Write, CreateRequest;
    Reconfig = 16, "reconfig", "RECO", Write, ReconfigRequest;
    CheckWatches = 17, "checkWatches", "CHKW", Read, CheckWatchesRequest;
    RemoveWatches = 18, "removeWatches", "REMW", Read, RemoveWatchesRequest;
    CreateContainer = 19, "createContainer", "CREA", Write, CreateRequest;
    DeleteContainer = 20, "deleteContainer", "DELE", Write, DeleteContainerRequest;
    CreateTtl = 21, "createTTL", "CREA", Write, CreateTtlRequest;
    MultiRead = 22, "multiRead", "MLTR", Read, MultiOps;
    Auth = 100, "auth", "AUTH", Connection, AuthPacket;
    SetWatches = 101, "setWatches", "SETW", Read, SetWatches;
    Sasl = 102, "sasl", "SASL", Connection, GetSaslRequest;
    GetEphemerals = 103, "getEphemerals", "GETE", Read, GetEphemeralsRequest;
    GetAllChildrenNumber = 104, "getAllChildrenNumber", "GETACN", Read, GetAllChildrenNumberRequest;
    SetWatches2 = 105, "setWatches2", "STW2", Read, SetWatches2;
    AddWatch = 106, "addWatch", "ADDW", Read, AddWatchRequest;
    WhoAmI = 107, "whoAmI", "HOMI", Read, NoBody;
    CloseSession = -11, "closeSession", "CLOS", Write, NoBody;
}
