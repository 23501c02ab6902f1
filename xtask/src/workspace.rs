//! Where the repository is and what is in it.
use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::process;

/// The folder of the root manifest.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The folder cargo builds into.
pub(crate) fn target() -> PathBuf {
    // As cargo, which runs at the root, understands it.
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// All packages that can be built for this machine.
///
/// Whatever is built for tests is chosen from these: of another choice of packages, cargo compiles
/// every dependency once more, with the features that those need.
pub(crate) const HOST: &[&str] = &["--workspace", "--exclude", "culvert-ebpf"];

/// `cargo`, to be run at the root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root());
    cargo
}

/// What `cargo metadata --no-deps` prints.
pub(crate) fn metadata() -> Result<String> {
    process::stdout(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))
}

/// Every file that is committed or would be, relative to the root.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let listed = process::stdout(Command::new("git").current_dir(root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
        "-z",
    ]))
    .context("cannot list the repository's files")?;
    let mut files: Vec<_> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    // A file deleted but not yet committed is still listed.
    files.retain(|file| root().join(file).is_file());
    Ok(files)
}

/// A cargo tool of exactly this version, compiled into the target folder when it is not there;
/// not optimised, which would take longer than all that these tools ever do.
pub(crate) fn tool(name: &str, version: &str) -> Result<PathBuf> {
    let tools = target().join("tools");
    let program = tools.join("bin").join(name);
    let same = || {
        process::stdout(Command::new(&program).arg("--version"))
            .is_ok_and(|shown| shown.split_whitespace().any(|word| word == version))
    };
    if program.exists() && same() {
        return Ok(program);
    }
    println!("compiling {name} {version} into target/tools: this takes some minutes, once");
    process::run(
        cargo()
            .args(["install", "-q", name, "--version", version, "--locked", "--force"])
            .args(["--debug", "--root"])
            .arg(&tools)
            .arg("--target-dir")
            .arg(target().join("tools-build")),
    )?;
    Ok(program)
}
