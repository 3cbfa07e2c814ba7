//! The key table: a row for every key of Apache ZooKeeper 3.9 and for our own. `docs/configuration.md` is made from it.

use super::keys::Kind::{Bool, Bytes, Decimal, Flag, Int, Path, Secret, Text, YesNo};
use super::keys::Row;
use super::keys::Status::{Honoured, Unsupported, WithoutEffect};

const INT_MAX: i64 = i32::MAX as i64;
const ANY: super::keys::Kind = Int(i32::MIN as i64, INT_MAX);
const COUNT: super::keys::Kind = Int(0, INT_MAX);
const POSITIVE: super::keys::Kind = Int(1, INT_MAX);
const LONG: super::keys::Kind = Int(i64::MIN, i64::MAX);
const PORT: super::keys::Kind = Int(0, 65535);

const ENSEMBLE: super::keys::Status = Unsupported("it belongs to ensembles, which are not supported yet");
const TLS: super::keys::Status = Unsupported("TLS is not supported yet");
const SASL: super::keys::Status = Unsupported("SASL is not supported yet");
const ADMIN: super::keys::Status = Unsupported("there is no AdminServer yet");
const METRICS: super::keys::Status = Unsupported("there is no metrics endpoint yet; mntr has the numbers");
const AUDIT: super::keys::Status = Unsupported("there is no audit log yet");
const THROTTLE: super::keys::Status = Unsupported("connections are not throttled by tokens yet; maxCnxns bounds them");
const SNAPSHOTS: super::keys::Status =
    WithoutEffect("there are no snapshot files: the tree is checkpointed to the store in the background");
const THREADS: super::keys::Status = WithoutEffect("connections are served by a runtime that sizes itself");
const CACHES: super::keys::Status = WithoutEffect("replies are encoded from memory; there is no such cache or buffer");
const WATCHES: super::keys::Status = WithoutEffect("there is one kind of watch index, which needs no cleaner");
const JVM: super::keys::Status = WithoutEffect("there is no JVM");
const LOGGING: super::keys::Status =
    WithoutEffect("the log goes to standard error; ZOO_LOG_LEVEL or RUST_LOG set its level");
const WHITELIST: &str = "srvr";

