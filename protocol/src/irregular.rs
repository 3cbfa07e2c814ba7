//! The records that the table cannot say: connect's optional flag and the multi family.

use crate::code::Code;
use crate::ids::{SessionId, Zxid};
use crate::jute::{Jute, Malformed, Reader};
use crate::records::{
    CheckVersionRequest, Create2Response, CreateRequest, CreateResponse, CreateTtlRequest, DeleteRequest,
    ErrorResponse, GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse, MultiHeader,
    SetDataRequest, SetDataResponse,
};
use bytes::{Bytes, BytesMut};

/// The first frame of a client. `read_only` is absent in clients up to 3.3 and in go-zk, and the
/// response carries its own only if the request did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// Ignored on input.
    pub protocol_version: i32,
    /// The client must not see the past: a server behind this zxid closes.
    pub last_zxid_seen: Zxid,
    /// Asked for, in milliseconds; clamped by the server.
    pub time_out_ms: i32,
    /// 0 for a new session.
    pub session_id: SessionId,
    /// See [`crate::password`]; anything goes with a new session.
    pub passwd: Option<Bytes>,
    /// Whether a read-only server will do; `None` if the byte is absent.
    pub read_only: Option<bool>,
}

impl Jute for ConnectRequest {
    fn put(&self, out: &mut BytesMut) {
        self.protocol_version.put(out);
        self.last_zxid_seen.put(out);
        self.time_out_ms.put(out);
        self.session_id.put(out);
        self.passwd.put(out);
        if let Some(read_only) = self.read_only {
            read_only.put(out);
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(ConnectRequest {
            protocol_version: Jute::get(r)?,
            last_zxid_seen: Jute::get(r)?,
            time_out_ms: Jute::get(r)?,
            session_id: Jute::get(r)?,
            passwd: Jute::get(r)?,
            read_only: optional_flag(r)?,
        })
    }
}

/// The first frame of a server. Time-out 0, session 0 and 16 zero bytes mean "expired".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// Negotiated, in milliseconds.
    pub time_out_ms: i32,
    /// The session.
    pub session_id: SessionId,
    /// Always 16 bytes.
    pub passwd: Option<Bytes>,
    /// Present exactly if the request had the flag.
    pub read_only: Option<bool>,
}

impl Jute for ConnectResponse {
    fn put(&self, out: &mut BytesMut) {
        self.protocol_version.put(out);
        self.time_out_ms.put(out);
        self.session_id.put(out);
        self.passwd.put(out);
        if let Some(read_only) = self.read_only {
            read_only.put(out);
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(ConnectResponse {
            protocol_version: Jute::get(r)?,
            time_out_ms: Jute::get(r)?,
            session_id: Jute::get(r)?,
            passwd: Jute::get(r)?,
            read_only: optional_flag(r)?,
        })
    }
}

fn optional_flag(r: &mut Reader<'_>) -> Result<Option<bool>, Malformed> {
    if r.is_empty() { Ok(None) } else { bool::get(r).map(Some) }
}

/// The marker behind the last operation or result of a multi.
const END: MultiHeader = MultiHeader { kind: -1, done: true, err: -1 };

/// Operation types as they stand in a multi's headers.
mod kind {
    pub const ERROR: i32 = -1;
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_CHILDREN: i32 = 8;
    pub const CHECK: i32 = 13;
    pub const CREATE2: i32 = 15;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
}

/// One operation of a multi or multiRead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as the opcodes
pub enum MultiOp {
    Create(CreateRequest),
    Create2(CreateRequest),
    CreateContainer(CreateRequest),
    CreateTtl(CreateTtlRequest),
    Delete(DeleteRequest),
    SetData(SetDataRequest),
    Check(CheckVersionRequest),
    GetData(GetDataRequest),
    GetChildren(GetChildrenRequest),
}

impl MultiOp {
    /// The type in the operation's header.
    pub fn kind(&self) -> i32 {
        match self {
            MultiOp::Create(_) => kind::CREATE,
            MultiOp::Create2(_) => kind::CREATE2,
            MultiOp::CreateContainer(_) => kind::CREATE_CONTAINER,
            MultiOp::CreateTtl(_) => kind::CREATE_TTL,
            MultiOp::Delete(_) => kind::DELETE,
            MultiOp::SetData(_) => kind::SET_DATA,
            MultiOp::Check(_) => kind::CHECK,
            MultiOp::GetData(_) => kind::GET_DATA,
            MultiOp::GetChildren(_) => kind::GET_CHILDREN,
        }
    }

    /// Whether it belongs into a multiRead; a request holds one sort only.
    pub fn is_read(&self) -> bool {
        matches!(self, MultiOp::GetData(_) | MultiOp::GetChildren(_))
    }

