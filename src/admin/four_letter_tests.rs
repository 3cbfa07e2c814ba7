//! Every answer against one that an Apache ZooKeeper 3.9.4 gave for the same numbers.

use super::super::metric_names::{ADVANCED, BASIC, COUNTERS};
use super::super::monitor::Summary;
use super::*;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

const APACHE: &str = "3.9.4-7246445ec281f3dbf53dc54e970c914f39713903, built on 2025-08-19 19:53 UTC";

/// The server at the moment when its answers were recorded.
struct Recorded {
    mode: Mode,
    asker: u16,
    reset: Cell<bool>,
    trace_mask: Cell<i64>,
    calls: RefCell<Vec<&'static str>>,
    monitor: Monitor,
}

fn server(mode: Mode) -> Recorded {
    Recorded {
        mode,
        asker: 35830,
        reset: Cell::new(false),
        trace_mask: Cell::new(306),
        calls: RefCell::default(),
        monitor: Monitor::default(),
    }
}

const A: SessionId = SessionId(0x0100_0041_d3dc_0000);
const B: SessionId = SessionId(0x0100_0041_d3dc_0001);

impl Recorded {
    fn client(&self, port: u16, id: SessionId, mut session: SessionView, count: u64) -> ConnectionView {
        if self.reset.get() {
            session.last_op = "NA";
            session.last_cxid = -1;
            session.last_zxid = Zxid::NONE;
            session.last_response_ms = 0;
            session.last_latency_ms = 0;
            session.latency_ms = (0, 0, 0);
        }
        session.id = id;
        let count = if self.reset.get() { 0 } else { count };
        ConnectionView {
            peer: format!("127.0.0.1:{port}"),
            interest_ops: 1,
            queued: 0,
            received: count,
            sent: count,
            session: Some(session),
        }
    }
}

impl ServerView for Recorded {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn counters(&self) -> Counters {
        Counters {
            latency_ms: (0, 0.726_94, 11),
            received: 219,
            sent: 221,
            connections: 3,
            outstanding: 0,
            zxid: Zxid(0xd0),
            nodes: 11,
        }
    }

    fn connections(&self) -> Vec<ConnectionView> {
        let session = |last_op, timeout_ms| SessionView {
            id: SessionId::NONE,
            last_op,
            established_ms: 1_795_237_635_118,
            timeout_ms,
            last_cxid: 0xd2,
            last_zxid: Zxid(0xd0),
            last_response_ms: 4_356_141,
            last_latency_ms: 2,
            latency_ms: (0, 0, 11),
        };
        let second = SessionView {
            established_ms: 1_795_237_635_145,
            last_cxid: 4,
            last_response_ms: 4_356_145,
            latency_ms: (0, 1, 3),
            ..session("GETC", 30_000)
        };
        let asker = ConnectionView {
            peer: format!("127.0.0.1:{}", self.asker),
            interest_ops: 0,
            queued: 0,
            received: 1,
            sent: 0,
            session: None,
        };
        vec![asker, self.client(35778, A, session("GETD", 10_000), 211), self.client(35780, B, second, 5)]
    }

    fn conf(&self) -> ConfView {
        ConfView {
            client_port: Some(21815),
            data_dir: "/data/version-2".into(),
            data_dir_bytes: 67_109_358,
            data_log_dir: "/data/version-2".into(),
            data_log_bytes: 67_109_358,
            tick_time_ms: 2000,
            max_client_cnxns: 60,
            session_timeout_ms: (4000, 40_000),
            listen_backlog: None,
            server_id: 0,
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        [("host.name", "localhost"), ("java.version", "17.0.15"), ("os.name", "Linux"), ("os.memory.free", "285MB")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .to_vec()
    }

    fn dir_bytes(&self) -> (u64, u64) {
        (67_109_358, 67_109_358)
    }

    fn session_buckets(&self) -> Buckets<SessionId> {
        // 05:07:25, :27, :45 and :47 of 21 November 2026.
        let at = |s: i64| 1_795_237_600_000 + s * 1000;
        vec![(at(45), vec![]), (at(47), vec![A]), (at(65), vec![]), (at(67), vec![B])]
    }

    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        vec![(B, vec!["/e3".into()]), (A, vec!["/a/e2".into(), "/e1".into()])]
    }

    fn connection_buckets(&self) -> Buckets<(String, SessionId)> {
        let at = |s: i64| 1_795_237_600_000 + s * 1000;
        let of = |port: u16, id| (format!("127.0.0.1:{port}"), id);
        vec![(at(49), vec![of(35832, SessionId::NONE), of(35778, A)]), (at(69), vec![of(35780, B)])]
    }

    fn watch_summary(&self) -> WatchSummary {
        WatchSummary { connections: 2, paths: 2, watches: 3 }
    }

    fn watches(&self) -> Vec<(SessionId, Vec<String>)> {
        vec![(A, vec!["/a/b/c".into()]), (B, vec!["/nothere".into(), "/a/b/c".into()])]
    }

    fn digests(&self) -> Vec<(Zxid, i64)> {
        vec![(Zxid(0x80), 6_826_139_449)]
    }

    fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    fn trace_mask(&self) -> i64 {
        self.trace_mask.get()
    }

    fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.set(mask);
    }

