//! A node of a mesh: its proxy's life, and what it tells.
use crate::{
    culvert::{Culvert, Processes},
    eventually,
    lines::Lines,
    plane::Plane,
    running::Running,
};
use culvert_lab::NodeNs;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    sync::Arc,
};

mod told;

const ADMIN: u16 = 15000;
const METRICS: u16 = 15020;
const READINESS: u16 = 15021;

/// A node.
#[derive(Debug)]
pub struct Node {
    pub ns: NodeNs,
    pub config: PathBuf,
    pub manifests: PathBuf,
    /// Standard output of every process of the node's proxy: the access log.
    pub access: Lines,
    /// What the proxy is started by, if not directly.
    wrapper: Vec<String>,
    follows: Follows,
    /// Every process that was started, the current one last.
    processes: Processes,
}

/// Whose configuration a node lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Its own: control plane and node are one process.
    Itself,
    /// That of a control plane elsewhere.
    Plane,
}

impl Node {
    pub(crate) fn new(
        ns: NodeNs,
        config: PathBuf,
        manifests: PathBuf,
        wrapper: Vec<String>,
        follows: Follows,
    ) -> Self {
        let (access, processes) = (Lines::default(), Processes::default());
        Self { ns, config, manifests, access, wrapper, follows, processes }
    }

    /// Starts a process of the proxy; it need not have begun when this returns.
    pub fn begin(&self) -> Arc<Culvert> {
        self.begin_with(&[])
    }

    /// The same with manifests that no other process sees.
    pub fn begin_with(&self, more: &[&Path]) -> Arc<Culvert> {
        let mut command = wrapped(&self.wrapper);
        let (role, flag) = match self.follows {
            Follows::Itself => ("up", "-f"),
            Follows::Plane => ("node", "--pods"),
        };
        command.arg(role).arg("--config").arg(&self.config);
        for manifests in [&*self.manifests].iter().chain(more) {
            command.arg(flag).arg(manifests);
        }
        self.processes.add(Culvert::start(&self.ns, command, &self.access))
    }

    /// Starts a process of the proxy, which takes over one that runs; it is ready when this returns.
    #[track_caller]
    pub fn start(&self) -> Arc<Culvert> {
        let process = self.begin();
        self.await_ready(&process);
        process
    }

    /// Starts a gateway of the mesh on the node, which needs no proxy for it; it need not have begun
    /// when this returns.
    #[track_caller]
    pub fn gateway(&self, name: &str, plane: &Plane, token: &Path) -> Arc<Culvert> {
        self.gateway_with(name, plane, token, &[])
    }

    /// The same with more flags.
    #[track_caller]
    pub fn gateway_with(
        &self,
        name: &str,
        plane: &Plane,
        token: &Path,
        more: &[&str],
    ) -> Arc<Culvert> {
        let mut command = wrapped(&self.wrapper);
        let doors = ["--admin-address=127.0.0.1:15000", "--readiness-address=127.0.0.1:15021"];
        command.args(["gateway", name, "--control", &plane.url()]).args(doors);
        command.arg("--join-token").arg(token).args(more);
        self.processes.add(Culvert::start(&self.ns, command, &self.access))
    }

    /// Waits until the gateway that was started last serves.
    #[track_caller]
    pub fn await_gateway(&self) {
        let process = self.process();
        eventually("ready gateway", || {
            if let Some(status) = process.ended() {
                panic!("it ended before it was ready: {status}\n{}", process.log.text());
            }
            (self.get(READINESS, "/healthz/ready")?.0 == 200).then_some(())
        });
    }

    /// Waits until this process answers for the node and has enrolled every pod it can.
    #[track_caller]
    pub fn await_ready(&self, process: &Culvert) {
        eventually("ready proxy", || {
            if let Some(status) = process.ended() {
                panic!("the proxy ended before it was ready: {status}\n{}", process.log.text());
            }
            let status = self.try_status()?;
            let answers = status["pid"] == process.pid && status["ready"] == true;
            (answers && self.get(READINESS, "/healthz/ready")?.0 == 200).then_some(())
        });
    }

    /// Waits until the node reaches this many workloads by tunnel, or more.
    #[track_caller]
    pub fn await_tunnels(&self, count: usize) {
        eventually(&format!("way to {count} workloads by tunnel"), || {
            let (_, dump) = self.get(ADMIN, "/config_dump")?;
            let dump: Value = serde_json::from_str(&dump).ok()?;
            let by_tunnel = |workload: &&Value| workload["protocol"] == "HBONE";
            (dump["workloads"].as_array()?.iter().filter(by_tunnel).count() >= count).then_some(())
        });
    }

    /// The process started last.
    #[track_caller]
    pub fn process(&self) -> Arc<Culvert> {
        self.processes.last()
    }

    /// Kills the proxy, as a crash does.
    #[track_caller]
    pub fn kill(&self) {
        self.processes.end(Signal::SIGKILL);
    }

    /// Asks the proxy to end, and waits until it has.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.processes.end(Signal::SIGTERM)
    }

    /// Runs a command of `culvert` about this node's instance.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        let mut command = wrapped(&[]);
        command.args(args).env("CULVERT_INSTANCE", self.ns.instance());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}"));
        child.output().expect("a child can be waited for")
    }

    /// Starts our helper on the node itself, as kubelet would run; see [`crate::Pod::peer`].
    #[track_caller]
    pub fn peer(&self, words: &[&str]) -> Running {
        let mut command = Command::new(crate::programs::peer());
        command.args(words);
        self.start_program(command)
    }

    /// Starts any program on the node; what it says is kept.
    #[track_caller]
    pub fn start_program(&self, mut command: Command) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}")))
    }

    /// One connection from the node itself to a greeting server.
    #[track_caller]
    pub fn dial(&self, kind: &str, to: SocketAddr) -> Value {
        self.peer(&["dial", kind, &to.to_string()]).last_words()
    }

    pub(crate) fn processes(&self) -> Vec<Arc<Culvert>> {
        self.processes.all()
    }
}

/// The proxy, perhaps started by another program, in an environment without ours.
fn wrapped(wrapper: &[String]) -> Command {
    let culvert = crate::programs::culvert();
    let mut command = match wrapper.split_first() {
        None => Command::new(culvert),
        Some((program, words)) => {
            let mut command = Command::new(program);
            command.args(words).arg(culvert);
            command
        }
    };
    command.env_remove("CULVERT_BIN").env_remove("RUST_LOG");
    command
}
