//! What a virtual machine boots into: a file system in memory with the programs and an init.
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{Programs, TestProgram, packages::Kernel};
use crate::{peers, process, workspace};

/// Modules that the suites need, in the order in which they load.
const MODULES: &[&str] = &["veth", "sch_ingress", "cls_bpf", "inet_diag", "tcp_diag"];

/// Programs of this machine that tests start.
const TOOLS: &[&str] = &["ip", "unshare"];

/// Runs a suite; one that does not end says where it is stuck, and is ended.
const RUN: &str = r#"
run() {
    "$@" &
    suite=$!
    (
        sleep 600
        echo "STUCK $1"
        for task in /proc/$suite/task/*; do
            echo "$task $(cat $task/comm) $(cat $task/syscall)"
            cat $task/stack
        done
        kill -9 $suite
    ) &
    watchdog=$!
    wait $suite
    echo "ENDED $1 $?"
    kill $watchdog
}
"#;

/// Builds the initial file system of `kernel`; returns the archive.
pub(super) fn image(kernel: &Kernel, programs: &Programs) -> Result<PathBuf> {
    let home = workspace::target().join("kernels");
    let root = home.join("guest");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for folder in ["bin", "lib", "proc", "sys", "dev", "tmp", "run", "etc"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = peers::find("busybox").context("no busybox")?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    let mut libraries = BTreeSet::new();
    let tests = programs.tests.iter().map(|test| (test.name.as_str(), &test.path));
    let helpers = programs.helpers.iter().map(|(name, path)| (name.as_str(), path));
    for (name, path) in tests.chain(helpers) {
        libraries.extend(needed(path)?);
        // Symbols would fill the guest's memory.
        process::run(Command::new("strip").arg("-o").arg(root.join("bin").join(name)).arg(path))?;
    }
    for tool in TOOLS {
        let path = peers::find(tool).with_context(|| format!("no {tool}"))?;
        libraries.extend(needed(&path)?);
        fs::copy(&path, root.join("bin").join(tool))?;
    }
    for library in &libraries {
        let there = root.join(library.strip_prefix("/")?);
        fs::create_dir_all(there.parent().context("a library at the root")?)?;
        fs::copy(library, there)?;
    }
    for module in MODULES {
        module_into(kernel, module, &busybox, &root)?;
    }
    fs::write(root.join("init"), init(programs))?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    let archive = home.join(format!("{}.cpio", kernel.release));
    pack(&busybox, &root, &archive)?;
    Ok(archive)
}

/// The shared libraries of a program, the loader among them.
fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = process::stdout(Command::new("ldd").arg(program))?;
    Ok(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// Copies a module that is not part of the kernel itself.
fn module_into(kernel: &Kernel, module: &str, busybox: &Path, root: &Path) -> Result<()> {
    let found = process::stdout(Command::new("find").arg(&kernel.folder).args([
        "-name",
        &format!("{module}.ko"),
        "-o",
        "-name",
        &format!("{module}.ko.xz"),
    ]))?;
    let Some(file) = found.lines().next() else { return Ok(()) };
    let there = root.join("lib").join(format!("{module}.ko"));
    if Path::new(file).extension().is_some_and(|extension| extension == "ko") {
        fs::copy(file, there)?;
    } else {
        let unpacked = Command::new(busybox).args(["xzcat", file]).output()?;
        ensure!(unpacked.status.success(), "{file}: cannot be unpacked");
        fs::write(there, unpacked.stdout)?;
    }
    Ok(())
}

/// The guest's first program: prepares a small machine, runs the tests, says how they ended.
fn init(programs: &Programs) -> String {
    let mut script = String::from(
        r#"#!/bin/busybox sh
export PATH=/bin RUST_BACKTRACE=0 CULVERT_BIN=/bin/culvert
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 -o nsdelegate cgroup /sys/fs/cgroup
mkdir -p /run/netns
ulimit -n 65536
ip link set lo up
"#,
    );
    for module in MODULES {
        script.push_str(&format!("[ -e /lib/{module}.ko ] && insmod /lib/{module}.ko\n"));
    }
    script.push_str(RUN);
    script.push_str("echo \"GUEST $(uname -r)\"\n");
    for TestProgram { name, filter, .. } in &programs.tests {
        let filter = filter.join(" ");
        script.push_str(&format!("run {name} --test-threads=1 {filter}\n"));
    }
    script
        .push_str("dmesg | grep -E 'WARNING|BUG:|Oops|Call Trace'\necho GUEST-DONE\npoweroff -f\n");
    script
}

fn pack(busybox: &Path, root: &Path, archive: &Path) -> Result<()> {
    let mut find =
        Command::new("find").arg(".").current_dir(root).stdout(Stdio::piped()).spawn()?;
    let names = find.stdout.take().context("find has no output")?;
    let status = Command::new(busybox)
        .args(["cpio", "-o", "-H", "newc"])
        .current_dir(root)
        .stdin(names)
        .stdout(fs::File::create(archive)?)
        .stderr(Stdio::null())
        .status()?;
    ensure!(find.wait()?.success() && status.success(), "cannot pack {}", archive.display());
    Ok(())
}
