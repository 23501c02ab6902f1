//! The clients of the stage: what a pod is made to ask, and what came of it.
use super::{
    error::StageError,
    peer::Seen,
    stage::{FOLDER, PORT, Stage},
};
use culvert_lab::{LabChild, PodNs};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{ChildStdout, Command, Stdio},
};

/// What the pods' resolver is said to be; nobody is there, but the node answers.
const RESOLVER: &str = "10.96.0.10";

impl Stage {
    /// One request from `from` to `to`, on a new connection.
    ///
    /// # Errors
    ///
    /// When the client cannot be run; what the network did is in the answer.
    pub(super) fn get(&self, from: &PodNs, to: IpAddr) -> Result<Seen, StageError> {
        self.get_word(from, to, "hello")
    }

    /// The same, with a word that goes there and comes back.
    ///
    /// # Errors
    ///
    /// When the client cannot be run.
    pub(super) fn get_word(
        &self,
        from: &PodNs,
        to: IpAddr,
        word: &str,
    ) -> Result<Seen, StageError> {
        let mut command = Command::new(&self.roles.program);
        command.args(["demo-peer", "get", &SocketAddr::new(to, PORT).to_string(), word]);
        self.seen(from, command)
    }

    /// One request to a service by its name, as the C library resolves it.
    ///
    /// # Errors
    ///
    /// When the client cannot be run.
    pub(super) fn get_by_name(&self, from: &PodNs, name: &str) -> Result<Seen, StageError> {
        let command = self.named("shop", &["get", name])?;
        self.seen(from, command)
    }

    /// A part that is played in a pod until its input ends.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub(super) fn play(&self, from: &PodNs, part: &str, to: IpAddr) -> Result<Playing, StageError> {
        let mut command = Command::new(&self.roles.program);
        command.args(["demo-peer", part, &SocketAddr::new(to, PORT).to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = from.spawn(command)?;
        let lines = child.stdout().map(BufReader::new);
        lines.map(|lines| Playing { child, lines }).ok_or_else(|| {
            StageError::Unexpected(format!("the client of pod {} has no output", from.name()))
        })
    }

    /// An application that knows services by the names that they have in its namespace.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub(super) fn named(&self, namespace: &str, words: &[&str]) -> Result<Command, StageError> {
        let file = Path::new(FOLDER).join(format!("{namespace}.conf"));
        let search = format!("{namespace}.svc.cluster.local svc.cluster.local cluster.local");
        let conf = format!("nameserver {RESOLVER}\nsearch {search}\noptions ndots:5\n");
        // Others may be reading it.
        if !file.exists() {
            fs::write(&file, conf)?;
        }
        // Mounts of its own, so that /etc/resolv.conf is the pod's, as a container's would be.
        let script =
            "mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$0\" demo-peer \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]);
        command.arg(&self.roles.program).arg(file).args(words);
        Ok(command)
    }

    /// What a client tells when it has ended.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or tells nothing.
    pub(super) fn seen<T: DeserializeOwned>(
        &self,
        from: &PodNs,
        mut command: Command,
    ) -> Result<T, StageError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = from.spawn(command)?.output()?;
        if self.stop.is_set() {
            return Err(StageError::Interrupted);
        }
        serde_json::from_slice(&output.stdout).map_err(|_garbled| {
            StageError::Unexpected(format!("the client of pod {} ended early", from.name()))
        })
    }
}

/// A client that goes on until it is told to end.
#[derive(Debug)]
pub(super) struct Playing {
    child: LabChild,
    lines: BufReader<ChildStdout>,
}

impl Playing {
    /// The next line it says.
    ///
    /// # Errors
    ///
    /// When it ended, or says something else.
    pub(super) fn says<T: DeserializeOwned>(&mut self) -> Result<T, StageError> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        serde_json::from_str(&line)
            .map_err(|_garbled| StageError::Unexpected(format!("a client said {line:?}")))
    }

    /// Has it end, and returns the last thing it says.
    ///
    /// # Errors
    ///
    /// As [`says`](Self::says).
    pub(super) fn finish<T: DeserializeOwned>(mut self) -> Result<T, StageError> {
        drop(self.child.stdin());
        let last = self.says();
        self.child.signal(Signal::SIGKILL)?;
        last
    }
}
