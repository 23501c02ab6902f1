//! Programs that tests start: ours, and those of others.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The proxy under test.
#[must_use]
pub fn culvert() -> PathBuf {
    // Given by `cargo xtask test`; else where cargo puts it, beside the folder of test programs.
    let beside = own_folder().parent().unwrap_or(Path::new("/")).join("culvert");
    let found = env::var_os("CULVERT_BIN").map_or(beside, PathBuf::from);
    assert!(found.exists(), "no {}: run cargo xtask test e2e", found.display());
    found
}

/// Our helper that runs inside pods.
#[must_use]
pub fn peer() -> PathBuf {
    let folder = own_folder();
    let beside_the_proxy = env::var_os("CULVERT_BIN")
        .map(PathBuf::from)
        .and_then(|culvert| Some(culvert.parent()?.join("peer")));
    let found = [folder.parent().map(|above| above.join("peer")), beside_the_proxy]
        .into_iter()
        .flatten()
        .find(|peer| peer.exists());
    found.expect("no program peer beside culvert: run cargo xtask test e2e")
}

/// A program of the machine, or the name of the package that has it.
#[must_use]
pub fn of_machine(name: &str, package: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.chain(postgres()).map(|folder| folder.join(name)).find(|p| p.is_file());
    let found = found.unwrap_or_else(|| {
        panic!("no program {name}: run cargo xtask test e2e, or apt-get install {package}")
    });
    Command::new(found)
}

/// The folder with the CNI plugins of Debian's package: on the machine, or among the peers.
#[must_use]
pub fn cni_plugins() -> PathBuf {
    let mut both = installed_or_unpacked("/usr/lib/cni");
    let found =
        both.find(|folder| folder.join("bridge").is_file() && folder.join("host-local").is_file());
    let found = found.and_then(|folder| fs::canonicalize(folder).ok());
    found.expect(
        "no CNI plugins: run cargo xtask test e2e, or apt-get install containernetworking-plugins",
    )
}

/// Debian's static busybox itself: what is called so among the peers only leads there.
#[must_use]
pub fn busybox() -> PathBuf {
    let found = installed_or_unpacked("/bin/busybox").find(|file| file.is_file());
    found.expect("no busybox: run cargo xtask test kubernetes, or apt-get install busybox-static")
}

/// A path of the machine, and the same below what was unpacked of Debian's packages.
fn installed_or_unpacked(path: &str) -> impl Iterator<Item = PathBuf> {
    let unpacked = own_folder().join(format!("../../peers/root{path}"));
    [path.into(), unpacked].into_iter()
}

/// The folder with the tool of CNI's own library, and plugins that know CNI 1.1.
#[must_use]
pub fn newer_cni() -> PathBuf {
    let folder = own_folder().join("../../peers/cni");
    let has_all =
        ["cnitool", "bridge", "host-local"].iter().all(|name| folder.join(name).is_file());
    assert!(has_all, "no {}: run cargo xtask test e2e", folder.display());
    fs::canonicalize(folder).expect("a folder that is there")
}

/// Where Debian keeps the programs of postgres, which are on nobody's path.
fn postgres() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin")).collect()
}

fn own_folder() -> PathBuf {
    let own = env::current_exe().expect("a running program has a path");
    own.parent().expect("a program is in a folder").to_owned()
}
