//! The error codes a client can see (Java: `KeeperException.Code`). Java clients throw on a code
//! they do not know, so nothing else is ever sent.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// The outcome of a request, as its number travels in a reply header.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $text] $(#[$doc])* $name = $value),* }

        impl Code {
            /// The number on the wire.
            pub fn number(self) -> i32 { self as i32 }
            /// The code of a number, if it is one of ours: a txn from elsewhere may hold another.
            pub fn from_number(number: i32) -> Option<Code> {
                match number { $($value => Some(Code::$name),)* _ => None }
            }
            /// What it means, for people.
            pub fn text(self) -> &'static str { match self { $(Code::$name => $text),* } }
        }
    };
}

codes! {
    Ok = 0, "ok";
    SystemError = -1, "the server could not carry out the request";
    RuntimeInconsistency = -2, "not tried: an earlier operation of the multi failed";
    MarshallingError = -5, "request does not match its record";
    Unimplemented = -6, "unknown operation";
    BadArguments = -8, "invalid arguments";
    NewConfigNoQuorum = -13, "no quorum of the new config is connected and synced";
    ReconfigInProgress = -14, "another reconfiguration is in progress";
    NoNode = -101, "node does not exist";
    NoAuth = -102, "not authorized";
    BadVersion = -103, "version does not match";
    NoChildrenForEphemerals = -108, "ephemeral nodes may not have children";
    NodeExists = -110, "node already exists";
    NotEmpty = -111, "node has children";
    SessionExpired = -112, "session is unknown or closing";
    InvalidAcl = -114, "invalid ACL";
    AuthFailed = -115, "authentication failed";
    SessionMoved = -118, "session moved to another server; never sent, the connection is closed";
    NotReadOnly = -119, "a write reached a read-only server";
    EphemeralOnLocalSession = -120, "ephemeral node on a local session";
    NoWatcher = -121, "no such watch";
    ReconfigDisabled = -123, "reconfiguration is disabled";
    SessionClosedRequireSaslAuth = -124, "the session must authenticate first";
    QuotaExceeded = -125, "quota exceeded";
    ThrottledOp = -127, "the request waited too long and was not executed";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text(), self.number())
    }
}

impl std::error::Error for Code {}
