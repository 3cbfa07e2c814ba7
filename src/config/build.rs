//! Settings become a [`Config`], under the rules that concern more than one key (Java: `QuorumPeerConfig`).

use super::error::ConfigError;
use super::keys::{self, Status};
use super::server_line::{self, ServerLine};
use super::settings::{HIDDEN, Setting, Settings};
use super::sources::Sources;
use super::{Config, Notice, Secret, Whitelist};
use zorilla_core::digest_alg::DigestAlg;

/// Where a server lives that was told nothing.
const EMBEDDED: &[(&str, &str)] = &[("dataDir", "./data"), ("clientPort", "2181"), ("clientPortAddress", "127.0.0.1")];

/// A budget that is smaller cannot hold a working set and the store's own buffers.
const MEMORY_BUDGET_BYTES_MIN: u64 = 128 << 20;

/// Apache keeps at least this many snapshots.
const SNAP_RETAIN_COUNT_MIN: u32 = 3;

pub(super) fn build(sources: &Sources) -> Result<(Config, Vec<Notice>), ConfigError> {
    let mut settings = sources.settings()?;
    settings.check_kinds()?;
    let mut notices = notices(&settings);
    let server = standalone_line(&settings, &mut notices)?;
    if sources.is_embedded() {
        embed(&mut settings, server.as_ref());
    }
    check_rules(&settings)?;
    let config = config(&settings, server.as_ref(), sources)?;
    if config.client_port.is_none() {
        notices.push(warning("there is no clientPort: no client can connect".into()));
    }
    if !config.force_sync {
        notices.push(warning("forceSync=no: acknowledged writes can be lost when the machine stops".into()));
    }
    if config.skip_acl {
        notices.push(warning("skipACL=yes: every client may do everything".into()));
    }
    Ok((config, notices))
}

/// What is not said anywhere is as on a desk: here and only for here. An address is only invented with the port.
fn embed(settings: &mut Settings, server: Option<&ServerLine>) {
    let has_port = settings.get("clientPort").is_some() || server.is_some_and(|line| line.client.is_some());
    for (key, value) in EMBEDDED {
        let about_port = key.starts_with("clientPort");
        if settings.get(key).is_none() && !(about_port && has_port) {
            settings.put(key, value, super::Place::Argument);
        }
    }
}

fn warning(text: String) -> Notice {
    Notice { warning: true, text }
}

fn notices(settings: &Settings) -> Vec<Notice> {
    settings.iter().filter_map(|(name, setting)| notice(name, setting)).collect()
}

/// Never the value of a key that we do not know: it could be anything.
fn notice(name: &str, setting: &Setting) -> Option<Notice> {
    let Setting { key, place, .. } = setting;
    let Some(row) = keys::find(name) else {
        let text = format!("{place}: {key} is unknown; kept as property {}", property_name(name));
        return Some(warning(text));
    };
    if row.is_quiet(&setting.value) {
        return None;
    }
    let value = setting.shown();
    match row.status {
        Status::Honoured => None,
        Status::Unsupported(reason) => {
            Some(warning(format!("{place}: {key}={value} is recognised but not supported: {reason}")))
        }
        Status::WithoutEffect(reason) => {
            Some(Notice { warning: false, text: format!("{place}: {key}={value} is without effect: {reason}") })
        }
    }
}

fn property_name(name: &str) -> String {
    if name.starts_with("zorilla.") { name.to_owned() } else { format!("zookeeper.{name}") }
}

