//! The key table, precedence, rules and messages.

use super::*;
use std::path::Path;

fn file(text: &str) -> Sources {
    Sources { file: Some(FileText { path: "zoo.cfg".into(), text: text.into() }), ..Sources::default() }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn config(text: &str) -> Config {
    built(&file(text)).0
}

fn built(sources: &Sources) -> (Config, Vec<Notice>) {
    Config::from_sources(sources).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> String {
    Config::from_sources(&file(text)).expect_err(text).to_string()
}

fn notices(text: &str) -> Vec<String> {
    built(&file(&format!("dataDir=/d\nclientPort=2181\n{text}"))).1.into_iter().map(|n| n.text).collect()
}

/// Every key of the operator's guide, copied by hand from the reference, so that a row cannot be lost.
const REFERENCE: &str = "
    clientPort clientPortAddress secureClientPort secureClientPortAddress dataDir dataLogDir tickTime initLimit
    syncLimit connectToLearnerMasterLimit minSessionTimeout maxSessionTimeout maxClientCnxns maxCnxns
    clientPortListenBacklog server.1 group.1 weight.1 peerType electionAlg standaloneEnabled reconfigEnabled
    dynamicConfigFile quorumListenOnAllIPs syncEnabled observerMasterPort localSessionsEnabled
    localSessionsUpgradingEnabled leaderServes autopurge.snapRetainCount autopurge.purgeInterval snapCount
    snapSizeLimitInKb txnLogSizeLimitInKb preAllocSize forceSync fsync.warningthresholdms flushDelay
    maxWriteQueuePollTime maxBatchSize snapshot.compression.method snapshot.trust.empty snapshotSizeFactor
    commitLogCount digest.enabled serializeLastProcessedZxid.enabled closeSessionTxn.enabled datadir.autocreate
    db.autocreate extendedTypesEnabled emulate353TTLNodes znode.container.checkIntervalMs
    znode.container.maxPerMinute znode.container.maxNeverUsedIntervalMs enforceQuota jute.maxbuffer
    jute.maxbuffer.extrasize globalOutstandingLimit readonlymode.enabled oraclePath
    cnxTimeout quorumCnxnTimeoutMs electionPortBindRetry fastleader.minNotificationInterval
    fastleader.maxNotificationInterval leader.maxTimeToWaitForEpoch leader.maxConcurrentSnapSyncs
    leader.maxConcurrentDiffSyncs leaderConnectDelayDuringRetryMs observer.reconnectDelayMs
    observer.election.DelayMs observerMaster.sizeLimit forceSnapshotSync tcpKeepAlive clientTcpKeepAlive
    multiAddress.enabled multiAddress.reachabilityCheckEnabled multiAddress.reachabilityCheckTimeoutMs
    quorum.auth.enableSasl quorum.auth.learnerRequireSasl quorum.auth.serverRequireSasl
    quorum.auth.learner.saslLoginContext quorum.auth.server.saslLoginContext
    quorum.auth.kerberos.servicePrincipal quorum.cnxn.threads.size sslQuorum portUnification
    sslQuorumReloadCertFiles learner.asyncSending learner.closeSocketAsync leader.closeSocketAsync
    forward_learner_requests_to_commit_processor_disabled follower.skipLearnerRequestToNextProcessor
    leader.ackLoggingFrequency leader.nodelay follower.nodelay commitProcessor.numWorkerThreads
    commitProcessor.maxReadBatchSize commitProcessor.maxCommitBatchSize commitProcessor.shutdownTimeout
    kerberos.canonicalizeHostNames connection_throttle_tokens connection_throttle_fill_time
    connection_throttle_fill_count connection_throttle_freeze_time connection_throttle_drop_increase
    connection_throttle_drop_decrease connection_throttle_decrease_ratio connection_throttle_weight_enabled
    request_throttle_max_requests request_throttle_stall_time request_throttle_drop_stale
    request_stale_connection_check request_stale_latency_check request_throttler.shutdownTimeout
    throttled_op_wait_time largeRequestMaxBytes largeRequestThreshold maxResponseCacheSize
    maxGetChildrenResponseCacheSize intBufferStartingSizeBytes nio.numSelectorThreads nio.numWorkerThreads
    nio.sessionlessCnxnTimeout nio.directBufferBytes nio.shutdownTimeout netty.advancedFlowControl.enabled
    outstandingHandshake.limit watchManagerName watcherCleanThreshold watcherCleanIntervalInSeconds
    watcherCleanThreadsNum maxInProcessingDeadWatchers bitHashCacheSize messageTracker.BufferSize
    pathStats.enabled jvm.pause.monitor jvm.pause.info-threshold.ms jvm.pause.warn-threshold.ms
    jvm.pause.sleep.time.ms serverCnxnFactory connectionMaxTokens requestThrottleLimit throttledOpWaitTime
    skipACL superUser superUser.2 DigestAuthenticationProvider.superDigest DigestAuthenticationProvider.enabled
    DigestAuthenticationProvider.digestAlg X509AuthenticationProvider.superUser
    SASLAuthenticationProvider.superPassword IPAuthenticationProvider.usexforwardedfor authProvider.1
    sessionRequireClientSASLAuth allowSaslFailedClients enforce.auth.enabled enforce.auth.schemes
    ensembleAuthName enableEagerACLCheck kerberos.removeHostFromPrincipal kerberos.removeRealmFromPrincipal
    security.auth_to_local sasl.serverconfig java.security.auth.login.config ssl.keyStore.location
    ssl.quorum.keyStore.password client.portUnification client.certReload fips-mode 4lw.commands.whitelist
    admin.enableServer admin.serverAddress admin.serverPort admin.idleTimeout admin.commandURL admin.httpVersion
    admin.portUnification admin.forceHttps admin.needClientAuth admin.snapshot.enabled admin.restore.enabled
    admin.rateLimiterIntervalInMS metricsProvider.className metricsProvider.httpHost metricsProvider.httpPort
    metricsProvider.exportJvmInfo metricsProvider.numWorkerThreads metricsProvider.maxQueueSize
    metricsProvider.workerShutdownTimeoutMs audit.enable audit.impl.class
    zorilla.memoryBudget zorilla.maxOutgoingBytes";

#[test]
fn every_key_of_the_reference_has_a_row() {
    for key in REFERENCE.split_whitespace() {
        assert!(find(key).is_some(), "{key} has no row");
        assert!(find(&format!("zookeeper.{key}")).is_some(), "{key} is not found as a property");
    }
    assert!(find("noSuchKey").is_none());
}

#[test]
fn no_name_has_two_rows_and_every_default_fits_its_kind() {
    let mut names = std::collections::BTreeSet::new();
    for row in ROWS {
        for name in std::iter::once(&row.name).chain(row.aliases) {
            assert!(names.insert(*name), "{name} has two rows");
        }
        if !row.default.is_empty() && !row.name.ends_with('*') {
            let sources = file(&format!("dataDir=/d\n{}={}\n", row.name, row.default));
            // Only the value's own form is in question here.
            let result = Config::from_sources(&sources);
            assert!(!matches!(result, Err(ConfigError::Value { .. })), "{}: {result:?}", row.name);
        }
    }
}

#[test]
fn a_default_that_is_written_out_needs_no_line() {
    let quiet = "tickTime=3000\nmaxClientCnxns=60\nfips-mode=true\nsslQuorum=false\nadmin.enableServer=false\n\
                 reconfigEnabled=false\nwatcherCleanThreshold=1000";
    assert_eq!(notices(quiet), Vec::<String>::new());
}

#[test]
fn what_does_not_happen_is_named_once_with_its_reason() {
    let lines = notices("sslQuorum=true\nnio.numWorkerThreads=8\nfoo.bar=secret-perhaps\nadmin.enableServer=true");
    assert_eq!(
        lines,
        [
            "zoo.cfg:6: admin.enableServer=true is recognised but not supported: there is no AdminServer yet",
            "zoo.cfg:5: foo.bar is unknown; kept as property zookeeper.foo.bar",
            "zoo.cfg:4: nio.numWorkerThreads=8 is without effect: connections are served by a runtime that sizes itself",
            "zoo.cfg:3: sslQuorum=true is recognised but not supported: TLS is not supported yet",
        ]
    );
}

#[test]
fn secrets_are_in_no_line_and_no_error() {
    for key in ["ssl.keyStore.password", "ssl.quorum.trustStore.password", "SASLAuthenticationProvider.superPassword"] {
        let lines = notices(&format!("{key}=hunter2"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("********") && !lines[0].contains("hunter2"), "{lines:?}");
    }
    assert!(is_secret("my.own.Password") && is_secret("zookeeper.DigestAuthenticationProvider.superDigest"));
    assert!(!is_secret("ssl.keyStore.passwordPath"), "a path is no password");
}

#[test]
fn a_file_with_apaches_sample() {
    let config = config(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/tmp/zookeeper\nclientPort=2181\n\
         maxClientCnxns=0\n4lw.commands.whitelist=mntr, ruok\nsnapCount=10\npreAllocSize=100\n",
    );
    assert_eq!(config.data_dir, Path::new("/tmp/zookeeper"));
    assert_eq!(config.data_log_dir, Path::new("/tmp/zookeeper"));
    assert_eq!((config.client_port, config.client_port_address.as_deref()), (Some(2181), None));
    assert_eq!(config.tick_time_ms, 2000);
    assert_eq!((config.min_session_timeout_ms, config.max_session_timeout_ms), (4000, 40_000));
    assert_eq!(config.max_client_cnxns, 0);
    assert!(config.four_letter_whitelist.allows("mntr") && !config.four_letter_whitelist.allows("conf"));
    assert_eq!((config.snap_count, config.pre_alloc_bytes), (10, 102_400));
}

#[test]
fn apaches_defaults() {
    let config = config("dataDir=/d\nclientPort=2181");
    assert_eq!(config.tick_time_ms, 3000);
    assert_eq!((config.min_session_timeout_ms, config.max_session_timeout_ms), (6000, 60_000));
    assert_eq!((config.max_client_cnxns, config.max_cnxns, config.client_port_listen_backlog), (60, 0, None));
    assert_eq!((config.jute_maxbuffer_bytes, config.jute_maxbuffer_extra_bytes), (1_048_575, 1_048_575));
    assert_eq!((config.snap_count, config.pre_alloc_bytes, config.txn_log_size_limit_bytes), (100_000, 64 << 20, None));
    assert_eq!(config.global_outstanding_limit, 1000);
    assert!(config.force_sync && config.digest_enabled && config.close_session_txn_enabled);
    assert!(config.digest_auth_enabled && config.datadir_autocreate);
    assert!(!config.skip_acl && !config.extended_types_enabled && !config.enforce_quota);
    assert_eq!(config.enforce_auth_schemes, Vec::<String>::new());
    assert_eq!(config.container_check_interval_ms, 60_000);
    assert_eq!((config.container_max_per_minute, config.container_max_never_used_ms), (10_000, 0));
    assert_eq!((config.sessionless_cnxn_timeout_ms, config.fsync_warning_threshold_ms), (10_000, 1000));
    assert_eq!((config.out_bytes_max, config.server_id), (64 << 20, 1));
    assert_eq!(config.four_letter_whitelist.to_string(), "srvr");
}

#[test]
fn the_embedded_default_is_on_loopback() {
    let config = built(&Sources::default()).0;
    assert_eq!(config.data_dir, Path::new("./data"));
    assert_eq!((config.client_port, config.client_port_address.as_deref()), (Some(2181), Some("127.0.0.1")));
}

#[test]
fn stronger_places_win() {
    let mut sources = file("dataDir=/d\nsnapCount=1\nsnapCount=10\njute.maxbuffer=10");
    assert_eq!(built(&sources).0.snap_count, 10, "the last line of a file wins");
    sources.environment = pairs(&[("zookeeper.snapCount", "20"), ("PATH", "/bin"), ("ZOO_TICK_TIME", "1")]);
    assert_eq!(built(&sources).0.snap_count, 20);
    assert_eq!(built(&sources).0.tick_time_ms, 3000, "a file keeps the image's variables out");
    sources.environment.extend(pairs(&[("SERVER_JVMFLAGS", "-Xmx1g -Dzookeeper.snapCount=30")]));
    assert_eq!(built(&sources).0.snap_count, 30);
    sources.environment.extend(pairs(&[("JVMFLAGS", "-Dzookeeper.snapCount=40 -Djute.maxbuffer=0xfffff")]));
    let config = built(&sources).0;
    assert_eq!((config.snap_count, config.jute_maxbuffer_bytes), (40, 1_048_575));
    sources.defines = pairs(&[("snapCount", "49"), ("zookeeper.snapCount", "50")]);
    assert_eq!(built(&sources).0.snap_count, 50);
}

#[test]
fn apaches_positional_arguments() {
    let positional = ["2182", "/data", "500", "7"].map(str::to_owned).to_vec();
    let mut sources = Sources { positional, ..Sources::default() };
    let config = built(&sources).0;
    assert_eq!((config.client_port, config.client_port_address.as_deref()), (Some(2182), None));
    assert_eq!((config.data_dir.as_path(), config.tick_time_ms, config.max_client_cnxns), (Path::new("/data"), 500, 7));
    sources.positional[0] = "x".into();
    let error = Config::from_sources(&sources).unwrap_err().to_string();
    assert_eq!(error, "command line: clientPort=x is not possible; allowed: a whole number from 0 to 65535");
}

#[test]
fn the_official_images_variables() {
    let environment = pairs(&[
        ("ZOO_DATA_DIR", "/data"),
        ("ZOO_DATA_LOG_DIR", "/datalog"),
        ("ZOO_TICK_TIME", "2000"),
        ("ZOO_SERVERS", "server.1=localhost:2888:3888;2281"),
        ("ZOO_4LW_COMMANDS_WHITELIST", "srvr, ruok"),
        ("ZOO_CFG_EXTRA", "extendedTypesEnabled=true maxCnxns=9"),
        ("ZOO_MY_ID", "7"),
        ("JVMFLAGS", "-Dzookeeper.enforceQuota=true"),
    ]);
    let config = built(&Sources { environment, ..Sources::default() }).0;
    assert_eq!((config.data_dir.as_path(), config.data_log_dir.as_path()), (Path::new("/data"), Path::new("/datalog")));
    assert_eq!((config.client_port, config.client_port_address.as_deref()), (Some(2281), None));
    assert!(config.four_letter_whitelist.allows("ruok") && config.extended_types_enabled && config.enforce_quota);
    assert_eq!((config.max_cnxns, config.server_id, config.tick_time_ms), (9, 7, 2000));
}

#[test]
fn one_server_line_is_standalone_with_its_client_port() {
    let one = |more: &str| format!("dataDir=/d\nserver.1=a:2888:3888;10.0.0.1:2281\n{more}");
    let found = config(&one(""));
    assert_eq!((found.client_port, found.client_port_address.as_deref()), (Some(2281), Some("10.0.0.1")));
    assert_eq!(config(&one("clientPort=2281")).client_port, Some(2281));
    assert!(refusal(&one("clientPort=2181")).contains("is different from client address found in its server line"));
    let (found, notices) = built(&file("dataDir=/d\nserver.1=a:2888:3888;0"));
    assert_eq!(found.client_port, None, "0 is no port, as in clientPort");
    assert!(notices.iter().any(|notice| notice.text == "there is no clientPort: no client can connect"), "{notices:?}");
    let dynamic = FileText { path: "zoo.cfg.dynamic".into(), text: "server.1=a:1:2;2381".into() };
    let mut sources = file("dataDir=/d\ndynamicConfigFile=zoo.cfg.dynamic");
    sources.dynamic_file = Some(dynamic);
    assert_eq!(built(&sources).0.client_port, Some(2381));
    sources.file = file("dataDir=/d\nserver.1=a:1:2;2381").file;
    let error = Config::from_sources(&sources).unwrap_err().to_string();
    assert_eq!(error, "parameter: server.1 must be in a separate dynamic config file");
}

#[test]
fn ensembles_are_refused_in_plain_words() {
    let text = "dataDir=/d\nclientPort=2181\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888";
    assert_eq!(
        refusal(text),
        "zoo.cfg:3: ensembles are not supported yet, and 3 servers are listed here; \
         keep one server line, or none, for a standalone server"
    );
}

#[test]
fn apaches_start_errors() {
    let cases = [
        ("clientPort=2181", "dataDir is not set"),
        ("dataDir=/d\ntickTime=0", "tickTime is not set"),
        (
            "dataDir=/d\nminSessionTimeout=9\nmaxSessionTimeout=8",
            "minSessionTimeout must not be larger than maxSessionTimeout (they are 9 and 8 ms)",
        ),
        ("dataDir=/d\nclientPortAddress=::1", "clientPortAddress is set but clientPort is not set"),
        ("dataDir=/d\nserver.1=a:1:2:observer", "Observers w/o participants is an invalid configuration"),
        ("dataDir=/d\nserver.1=a:1:2\nserver.2=a:1:2:observer", "Observers w/o quorum is an invalid configuration"),
        ("dataDir=/d\nelectionAlg=0", "zoo.cfg:2: electionAlg=0 is not possible; allowed: a whole number from 3 to 3"),
        (
            "dataDir=/d\n\nstandaloneEnabled=maybe",
            "zoo.cfg:3: standaloneEnabled=maybe is not possible; allowed: true or false",
        ),
        (
            "dataDir=/d\ntickTime=2s",
            "zoo.cfg:2: tickTime=2s is not possible; allowed: a whole number from 0 to 2147483647 (ms)",
        ),
        (
            "dataDir=/d\nzorilla.memoryBudget=1m",
            "zoo.cfg:2: zorilla.memoryBudget=1m is not possible; allowed: 128m or more",
        ),
        ("dataDir=/d\nx=\\u12", "Error processing zoo.cfg: line 2: Malformed \\uxxxx encoding."),
        (
            "dataDir=/d\nserver.1=a:1",
            "zoo.cfg:2: server.1=a:1 is not possible; allowed: host:quorumPort:electionPort\
             [:participant|observer][;[clientAddress:]clientPort], the ports from 0 to 65535",
        ),
        (
            "dataDir=/d\nDigestAuthenticationProvider.digestAlg=MD5",
            "zoo.cfg:2: DigestAuthenticationProvider.digestAlg=MD5 is not possible; allowed: SHA1, SHA-224, \
             SHA-256, SHA-384, SHA-512, SHA3-224, SHA3-256, SHA3-384 or SHA3-512",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn myid_is_read_as_apache_reads_it() {
    let with = |myid: &str| {
        let mut sources = file("dataDir=/d\nclientPort=1");
        sources.myid = Some(myid.into());
        Config::from_sources(&sources).map(|(config, _)| config.server_id).map_err(|e| e.to_string())
    };
    assert_eq!(with("5\n"), Ok(5));
    assert_eq!(with("5\nmore"), Ok(5));
    assert_eq!(with("5 \n"), Err("serverid 5  is not a number".into()));
    assert!(with("300").is_err());
}

#[test]
fn budgets() {
    let with = |text: &str, memory_bytes| {
        let mut sources = file(&format!("dataDir=/d\n{text}"));
        sources.memory_bytes = memory_bytes;
        built(&sources).0.memory_budget_bytes
    };
    assert_eq!(with("zorilla.memoryBudget=2g", Some(1 << 30)), 2 << 30);
    assert_eq!(with("", Some(8 << 30)), 4 << 30);
    assert_eq!(with("", Some(100 << 20)), 128 << 20, "never less than 128 MiB");
    assert_eq!(with("", None), 128 << 20);
}

#[test]
fn authentication_keys() {
    let found = config(
        "dataDir=/d\nenforce.auth.enabled=true\nenforce.auth.schemes=digest, ip\nskipACL=yes\n\
         DigestAuthenticationProvider.superDigest=super:abc=\nforceSync=no",
    );
    assert_eq!(found.enforce_auth_schemes, ["digest", "ip"]);
    assert!(found.skip_acl && !found.force_sync);
    assert_eq!(found.super_digest.unwrap().reveal(), "super:abc=");
    assert!(refusal("dataDir=/d\nenforce.auth.enabled=true").contains("no enforce.auth.schemes are set"));
    assert!(refusal("dataDir=/d\nenforce.auth.enabled=true\nenforce.auth.schemes=sasl").contains("digest and ip"));
}

/// `docs/configuration.md` is this table. `REWRITE=1` writes it anew.
#[test]
fn the_documents_table_is_the_key_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let recorded = std::fs::read_to_string(&path).unwrap();
    const MARK: &str = "<!-- the rest is made from the key table: REWRITE=1 cargo test configuration -->\n";
    let (head, _) = recorded.split_once(MARK).expect("the mark above the table");
    let expected = format!("{head}{MARK}{}", document_table());
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert!(recorded == expected, "docs/configuration.md is not what the key table says: run with REWRITE=1");
    }
}

fn document_table() -> String {
    let mut text = String::from("\n| Key | Default | Values | Here |\n|---|---|---|---|\n");
    for row in ROWS {
        let names: Vec<String> =
            std::iter::once(&row.name).chain(row.aliases).map(|name| format!("`{name}`")).collect();
        let default = if row.default.is_empty() { "-" } else { row.default };
        let status = match row.status {
            Status::Honoured => "as in Apache ZooKeeper".to_owned(),
            Status::Unsupported(reason) => format!("**not supported**: {reason}"),
            Status::WithoutEffect(reason) => format!("without effect: {reason}"),
        };
        let own = row.name.starts_with("zorilla.");
        let status = if own { "Zorilla's own".to_owned() } else { status };
        text.push_str(&format!("| {} | {default} | {} | {status} |\n", names.join(", "), row.allowed()));
    }
    text
}
