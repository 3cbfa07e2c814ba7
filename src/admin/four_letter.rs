//! Four-letter words: four bytes at the start of a connection, a text back (Java: `server.command`).
//!
//! Everything here is text. What it says comes from a [`ServerView`], so that every answer is compared byte for byte
//! with one that an Apache ZooKeeper 3.9.4 gave (`testdata/`).

use super::monitor::{self, Monitor};
use crate::config::Whitelist;
use std::collections::BTreeMap;
use std::fmt::Write;
use zorilla_protocol::ids::{SessionId, Zxid};

/// Parsers take the number in front and compare it with 3.4 and 3.5; the rest says who answers.
pub const VERSION: &str = concat!("3.9.4-zorilla-", env!("CARGO_PKG_VERSION"), ", built on 2026-11-21 00:00 UTC");

macro_rules! words {
    ($($word:ident = $text:literal),* $(,)?) => {
        /// The words of ZooKeeper 3.9; nothing else is one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Word { $($word),* }

        impl Word {
            /// Every word.
            pub const ALL: &[Word] = &[$(Word::$word),*];

            /// The word as it is sent.
            pub fn text(self) -> &'static str {
                match self { $(Word::$word => $text),* }
            }
        }
    };
}

words! {
    Conf = "conf", Cons = "cons", Crst = "crst", Dirs = "dirs", Dump = "dump", Envi = "envi", Gtmk = "gtmk",
    Hash = "hash", Isro = "isro", Mntr = "mntr", Ruok = "ruok", Srst = "srst", Srvr = "srvr", Stat = "stat",
    Stmk = "stmk", Wchc = "wchc", Wchp = "wchp", Wchs = "wchs",
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// Too few to tell: read on.
    Unfinished,
    /// No word; a frame's length then.
    NoWord,
    /// A word. What follows it (a line end, say) is ignored.
    Word(Word),
    /// `stmk` with its new mask.
    SetTraceMask(i64),
}

impl FirstBytes {
    /// Looks at what a fresh connection sent so far.
    pub fn of(received: &[u8]) -> FirstBytes {
        let Some((four, rest)) = received.split_first_chunk::<4>() else { return FirstBytes::Unfinished };
        match Word::ALL.iter().find(|word| word.text().as_bytes() == four) {
            None => FirstBytes::NoWord,
            Some(Word::Stmk) => match rest.first_chunk::<8>() {
                Some(mask) => FirstBytes::SetTraceMask(i64::from_be_bytes(*mask)),
                None => FirstBytes::Unfinished,
            },
            Some(word) => FirstBytes::Word(*word),
        }
    }
}

/// What a server is at the moment, as `Mode:` and `isro` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Starting or stopping: most words are not answered.
    NotServing,
    /// Serving alone.
    Standalone,
}

/// The numbers of `srvr` and `stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Least, average and most milliseconds of a request since the last reset.
    pub latency_ms: (i64, f64, i64),
    /// Requests received.
    pub received: u64,
    /// Replies and events sent.
    pub sent: u64,
    /// Open connections, the asking one included.
    pub connections: usize,
    /// Requests under way.
    pub outstanding: usize,
    /// The last zxid applied.
    pub zxid: Zxid,
    /// Znodes in the tree.
    pub nodes: u64,
}

/// One connection, for `stat`, `cons` and `dump`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionView {
    /// Address and port of the client.
    pub peer: String,
    /// What it waits for: 1 reading, 4 writing, 0 for the connection that asks.
    pub interest_ops: u32,
    /// Replies that are not sent yet.
    pub queued: usize,
    /// Requests received.
    pub received: u64,
    /// Replies and events sent.
    pub sent: u64,
    /// What only a connection with a session has.
    pub session: Option<SessionView>,
}

/// The session's part of a `cons` line.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// The session.
    pub id: SessionId,
    /// The last operation: `NA` before the first, else `PING`, `GETD`, ...
    pub last_op: &'static str,
    /// When the connection was made, in milliseconds since 1970.
    pub established_ms: i64,
    /// The negotiated time-out.
    pub timeout_ms: i32,
    /// The client's number of the last request; not shown if it is negative.
    pub last_cxid: i32,
    /// The zxid of the last reply; [`Zxid::NONE`] before the first.
    pub last_zxid: Zxid,
    /// When the last reply left, on the server's own clock.
    pub last_response_ms: i64,
    /// Milliseconds of the last request.
    pub last_latency_ms: i64,
    /// Least, average and most milliseconds.
    pub latency_ms: (i64, i64, i64),
}

/// Sessions or connections that run out together: when, in milliseconds since 1970, and who.
pub type Buckets<T> = Vec<(i64, Vec<T>)>;

/// `wchs`, which must not cost what `wchc` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Connections with at least one watch.
    pub connections: usize,
    /// Paths with at least one watch.
    pub paths: usize,
    /// Watches.
    pub watches: usize,
}

