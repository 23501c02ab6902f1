//! Whether an image runs: its program, as its user, with nothing but its own files.
use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{PROGRAM, USER};
use crate::{process, workspace};

/// Unpacks `layer` and asks the program in it for its version; says so where that needs root.
pub(super) fn run(layer: &[u8], version: &str) -> Result<()> {
    let is_root = process::stdout(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root {
        println!("not tried out: that needs root");
        return Ok(());
    }
    let root = workspace::target().join("image/root");
    unpack(layer, &root)?;
    let said = process::stdout(in_it(&root).args(["version", "-o", "json"]))
        .context("the image does not run");
    fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
    let said: serde_json::Value = serde_json::from_str(&said?)?;
    ensure!(said["version"] == version, "the image has version {}, not {version}", said["version"]);
    Ok(())
}

fn unpack(layer: &[u8], root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| root.display().to_string())?;
    }
    fs::create_dir_all(root)?;
    let mut archive = tar::Archive::new(layer);
    archive.set_preserve_ownerships(true);
    archive.set_preserve_permissions(true);
    archive.unpack(root).with_context(|| root.display().to_string())
}

/// The program of the file system at `root`, in namespaces of its own.
fn in_it(root: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--net", "--ipc", "--fork", "--mount-proc"]);
    command.arg(format!("--root={}", root.display()));
    command.args([format!("--setuid={USER}"), format!("--setgid={USER}")]);
    command.env_clear().arg(format!("/{PROGRAM}"));
    command
}
