//! What random requests are made of: paths, ACLs, data, versions. Small on purpose, so that requests meet each other.

use fastrand::Rng;

pub const ADMIN_ID: &[u8] = b"super:admin";

const SHAPES: &[&[&str]] = &[
    &["/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/a/x/1", "/b/x/1", "/c/x"],
    &["/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d/e", "/a/b2", "/ab", "/a/b/cc"],
    &["/p", "/p/n0000000000", "/p/n0000000001", "/p/n0000000002", "/p/n", "/q", "/q/0000000000", "/q/0000000001"],
    &["/one", "/one/two", "/one/\u{e9}t\u{e9}", "/\u{4e2d}\u{6587}", "/\u{4e2d}\u{6587}/x", "/one/two/ "],
    &["/k", "/k/1", "/k/2", "/k/3", "/k/4", "/k/5", "/k/6", "/k/7"],
];
const SYSTEM_PATHS: &[&str] = &["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/x"];
const ODD_PATHS: &[&str] = &[
    "",
    "a",
    "/a/",
    "/a//x",
    "//",
    "/a/.",
    "/a/..",
    "/./a",
    "/a/...",
    "/a/.b",
    "/a/b..",
    "/a/\u{1}",
    "/a/\0",
    "/\u{1f}x",
    "/a/\u{7f}",
    "/a/\u{9f}",
    "/a/\u{a0}",
    "/a/\u{d7ff}",
    "/a/\u{e000}",
    "/a/\u{f8ff}",
    "/a/\u{f900}",
    "/a/\u{ffef}",
    "/a/\u{fff0}",
    "/a/\u{fffd}",
    "/a/\u{ffff}",
    "/a/\u{1f600}",
    "/a/\u{2028}",
    "zookeeper/quota",
    "/zookeeper/",
];
const LIMITS: &[&str] = &[
    "count=3,bytes=10",
    "count=-1,bytes=-1",
    "count=4,bytes=20=;byteHardLimit=30;countHardLimit=5",
    "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3",
    "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=-1",
    "count=2,bytes=5=;byteHardLimit=12;countHardLimit=2",
];
const STATS: &[&str] = &["count=0,bytes=0", "count=2,bytes=9", "count=-5,bytes=-5", "count=100,bytes=1000"];
const PERMS: &[i32] = &[31, 31, 31, 1, 2, 4, 8, 16, 30, 29, 27, 23, 15, 0, -1, 33];

/// An entry of an ACL: perms, scheme, id.
pub type Entry = (i32, Option<&'static str>, Option<&'static str>);

const ENTRIES: &[(&str, &str)] = &[
    ("world", "anyone"),
    ("world", "anyone"),
    ("auth", ""),
    ("digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="),
    ("digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="),
    ("digest", "alice:nothing"),
    ("ip", "127.0.0.1"),
    ("ip", "127.0.0.0/8"),
    ("ip", "10.0.0.0/8"),
    ("ip", "::1"),
    ("ip", "fe80::/10"),
];
const BAD_ENTRIES: &[(&str, &str)] = &[
    ("world", "someone"),
    ("world", ""),
    ("nosuch", "x"),
    ("digest", "nocolon"),
    ("digest", "a:"),
    ("digest", "a:b:c"),
    ("digest", "a:b:"),
    ("digest", ":"),
    ("digest", ":b"),
    ("digest", ""),
    ("ip", "nonsense"),
    ("ip", "127.0.0.1/33"),
    ("ip", "127.0.0.1/-1"),
    ("ip", "127.0.0.1/x"),
    ("ip", "127.0.0"),
    ("ip", "127.0.0.256"),
    ("ip", "localhost"),
    ("ip", ""),
    ("super", ""),
    ("x509", "CN=x"),
    ("sasl", "bob"),
    ("", ""),
];

/// What one history draws from.
pub struct Universe {
    paths: Vec<String>,
    quotas: bool,
    /// Of 100 lists, how many are something else than world:anyone.
    acl_percent: u32,
}

impl Universe {
    pub fn new(rng: &mut Rng, quotas: bool, acl_percent: u32) -> Self {
        let mut paths: Vec<String> = pick(rng, SHAPES).iter().map(ToString::to_string).collect();
        if quotas {
            // A name of blanks is no part of a quota's path for Apache.
            paths.retain(|path| !path.ends_with(' '));
        }
        if rng.u8(..8) == 0 {
            paths.push(format!("/{}", "long".repeat(rng.usize(1..300))));
        }
        Self { paths, quotas, acl_percent }
    }