    fn reset_server_stats(&self) {
        self.calls.borrow_mut().push("srst");
    }

    fn reset_connection_stats(&self) {
        self.reset.set(true);
    }
}

fn all() -> Whitelist {
    Whitelist::new("*", false)
}

fn answered(word: Word) -> String {
    answer(word, &all(), &server(Mode::Standalone))
}

/// What Apache said, with our version in the place of its own.
fn recorded(text: &str) -> String {
    text.replace(APACHE, VERSION)
}

#[test]
fn answers_are_apaches_byte_for_byte() {
    for (word, apache) in [
        (Word::Srvr, include_str!("testdata/srvr.txt")),
        (Word::Conf, include_str!("testdata/conf.txt")),
        (Word::Cons, include_str!("testdata/cons.txt")),
        (Word::Dump, include_str!("testdata/dump.txt")),
        (Word::Dirs, include_str!("testdata/dirs.txt")),
        (Word::Hash, include_str!("testdata/hash.txt")),
        (Word::Wchs, include_str!("testdata/wchs.txt")),
        (Word::Wchc, include_str!("testdata/wchc.txt")),
        (Word::Envi, include_str!("testdata/envi.txt")),
    ] {
        assert_eq!(answered(word), recorded(apache), "{}", word.text());
    }
    for (word, apache) in [
        (Word::Ruok, "imok"),
        (Word::Isro, "rw"),
        (Word::Gtmk, "306"),
        (Word::Crst, "Connection stats reset.\n"),
        (Word::Srst, "Server stats reset.\n"),
    ] {
        assert_eq!(answered(word), apache);
    }
}

#[test]
fn stat_is_apaches_but_for_the_order_of_clients() {
    let view = Recorded { asker: 35816, ..server(Mode::Standalone) };
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[2..5].sort();
        lines
    };
    // The recorded stat came one request after the recorded srvr.
    let ours = answer(Word::Stat, &all(), &view).replace("Received: 219", "Received: 220").replace("221", "222");
    assert_eq!(sorted(&ours), sorted(&recorded(include_str!("testdata/stat.txt"))));
}

#[test]
fn wchp_is_apaches_but_for_the_order() {
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let ours = answered(Word::Wchp);
    assert_eq!(lines(&ours), lines(include_str!("testdata/wchp.txt")));
    assert!(ours.ends_with("\n\n"));
    assert_eq!(ours, "/a/b/c\n\t0x1000041d3dc0000\n\t0x1000041d3dc0001\n/nothere\n\t0x1000041d3dc0001\n\n");
}

#[test]
fn connections_after_crst() {
    let view = Recorded { asker: 35906, ..server(Mode::Standalone) };
    answer(Word::Crst, &all(), &view);
    assert_eq!(answer(Word::Cons, &all(), &view), include_str!("testdata/cons-reset.txt"));
}

#[test]
fn srst_resets() {
    let view = server(Mode::Standalone);
    answer(Word::Srst, &all(), &view);
    assert_eq!(*view.calls.borrow(), ["srst"]);
    answer(Word::Srst, &Whitelist::new("", false), &view);
    assert_eq!(view.calls.borrow().len(), 1, "a word that is not allowed does nothing");
}

#[test]
fn whitelist_rule() {
    let few = Whitelist::new("ruok", false);
    for word in Word::ALL {
        let text = answer(*word, &few, &server(Mode::Standalone));
        let refused = format!("{} is not executed because it is not in the whitelist.\n", word.text());
        let allowed = matches!(word, Word::Ruok | Word::Srvr);
        assert_eq!(text != refused, allowed, "{}: {text}", word.text());
    }
}

#[test]
fn a_server_that_does_not_serve() {
    for word in Word::ALL {
        let text = answer(*word, &all(), &server(Mode::NotServing));
        match word {
            Word::Ruok => assert_eq!(text, "imok"),
            Word::Isro => assert_eq!(text, "null"),
            Word::Gtmk | Word::Stmk => assert_eq!(text, "306"),
            Word::Envi => assert!(text.starts_with("Environment:\n")),
            _ => assert_eq!(text, "This ZooKeeper instance is not currently serving requests\n", "{}", word.text()),
        }
    }
}