/// The lines of `conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfView {
    /// `None` prints -1.
    pub client_port: Option<u16>,
    /// `dataDir/version-2`, absolute.
    pub data_dir: String,
    /// Bytes in it.
    pub data_dir_bytes: u64,
    /// `dataLogDir/version-2`, absolute.
    pub data_log_dir: String,
    /// Bytes in it.
    pub data_log_bytes: u64,
    /// One tick.
    pub tick_time_ms: u32,
    /// Connections per address.
    pub max_client_cnxns: u32,
    /// Bounds of the session time-out.
    pub session_timeout_ms: (i32, i32),
    /// `None` prints -1.
    pub listen_backlog: Option<u32>,
    /// 0 for a standalone server, whatever its `myid`.
    pub server_id: u8,
}

/// What the words tell about. Methods are called only for the words that need them. Watches are those that Apache
/// counts here: data and exists watches and persistent ones, without child watches.
pub trait ServerView {
    /// Whether it serves, and as what.
    fn mode(&self) -> Mode;
    /// For `srvr` and `stat`.
    fn counters(&self) -> Counters;
    /// Every open connection.
    fn connections(&self) -> Vec<ConnectionView>;
    /// For `conf`.
    fn conf(&self) -> ConfView;
    /// Names and values behind `Environment:` and the version, in order.
    fn environment(&self) -> Vec<(String, String)>;
    /// Bytes of the data directory and of the log directory.
    fn dir_bytes(&self) -> (u64, u64);
    /// Sessions by the time when they expire, empty buckets included.
    fn session_buckets(&self) -> Buckets<SessionId>;
    /// Sessions with their ephemerals.
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)>;
    /// Connections by the time when they are closed if they stay silent: address, and session or none.
    fn connection_buckets(&self) -> Buckets<(String, SessionId)>;
    /// For `wchs`.
    fn watch_summary(&self) -> WatchSummary;
    /// Sessions with the paths they watch.
    fn watches(&self) -> Vec<(SessionId, Vec<String>)>;
    /// The digests that were kept: zxid and digest.
    fn digests(&self) -> Vec<(Zxid, i64)>;
    /// For `mntr`.
    fn monitor(&self) -> Monitor;
    /// Apache's trace mask, which is only kept and shown: 306 unless it was set.
    fn trace_mask(&self) -> i64;
    /// `stmk`.
    fn set_trace_mask(&self, mask: i64);
    /// `srst`.
    fn reset_server_stats(&self);
    /// `crst`.
    fn reset_connection_stats(&self);
}

/// The answer to a word; the connection is closed after it.
pub fn answer(word: Word, whitelist: &Whitelist, view: &impl ServerView) -> String {
    if !whitelist.allows(word.text()) {
        return format!("{} is not executed because it is not in the whitelist.\n", word.text());
    }
    match word {
        Word::Ruok => "imok".to_owned(),
        Word::Envi => envi(view),
        Word::Gtmk | Word::Stmk => view.trace_mask().to_string(),
        Word::Isro if view.mode() == Mode::NotServing => "null".to_owned(),
        _ if view.mode() == Mode::NotServing => {
            "This ZooKeeper instance is not currently serving requests\n".to_owned()
        }
        Word::Isro => "rw".to_owned(),
        Word::Conf => conf(&view.conf()),
        Word::Cons => cons(&view.connections()),
        Word::Crst => {
            view.reset_connection_stats();
            "Connection stats reset.\n".to_owned()
        }
        Word::Srst => {
            view.reset_server_stats();
            "Server stats reset.\n".to_owned()
        }
        Word::Dirs => {
            let (data, log) = view.dir_bytes();
            format!("datadir_size: {data}\nlogdir_size: {log}\n")
        }
        Word::Dump => dump(view),
        Word::Hash => view.digests().iter().map(|(zxid, digest)| format!("{:x}: {digest}\n", zxid.0)).collect(),
        Word::Mntr => format!("zk_version\t{VERSION}\nzk_server_state\tstandalone\n{}", monitor::text(&view.monitor())),
        Word::Srvr => format!("Zookeeper version: {VERSION}\n{}", server_lines(&view.counters())),
        Word::Stat => stat(view),
        Word::Wchs => wchs(view.watch_summary()),
        Word::Wchc => by_session(&view.watches()),
        Word::Wchp => by_path(&view.watches()),
    }
}

/// `stmk` with its mask: sets it and answers with it.
pub fn set_trace_mask(mask: i64, whitelist: &Whitelist, view: &impl ServerView) -> String {
    if whitelist.allows(Word::Stmk.text()) {
        view.set_trace_mask(mask);
    }
    answer(Word::Stmk, whitelist, view)
}

/// At most four digits behind the point and at least one, as Java prints its averages.
pub(super) fn average(value: f64) -> String {
    format!("{:?}", (value * 10_000.0).round() / 10_000.0)
}