    /// Every good path, parents first.
    pub fn all(&self) -> Vec<String> {
        let mut all = self.paths.clone();
        all.sort_unstable();
        all
    }

    pub fn path(&self, rng: &mut Rng) -> String {
        match rng.u32(..100) {
            0..=87 => self.good(rng),
            88..=91 => pick(rng, SYSTEM_PATHS).to_string(),
            92..=95 if self.quotas => self.quota_path(rng),
            92..=94 => pick(rng, SYSTEM_PATHS).to_string(),
            _ => pick(rng, ODD_PATHS).to_string(),
        }
    }

    pub fn good(&self, rng: &mut Rng) -> String {
        self.paths[rng.usize(..self.paths.len())].clone()
    }

    /// A path whose last component is for a sequential node.
    pub fn prefix(&self, rng: &mut Rng) -> String {
        let path = self.path(rng);
        match rng.u8(..4) {
            0 => format!("{path}/"),
            1 => format!("{path}/n"),
            2 => format!("{path}/.."),
            _ => path,
        }
    }

    /// A node of the quota of one of the paths. Never limits of `/`: they end an Apache server (`Invalid path` while
    /// the txn is applied, at once and at every start).
    pub fn quota_path(&self, rng: &mut Rng) -> String {
        let tail = ["/zookeeper_limits", "/zookeeper_limits", "/zookeeper_stats", "/zookeeper_stats", ""];
        format!("/zookeeper/quota{}{}", self.good(rng), pick(rng, &tail))
    }

    /// The nodes that a quota on one path needs, in the order of their creation.
    pub fn quota_nodes(&self, rng: &mut Rng) -> Vec<String> {
        let of = self.good(rng);
        let mut nodes = Vec::new();
        let mut at = "/zookeeper/quota".to_string();
        for part in of.split('/').skip(1) {
            at = format!("{at}/{part}");
            nodes.push(at.clone());
        }
        nodes.push(format!("{at}/zookeeper_limits"));
        nodes.push(format!("{at}/zookeeper_stats"));
        nodes
    }

    pub fn data(&self, rng: &mut Rng, path: &str) -> Option<Vec<u8>> {
        // Never what cannot be parsed: Apache then fails every write below the path, or ends while it applies one.
        if path.contains("zookeeper_") {
            return Some(pick(rng, if path.contains("_limits") { LIMITS } else { STATS }).as_bytes().to_vec());
        }
        match rng.u8(..20) {
            0..=1 => None,
            2..=4 => Some(Vec::new()),
            5..=15 => Some(vec![b'd'; rng.usize(1..30)]),
            16..=18 => Some((0..rng.usize(1..200)).map(|_| rng.u8(..)).collect()),
            _ if rng.u8(..40) == 0 => Some(vec![b'l'; rng.usize(1000..100_000)]),
            _ => Some(b"count=1,bytes=2".to_vec()),
        }
    }

    pub fn acl(&self, rng: &mut Rng) -> Vec<Entry> {
        if rng.u32(..100) >= self.acl_percent {
            return vec![(31, Some("world"), Some("anyone"))];
        }
        let count = *pick(rng, &[1, 1, 1, 1, 2, 2, 3, 0]);
        let mut list: Vec<Entry> = (0..count).map(|_| entry(rng, ENTRIES)).collect();
        if rng.u8(..10) == 0 {
            list.push(entry(rng, BAD_ENTRIES));
        }
        if rng.u8(..10) == 0 && !list.is_empty() {
            list.push(list[0]);
        }
        list
    }

    /// An expected version: mostly any, or one that can be right.
    pub fn version(&self, rng: &mut Rng) -> i32 {
        *pick(rng, &[-1, -1, -1, -1, -1, 0, 0, 0, 1, 1, 2, 3, -2, i32::MAX, i32::MIN])
    }
}

fn entry(rng: &mut Rng, from: &[(&'static str, &'static str)]) -> Entry {
    let (scheme, id) = *pick(rng, from);
    (*pick(rng, PERMS), Some(scheme), Some(id))
}

/// One of `from`, which is not empty.
pub fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// One of `from` by its weight.
pub fn weighted<T: Copy>(rng: &mut Rng, from: &[(T, u32)]) -> T {
    let total: u32 = from.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.u32(..total.max(1));
    for (value, weight) in from {
        if at < *weight {
            return *value;
        }
        at -= weight;
    }
    from[from.len() - 1].0
}