/// Every key, grouped as in the operator's guide.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // Basics.
    Row::new("clientPort", PORT, "", Honoured),
    Row::new("clientPortAddress", Text, "", Honoured),
    Row::new("secureClientPort", PORT, "", TLS),
    Row::new("secureClientPortAddress", Text, "", TLS),
    Row::new("dataDir", Path, "", Honoured),
    Row::new("dataLogDir", Path, "", Honoured),
    Row::new("tickTime", COUNT, "3000", Honoured).unit("ms"),
    Row::new("initLimit", COUNT, "", WithoutEffect("a standalone server waits for no other")).unit("ticks"),
    Row::new("syncLimit", COUNT, "", WithoutEffect("a standalone server waits for no other")).unit("ticks"),
    Row::new("connectToLearnerMasterLimit", COUNT, "0", ENSEMBLE).unit("ticks"),
    Row::new("minSessionTimeout", Int(-1, INT_MAX), "-1", Honoured).unit("ms"),
    Row::new("maxSessionTimeout", Int(-1, INT_MAX), "-1", Honoured).unit("ms"),
    Row::new("maxClientCnxns", COUNT, "60", Honoured),
    Row::new("maxCnxns", ANY, "0", Honoured),
    Row::new("clientPortListenBacklog", Int(-1, INT_MAX), "-1", Honoured),
    Row::new("server.*", Text, "", Honoured),
    Row::new("group.*", Text, "", ENSEMBLE),
    Row::new("weight.*", Text, "", ENSEMBLE),
    Row::new("peerType", Text, "participant", ENSEMBLE),
    Row::new("electionAlg", Int(3, 3), "3", Honoured),
    Row::new("standaloneEnabled", Bool, "true", Honoured),
    Row::new("reconfigEnabled", Bool, "false", ENSEMBLE),
    Row::new("dynamicConfigFile", Path, "", Honoured),
    Row::new("quorumListenOnAllIPs", Bool, "false", ENSEMBLE),
    Row::new("syncEnabled", Bool, "true", WithoutEffect("a standalone server always writes its log")),
    Row::new("observerMasterPort", PORT, "", ENSEMBLE),
    Row::new("localSessionsEnabled", Bool, "false", ENSEMBLE),
    Row::new("localSessionsUpgradingEnabled", Bool, "false", ENSEMBLE),
    Row::new("leaderServes", YesNo, "yes", WithoutEffect("a standalone server serves")),
    Row::new("oraclePath", Path, "", ENSEMBLE),
    Row::new("oracle.*", Text, "", ENSEMBLE),

    // Storage.
    Row::new("autopurge.snapRetainCount", COUNT, "3", WithoutEffect("there are no snapshot files; log files go when no checkpoint needs them")),
    Row::new("autopurge.purgeInterval", COUNT, "0", WithoutEffect("log files are removed as soon as no checkpoint needs them")).unit("hours"),
    Row::new("snapCount", Int(0, INT_MAX), "100000", Honoured).unit("txns to a log file"),
    Row::new("snapSizeLimitInKb", LONG, "4194304", SNAPSHOTS).unit("KiB"),
    Row::new("txnLogSizeLimitInKb", LONG, "-1", Honoured).unit("KiB"),
    Row::new("preAllocSize", Int(i64::MIN, INT_MAX), "65536", Honoured).unit("KiB"),
    Row::new("forceSync", YesNo, "yes", Honoured),
    Row::new("fsync.warningthresholdms", LONG, "1000", Honoured).unit("ms"),
    Row::new("flushDelay", LONG, "0", WithoutEffect("what arrives during one fsync shares the next; nothing is delayed")).unit("ms"),
    Row::new("maxWriteQueuePollTime", LONG, "", WithoutEffect("the log writer never polls")).unit("ms"),
    Row::new("maxBatchSize", ANY, "1000", WithoutEffect("what arrives during one fsync shares the next")),
    Row::new("snapshot.compression.method", Text, "", SNAPSHOTS),
    Row::new("snapshot.trust.empty", Flag, "false", Unsupported("a data directory written by Apache ZooKeeper is not imported yet")),
    Row::new("snapshotSizeFactor", Decimal, "0.33", ENSEMBLE),
    Row::new("commitLogCount", ANY, "500", ENSEMBLE),
    Row::new("digest.enabled", Flag, "true", Honoured),
    Row::new("serializeLastProcessedZxid.enabled", Flag, "true", SNAPSHOTS),
    Row::new("closeSessionTxn.enabled", Flag, "true", Honoured),
    Row::new("datadir.autocreate", Flag, "true", Honoured),
    Row::new("db.autocreate", Flag, "true", WithoutEffect("an empty data directory is a new server")),
    Row::new("extendedTypesEnabled", Flag, "false", Honoured),
    Row::new("emulate353TTLNodes", Flag, "false", Unsupported("TTL nodes in the numbering of 3.5.3 are not supported")),
    Row::new("znode.container.checkIntervalMs", LONG, "60000", Honoured).unit("ms"),
    Row::new("znode.container.maxPerMinute", POSITIVE, "10000", Honoured),
    Row::new("znode.container.maxNeverUsedIntervalMs", LONG, "0", Honoured).unit("ms"),
    Row::new("enforceQuota", Flag, "false", Honoured),
    Row::new("jute.maxbuffer", POSITIVE, "1048575", Honoured).unit("bytes"),
    Row::new("jute.maxbuffer.extrasize", COUNT, "", Honoured).unit("bytes"),
    Row::new("globalOutstandingLimit", POSITIVE, "1000", Honoured),
    Row::new("readonlymode.enabled", Flag, "false", Honoured),

    // Quorum and election.
    Row::new("cnxTimeout", ANY, "5000", ENSEMBLE).unit("ms"),
    Row::new("quorumCnxnTimeoutMs", ANY, "-1", ENSEMBLE).unit("ms"),
    Row::new("electionPortBindRetry", ANY, "3", ENSEMBLE),
    Row::new("fastleader.minNotificationInterval", ANY, "200", ENSEMBLE).unit("ms"),
    Row::new("fastleader.maxNotificationInterval", ANY, "60000", ENSEMBLE).unit("ms"),
    Row::new("leader.maxTimeToWaitForEpoch", ANY, "-1", ENSEMBLE).unit("ms"),
    Row::new("leader.maxConcurrentSnapSyncs", ANY, "10", ENSEMBLE).also(&["leader.maxConcurrentSnapshots"]),
    Row::new("leader.maxConcurrentDiffSyncs", ANY, "100", ENSEMBLE),
    Row::new("leaderConnectDelayDuringRetryMs", ANY, "100", ENSEMBLE).unit("ms"),
    Row::new("observer.reconnectDelayMs", LONG, "0", ENSEMBLE).unit("ms"),
    Row::new("observer.election.DelayMs", LONG, "200", ENSEMBLE).unit("ms"),
    Row::new("observerMaster.sizeLimit", ANY, "33554432", ENSEMBLE).unit("bytes"),
    Row::new("forceSnapshotSync", Flag, "false", ENSEMBLE),
    Row::new("tcpKeepAlive", Flag, "false", ENSEMBLE),
    Row::new("clientTcpKeepAlive", Flag, "false", Unsupported("keep-alive is not set; sessions time out by their pings")),
    Row::new("multiAddress.enabled", Bool, "false", ENSEMBLE),
    Row::new("multiAddress.reachabilityCheckEnabled", Bool, "true", ENSEMBLE),
    Row::new("multiAddress.reachabilityCheckTimeoutMs", ANY, "1000", ENSEMBLE).unit("ms"),
    Row::new("quorum.auth.enableSasl", Bool, "false", SASL),
    Row::new("quorum.auth.learnerRequireSasl", Bool, "false", SASL),
    Row::new("quorum.auth.serverRequireSasl", Bool, "false", SASL),
    Row::new("quorum.auth.learner.saslLoginContext", Text, "QuorumLearner", SASL).also(&["quorum.auth.learner.loginContext"]),
    Row::new("quorum.auth.server.saslLoginContext", Text, "QuorumServer", SASL).also(&["quorum.auth.server.loginContext"]),
    Row::new("quorum.auth.kerberos.servicePrincipal", Text, "zkquorum/localhost", SASL),
    Row::new("quorum.cnxn.threads.size", ANY, "20", ENSEMBLE),
    Row::new("sslQuorum", Bool, "false", TLS),
    Row::new("portUnification", Bool, "false", TLS),
    Row::new("sslQuorumReloadCertFiles", Bool, "false", TLS),
    Row::new("learner.asyncSending", Flag, "false", ENSEMBLE),
    Row::new("learner.closeSocketAsync", Flag, "false", ENSEMBLE),
    Row::new("leader.closeSocketAsync", Flag, "false", ENSEMBLE),
    Row::new("forward_learner_requests_to_commit_processor_disabled", Flag, "false", ENSEMBLE),
    Row::new("follower.skipLearnerRequestToNextProcessor", Flag, "false", ENSEMBLE),
    Row::new("leader.ackLoggingFrequency", ANY, "1000", ENSEMBLE),
    Row::new("leader.nodelay", Flag, "true", ENSEMBLE),
    Row::new("follower.nodelay", Flag, "true", ENSEMBLE),
    Row::new("commitProcessor.numWorkerThreads", ANY, "", THREADS),
    Row::new("commitProcessor.maxReadBatchSize", ANY, "-1", THREADS),
    Row::new("commitProcessor.maxCommitBatchSize", ANY, "1", THREADS),
    Row::new("commitProcessor.shutdownTimeout", LONG, "5000", THREADS).unit("ms"),
    Row::new("kerberos.canonicalizeHostNames", Flag, "false", SASL),

    // Client side limits, caches, watches. The admin guide's names are aliases of the working ones.
    Row::new("connection_throttle_tokens", ANY, "0", THROTTLE).also(&["connectionMaxTokens"]),
    Row::new("connection_throttle_fill_time", ANY, "1", THROTTLE).unit("ms").also(&["connectionTokenFillTime"]),
    Row::new("connection_throttle_fill_count", ANY, "1", THROTTLE).also(&["connectionTokenFillCount"]),
    Row::new("connection_throttle_freeze_time", ANY, "-1", THROTTLE).unit("ms").also(&["connectionFreezeTime"]),
    Row::new("connection_throttle_drop_increase", Decimal, "0.02", THROTTLE).also(&["connectionDropIncrease"]),
    Row::new("connection_throttle_drop_decrease", Decimal, "0.002", THROTTLE).also(&["connectionDropDecrease"]),
    Row::new("connection_throttle_decrease_ratio", Decimal, "0", THROTTLE).also(&["connectionDecreaseRatio"]),
    Row::new("connection_throttle_weight_enabled", Flag, "false", THROTTLE),
    Row::new("connection_throttle_global_session_weight", ANY, "3", THROTTLE),
    Row::new("connection_throttle_renew_session_weight", ANY, "2", THROTTLE),
    Row::new("connection_throttle_local_session_weight", ANY, "1", THROTTLE),
    Row::new("request_throttle_max_requests", COUNT, "0", Unsupported("globalOutstandingLimit bounds the requests under way")).also(&["requestThrottleLimit"]),
    Row::new("request_throttle_stall_time", ANY, "100", Unsupported("requests are not stalled for a time")).unit("ms").also(&["requestThrottleStallTime"]),
    Row::new("request_throttle_drop_stale", Flag, "true", WithoutEffect("a request whose connection is gone is never begun")).also(&["requestThrottleDropStale"]),
    Row::new("request_stale_connection_check", Flag, "true", WithoutEffect("a request whose connection is gone is never begun")).also(&["requestStaleConnectionCheck"]),
    Row::new("request_stale_latency_check", Flag, "false", Unsupported("requests are not dropped by age")).also(&["requestStaleLatencyCheck"]),
    Row::new("request_throttler.shutdownTimeout", LONG, "10000", THREADS).unit("ms"),
    Row::new("throttled_op_wait_time", COUNT, "0", Unsupported("requests do not wait in a throttler")).unit("ms").also(&["throttledOpWaitTime"]),
    Row::new("largeRequestMaxBytes", ANY, "104857600", Unsupported("jute.maxbuffer and globalOutstandingLimit bound requests")).unit("bytes"),
    Row::new("largeRequestThreshold", ANY, "-1", Unsupported("jute.maxbuffer and globalOutstandingLimit bound requests")).unit("bytes"),
    Row::new("maxResponseCacheSize", ANY, "400", CACHES),
    Row::new("maxGetChildrenResponseCacheSize", ANY, "400", CACHES),
    Row::new("intBufferStartingSizeBytes", ANY, "1024", CACHES).unit("bytes"),
    Row::new("nio.numSelectorThreads", ANY, "", THREADS),
    Row::new("nio.numWorkerThreads", ANY, "", THREADS),
    Row::new("nio.sessionlessCnxnTimeout", POSITIVE, "10000", Honoured).unit("ms"),
    Row::new("nio.directBufferBytes", ANY, "65536", CACHES).unit("bytes"),
    Row::new("nio.shutdownTimeout", ANY, "5000", THREADS).unit("ms"),
    Row::new("netty.*", Text, "", THREADS),
    Row::new("outstandingHandshake.limit", ANY, "-1", TLS).also(&["netty.server.outstandingHandshake.limit"]),
    Row::new("watchManagerName", Text, "", WATCHES),
    Row::new("watcherCleanThreshold", ANY, "1000", WATCHES),
    Row::new("watcherCleanIntervalInSeconds", ANY, "600", WATCHES).unit("s"),
    Row::new("watcherCleanThreadsNum", ANY, "2", WATCHES),
    Row::new("maxInProcessingDeadWatchers", ANY, "-1", WATCHES),
    Row::new("bitHashCacheSize", ANY, "10", WATCHES),
    Row::new("messageTracker.*", Text, "", WithoutEffect("messages are not kept for inspection")),
    Row::new("pathStats.*", Text, "", WithoutEffect("paths are not counted one by one")),
    Row::new("jvm.pause.*", Text, "", JVM),
    Row::new("serverCnxnFactory", Text, "", THREADS),

    // Auth.
    Row::new("skipACL", YesNo, "no", Honoured),
    Row::new("superUser", Text, "", SASL),
    Row::new("superUser.*", Text, "", SASL),
    Row::new("DigestAuthenticationProvider.superDigest", Secret, "", Honoured),
    Row::new("DigestAuthenticationProvider.enabled", Flag, "true", Honoured),
    Row::new("DigestAuthenticationProvider.digestAlg", Text, "SHA1", Honoured),
    Row::new("X509AuthenticationProvider.superUser", Text, "", TLS),
    Row::new("SASLAuthenticationProvider.superPassword", Secret, "", SASL),
    Row::new("IPAuthenticationProvider.usexforwardedfor", Flag, "false", ADMIN),
    Row::new("authProvider.*", Text, "", Unsupported("only the digest, ip and world schemes exist yet; no provider class is loaded")),
    Row::new("sessionRequireClientSASLAuth", Flag, "false", SASL),
    Row::new("allowSaslFailedClients", Flag, "false", SASL),
    Row::new("enforce.auth.enabled", Flag, "false", Honoured),
    Row::new("enforce.auth.schemes", Text, "", Honoured).also(&["enforce.auth.scheme"]),
    Row::new("ensembleAuthName", Text, "", Unsupported("the ensemble scheme is not supported yet")),
    Row::new("enableEagerACLCheck", Flag, "false", ENSEMBLE),
    Row::new("kerberos.removeHostFromPrincipal", Flag, "false", SASL),
    Row::new("kerberos.removeRealmFromPrincipal", Flag, "false", SASL),
    Row::new("security.auth_to_local", Text, "", SASL),
    Row::new("sasl.serverconfig", Text, "Server", SASL),
    Row::new("java.security.auth.login.config", Path, "", SASL),

    // TLS.
    Row::new("ssl.*", Text, "", TLS),
    Row::new("client.portUnification", Flag, "false", TLS),
    Row::new("client.certReload", Flag, "false", TLS),
    Row::new("fips-mode", Flag, "true", WithoutEffect("there is no TLS yet")),

    // Administration.
    Row::new("4lw.commands.whitelist", Text, WHITELIST, Honoured),
    Row::new("admin.enableServer", Flag, "true", ADMIN),
    Row::new("admin.serverAddress", Text, "0.0.0.0", ADMIN),
    Row::new("admin.serverPort", PORT, "8080", ADMIN),
    Row::new("admin.idleTimeout", ANY, "30000", ADMIN).unit("ms"),
    Row::new("admin.commandURL", Text, "/commands", ADMIN),
    Row::new("admin.httpVersion", ANY, "11", ADMIN),
    Row::new("admin.portUnification", Flag, "false", ADMIN),
    Row::new("admin.forceHttps", Flag, "false", ADMIN),
    Row::new("admin.needClientAuth", Flag, "false", ADMIN),
    Row::new("admin.snapshot.enabled", Flag, "true", ADMIN),
    Row::new("admin.restore.enabled", Flag, "true", ADMIN),
    Row::new("admin.rateLimiterIntervalInMS", ANY, "300000", ADMIN).unit("ms"),
    Row::new("metricsProvider.className", Text, "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", METRICS),
    Row::new("metricsProvider.httpHost", Text, "0.0.0.0", METRICS),
    Row::new("metricsProvider.httpPort", Int(-1, 65535), "7000", METRICS),
    Row::new("metricsProvider.exportJvmInfo", Flag, "true", JVM),
    Row::new("metricsProvider.*", Text, "", METRICS),
    Row::new("audit.enable", Flag, "false", AUDIT),
    Row::new("audit.impl.class", Text, "", AUDIT),

    // What scripts and images of Apache ZooKeeper put on the command line.
    Row::new("log.*", Text, "", LOGGING),
    Row::new("root.logger", Text, "", LOGGING),
    Row::new("console.threshold", Text, "", LOGGING),
    Row::new("jmx.*", Text, "", JVM),
    Row::new("java.*", Text, "", JVM),
    Row::new("javax.*", Text, "", JVM),
    Row::new("com.sun.*", Text, "", JVM),
    Row::new("sun.*", Text, "", JVM),
    Row::new("jdk.*", Text, "", JVM),
    Row::new("log4j*", Text, "", LOGGING),
    Row::new("logback.*", Text, "", LOGGING),
    Row::new("file.encoding", Text, "", JVM),

    // Our own.
    Row::new("zorilla.memoryBudget", Bytes, "", Honoured).unit("bytes"),
    Row::new("zorilla.maxOutgoingBytes", Bytes, "64m", Honoured).unit("bytes"),
];