/// The one server line of a standalone server, if it has one.
fn standalone_line(settings: &Settings, notices: &mut Vec<Notice>) -> Result<Option<ServerLine>, ConfigError> {
    let mut participants = Vec::new();
    let mut observers = 0;
    for (id, setting) in settings.family("server.") {
        id.parse::<u32>().map_err(|_| setting.not_possible("server. and a number as the key"))?;
        let line = server_line::parse(&setting.value).ok_or_else(|| setting.not_possible(server_line::FORM))?;
        if line.observer {
            observers += 1;
        } else {
            participants.push((setting, line));
        }
    }
    match (participants.len(), observers) {
        (0, 0) => Ok(None),
        (0, _) => Err(rule("Observers w/o participants is an invalid configuration")),
        (1, 0) => {
            let (setting, line) = participants.remove(0);
            notices.push(Notice {
                warning: false,
                text: format!("{}: only one server specified: it runs standalone", setting.place),
            });
            if !settings.is_true("standaloneEnabled") {
                let text = "standaloneEnabled=false is recognised but not supported: the one server runs standalone";
                notices.push(warning(text.into()));
            }
            Ok(Some(line))
        }
        (1, _) => Err(rule("Observers w/o quorum is an invalid configuration")),
        (n, _) => Err(ConfigError::Rule(format!(
            "{}: ensembles are not supported yet, and {n} servers are listed here; \
             keep one server line, or none, for a standalone server",
            participants[0].0.place
        ))),
    }
}

/// Apache's errors at start, in its words.
fn check_rules(settings: &Settings) -> Result<(), ConfigError> {
    if settings.path("dataDir").is_none() {
        return Err(rule("dataDir is not set"));
    }
    if settings.int("tickTime") == Some(0) {
        return Err(rule("tickTime is not set"));
    }
    if let Some(setting) = settings.get("peerType") {
        let known = ["participant", "observer"].iter().any(|t| setting.value.eq_ignore_ascii_case(t));
        if !known {
            return Err(setting.not_possible("participant or observer"));
        }
    }
    if let Some(setting) = settings.get("DigestAuthenticationProvider.digestAlg")
        && DigestAlg::named(&setting.value).is_none()
    {
        return Err(setting.not_possible(DigestAlg::NAMES));
    }
    Ok(())
}

fn rule(text: &str) -> ConfigError {
    ConfigError::Rule(text.to_owned())
}

