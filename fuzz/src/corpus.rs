//! What fuzzing starts with: inputs made from recorded records and files, and those that earlier runs
//! found worth keeping. `corpus/TARGET` has one input a line, in base64; `regressions/TARGET-*` are
//! inputs that once broke something, one a file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What names the directory that [`unpack`] fills.
pub const DIRECTORY: &str = "ZORILLA_FUZZ_CORPUS";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every input of a target, with a name.
pub fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs = regressions(target);
    let seeds = seeds(target).into_iter().enumerate();
    inputs.extend(seeds.map(|(at, seed)| (format!("seed {at}"), seed)));
    inputs.extend(kept(target).into_iter().enumerate().map(|(at, kept)| (format!("line {}", at + 1), kept)));
    inputs
}

/// Writes every input of a target into the directory that the environment names, if it names one.
pub fn unpack(target: &str) {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    for (name, input) in inputs(target) {
        fs::write(directory.join(format!("given-{}", name.replace(' ', "-"))), input).expect("a directory to write to");
    }
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let lines = fs::read_to_string(root().join("corpus").join(target)).unwrap_or_default();
    lines.lines().map(|line| STANDARD.decode(line).expect("base64")).collect()
}

fn regressions(target: &str) -> Vec<(String, Vec<u8>)> {
    let prefix = format!("{target}-");
    let files = fs::read_dir(root().join("regressions")).expect("the directory of regressions").flatten();
    let named = files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.path()));
    let ours = named.filter(|(name, _)| name.starts_with(&prefix));
    ours.map(|(name, path)| (name, fs::read(path).expect("a regression"))).collect()
}

/// Inputs from the project's test data.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "connect" => of_records("client-records.json", |record| record.starts_with("Connect")),
        "requests" => requests(),
        "replies" => with_choice(21, &of_records("client-records.json", |r| r.ends_with("Response") || r == "Stat")),
        "stream" => {
            let frames = of_records("client-records.json", |record| record.starts_with("frame:"));
            with_choice(1, &[frames.concat()])
                .into_iter()
                .map(|stream| [&stream[..1], &[7], &stream[1..]].concat())
                .collect()
        }
        "members" => members(),
        "txn" => of_records("txn-records.json", |record| record.starts_with("TxnLogEntry")),
        "snapshot" => of_records("txn-records.json", |record| record == "WireSnapshotStream"),
        "config" => CONFIGURATIONS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "text" => LISTS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "words" => {
            ["ruok", "stmk\0\0\0\0\0\0\0\x01", "\0\0\0\x2c", "mntr\r\n..........ruok, stat\t*"].map(|t| t.into()).into()
        }
        "tree" | "layout" => (1..=8).map(noise).collect(),
        "log" => logs(&[1]).into_iter().chain((1..=8).map(noise)).collect(),
        // Their beginnings: short histories are quick.
        "apply" => logs(&[]).into_iter().map(|mut log| (log.truncate(3000), log).1).collect(),
        _ => Vec::new(),
    }
}

const CONFIGURATIONS: [&str; 6] = [
    "tickTime=2000\ndataDir=/d\nclientPort=2181\n4lw.commands.whitelist=ruok, mntr\n",
    "dataDir=/d\nserver.1=a:2888:3888:participant;0.0.0.0:2181\nstandaloneEnabled=false\n",
    "dataDir=/d\ndynamicConfigFile=x\0server.1=[::1]:2888:3888;2181\ngroup.1=1\nweight.1=1\n",
    "\0\x007\0ZOO_SERVERS=server.1=a:1:2;3\nZOO_CFG_EXTRA=a=b\nJVMFLAGS=-Djute.maxbuffer=0x1000\nzookeeper.x=y",
    "\0\0\0\0enforce.auth.enabled=true\nenforce.auth.schemes=digest,ip\nzorilla.memoryBudget=1g\x002181 /d 2000 60",
    "dataDir \\u002fd\\\n  /e\nk\\ ey : v\nminSessionTimeout=5\nmaxSessionTimeout=4\n",
];

