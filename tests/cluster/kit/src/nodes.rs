//! What a test does on a node.
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::cluster::{Cluster, stderr};

impl Cluster {
    /// A command in all namespaces of a node (`node-1`), or where the control plane is (`control`):
    /// there, and on nodes, the addresses of nodes, pods and services can be reached.
    #[track_caller]
    #[must_use]
    pub fn command_on(&self, node: &str, words: &[&str]) -> Command {
        self.program(&[&["exec", node], words].concat())
    }

    /// Runs a command on a node, and returns what it says; that it fails is a surprise.
    #[track_caller]
    pub fn on(&self, node: &str, words: &[&str]) -> String {
        let output = self.try_on(node, words);
        assert!(output.status.success(), "{node}: {}: {}", words.join(" "), stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command on a node.
    #[track_caller]
    #[must_use]
    pub fn try_on(&self, node: &str, words: &[&str]) -> Output {
        self.command_on(node, words).output().expect("the program can be started")
    }

    /// Gives an image archive to all nodes.
    #[track_caller]
    pub fn import(&self, archive: &Path) {
        self.run(&["import", "all", &archive.display().to_string()]);
    }

    /// Makes an image archive from a folder that is its root file system; any tag but `latest`.
    /// Containers that do not say what they run run `command`, or of none they sleep.
    #[track_caller]
    pub fn pack(&self, image: &str, (folder, archive): (&Path, &Path), command: &[&str]) {
        let paths = [folder, archive].map(|path| path.display().to_string());
        self.run(&[&["pack", image, &paths[0], &paths[1]], command].concat());
    }

    /// The process whose namespaces are those of a node, or of the control plane.
    #[track_caller]
    #[must_use]
    pub fn pid_of(&self, node: &str) -> u32 {
        let file = self.folder.join("run").join(format!("{node}.pid"));
        let text = fs::read_to_string(&file).unwrap_or_default();
        let pid = text.split_whitespace().next().and_then(|word| word.parse().ok());
        pid.unwrap_or_else(|| panic!("{node} is not up"))
    }
}
