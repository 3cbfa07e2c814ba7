//! The numbers of `mntr`, in the form of Apache's default metrics provider.

use super::four_letter::average;
use super::metric_names::{ADVANCED, BASIC, COUNTERS};
use std::collections::HashMap;
use std::fmt::Write;

/// Counted values of one summary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: i64,
    /// The least of them; 0 when there is none.
    pub min: i64,
    /// The greatest of them; 0 when there is none.
    pub max: i64,
    /// What 50, 95, 99 and 99.9 % of them do not exceed.
    pub quantiles: [i64; 4],
}

/// What a standalone server counts. Every name that Apache has is printed; what is not counted here is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    /// Least, average and most milliseconds of a request.
    pub latency_ms: (i64, f64, i64),
    /// Requests received.
    pub packets_received: u64,
    /// Replies and events sent.
    pub packets_sent: u64,
    /// Open connections.
    pub alive_connections: u64,
    /// Requests under way.
    pub outstanding_requests: u64,
    /// Milliseconds since the start.
    pub uptime_ms: i64,
    /// Znodes.
    pub znodes: u64,
    /// Watches of every kind, child watches included.
    pub watches: u64,
    /// Ephemeral znodes.
    pub ephemerals: u64,
    /// Bytes of paths and data.
    pub approximate_data_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Open files of the process.
    pub open_files: u64,
    /// Its limit.
    pub open_files_max: u64,
    /// Bytes of the last, greatest and least reply to a client; -1 before the first.
    pub response_bytes: (i64, i64, i64),
    /// Failed authentications.
    pub auth_failed: u64,
    /// Counters by Apache's name without `zk_`.
    pub counters: HashMap<&'static str, u64>,
    /// Summaries by Apache's name.
    pub summaries: HashMap<&'static str, Summary>,
    /// Gauges and counters of quotas: name of the gauge, top of the path, value.
    pub quotas: Vec<(&'static str, String, i64)>,
    /// Summaries of reads and writes: name, top of the path, values.
    pub namespaces: Vec<(&'static str, String, Summary)>,
}

/// The lines after the server's state.
pub(super) fn text(monitor: &Monitor) -> String {
    let mut text = String::new();
    for (name, value) in gauges(monitor) {
        let _ = writeln!(text, "zk_{name}\t{value}");
    }
    for (name, key, value) in &monitor.quotas {
        let _ = writeln!(text, "zk_{key}_{name}\t{value}");
    }
    for name in COUNTERS {
        let value = monitor.counters.get(name).copied().unwrap_or_default();
        let _ = writeln!(text, "zk_{name}\t{value}");
    }
    let named = |name: &str| monitor.summaries.get(name).copied().unwrap_or_default();
    for name in BASIC {
        push_summary(&mut text, name, &named(name));
    }
    for name in ADVANCED {
        push_summary(&mut text, name, &named(name));
        push_quantiles(&mut text, name, &named(name));
    }
    for (name, key, summary) in &monitor.namespaces {
        push_summary(&mut text, &format!("{key}_{name}"), summary);
    }
    text
}

fn gauges(m: &Monitor) -> Vec<(&'static str, String)> {
    let (latency_min, latency_avg, latency_max) = m.latency_ms;
    let (response_last, response_max, response_min) = m.response_bytes;
    vec![
        ("avg_latency", average(latency_avg)),
        ("max_latency", latency_max.to_string()),
        ("min_latency", latency_min.to_string()),
        ("packets_received", m.packets_received.to_string()),
        ("packets_sent", m.packets_sent.to_string()),
        ("num_alive_connections", m.alive_connections.to_string()),
        ("outstanding_requests", m.outstanding_requests.to_string()),
        ("uptime", m.uptime_ms.to_string()),
        ("znode_count", m.znodes.to_string()),
        ("watch_count", m.watches.to_string()),
        ("ephemerals_count", m.ephemerals.to_string()),
        ("approximate_data_size", m.approximate_data_bytes.to_string()),
        ("open_file_descriptor_count", m.open_files.to_string()),
        ("max_file_descriptor_count", m.open_files_max.to_string()),
        ("global_sessions", m.sessions.to_string()),
        ("local_sessions", "0".to_owned()),
        ("connection_drop_probability", average(0.0)),
        ("last_client_response_size", response_last.to_string()),
        ("max_client_response_size", response_max.to_string()),
        ("min_client_response_size", response_min.to_string()),
        ("outstanding_tls_handshake", "0".to_owned()),
        ("auth_failed_count", m.auth_failed.to_string()),
        ("non_mtls_remote_conn_count", "0".to_owned()),
        ("non_mtls_local_conn_count", "0".to_owned()),
    ]
}

fn push_summary(text: &mut String, name: &str, s: &Summary) {
    let mean = if s.count == 0 { 0.0 } else { s.sum as f64 / s.count as f64 };
    let _ = write!(
        text,
        "zk_avg_{name}\t{}\nzk_min_{name}\t{}\nzk_max_{name}\t{}\nzk_cnt_{name}\t{}\nzk_sum_{name}\t{}\n",
        average(mean),
        s.min,
        s.max,
        s.count,
        s.sum
    );
}

fn push_quantiles(text: &mut String, name: &str, s: &Summary) {
    for (quantile, value) in ["p50", "p95", "p99", "p999"].iter().zip(s.quantiles) {
        let _ = writeln!(text, "zk_{quantile}_{name}\t{value}");
    }
}
