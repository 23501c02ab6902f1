//! `cargo xtask ebpf`: the kernel programs, from sources to the committed objects.
//!
//! ```text
//! ebpf/src/bin/*.rs ──rustc──▶ bitcode ──link──▶ ELF ──strip, btf──▶ ebpf/prebuilt/*.o
//! ```
//!
//! The compiler is the pinned one; `-Z build-std` is opened for that one child process. The linker
//! is this program ([`link`]), out of the LLVM tools that come with the compiler, so the bytes
//! depend on nothing of the distribution. Everybody else embeds the committed objects.

mod btf;
mod elf;
mod inputs;
pub(crate) mod link;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{process, workspace};

/// One object for the node, one per pod, one per pod's link.
const OBJECTS: [&str; 3] = ["node", "pod", "guard"];
/// Little endian; serves `x86_64` and arm64.
const TARGET: &str = "bpfel-unknown-none";
const PREBUILT: &str = "ebpf/prebuilt";
const REMEDY: &str = "run cargo xtask ebpf";
/// All that shapes the objects, so that they do not change with the release profile of the others.
/// BTF is made of the debug information; the linking decides what stays, so no LTO before it.
const PROFILE: [&str; 7] = [
    "opt-level=3",
    "debug=2",
    "strip=false",
    "debug-assertions=false",
    "overflow-checks=false",
    "lto=\"off\"",
    "codegen-units=1",
];

/// Builds the objects; with `check` compares them with the committed ones instead of writing.
///
/// # Errors
///
/// What the compiler says, and with `check` the names of objects that differ.
pub(crate) fn run(check: bool) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let out = workspace::target().join("ebpf");
    compile(&toolchain, &out)?;
    let prebuilt = workspace::root().join(PREBUILT);
    fs::create_dir_all(&prebuilt)?;
    let mut stale = Vec::new();
    for name in OBJECTS {
        let object = finish(&toolchain, &out, name)?;
        let committed = prebuilt.join(name).with_extension("o");
        let same = fs::read(&committed).is_ok_and(|bytes| bytes == object);
        if !same && check {
            stale.push(format!("{PREBUILT}/{name}.o"));
        } else if !same {
            fs::write(&committed, &object).with_context(|| committed.display().to_string())?;
        }
        report(name, &object, same)?;
    }
    ensure!(stale.is_empty(), "{} not built from these sources: {REMEDY}", stale.join(", "));
    if check { inputs::compare() } else { inputs::record() }
}

/// The pinned compiler and its LLVM tools.
struct Toolchain {
    sysroot: PathBuf,
    tools: PathBuf,
}

impl Toolchain {
    /// Finds the tools, and has rustup add them when they are missing.
    fn find() -> Result<Self> {
        let printed = process::stdout(
            Command::new("rustc").current_dir(workspace::root()).args(["--print", "sysroot"]),
        )?;
        let sysroot = PathBuf::from(printed.trim());
        if let Some(tools) = installed(&sysroot) {
            return Ok(Self { sysroot, tools });
        }
        println!("adding the components rust-src and llvm-tools to the pinned toolchain");
        process::run(Command::new("rustup").current_dir(workspace::root()).args([
            "component",
            "add",
            "rust-src",
            "llvm-tools",
        ]))?;
        let tools = installed(&sysroot)
            .with_context(|| format!("no rust-src and llvm-tools below {}", sysroot.display()))?;
        Ok(Self { sysroot, tools })
    }

    /// What differs from machine to machine and gets into line information, with its new name.
    fn remaps(&self) -> Result<Vec<(PathBuf, &'static str)>> {
        let cargo = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
            .context("neither CARGO_HOME nor HOME is set")?;
        let mut remaps = vec![(workspace::root().to_path_buf(), "/src"), (cargo.clone(), "/cargo")];
        // Each registry's folder has a hash of its address in its name. The last match counts.
        for registry in fs::read_dir(cargo.join("registry/src"))? {
            remaps.push((registry?.path(), "/crates"));
        }
        remaps.push((self.sysroot.canonicalize()?, "/rust"));
        remaps.push((self.sysroot.clone(), "/rust"));
        Ok(remaps)
    }
}

/// Where the component llvm-tools put its programs, if the sources of `core` are there too.
fn installed(sysroot: &Path) -> Option<PathBuf> {
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return None;
    }
    fs::read_dir(sysroot.join("lib/rustlib"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .find(|tools| tools.join("llc").is_file())
}

/// rustc, which calls this program back as its linker.
fn compile(toolchain: &Toolchain, out: &Path) -> Result<()> {
    let mut flags = vec![
        format!("-Clinker={}", env::current_exe()?.display()),
        // For bindings that nothing here uses; left alone it would be the machine's own.
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
    ];
    for (from, to) in toolchain.remaps()? {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    // cargo does not notice that its linker changed, so the crate is always built again.
    process::run(
        workspace::cargo()
            .args(["clean", "-q", "-p", "culvert-ebpf", "--release", "--target", TARGET])
            .arg("--target-dir")
            .arg(out),
    )?;
    let mut build = workspace::cargo();
    build
        .args(["build", "--locked", "--release", "-p", "culvert-ebpf", "--bins"])
        .args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"])
        .arg(out);
    for setting in PROFILE {
        build.arg("--config").arg(format!("profile.release.{setting}"));
    }
    process::run(
        build
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            // Opens -Z on the stable compiler, for this child only.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("XTASK_LINKER", &toolchain.tools),
    )
}

/// Strips debug information, which keeps BTF, and makes the names in BTF acceptable to the kernel.
fn finish(toolchain: &Toolchain, out: &Path, name: &str) -> Result<Vec<u8>> {
    let linked = out.join(TARGET).join("release").join(name);
    let stripped = out.join(name).with_extension("o");
    process::run(
        Command::new(toolchain.tools.join("llvm-objcopy"))
            .arg("--strip-debug")
            .arg(&linked)
            .arg(&stripped),
    )?;
    let mut object = fs::read(&stripped)?;
    btf::make_names_valid(&mut object).with_context(|| linked.display().to_string())?;
    Ok(object)
}

/// One line per object and per program; a program's size is in instructions before verification.
fn report(name: &str, object: &[u8], same: bool) -> Result<()> {
    let unchanged = if same { ", unchanged" } else { "" };
    println!("{name}.o: {} bytes{unchanged}", object.len());
    for (program, instructions) in elf::Elf::parse(object)?.functions()? {
        println!("  {program}: {instructions} instructions");
    }
    Ok(())
}