fn config(settings: &Settings, server: Option<&ServerLine>, sources: &Sources) -> Result<Config, ConfigError> {
    let data_dir = settings.path("dataDir").unwrap_or_default();
    let (client_port, client_port_address) = client_endpoint(settings, server)?;
    let tick_time_ms = unsigned(settings, "tickTime");
    let (min_session_timeout_ms, max_session_timeout_ms) = session_timeouts(settings, tick_time_ms)?;
    let jute_maxbuffer_bytes = unsigned(settings, "jute.maxbuffer");
    let read_only_mode_enabled = settings.is_true("readonlymode.enabled");
    Ok(Config {
        data_log_dir: settings.path("dataLogDir").unwrap_or_else(|| data_dir.clone()),
        data_dir,
        client_port,
        client_port_address,
        tick_time_ms,
        min_session_timeout_ms,
        max_session_timeout_ms,
        max_client_cnxns: unsigned(settings, "maxClientCnxns"),
        max_cnxns: unsigned(settings, "maxCnxns"),
        client_port_listen_backlog: settings.int("clientPortListenBacklog").and_then(|n| n.try_into().ok()),
        global_outstanding_limit: unsigned(settings, "globalOutstandingLimit"),
        jute_maxbuffer_bytes,
        jute_maxbuffer_extra_bytes: settings
            .int("jute.maxbuffer.extrasize")
            .and_then(|n| n.try_into().ok())
            .unwrap_or(jute_maxbuffer_bytes),
        pre_alloc_bytes: u64::from(unsigned(settings, "preAllocSize")) * 1024,
        // Apache raises smaller numbers to 2.
        snap_count: unsigned(settings, "snapCount").max(2),
        txn_log_size_limit_bytes: settings.int("txnLogSizeLimitInKb").and_then(kib_limit),
        autopurge_snap_retain_count: unsigned(settings, "autopurge.snapRetainCount").max(SNAP_RETAIN_COUNT_MIN),
        autopurge_purge_interval_hours: unsigned(settings, "autopurge.purgeInterval"),
        force_sync: settings.is_true("forceSync"),
        fsync_warning_threshold_ms: milliseconds(settings, "fsync.warningthresholdms"),
        four_letter_whitelist: Whitelist::new(settings.text("4lw.commands.whitelist"), read_only_mode_enabled),
        extended_types_enabled: settings.is_true("extendedTypesEnabled"),
        enforce_quota: settings.is_true("enforceQuota"),
        skip_acl: settings.is_true("skipACL"),
        super_digest: secret(settings, "DigestAuthenticationProvider.superDigest"),
        digest_auth_enabled: settings.is_true("DigestAuthenticationProvider.enabled"),
        digest_alg: DigestAlg::named(settings.text("DigestAuthenticationProvider.digestAlg")).unwrap_or_default(),
        enforce_auth_schemes: enforce_auth_schemes(settings)?,
        container_check_interval_ms: settings.int("znode.container.checkIntervalMs").unwrap_or_default(),
        container_max_per_minute: settings.int("znode.container.maxPerMinute").unwrap_or_default().max(1),
        container_max_never_used_ms: settings.int("znode.container.maxNeverUsedIntervalMs").unwrap_or_default(),
        digest_enabled: settings.is_true("digest.enabled"),
        close_session_txn_enabled: settings.is_true("closeSessionTxn.enabled"),
        read_only_mode_enabled,
        sessionless_cnxn_timeout_ms: milliseconds(settings, "nio.sessionlessCnxnTimeout"),
        request_throttle_max_requests: unsigned(settings, "request_throttle_max_requests"),
        throttled_op_wait_time_ms: unsigned(settings, "throttled_op_wait_time"),
        datadir_autocreate: settings.is_true("datadir.autocreate"),
        server_id: server_id(sources)?,
        memory_budget_bytes: memory_budget_bytes(settings, sources)?,
        out_bytes_max: settings.bytes("zorilla.maxOutgoingBytes").unwrap_or_default(),
        properties: properties(settings),
    })
}

/// A number that is not negative; a negative one means off wherever it is allowed, and 0 does here.
fn unsigned(settings: &Settings, name: &str) -> u32 {
    settings.int(name).and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
}

fn milliseconds(settings: &Settings, name: &str) -> u64 {
    settings.int(name).and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}

fn kib_limit(kib: i64) -> Option<u64> {
    u64::try_from(kib).ok().filter(|&kib| kib > 0).map(|kib| kib.saturating_mul(1024))
}

fn secret(settings: &Settings, name: &str) -> Option<Secret> {
    settings.get(name).filter(|setting| !setting.value.is_empty()).map(|setting| Secret::new(&setting.value))
}

/// The port from `clientPort`, or from the server line when that is the only place that has one. 0 is no port in either.
/// (Behind a server line, Apache takes it for any free port, which no client is told.)
fn client_endpoint(
    settings: &Settings,
    server: Option<&ServerLine>,
) -> Result<(Option<u16>, Option<String>), ConfigError> {
    let port = settings.int("clientPort").and_then(|n| u16::try_from(n).ok()).filter(|&port| port != 0);
    let address = settings.get("clientPortAddress").map(|setting| setting.value.clone()).filter(|a| !a.is_empty());
    let from_line = server.and_then(|line| line.client.as_ref());
    match (port, from_line) {
        (None, None) if address.is_some() => Err(rule("clientPortAddress is set but clientPort is not set")),
        (None, Some((host, port))) => Ok((Some(*port).filter(|port| *port != 0), host.clone().or(address))),
        (Some(port), Some((host, line_port))) => {
            let hosts_differ = host.is_some() && address.is_some() && *host != address;
            if port != *line_port || hosts_differ {
                return Err(ConfigError::Rule(format!(
                    "client address for this server in static config file is {}:{port} is different from client \
                     address found in its server line: {}:{line_port}",
                    address.as_deref().unwrap_or("0.0.0.0"),
                    host.as_deref().unwrap_or("0.0.0.0"),
                )));
            }
            Ok((Some(port), address.or_else(|| host.clone())))
        }
        (port, None) => Ok((port, address)),
    }
}

