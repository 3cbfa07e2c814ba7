//! `CURRENT`, which names the list of the store's tables (`MANIFEST-<number>`).
//!
//! Each start begins a new list, makes its content durable and renames a new `CURRENT` into place; only then is the
//! directory synced. A disk that keeps changes of names in another order may show the new `CURRENT` after a power
//! cut without the list that it names. The list before is whole then: it is removed behind that sync. And should
//! it be older than thought, the log has what is missing, or a gap that stops the start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const LIST: &str = "MANIFEST-";

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("CURRENT")
}

/// Lets `CURRENT` name the newest list there is, if the one it names was lost with a power cut. Without any list and
/// any table, nothing was ever in the store: it begins anew.
pub(super) fn mend(dir: &Path) -> io::Result<()> {
    let named = match fs::read_to_string(path(dir)) {
        Ok(named) => named,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Not even text: for RocksDB to say.
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(()),
        Err(e) => return Err(e),
    };
    let Some(lost) = list_number(named.trim_end()) else { return Ok(()) };
    let names = names(dir)?;
    let lists = names.iter().filter_map(|name| list_number(name));
    let newest = lists.clone().filter(|number| *number < lost).max();
    if lists.clone().any(|number| number == lost) {
        return Ok(());
    }
    match newest {
        Some(number) => {
            tracing::warn!(dir = %dir.display(), "a power cut lost {LIST}{lost:06}: the store is read as of {LIST}{number:06}");
            replace(dir, &format!("{LIST}{number:06}\n"))
        }
        None if !names.iter().any(|name| name.ends_with(".sst")) => {
            tracing::warn!(dir = %dir.display(), "a power cut stopped the making of the store: it is begun anew");
            fs::remove_file(path(dir)).and_then(|()| File::open(dir)?.sync_all())
        }
        // RocksDB says what is missing.
        None => Ok(()),
    }
}

fn list_number(name: &str) -> Option<u64> {
    name.strip_prefix(LIST)?.parse().ok()
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn replace(dir: &Path, content: &str) -> io::Result<()> {
    // RocksDB clears such names away.
    let fresh = dir.join("000000.dbtmp");
    let mut file = File::create(&fresh)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path(dir))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    fn current_of(dir: &tempfile::TempDir) -> Option<String> {
        fs::read_to_string(path(dir.path())).ok()
    }

    #[test]
    fn the_list_before_is_named_again() {
        let dir = directory(&[("CURRENT", "MANIFEST-000009\n"), ("MANIFEST-000005", "x"), ("MANIFEST-000003", "x")]);
        mend(dir.path()).unwrap();
        assert_eq!(current_of(&dir).as_deref(), Some("MANIFEST-000005\n"));
    }

    #[test]
    fn what_is_right_or_not_understood_stays() {
        for (current, other) in [("MANIFEST-000005\n", "MANIFEST-000004"), ("MANIFEST-", "MANIFEST-000004"), ("", "x")]
        {
            let dir = directory(&[("CURRENT", current), ("MANIFEST-000005", "x"), (other, "x")]);
            mend(dir.path()).unwrap();
            assert_eq!(current_of(&dir).as_deref(), Some(current));
        }
    }

    #[test]
    fn without_a_list_only_an_empty_store_begins_anew() {
        let empty = directory(&[("CURRENT", "MANIFEST-000001\n")]);
        mend(empty.path()).unwrap();
        assert_eq!(current_of(&empty), None);
        let filled = directory(&[("CURRENT", "MANIFEST-000001\n"), ("000007.sst", "x")]);
        mend(filled.path()).unwrap();
        assert_eq!(current_of(&filled).as_deref(), Some("MANIFEST-000001\n"));
    }
}
