//! Debian packages without installing them.
use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// Downloads `packages`, with those they need and the machine lacks, and unpacks them below `root`.
pub(crate) fn unpack(packages: &[&str], downloads: &Path, root: &Path) -> Result<()> {
    ensure!(
        process::succeeds(Command::new("apt-get").arg("--version")),
        "no apt-get here: install {} yourself",
        packages.join(", ")
    );
    // A download of an earlier, broken run would be unpacked as if it were whole.
    if downloads.exists() {
        fs::remove_dir_all(downloads)?;
    }
    fs::create_dir_all(downloads.join("partial"))?;
    fs::create_dir_all(root)?;
    if download(packages, downloads).is_err() {
        println!("asking for newer package lists: apt-get update");
        process::run(Command::new("apt-get").args(["update", "-qq"]))
            .context("the machine's package lists are too old, and updating them needs root")?;
        download(packages, downloads)?;
    }
    for entry in fs::read_dir(downloads)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            process::run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(root))?;
        }
    }
    fs::remove_dir_all(downloads)?;
    Ok(())
}

fn download(packages: &[&str], downloads: &Path) -> Result<()> {
    process::run(
        Command::new("apt-get")
            .args(["install", "--download-only", "--no-install-recommends", "-y", "-qq"])
            // Nothing is installed, so nobody needs to be kept from installing.
            .args(["-o", "Debug::NoLocking=1", "-o"])
            .arg(format!("Dir::Cache::archives={}/", downloads.display()))
            .args(packages),
    )
}
