//! Which sources the committed objects were built from, so that an ordinary test can tell stale
//! objects where the components to rebuild them are missing.
//!
//! The record has a line per file, in the form of `sha256sum`, and one per locked aya crate.
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::{OBJECTS, PREBUILT, REMEDY};
use crate::workspace;

const RECORD: &str = "ebpf/prebuilt/inputs.sha256";
/// Files, and folders with everything below them.
const SOURCES: [&str; 7] = [
    "ebpf/Cargo.toml",
    "ebpf/src",
    "proxy-common/Cargo.toml",
    "proxy-common/src",
    "rust-toolchain.toml",
    "xtask/src/ebpf",
    "xtask/src/ebpf.rs",
];

/// Writes the record.
pub(super) fn record() -> Result<()> {
    let record = workspace::root().join(RECORD);
    fs::write(&record, lines()?).with_context(|| RECORD.to_owned())
}

/// Compares the record with the files, and names those that changed.
pub(super) fn compare() -> Result<()> {
    let recorded = fs::read_to_string(workspace::root().join(RECORD)).unwrap_or_default();
    let now = lines()?;
    let names = |of: &str, other: &str| -> Vec<String> {
        let gone = of.lines().filter(|line| other.lines().all(|l| l != *line));
        gone.filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect()
    };
    let mut changed = names(&recorded, &now);
    changed.extend(names(&now, &recorded));
    changed.sort();
    changed.dedup();
    ensure!(
        changed.is_empty(),
        "the objects of {PREBUILT} are not built from these sources ({} changed): {REMEDY}",
        changed.join(", ")
    );
    Ok(())
}

fn lines() -> Result<String> {
    let root = workspace::root();
    let mut files = Vec::new();
    for source in SOURCES {
        collect(root, Path::new(source), &mut files)?;
    }
    files.extend(OBJECTS.map(|name| Path::new(PREBUILT).join(name).with_extension("o")));
    files.sort();
    let mut lines = String::new();
    for file in files {
        let bytes = fs::read(root.join(&file)).with_context(|| file.display().to_string())?;
        writeln!(lines, "{}  {}", hash(&bytes), file.display())?;
    }
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    for (name, block) in locked(&lock) {
        writeln!(lines, "{}  Cargo.lock {name}", hash(block.as_bytes()))?;
    }
    Ok(lines)
}

/// `path` itself, or the files below it, relative to `root`.
fn collect(root: &Path, path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let full = root.join(path);
    if full.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(&full).with_context(|| path.display().to_string())? {
        collect(root, &path.join(entry?.file_name()), files)?;
    }
    Ok(())
}

/// The lock file's blocks of aya's kernel side.
fn locked(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    lock.split("[[package]]").filter_map(|block| {
        let (name, _) = block.trim().strip_prefix("name = \"")?.split_once('"')?;
        name.starts_with("aya-ebpf").then_some((name, block.trim()))
    })
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_built_from_these_sources() {
        compare().expect("the committed objects match");
    }

    #[test]
    fn only_aya_s_kernel_side_counts_in_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"aya\"\nversion = \"1\"\n\n\
                    [[package]]\nname = \"aya-ebpf-macros\"\nversion = \"2\"\n";
        let names: Vec<_> = locked(lock).map(|(name, _)| name).collect();
        assert_eq!(names, ["aya-ebpf-macros"]);
    }
}
