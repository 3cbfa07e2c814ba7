//! The driver and its wiring: start, run, stop.

pub mod driver;
pub mod inbox;
pub mod memory;
pub mod reads;
pub mod recovery;
pub mod shared;
pub mod words;

use crate::config::Config;
use crate::exit::Exit;
use crate::net::connection::Ending;
use crate::net::{address, listener};
use crate::storage::dir::DataDir;
use crate::storage::log::{LogOptions, TxnLog};
use crate::storage::store::{Checkpointer, Store};
use crate::time::Clock;
use driver::{Driver, Input, Parts};
use parking_lot::{Mutex, RwLock};
use shared::{Limits, Outstanding, Shared, Stats};
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{error, info};
use zorilla_core::session::{SessionIds, SessionTracker};
use zorilla_core::tree::cold::ColdNodes;
use zorilla_core::watch::Watches;
use zorilla_core::zab::{Broadcast, Majority};
use zorilla_protocol::Sid;

/// How long the driver may take to finish what is under way when told to stop.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Unwritten changes that begin a checkpoint, at most: what a restart has to replay, and what one checkpoint writes.
const CHECKPOINT_BYTES_MAX: usize = 128 << 20;
/// Threads that may wait for the store at a time. Each keeps memory of its own in the allocator: hundreds, which is
/// what tokio would begin, kept a gigabyte.
const STORE_READERS_MAX: usize = 4;
/// Bytes of writes under way, however large the budget is. Each is there up to four times: as received, as a txn, as
/// its record, in the log's buffer.
const OUTSTANDING_BYTES_MAX: usize = 32 << 20;
/// A log file is closed at this size where nothing else is configured: only whole files can be purged.
const ROLL_BYTES: u64 = 256 << 20;
/// What `gtmk` shows in Apache unless it was set.
const TRACE_MASK_DEFAULT: i64 = 306;

/// Serves until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("net")
        .max_blocking_threads(STORE_READERS_MAX)
        .build()
        .map_err(|e| Exit::Unexpected(format!("cannot start the network threads: {e}")))?;
    runtime.block_on(serve(Arc::new(config)))
}

async fn serve(config: Arc<Config>) -> Result<(), Exit> {
    // Asked for first: a port in use is worth knowing before a long recovery. Clients that come
    // meanwhile wait in the backlog.
    let listener = bind(&config)?;
    let dir = DataDir::open(&config.data_dir, &config.data_log_dir, config.datadir_autocreate)
        .map_err(|e| Exit::DataDir(e.to_string()))?;
    let (shared, driver) = tokio::task::block_in_place(|| start(&config, &dir))?;
    let (ended, mut driver_ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("driver".to_owned())
        .spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| driver.run()));
            // The receiver lives as long as the server.
            let _ = ended.send(result.unwrap_or_else(|_| Err("an internal check failed, see above".to_owned())));
        })
        .map_err(|e| Exit::Unexpected(format!("cannot start the driver's thread: {e}")))?;
    let accepting = listener.map(|listener| tokio::spawn(listener::accept(shared.clone(), listener)));

    let signal = tokio::select! {
        result = &mut driver_ended => return Err(failed(result)),
        signal = stop_signal() => signal?,
    };
    info!("{signal}: finishing what is under way");
    if let Some(accepting) = accepting {
        accepting.abort();
    }
    shared.stopping.store(true, Ordering::Relaxed);
    shared.inbox.push(Input::Stop);
    let result = tokio::time::timeout(STOP_MAX, driver_ended)
        .await
        .map_err(|_| Exit::Unexpected(format!("not finished after {STOP_MAX:?}; nothing acknowledged is lost")))?;
    close_connections(&shared).await;
    match result {
        Ok(Ok(())) => {
            info!("stopped; the log is closed");
            Ok(())
        }
        result => Err(failed(result)),
    }
}

fn failed(result: Result<Result<(), String>, oneshot::error::RecvError>) -> Exit {
    let text = match result {
        Ok(Ok(())) => "the driver stopped by itself".to_owned(),
        Ok(Err(text)) => text,
        Err(_) => "the driver's thread is gone".to_owned(),
    };
    error!("stopping: {text}");
    Exit::Unexpected(text)
}

async fn stop_signal() -> Result<&'static str, Exit> {
    let cannot = |e| Exit::Unexpected(format!("cannot listen for signals: {e}"));
    let mut term = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut int = signal(SignalKind::interrupt()).map_err(cannot)?;
    Ok(tokio::select! { _ = term.recv() => "SIGTERM", _ = int.recv() => "SIGINT" })
}

/// Replies that are ready still leave.
async fn close_connections(shared: &Shared) {
    let open: Vec<_> = shared.connections.read().values().cloned().collect();
    for conn in open {
        conn.end(Ending::AfterReady);
    }
    for _ in 0..50 {
        if shared.connections.read().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bind(config: &Config) -> Result<Option<TcpListener>, Exit> {
    let Some(port) = config.client_port else { return Ok(None) };
    let (host, backlog) = (config.client_port_address.as_deref(), config.client_port_listen_backlog);
    // As Apache without an address: every interface, over IPv6 and IPv4 where the system can.
    let candidates = match host {
        Some(host) => address::resolve(host, port).map_err(|why| Exit::cannot_bind(&format!("{host}:{port}"), &why))?,
        None => vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))],
    };
    let mut refused = None;
    for address in candidates {
        match listener::bind(address, backlog) {
            Ok(listener) => {
                info!("binding to port {address}");
                return Ok(Some(listener));
            }
            Err(why) => refused = Some(Exit::cannot_bind(&address.to_string(), &why)),
        }
    }
    Err(refused.unwrap_or_else(|| Exit::Unexpected(format!("clientPortAddress {host:?} has no address"))))
}

