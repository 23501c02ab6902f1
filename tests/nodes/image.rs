//! The image of what runs in the pods of tests: busybox, our helper `peer`, and Istio's echo server.
use culvert_cluster::Cluster;
use e2e::programs::{busybox, peer};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Its name.
pub(crate) const IMAGE: &str = "localhost/town:test";

/// Commands of busybox that pods use.
const COMMANDS: &[&str] = &["sh", "sleep", "true", "cat", "test", "wget", "echo", "ls", "nc"];

/// Makes an image of programs, with their libraries, and gives it to all nodes.
pub(crate) fn give(cluster: &Cluster, name: &str, programs: &[PathBuf]) {
    let sleeps: &[&str] = &[];
    give_each(cluster, programs, [(name, sleeps)]);
}

/// Makes images of the same programs, by their names and what their containers run if they do not
/// say, and gives them to all nodes.
pub(crate) fn give_each<'a>(
    cluster: &Cluster,
    programs: &[PathBuf],
    images: impl IntoIterator<Item = (&'a str, &'a [&'a str])>,
) {
    let folder = TempDir::with_prefix("culvert-image-").unwrap();
    let (root, archive) = (folder.path().join("root"), folder.path().join("image.tar"));
    for needed in ["bin", "tmp", "etc", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(needed)).unwrap();
    }
    fs::copy(busybox(), root.join("bin/busybox")).unwrap();
    for command in COMMANDS {
        symlink("busybox", root.join("bin").join(command)).unwrap();
    }
    for program in programs {
        fs::copy(program, root.join("bin").join(program.file_name().unwrap())).unwrap();
        for library in libraries(program) {
            let inside = root.join(library.strip_prefix("/").unwrap());
            fs::create_dir_all(inside.parent().unwrap()).unwrap();
            fs::copy(&library, inside).unwrap();
        }
    }
    for (name, command) in images {
        cluster.pack(name, (&root, &archive), command);
        cluster.import(&archive);
    }
}

/// What runs in the pods of all stories.
pub(crate) fn give_usual(cluster: &Cluster) {
    give(cluster, IMAGE, &[peer(), beside(cluster, "istio-echo-server")]);
}

/// A program among the peers of tests.
pub(crate) fn beside(cluster: &Cluster, name: &str) -> PathBuf {
    let program = cluster.peers().join(name);
    assert!(program.exists(), "no {}: run cargo xtask test kubernetes", program.display());
    program
}

/// The libraries that a program's loader finds; none of a static one.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}
