//! Mounts of its own for whatever makes namespaces and loads kernel programs.
use std::{
    ffi::OsStr,
    fs::{self, File},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{peers, process, workspace};

/// What a program leaves behind even when killed dies with these mounts: names of namespaces, run
/// files, pins, and what callers of CNI plugins remember. Thousands of connections need more
/// descriptors than a login usually has.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs run /run
mkdir /run/netns /run/culvert
mount -t bpf bpf /sys/fs/bpf
mkdir -p /var/lib/cni
mount -t tmpfs cni /var/lib/cni
ulimit -n "$(ulimit -H -n)"
exec "$@"
"#;

/// A program that starts in mounts of its own, at the root of the repository, with the peers.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .arg(program)
        .current_dir(workspace::root())
        .env("PATH", peers::path()?);
    Ok(command)
}

/// Waits until no other run of this clone makes namespaces; the lock is held until it is dropped.
///
/// Two at once would take each other's cgroups and processor time.
pub(crate) fn alone() -> Result<File> {
    let path = workspace::target().join("isolated.lock");
    fs::create_dir_all(workspace::target())?;
    let lock = File::create(&path).with_context(|| path.display().to_string())?;
    if lock.try_lock().is_err() {
        println!("waiting for another run to end");
        lock.lock().with_context(|| path.display().to_string())?;
    }
    Ok(lock)
}

/// Refuses to go on without root; `instead` says what goes without.
pub(crate) fn needs_root(instead: &str) -> Result<()> {
    let is_root = process::stdout(Command::new("id").arg("-u"))?.trim() == "0";
    ensure!(is_root, "loading kernel programs and making network namespaces needs root; {instead}");
    Ok(())
}
