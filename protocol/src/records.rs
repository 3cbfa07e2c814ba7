//! Every record of `zookeeper.jute`, in its order. The table is the definition: field order is wire
//! order, `Option` is where null is legal.

use crate::ids::Zxid;
use crate::jute::{Jute, Malformed, Reader, Word};
use bytes::{Bytes, BytesMut};

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Default)]
        #[allow(missing_docs)] // the fields are named as in zookeeper.jute
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }
        impl Jute for $name {
            #[allow(unused_variables)]
            fn put(&self, out: &mut BytesMut) { $(self.$field.put(out);)* }
            // Struct expressions evaluate in source order, which is wire order.
            #[allow(unused_variables)]
            fn get(r: &mut Reader<'_>) -> Result<Self, Malformed> { Ok(Self { $($field: <$ty as Jute>::get(r)?),* }) }
        }
    )*};
}
pub(crate) use records;

records! {
    /// An identity: who, under which scheme. Null is legal on the wire and refused by the ACL check.
    Id { scheme: Option<Word>, id: Option<Word> }
    /// What an identity may do: bits READ 1, WRITE 2, CREATE 4, DELETE 8, ADMIN 16.
    Acl { perms: i32, id: Id }
    /// A znode's stat as clients see it (68 bytes).
    Stat {
        czxid: Zxid, mzxid: Zxid, ctime: i64, mtime: i64, version: i32, cversion: i32, aversion: i32,
        ephemeral_owner: i64, data_length: i32, num_children: i32, pzxid: Zxid
    }
    /// A znode's stat as it is stored (60 bytes): `cversion` counts child creations only, and
    /// `ephemeral_owner` holds the container and TTL marks.
    StatPersisted {
        czxid: Zxid, mzxid: Zxid, ctime: i64, mtime: i64, version: i32, cversion: i32, aversion: i32,
        ephemeral_owner: i64, pzxid: Zxid
    }
    /// One identity of a connection, as whoAmI lists it.
    ClientInfo { auth_scheme: Option<Word>, user: Option<String> }
    /// In front of every request after the handshake.
    RequestHeader { xid: i32, kind: i32 }
    /// In front of every reply and notification.
    ReplyHeader { xid: i32, zxid: Zxid, err: i32 }
    /// In front of every operation and result of a multi.
    MultiHeader { kind: i32, done: bool, err: i32 }
    /// `kind` is ignored by servers.
    AuthPacket { kind: i32, scheme: Option<String>, auth: Option<Bytes> }
    /// The body of a notification.
    WatcherEvent { kind: i32, state: i32, path: Option<String> }
    /// A failed operation inside a multi's result, and addWatch's answer.
    ErrorResponse { err: i32 }
    /// create, create2, createContainer.
    CreateRequest { path: String, data: Option<Bytes>, acl: Option<Vec<Acl>>, flags: i32 }
    /// createTTL; `ttl` in milliseconds.
    CreateTtlRequest { path: String, data: Option<Bytes>, acl: Option<Vec<Acl>>, flags: i32, ttl: i64 }
    CreateResponse { path: String }
    Create2Response { path: String, stat: Stat }
    DeleteRequest { path: String, version: i32 }
    CheckVersionRequest { path: String, version: i32 }
    DeleteContainerRequest { path: String }
    ExistsRequest { path: String, watch: bool }
    GetDataRequest { path: String, watch: bool }
    GetChildrenRequest { path: String, watch: bool }
    GetChildren2Request { path: String, watch: bool }
    ExistsResponse { stat: Stat }
    SetDataResponse { stat: Stat }
    SetAclResponse { stat: Stat }
    GetDataResponse { data: Option<Bytes>, stat: Stat }
    SetDataRequest { path: Option<String>, data: Option<Bytes>, version: i32 }
    GetAclRequest { path: String }
    GetAclResponse { acl: Option<Vec<Acl>>, stat: Stat }
    SetAclRequest { path: Option<String>, acl: Option<Vec<Acl>>, version: i32 }
    SyncRequest { path: Option<String> }
    SyncResponse { path: Option<String> }
    GetAllChildrenNumberRequest { path: String }
    GetAllChildrenNumberResponse { total_number: i32 }
    GetChildrenResponse { children: Option<Vec<String>> }
    GetChildren2Response { children: Option<Vec<String>>, stat: Stat }
    ReconfigRequest {
        joining_servers: Option<String>, leaving_servers: Option<String>, new_members: Option<String>,
        cur_config_id: i64
    }
    /// Watches that a client brings back after a reconnect.
    SetWatches {
        relative_zxid: Zxid, data_watches: Vec<String>, exist_watches: Vec<String>, child_watches: Vec<String>
    }
    SetWatches2 {
        relative_zxid: Zxid, data_watches: Vec<String>, exist_watches: Vec<String>, child_watches: Vec<String>,
        persistent_watches: Vec<String>, persistent_recursive_watches: Vec<String>
    }
    /// `mode` 0 persistent, 1 persistent recursive.
    AddWatchRequest { path: Option<String>, mode: i32 }
    /// `kind` 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
    CheckWatchesRequest { path: Option<String>, kind: i32 }
    RemoveWatchesRequest { path: Option<String>, kind: i32 }
    GetEphemeralsRequest { prefix_path: Option<String> }
    GetEphemeralsResponse { ephemerals: Option<Vec<String>> }
    WhoAmIResponse { client_info: Option<Vec<ClientInfo>> }
    GetSaslRequest { token: Option<Bytes> }
    SetSaslRequest { token: Option<Bytes> }
    SetSaslResponse { token: Option<Bytes> }
    /// In the schema, used by no opcode.
    GetMaxChildrenRequest { path: Option<String> }
    /// In the schema, used by no opcode.
    GetMaxChildrenResponse { max: i32 }
    /// In the schema, used by no opcode.
    SetMaxChildrenRequest { path: Option<String>, max: i32 }
}
