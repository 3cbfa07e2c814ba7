//! The core decides, the shell does: nothing below `src/core` and `protocol/src` may reach for sockets,
//! files, clocks, threads or randomness. The compiler keeps tokio and RocksDB out (they are not among
//! the dependencies); this keeps the standard library's doors shut.

use std::fs;
use std::path::{Path, PathBuf};

/// What must not stand in the core, and where its value should come from instead.
const FORBIDDEN: [(&str, &str); 9] = [
    ("tokio::", "hand the value in as an event, or the wish out as an effect"),
    ("std::fs", "the storage module reads and writes files; the core sees records"),
    ("std::process", "return an error; the server decides how the process ends"),
    ("std::thread", "the server owns the threads; the core is stepped"),
    ("TcpStream", "the net module owns sockets; the core sees frames"),
    ("SystemTime", "take the time as an argument in milliseconds"),
    ("Instant", "take the time as an argument in milliseconds"),
    ("rand::", "take the number as an argument"),
    ("RandomState", "take a seed as an argument (see Tree::new_standalone)"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Tests may look at the clock and at files.
            if !["tests", "testdata", "benches"].iter().any(|outside| path.ends_with(outside)) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            found.push(path);
        }
    }
}

/// What a source says before its tests begin, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let before_tests = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    before_tests.enumerate().map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

fn offences(path: &Path, text: &str) -> Vec<String> {
    code(text)
        .flat_map(|(number, line)| {
            let found = FORBIDDEN.iter().filter(move |(word, _)| line.contains(word));
            found.map(move |(word, instead)| format!("{}:{number}: {word}: {instead}", path.display()))
        })
        .collect()
}

#[test]
fn the_core_does_not_reach_outside() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protocol = core.join("../../protocol/src");
    let mut files = Vec::new();
    sources(core, &mut files);
    sources(&protocol, &mut files);
    assert!(files.len() > 25, "only {} files were looked at", files.len());
    let offences: Vec<_> = files.iter().flat_map(|path| offences(path, &fs::read_to_string(path).unwrap())).collect();
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn an_offence_is_noticed_and_a_comment_is_none() {
    let text = "let t = std::time::SystemTime::now();\n// Instant is for the shell\n#[cfg(test)]\nuse std::fs;";
    let found = offences(Path::new("x.rs"), text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("x.rs:1: SystemTime"));
}