const LISTS: [&str; 4] = [
    "/a/b\nworld:anyone\ndigest:bob:x\nauth:",
    "/a/../b\nip:10.0.0.0/8\nip:10.1.2.3",
    "/\u{e9}/\u{1f600}/\u{fff0}\nsuper:\nip:::1/128\nip:0:0:0:0:0:0:0:1",
    "/...\nx509:CN=a\nsasl:b",
];

fn of_records(file: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    vectors(file).into_iter().filter(|(record, _)| wanted(record)).map(|(_, bytes)| bytes).collect()
}

fn vectors(file: &str) -> Vec<(String, Vec<u8>)> {
    let path = root().join("../protocol/tests/testdata").join(file);
    let text = fs::read_to_string(path).expect("the recorded vectors");
    let entries: Vec<Value> = serde_json::from_str(&text).expect("vectors are JSON");
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    entries.iter().map(|entry| (text(entry, "record"), unhex(&text(entry, "hex")))).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    text.as_bytes().chunks_exact(2).map(byte).collect()
}

/// Each under as many first bytes as there are records to choose from, in turn.
fn with_choice(choices: usize, bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    bodies.iter().enumerate().map(|(at, body)| [&[(at % choices) as u8], &body[..]].concat()).collect()
}

/// Every recorded request body behind the header of its operation.
fn requests() -> Vec<Vec<u8>> {
    let op = |record: &str| {
        Some(match record {
            "CreateRequest" => 1,
            "DeleteRequest" => 2,
            "ExistsRequest" => 3,
            "GetDataRequest" => 4,
            "SetDataRequest" => 5,
            "GetACLRequest" => 6,
            "SetACLRequest" => 7,
            "GetChildrenRequest" => 8,
            "SyncRequest" => 9,
            "GetChildren2Request" => 12,
            "MultiOperationRecord" => 14,
            "ReconfigRequest" => 16,
            "CheckWatchesRequest" => 17,
            "RemoveWatchesRequest" => 18,
            "DeleteContainerRequest" => 20,
            "CreateTTLRequest" => 21,
            "AuthPacket" => 100,
            "SetWatches" => 101,
            "GetSASLRequest" => 102,
            "GetEphemeralsRequest" => 103,
            "GetAllChildrenNumberRequest" => 104,
            "SetWatches2" => 105,
            "AddWatchRequest" => 106,
            _ => return None,
        })
    };
    let framed = |(record, body): (String, Vec<u8>)| -> Option<Vec<u8>> {
        let op: i32 = op(&record)?;
        Some([&[0, 0, 0, 1], op.to_be_bytes().as_slice(), &body].concat())
    };
    vectors("client-records.json").into_iter().filter_map(framed).collect()
}

fn members() -> Vec<Vec<u8>> {
    let choice = |record: &str| {
        Some(match record.split('/').next()? {
            "QuorumPacket" => 0,
            "QuorumAuthPacket" => 1,
            "Touch" => 2,
            "Revalidate" => 3,
            "Revalidated" => 4,
            "LearnerInfo" => 5,
            "ElectionInitialMessage" => 6,
            "Notification" => 7,
            "FileHeader" => 8,
            _ => return None,
        })
    };
    let chosen = |(record, bytes): (String, Vec<u8>)| Some([&[choice(&record)?], &bytes[..]].concat());
    vectors("txn-records.json").into_iter().filter_map(chosen).collect()
}

/// Bytes without sense: for targets that take any bytes as choices.
fn noise(seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..300 * usize::from(seed)).map(|_| next()).collect()
}

/// Apache's log files, without their padding.
fn logs(prefix: &[u8]) -> Vec<Vec<u8>> {
    let mut logs = Vec::new();
    let directories = fs::read_dir(root().join("../src/storage/log/testdata")).expect("the logs").flatten();
    let mut directories: Vec<PathBuf> = directories.map(|entry| entry.path()).collect();
    directories.sort();
    for directory in directories {
        let mut files: Vec<PathBuf> =
            fs::read_dir(directory).expect("a directory").flatten().map(|f| f.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.to_string_lossy().contains("/log.")) {
            let bytes = fs::read(file).expect("a log");
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            logs.push([prefix, &bytes[..used]].concat());
        }
    }
    logs
}