    fn get(kind: i32, r: &mut Reader<'_>) -> Result<MultiOp, Malformed> {
        Ok(match kind {
            kind::CREATE => MultiOp::Create(Jute::get(r)?),
            kind::CREATE2 => MultiOp::Create2(Jute::get(r)?),
            kind::CREATE_CONTAINER => MultiOp::CreateContainer(Jute::get(r)?),
            kind::CREATE_TTL => MultiOp::CreateTtl(Jute::get(r)?),
            kind::DELETE => MultiOp::Delete(Jute::get(r)?),
            kind::SET_DATA => MultiOp::SetData(Jute::get(r)?),
            kind::CHECK => MultiOp::Check(Jute::get(r)?),
            kind::GET_DATA => MultiOp::GetData(Jute::get(r)?),
            kind::GET_CHILDREN => MultiOp::GetChildren(Jute::get(r)?),
            other => return Err(Malformed::Type(other)),
        })
    }
}

/// The operations of a multi (14) or multiRead (22), in order. Mixing reads and writes is malformed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MultiRequest {
    /// In request order; may be empty.
    pub ops: Vec<MultiOp>,
}

impl Jute for MultiRequest {
    fn put(&self, out: &mut BytesMut) {
        for op in &self.ops {
            MultiHeader { kind: op.kind(), done: false, err: -1 }.put(out);
            match op {
                MultiOp::Create(op) | MultiOp::Create2(op) | MultiOp::CreateContainer(op) => op.put(out),
                MultiOp::CreateTtl(op) => op.put(out),
                MultiOp::Delete(op) => op.put(out),
                MultiOp::SetData(op) => op.put(out),
                MultiOp::Check(op) => op.put(out),
                MultiOp::GetData(op) => op.put(out),
                MultiOp::GetChildren(op) => op.put(out),
            }
        }
        END.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut ops: Vec<MultiOp> = Vec::new();
        loop {
            let header = MultiHeader::get(r)?;
            if header.done {
                return Ok(MultiRequest { ops });
            }
            let op = MultiOp::get(header.kind, r)?;
            if ops.first().is_some_and(|first| first.is_read() != op.is_read()) {
                return Err(Malformed::Type(header.kind));
            }
            ops.push(op);
        }
    }
}

/// One result of a multi or multiRead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as the opcodes
pub enum MultiResult {
    Create(CreateResponse),
    /// create2, createContainer and createTTL alike.
    Create2(Create2Response),
    Delete,
    SetData(SetDataResponse),
    Check,
    GetData(GetDataResponse),
    GetChildren(GetChildrenResponse),
    /// The code stands twice on the wire: in the header and in the body.
    Error(i32),
}

/// The body of a multi's or multiRead's reply.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MultiResponse {
    /// In request order.
    pub results: Vec<MultiResult>,
}

impl MultiResponse {
    /// How Apache answers a multi of `count` operations whose operation `failed` gave `code`: 0 before
    /// it, -2 behind it.
    pub fn rolled_back(count: usize, failed: usize, code: Code) -> MultiResponse {
        let result = |i: usize| match i.cmp(&failed) {
            std::cmp::Ordering::Less => Code::Ok,
            std::cmp::Ordering::Equal => code,
            std::cmp::Ordering::Greater => Code::RuntimeInconsistency,
        };
        MultiResponse { results: (0..count).map(|i| MultiResult::Error(result(i).number())).collect() }
    }
}

impl Jute for MultiResponse {
    fn put(&self, out: &mut BytesMut) {
        fn header(kind: i32, out: &mut BytesMut) {
            MultiHeader { kind, done: false, err: 0 }.put(out);
        }
        for result in &self.results {
            match result {
                MultiResult::Create(body) => (header(kind::CREATE, out), body.put(out)).1,
                MultiResult::Create2(body) => (header(kind::CREATE2, out), body.put(out)).1,
                MultiResult::Delete => header(kind::DELETE, out),
                MultiResult::SetData(body) => (header(kind::SET_DATA, out), body.put(out)).1,
                MultiResult::Check => header(kind::CHECK, out),
                MultiResult::GetData(body) => (header(kind::GET_DATA, out), body.put(out)).1,
                MultiResult::GetChildren(body) => (header(kind::GET_CHILDREN, out), body.put(out)).1,
                MultiResult::Error(err) => {
                    MultiHeader { kind: kind::ERROR, done: false, err: *err }.put(out);
                    ErrorResponse { err: *err }.put(out);
                }
            }
        }
        END.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut results = Vec::new();
        loop {
            let header = MultiHeader::get(r)?;
            if header.done {
                return Ok(MultiResponse { results });
            }
            results.push(match header.kind {
                kind::CREATE => MultiResult::Create(Jute::get(r)?),
                kind::CREATE2 => MultiResult::Create2(Jute::get(r)?),
                kind::DELETE => MultiResult::Delete,
                kind::SET_DATA => MultiResult::SetData(Jute::get(r)?),
                kind::CHECK => MultiResult::Check,
                kind::GET_DATA => MultiResult::GetData(Jute::get(r)?),
                kind::GET_CHILDREN => MultiResult::GetChildren(Jute::get(r)?),
                kind::ERROR => MultiResult::Error(ErrorResponse::get(r)?.err),
                other => return Err(Malformed::Type(other)),
            });
        }
    }
}