/// Opens the store, replays the log, and makes the parts of a running server.
fn start(config: &Arc<Config>, dir: &DataDir) -> Result<(Arc<Shared>, Driver), Exit> {
    let store_bytes = bytes(config.memory_budget_bytes / 4);
    let store = Arc::new(Store::open(dir.tree(), store_bytes).map_err(|e| Exit::Unexpected(e.to_string()))?);
    let limits = limits(config);
    let recovered = recovery::recover(&store, dir.logs(), &limits, config.digest_enabled)
        .map_err(|e| Exit::Unexpected(e.to_string()))?;
    let clock = Clock::start();
    let mut tracker = SessionTracker::new(i64::from(config.tick_time_ms));
    for (id, timeout_ms) in recovered.tree.sessions() {
        tracker.add(id, timeout_ms, clock.now_ms());
    }
    let last = recovered.last;
    info!(zxid = %last, znodes = recovered.tree.znode_count(), sessions = tracker.len(), "the tree is loaded");
    let shared = Arc::new(Shared {
        clock,
        rules: recovery::rules(config),
        tree: RwLock::new(recovered.tree),
        cold: store.clone() as Arc<dyn ColdNodes>,
        watches: Mutex::new(Watches::new()),
        connections: RwLock::new(HashMap::new()),
        per_address: Mutex::new(HashMap::new()),
        inbox: inbox::Inbox::default(),
        event_bytes: AtomicUsize::new(0),
        tree_bytes_max: AtomicUsize::new(limits.tree_bytes_max),
        limits,
        outstanding: Outstanding::default(),
        stats: Stats::default(),
        trace_mask: AtomicI64::new(TRACE_MASK_DEFAULT),
        stopping: AtomicBool::new(false),
        config: config.clone(),
    });
    let to_driver = shared.clone();
    let options = LogOptions {
        dir: dir.logs().to_owned(),
        pre_alloc_bytes: config.pre_alloc_bytes,
        force_sync: config.force_sync,
        fsync_warning_ms: config.fsync_warning_threshold_ms,
        roll_records_max: u64::from(config.snap_count),
        roll_bytes_max: config.txn_log_size_limit_bytes.or(Some(ROLL_BYTES)),
    };
    let log = TxnLog::start(options, last, move |event| to_driver.inbox.push(Input::Log(event)))
        .map_err(|e| Exit::Unexpected(e.to_string()))?;
    let to_driver = shared.clone();
    let checkpointer = Checkpointer::start(store, move |result| to_driver.inbox.push(Input::Checkpointed(result)))
        .map_err(|e| Exit::Unexpected(format!("cannot start the checkpoint thread: {e}")))?;
    let me = Sid(i64::from(config.server_id));
    let driver = Driver::new(Parts {
        shared: shared.clone(),
        log,
        checkpointer,
        me,
        broadcast: Broadcast::new(Majority::of([me]), last),
        tracker,
        unwritten: recovered.unwritten,
        ids: SessionIds::new(clock.wall_ms(), config.server_id),
    });
    Ok((shared, driver))
}

/// What memory, connections and requests are allowed to take.
pub fn limits(config: &Config) -> Limits {
    // Of the budget: the tree 3/8, the store's cache 1/4, writes and events under way 1/8, what a checkpoint being
    // written holds back 1/16; the rest is what allocators keep.
    let tree_bytes_max = bytes(config.memory_budget_bytes / 8 * 3);
    let checkpoint_bytes = (tree_bytes_max / 6).min(CHECKPOINT_BYTES_MAX);
    let frame_bytes_max = config.jute_maxbuffer_bytes as usize;
    Limits {
        frame_bytes_max,
        field_bytes_max: frame_bytes_max + config.jute_maxbuffer_extra_bytes as usize,
        outstanding_max: config.global_outstanding_limit as usize,
        outstanding_bytes_max: bytes(config.memory_budget_bytes / 32).min(OUTSTANDING_BYTES_MAX),
        out_bytes_max: bytes(config.out_bytes_max),
        event_bytes_max: bytes(config.memory_budget_bytes / 16).min(128 << 20),
        sessionless_ms: config.sessionless_cnxn_timeout_ms,
        per_address_max: config.max_client_cnxns as usize,
        connections_max: config.max_cnxns as usize,
        session_timeout_ms: (config.min_session_timeout_ms, config.max_session_timeout_ms),
        enforce_auth: config.enforce_auth_schemes.clone(),
        budget_bytes: bytes(config.memory_budget_bytes),
        tree_bytes_max,
        checkpoint_bytes,
        dirty_bytes_max: (tree_bytes_max / 3).max(checkpoint_bytes * 2),
    }
}

/// A number of bytes that this machine can count.
fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