fn session_timeouts(settings: &Settings, tick_time_ms: u32) -> Result<(i32, i32), ConfigError> {
    let timeout = |name: &str, ticks: i64| -> i32 {
        let given = settings.int(name).filter(|&ms| ms != -1);
        let ms = given.unwrap_or(i64::from(tick_time_ms) * ticks);
        i32::try_from(ms).unwrap_or(i32::MAX)
    };
    let (min, max) = (timeout("minSessionTimeout", 2), timeout("maxSessionTimeout", 20));
    if min > max {
        return Err(ConfigError::Rule(format!(
            "minSessionTimeout must not be larger than maxSessionTimeout (they are {min} and {max} ms)"
        )));
    }
    Ok((min, max))
}

fn enforce_auth_schemes(settings: &Settings) -> Result<Vec<String>, ConfigError> {
    if !settings.is_true("enforce.auth.enabled") {
        return Ok(Vec::new());
    }
    let Some(setting) = settings.get("enforce.auth.schemes").filter(|setting| !setting.value.is_empty()) else {
        return Err(rule("enforce.auth.enabled is true and no enforce.auth.schemes are set; allowed: digest, ip"));
    };
    let schemes: Vec<String> = setting.value.split(',').map(|s| s.trim().to_owned()).collect();
    match schemes.iter().all(|s| matches!(s.as_str(), "digest" | "ip" | "world")) {
        true => Ok(schemes),
        false => Err(setting.not_possible("digest and ip, with commas between them; other schemes do not exist yet")),
    }
}

/// The first line of `myid`, unless it is empty.
fn server_id(sources: &Sources) -> Result<u8, ConfigError> {
    let configured = sources.variable("ZOO_MY_ID").filter(|_| sources.file.is_none());
    let Some(text) = sources.myid.as_deref().or(configured) else { return Ok(1) };
    let line = text.lines().next().unwrap_or_default();
    let id: i64 = line.parse().map_err(|_| ConfigError::Rule(format!("serverid {line} is not a number")))?;
    u8::try_from(id)
        .map_err(|_| ConfigError::Rule(format!("serverid {id} is not possible; allowed: a number from 0 to 255")))
}

fn memory_budget_bytes(settings: &Settings, sources: &Sources) -> Result<u64, ConfigError> {
    if let Some(setting) = settings.get("zorilla.memoryBudget") {
        let bytes = settings.bytes("zorilla.memoryBudget").unwrap_or_default();
        return if bytes >= MEMORY_BUDGET_BYTES_MIN { Ok(bytes) } else { Err(setting.not_possible("128m or more")) };
    }
    Ok(sources.memory_bytes.map_or(MEMORY_BUDGET_BYTES_MIN, |bytes| bytes / 2).max(MEMORY_BUDGET_BYTES_MIN))
}

fn properties(settings: &Settings) -> std::collections::BTreeMap<String, Secret> {
    let honoured = |name: &str| keys::find(name).is_some_and(|row| row.status == Status::Honoured);
    settings
        .iter()
        .filter(|(name, _)| !honoured(name))
        .map(|(name, setting)| (name.clone(), Secret::new(&setting.value)))
        .collect()
}

/// `key=value` of everything that was set, for `zorilla config`; values of secrets and of unknown keys are stars.
pub fn describe(sources: &Sources) -> Result<Vec<String>, ConfigError> {
    let settings = sources.settings()?;
    let line = |(name, setting): (&String, &Setting)| {
        let value = if keys::find(name).is_some() { setting.shown() } else { HIDDEN };
        format!("{name}={value}    ({})", setting.place)
    };
    Ok(settings.iter().map(line).collect())
}