#[test]
fn first_bytes() {
    assert_eq!(FirstBytes::of(b"ruo"), FirstBytes::Unfinished);
    assert_eq!(FirstBytes::of(b"ruok"), FirstBytes::Word(Word::Ruok));
    assert_eq!(FirstBytes::of(b"ruok\r\n"), FirstBytes::Word(Word::Ruok));
    assert_eq!(FirstBytes::of(b"stmk\0\0\0"), FirstBytes::Unfinished);
    assert_eq!(FirstBytes::of(b"stmk\0\0\0\0\0\0\x01\x02\n"), FirstBytes::SetTraceMask(258));
    for other in [b"kill", b"reqs", b"lead", b"RUOK", b"\0\0\0\x2c"] {
        assert_eq!(FirstBytes::of(other), FirstBytes::NoWord, "{other:?}");
    }
}

#[test]
fn trace_mask_is_kept_and_shown() {
    let view = server(Mode::Standalone);
    assert_eq!(set_trace_mask(258, &all(), &view), "258");
    assert_eq!(answer(Word::Gtmk, &all(), &view), "258");
    set_trace_mask(1, &Whitelist::new("", false), &view);
    assert_eq!(view.trace_mask(), 258, "not allowed, not set");
}

#[test]
fn parsers_accept_the_version() {
    let number = VERSION.split('-').next().unwrap();
    let parts: Vec<u32> = number.split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!(parts, [3, 9, 4]);
    assert!(VERSION.contains(", built on "));
}

#[test]
fn dates_are_javas() {
    assert_eq!(date(0), "Thu Jan 01 00:00:00 UTC 1970");
    assert_eq!(date(1_795_237_645_000), "Sat Nov 21 05:07:25 UTC 2026");
    assert_eq!(date(951_782_400_000), "Tue Feb 29 00:00:00 UTC 2000");
    assert_eq!(date(-1), "Wed Dec 31 23:59:59 UTC 1969");
}

/// Apache's `mntr` read into a `Monitor` and printed again: the same lines, whatever their order.
#[test]
fn mntr_is_apaches_line_for_line() {
    let apache = recorded(include_str!("testdata/mntr.txt"));
    let values: HashMap<&str, &str> =
        apache.lines().filter_map(|line| line.strip_prefix("zk_")?.split_once('\t')).collect();
    let view = Recorded { monitor: monitor_of(&values), ..server(Mode::Standalone) };
    let ours = answer(Word::Mntr, &all(), &view);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&ours), sorted(&apache));
    assert!(ours.starts_with(&format!("zk_version\t{VERSION}\nzk_server_state\tstandalone\n")), "{ours}");
}

fn monitor_of(values: &HashMap<&str, &str>) -> Monitor {
    let int = |name: &str| -> i64 { values[name].parse().unwrap() };
    let count = |name: &str| -> u64 { values[name].parse().unwrap() };
    let summary = |name: &str| Summary {
        count: count(&format!("cnt_{name}")),
        sum: int(&format!("sum_{name}")),
        min: int(&format!("min_{name}")),
        max: int(&format!("max_{name}")),
        quantiles: ["p50", "p95", "p99", "p999"]
            .map(|q| values.get(format!("{q}_{name}").as_str()).map_or(0, |v| v.parse().unwrap())),
    };
    let mut quotas = Vec::new();
    let mut namespaces = Vec::new();
    for key in ["q", "a", "zookeeper", "e1", "e3"] {
        for name in ["read_per_namespace", "write_per_namespace"] {
            if values.contains_key(format!("cnt_{key}_{name}").as_str()) {
                namespaces.push((name, key.to_owned(), summary(&format!("{key}_{name}"))));
            }
        }
        for name in [
            "quota_bytes_limit_per_namespace",
            "quota_bytes_usage_per_namespace",
            "quota_count_limit_per_namespace",
            "quota_count_usage_per_namespace",
            "quota_exceeded_error_per_namespace",
        ] {
            if let Some(value) = values.get(format!("{key}_{name}").as_str()) {
                quotas.push((name, key.to_owned(), value.parse().unwrap()));
            }
        }
    }
    Monitor {
        latency_ms: (int("min_latency"), values["avg_latency"].parse().unwrap(), int("max_latency")),
        packets_received: count("packets_received"),
        packets_sent: count("packets_sent"),
        alive_connections: count("num_alive_connections"),
        outstanding_requests: count("outstanding_requests"),
        uptime_ms: int("uptime"),
        znodes: count("znode_count"),
        watches: count("watch_count"),
        ephemerals: count("ephemerals_count"),
        approximate_data_bytes: count("approximate_data_size"),
        sessions: count("global_sessions"),
        open_files: count("open_file_descriptor_count"),
        open_files_max: count("max_file_descriptor_count"),
        response_bytes: (
            int("last_client_response_size"),
            int("max_client_response_size"),
            int("min_client_response_size"),
        ),
        auth_failed: count("auth_failed_count"),
        counters: COUNTERS.iter().map(|name| (*name, count(name))).collect(),
        summaries: BASIC.iter().chain(ADVANCED).map(|name| (*name, summary(name))).collect(),
        quotas,
        namespaces,
    }
}
