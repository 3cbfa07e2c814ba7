//! The part of configuration that reads: the file, the dynamic file, `myid`, the machine's memory.

use super::error::ConfigError;
use super::properties;
use super::sources::{FileText, Sources};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Fills in what `sources` name but do not contain yet: call it with `file` as the argument of the command line.
pub fn load(mut sources: Sources, file: Option<&Path>) -> Result<Sources, ConfigError> {
    if let Some(path) = file {
        sources.file = Some(read(path)?);
    }
    let settings = sources.settings()?;
    if let Some(path) = settings.path("dynamicConfigFile") {
        sources.dynamic_file = Some(read(&path)?);
    }
    let data_dir = settings.path("dataDir").unwrap_or_else(|| PathBuf::from("./data"));
    sources.myid = myid(&data_dir)?;
    sources.memory_bytes = memory_bytes();
    Ok(sources)
}

fn read(path: &Path) -> Result<FileText, ConfigError> {
    let bytes =
        fs::read(path).map_err(|why| ConfigError::Unreadable { path: path.to_owned(), why: why.to_string() })?;
    Ok(FileText { path: path.to_owned(), text: properties::decode(&bytes) })
}

/// A standalone server needs none.
fn myid(data_dir: &Path) -> Result<Option<String>, ConfigError> {
    let path = data_dir.join("myid");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        // What is wrong with the directory itself is said when it is opened.
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(why) => Err(ConfigError::Unreadable { path, why: why.to_string() }),
    }
}

/// The machine's memory, or the limit of the control group if that is less.
fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(mem_total_bytes);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = limits.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()).min();
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

fn mem_total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo() {
        let text = "MemTotal:       24689764 kB\nMemFree:         100 kB\n";
        assert_eq!(mem_total_bytes(text), Some(24_689_764 * 1024));
        assert_eq!(mem_total_bytes("MemFree: 1 kB\n"), None);
    }
}