fn server_lines(counters: &Counters) -> String {
    let (min, avg, max) = counters.latency_ms;
    format!(
        "Latency min/avg/max: {min}/{}/{max}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\nZxid: {}\n\
         Mode: standalone\nNode count: {}\n",
        average(avg),
        counters.received,
        counters.sent,
        counters.connections,
        counters.outstanding,
        counters.zxid,
        counters.nodes
    )
}

fn stat(view: &impl ServerView) -> String {
    let mut text = format!("Zookeeper version: {VERSION}\nClients:\n");
    for connection in view.connections() {
        text.push_str(&connection_start(&connection));
        text.push_str(")\n");
    }
    text.push('\n');
    text.push_str(&server_lines(&view.counters()));
    text
}

fn connection_start(c: &ConnectionView) -> String {
    format!(" /{}[{:x}](queued={},recved={},sent={}", c.peer, c.interest_ops, c.queued, c.received, c.sent)
}

fn cons(connections: &[ConnectionView]) -> String {
    let mut text = String::new();
    for connection in connections {
        text.push_str(&connection_start(connection));
        if let Some(session) = &connection.session {
            text.push_str(&session_part(session));
        }
        text.push_str(")\n");
    }
    text.push('\n');
    text
}

fn session_part(s: &SessionView) -> String {
    let lcxid = if s.last_cxid >= 0 { format!(",lcxid=0x{:x}", s.last_cxid) } else { String::new() };
    let (min, avg, max) = s.latency_ms;
    format!(
        ",sid={},lop={},est={},to={}{lcxid},lzxid={},lresp={},llat={},minlat={min},avglat={avg},maxlat={max}",
        s.id, s.last_op, s.established_ms, s.timeout_ms, s.last_zxid, s.last_response_ms, s.last_latency_ms
    )
}

fn conf(c: &ConfView) -> String {
    let or_unset = |n: Option<u32>| n.map_or("-1".to_owned(), |n| n.to_string());
    format!(
        "clientPort={}\nsecureClientPort=-1\ndataDir={}\ndataDirSize={}\ndataLogDir={}\ndataLogSize={}\ntickTime={}\n\
         maxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\nclientPortListenBacklog={}\nserverId={}\n",
        or_unset(c.client_port.map(u32::from)),
        c.data_dir,
        c.data_dir_bytes,
        c.data_log_dir,
        c.data_log_bytes,
        c.tick_time_ms,
        c.max_client_cnxns,
        c.session_timeout_ms.0,
        c.session_timeout_ms.1,
        or_unset(c.listen_backlog),
        c.server_id
    )
}

fn envi(view: &impl ServerView) -> String {
    let mut text = format!("Environment:\nzookeeper.version={VERSION}\n");
    for (name, value) in view.environment() {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

fn dump(view: &impl ServerView) -> String {
    let mut text = String::from("SessionTracker dump:\n");
    let sessions = view.session_buckets();
    text.push_str(&buckets("Session", &sessions, |id| id.to_string()));
    let ephemerals = view.ephemerals();
    let _ = write!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", ephemerals.len());
    for (session, paths) in ephemerals {
        let _ = writeln!(text, "{session}:");
        for path in paths {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text.push_str("Connections dump:\n");
    let connections = view.connection_buckets();
    text.push_str(&buckets("Connections", &connections, |(peer, id)| format!("ip: /{peer} sessionId: {id}")));
    text
}

fn buckets<T>(what: &str, buckets: &Buckets<T>, line: impl Fn(&T) -> String) -> String {
    let members: usize = buckets.iter().map(|(_, members)| members.len()).sum();
    let mut text = format!("{what} Sets ({})/({members}):\n", buckets.len());
    for (at_ms, members) in buckets {
        let _ = writeln!(text, "{} expire at {}:", members.len(), date(*at_ms));
        for member in members {
            let _ = writeln!(text, "\t{}", line(member));
        }
    }
    text
}

fn wchs(summary: WatchSummary) -> String {
    let WatchSummary { connections, paths, watches } = summary;
    format!("{connections} connections watching {paths} paths\nTotal watches:{watches}\n")
}

fn by_session(watches: &[(SessionId, Vec<String>)]) -> String {
    let mut text = String::new();
    for (session, paths) in watches {
        let _ = writeln!(text, "{session}");
        for path in paths {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text.push('\n');
    text
}

fn by_path(watches: &[(SessionId, Vec<String>)]) -> String {
    let mut paths: BTreeMap<&str, Vec<SessionId>> = BTreeMap::new();
    for (session, watched) in watches {
        for path in watched {
            paths.entry(path).or_default().push(*session);
        }
    }
    let mut text = String::new();
    for (path, sessions) in paths {
        let _ = writeln!(text, "{path}");
        for session in sessions {
            let _ = writeln!(text, "\t{session}");
        }
    }
    text.push('\n');
    text
}

/// `Sat Nov 21 01:39:06 UTC 2026`, as Java's `Date` prints it on a server in UTC.
fn date(ms: i64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday} {} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}", MONTHS[month as usize - 1])
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
#[path = "four_letter_tests.rs"]
mod tests;
