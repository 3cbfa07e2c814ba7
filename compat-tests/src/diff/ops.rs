//! The opcodes of `ZooDefs.OpCode`, with their names.

macro_rules! ops {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        $(pub const $name: i32 = $number;)*
        /// Every opcode that has a meaning in a request.
        pub const ALL: &[(i32, &str)] = &[$(($number, $text)),*];
    };
}

ops! {
    CREATE = 1, "create";
    DELETE = 2, "delete";
    EXISTS = 3, "exists";
    GET_DATA = 4, "getData";
    SET_DATA = 5, "setData";
    GET_ACL = 6, "getACL";
    SET_ACL = 7, "setACL";
    GET_CHILDREN = 8, "getChildren";
    SYNC = 9, "sync";
    PING = 11, "ping";
    GET_CHILDREN2 = 12, "getChildren2";
    CHECK = 13, "check";
    MULTI = 14, "multi";
    CREATE2 = 15, "create2";
    RECONFIG = 16, "reconfig";
    CHECK_WATCHES = 17, "checkWatches";
    REMOVE_WATCHES = 18, "removeWatches";
    CREATE_CONTAINER = 19, "createContainer";
    DELETE_CONTAINER = 20, "deleteContainer";
    CREATE_TTL = 21, "createTTL";
    MULTI_READ = 22, "multiRead";
    AUTH = 100, "auth";
    SET_WATCHES = 101, "setWatches";
    SASL = 102, "sasl";
    GET_EPHEMERALS = 103, "getEphemerals";
    GET_ALL_CHILDREN_NUMBER = 104, "getAllChildrenNumber";
    SET_WATCHES2 = 105, "setWatches2";
    ADD_WATCH = 106, "addWatch";
    WHO_AM_I = 107, "whoAmI";
    CREATE_SESSION = -10, "createSession";
    CLOSE_SESSION = -11, "closeSession";
}

pub const UNIMPLEMENTED: i32 = -6;
pub const AUTH_FAILED: i32 = -115;
pub const SESSION_CLOSED_REQUIRE_SASL_AUTH: i32 = -124;

/// Whether a standalone server carries it out for a client: the others end the connection.
pub fn is_served(op: i32) -> bool {
    !matches!(op, CHECK | CREATE_SESSION) && ALL.iter().any(|(number, _)| *number == op)
}

/// The name, or the number of an opcode that nobody knows.
pub fn name(op: i32) -> String {
    ALL.iter().find(|(number, _)| *number == op).map_or_else(|| format!("opcode {op}"), |(_, name)| (*name).to_string())
}

/// Opcodes that change the tree or the sessions, and so take a zxid.
pub fn is_write(op: i32) -> bool {
    matches!(
        op,
        CREATE | CREATE2 | CREATE_CONTAINER | CREATE_TTL | DELETE | DELETE_CONTAINER | SET_DATA | SET_ACL | MULTI
    )
}
