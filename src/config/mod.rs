//! Configuration: `zoo.cfg`, `-D` arguments and the environment become one [`Config`].
//!
//! ```text
//!  zoo.cfg --- properties --\
//!  dynamicConfigFile --------> Sources -> Settings -> Config + Notices        parsing and building: pure
//!  environment, arguments --/     (strongest place wins)
//!  load: reads the files, myid and the machine's memory                       the only part that touches a file
//! ```
//!
//! `table` has a row for every key of Apache ZooKeeper 3.9 and says what becomes of it here. Keys that are honoured
//! fill fields; keys that are not are named in a [`Notice`] each; an unknown key is never an error.

mod build;
mod error;
mod keys;
mod load;
mod properties;
mod server_line;
mod settings;
mod sources;
mod table;
mod whitelist;

#[cfg(test)]
mod tests;

pub use build::describe;
pub use error::{ConfigError, Place};
pub use keys::{Kind, Row, Status, find, is_secret};
pub use load::load;
pub use sources::{FileText, Sources};
pub use table::ROWS;
pub use whitelist::Whitelist;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use zorilla_core::digest_alg::DigestAlg;

/// What a standalone server is told. Names follow the keys; units are in the names.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `dataDir`: holds `myid` and `version-2`.
    pub data_dir: PathBuf,
    /// `dataLogDir`: holds `version-2` with the transaction log; `dataDir` unless given.
    pub data_log_dir: PathBuf,
    /// `clientPort`, or the client part of the one server line. `None`: no plaintext port (Apache: `clientPort=0` too).
    pub client_port: Option<u16>,
    /// `clientPortAddress` as it was given, a name or an address; `None` is every address.
    pub client_port_address: Option<String>,
    /// `tickTime`.
    pub tick_time_ms: u32,
    /// `minSessionTimeout`, or two ticks.
    pub min_session_timeout_ms: i32,
    /// `maxSessionTimeout`, or twenty ticks.
    pub max_session_timeout_ms: i32,
    /// `maxClientCnxns`: connections from one address; 0 is no limit.
    pub max_client_cnxns: u32,
    /// `maxCnxns`: connections in all; 0 is no limit.
    pub max_cnxns: u32,
    /// `clientPortListenBacklog`; `None` leaves it to the system (Apache: -1).
    pub client_port_listen_backlog: Option<u32>,
    /// `globalOutstandingLimit`: requests under way before the server stops reading.
    pub global_outstanding_limit: u32,
    /// `jute.maxbuffer`: the longest frame.
    pub jute_maxbuffer_bytes: u32,
    /// `zookeeper.jute.maxbuffer.extrasize`: what a field may be longer than that; `jute.maxbuffer` unless given.
    pub jute_maxbuffer_extra_bytes: u32,
    /// `preAllocSize` in bytes: how far the log is extended ahead; 0 or less in the file is 0 here, off.
    pub pre_alloc_bytes: u64,
    /// `snapCount`: transactions after which a new log file is begun.
    pub snap_count: u32,
    /// `txnLogSizeLimitInKb` in bytes; `None` is no limit.
    pub txn_log_size_limit_bytes: Option<u64>,
    /// `autopurge.snapRetainCount`, at least 3 as in Apache.
    pub autopurge_snap_retain_count: u32,
    /// `autopurge.purgeInterval`.
    pub autopurge_purge_interval_hours: u32,
    /// `forceSync`: whether an acknowledged write is on the disk. `no` risks losing writes.
    pub force_sync: bool,
    /// `fsync.warningthresholdms`: a sync that takes longer is logged.
    pub fsync_warning_threshold_ms: u64,
    /// `4lw.commands.whitelist`, with what is always allowed.
    pub four_letter_whitelist: Whitelist,
    /// `extendedTypesEnabled`: whether TTL nodes can be made.
    pub extended_types_enabled: bool,
    /// `enforceQuota`: whether hard quotas refuse writes.
    pub enforce_quota: bool,
    /// `skipACL`.
    pub skip_acl: bool,
    /// `DigestAuthenticationProvider.superDigest`: `super:` and a base64 digest.
    pub super_digest: Option<Secret>,
    /// `DigestAuthenticationProvider.enabled`.
    pub digest_auth_enabled: bool,
    /// `DigestAuthenticationProvider.digestAlg`.
    pub digest_alg: DigestAlg,
    /// `enforce.auth.enabled` and `.schemes`: one of these schemes is required; empty is off.
    pub enforce_auth_schemes: Vec<String>,
    /// `znode.container.checkIntervalMs`.
    pub container_check_interval_ms: i64,
    /// `znode.container.maxPerMinute`, at least 1.
    pub container_max_per_minute: i64,
    /// `znode.container.maxNeverUsedIntervalMs`: 0 leaves containers that never had a child.
    pub container_max_never_used_ms: i64,
    /// `digest.enabled`: whether log records carry a digest of the tree.
    pub digest_enabled: bool,
    /// `closeSessionTxn.enabled`: whether a closeSession record lists the ephemerals it removes.
    pub close_session_txn_enabled: bool,
    /// `readonlymode.enabled`: here it only allows the word `isro`.
    pub read_only_mode_enabled: bool,
    /// `nio.sessionlessCnxnTimeout`: how long a connection may stay without a handshake.
    pub sessionless_cnxn_timeout_ms: u64,
    /// `request_throttle_max_requests`; 0 is off.
    pub request_throttle_max_requests: u32,
    /// `throttled_op_wait_time`; 0 is off.
    pub throttled_op_wait_time_ms: u32,
    /// `datadir.autocreate`: whether missing directories are made.
    pub datadir_autocreate: bool,
    /// The server's number: `dataDir/myid`, or 1. It is the top byte of new session ids.
    pub server_id: u8,
    /// `zorilla.memoryBudget`: what trees, queues and caches may take together; half of the machine's memory unless given.
    pub memory_budget_bytes: u64,
    /// `zorilla.maxOutgoingBytes`: what one connection may leave unread before it is closed.
    pub out_bytes_max: u64,
    /// `admin.*`, `metricsProvider.*` and every other key that has no field, by canonical name, unknown ones included.
    pub properties: BTreeMap<String, Secret>,
}

impl Config {
    /// The configuration that `sources` describe, with a line for each key that does not do here what it asks for.
    pub fn from_sources(sources: &Sources) -> Result<(Config, Vec<Notice>), ConfigError> {
        build::build(sources)
    }
}

/// A value that is not printed by `{:?}`: it may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// The value itself; never log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(settings::HIDDEN)
    }
}

/// One line for the log at start about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether something that was asked for does not happen (a warning), or it is only good to know.
    pub warning: bool,
    /// The line.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
