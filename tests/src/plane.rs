//! The control plane of a mesh: a process on a node of its own, that others reach as they would
//! another machine.
use crate::{
    culvert::{Culvert, Processes},
    eventually, http,
    lines::Lines,
    programs,
    running::Running,
};
use culvert_lab::NodeNs;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    sync::Arc,
};

/// Where it serves nodes, and where it tells of itself.
const XDS: u16 = 15012;
const METRICS: u16 = 15014;

/// A control plane.
#[derive(Debug)]
pub struct Plane {
    pub ns: NodeNs,
    folder: PathBuf,
    config: PathBuf,
    manifests: PathBuf,
    processes: Processes,
}

impl Plane {
    /// Keeps its files in `folder`.
    pub(crate) fn new(ns: NodeNs, folder: &Path, manifests: PathBuf, settings: &[String]) -> Self {
        let config = folder.join("plane.yaml");
        let own = [
            format!("instance: {}", ns.instance()),
            format!("state_dir: {}", folder.join("state").display()),
            format!("control_names: [\"{}\", \"{}\"]", ns.ip4(), ns.ip6()),
        ];
        let lines = own.iter().chain(settings).map(|line| format!("{line}\n"));
        fs::write(&config, lines.collect::<String>()).expect("a settings file");
        Self { ns, folder: folder.to_owned(), config, manifests, processes: Processes::default() }
    }

    /// The address that nodes are given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{XDS}", self.ns.ip4())
    }

    /// Where it is reached by TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.ns.ip4(), XDS))
    }

    /// Where it keeps what outlives it.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Starts a process of it; it serves when this returns.
    #[track_caller]
    pub fn start(&self) -> Arc<Culvert> {
        let mut command = Command::new(programs::culvert());
        command.env_remove("CULVERT_BIN").env_remove("RUST_LOG");
        command.arg("control").arg("--config").arg(&self.config).arg("-f").arg(&self.manifests);
        let process = self.processes.add(Culvert::start(&self.ns, command, &Lines::default()));
        let ready = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS));
        eventually("ready control plane", || {
            if let Some(status) = process.ended() {
                panic!("it ended before it was ready: {status}\n{}", process.log.text());
            }
            let get = || http::get(ready, "/healthz/ready").ok();
            let answer = self.ns.run(get).expect("a namespace to enter");
            answer.filter(|(status, _)| *status == 200).map(drop)
        });
        process
    }

    /// The process started last.
    #[track_caller]
    pub fn process(&self) -> Arc<Culvert> {
        self.processes.last()
    }

    /// Kills it, as a crash does.
    #[track_caller]
    pub fn kill(&self) {
        self.processes.end(Signal::SIGKILL);
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.processes.end(Signal::SIGTERM)
    }

    /// Runs a command of `culvert` about it.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new(programs::culvert());
        command.env_remove("CULVERT_BIN").env_remove("RUST_LOG");
        command.args(args).env("CULVERT_INSTANCE", self.ns.instance());
        self.output(command)
    }

    /// Runs any program to its end where it is.
    #[track_caller]
    pub fn output(&self, mut command: Command) -> Output {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}"));
        child.output().expect("a child can be waited for")
    }

    /// What it says of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        let Output { stdout, stderr, .. } = self.cli(&["status", "--output", "json"]);
        serde_json::from_slice(&stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&stderr)))
    }

    /// Starts our helper where it is; see [`crate::Pod::peer`].
    #[track_caller]
    pub fn peer(&self, words: &[&str]) -> Running {
        let mut command = Command::new(programs::peer());
        command.args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}")))
    }

    /// The file with the token by which `node` joins, or a gateway as `NAMESPACE/NAME`, made anew.
    #[track_caller]
    pub fn token(&self, node: &str) -> PathBuf {
        let Output { status, stdout, stderr } = self.cli(&["token", node]);
        assert!(status.success(), "no token: {}", String::from_utf8_lossy(&stderr));
        let file = self.folder.join(format!("{}.token", node.replace('/', "-")));
        fs::write(&file, stdout).expect("a file for the token");
        file
    }

    /// The whole exposition.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS));
        let answer = self.ns.run(|| http::get(at, "/metrics")).expect("a namespace to enter");
        answer.expect("a control plane that is scraped").1
    }

    pub(crate) fn processes(&self) -> Vec<Arc<Culvert>> {
        self.processes.all()
    }
}
