//! The checks that need the compiler.
use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{process, workspace};

/// The target of the kernel programs; serves x86-64 and arm64.
const BPF: &str = "bpfel-unknown-none";

/// Clippy over everything that runs in user space.
pub(super) fn clippy_host() -> Result<()> {
    process::run(
        workspace::cargo()
            .args(["clippy", "-q"])
            .args(workspace::HOST)
            .arg("--all-targets")
            .args(["--", "-D", "warnings"]),
    )
}

/// Clippy over the kernel programs, for the target they run on.
pub(super) fn clippy_ebpf() -> Result<()> {
    with_component("rust-src", &["lib/rustlib/src/rust/library/core"])?;
    process::run(
        workspace::cargo()
            .args(["clippy", "-q", "-p", "culvert-ebpf", "--bins", "--lib", "--release"])
            .args(["--target", BPF, "-Zbuild-std=core", "--target-dir"])
            .arg(workspace::target().join("ebpf-clippy"))
            .args(["--", "-D", "warnings"])
            // Opens -Z on the stable compiler for this child only.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", "--cfg=bpf_target_arch=\"x86_64\""),
    )
}

/// Documentation, with broken links refused.
pub(super) fn docs() -> Result<()> {
    process::run(
        workspace::cargo()
            .args(["doc", "-q"])
            .args(workspace::HOST)
            .args(["--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// The fuzz targets compile; they are a workspace of their own and would rot unseen.
pub(super) fn fuzz() -> Result<()> {
    let manifest = workspace::root().join("proxy/fuzz/Cargo.toml");
    if !manifest.exists() {
        return Ok(());
    }
    process::run(
        workspace::cargo()
            .args(["check", "-q", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(workspace::target().join("fuzz")),
    )
}

/// Adds a component of the pinned toolchain, unless all of `files` are in the sysroot.
fn with_component(component: &str, files: &[&str]) -> Result<()> {
    let printed = process::stdout(
        Command::new("rustc").current_dir(workspace::root()).args(["--print", "sysroot"]),
    )?;
    let sysroot = PathBuf::from(printed.trim());
    if files.iter().all(|file| sysroot.join(file).exists()) {
        return Ok(());
    }
    println!("adding {component} to the toolchain");
    process::run(Command::new("rustup").current_dir(workspace::root()).args([
        "component",
        "add",
        component,
    ]))
}
