//! The stage: two nodes, two pods on each, their applications and proxies.
use super::{error::StageError, node::Node, peer::Seen, report::Report, stop::Stop};
use culvert_kernel::netns::Netns;
use culvert_lab::{Lab, LabChild, PodNs};
use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What the stage is called on this machine; the manifests name its namespaces.
const LAB: &str = "demo";

/// What the two proxies are told.
const MANIFESTS: &str = include_str!("../../../deploy/demo/shop.yaml");

/// Where the manifests are written; the lab removes whatever begins with `lab-demo-` there.
const FOLDER: &str = "/run/culvert/lab-demo-manifests";

/// The servers' port.
const PORT: u16 = 8080;

/// How long anything may take that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often something is looked at that no event announces.
const STEP: Duration = Duration::from_millis(10);

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    stop: Stop,
    pub(super) a: Node,
    pub(super) b: Node,
    pub(super) client: PodNs,
    pub(super) server: PodNs,
    pub(super) outsider: PodNs,
    pub(super) outside_server: PodNs,
    /// Dropped before the lab, which would kill them as well.
    servers: Vec<LabChild>,
    lab: Lab,
}

impl Stage {
    /// Makes the nodes and pods and starts the servers; the proxies come with the story.
    ///
    /// # Errors
    ///
    /// When the machine cannot do it, or another demonstration is running.
    pub(super) fn build(stop: &Stop) -> Result<Self, StageError> {
        let mut lab = Lab::new(LAB)?;
        let (a, b) = (lab.node("a")?, lab.node("b")?);
        let (client, outsider) = (a.pod("client")?, a.pod("outsider")?);
        let (server, outside_server) = (b.pod("server")?, b.pod("outsider")?);
        fs::create_dir_all(FOLDER)?;
        fs::write(Path::new(FOLDER).join("shop.yaml"), MANIFESTS)?;
        let servers = vec![serve(&server)?, serve(&outside_server)?];
        let (a, b) = (Node::new(a), Node::new(b));
        let stop = stop.clone();
        Ok(Self { stop, a, b, client, server, outsider, outside_server, servers, lab })
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        [&self.a, &self.b].into_iter()
    }

    /// Starts the proxy of node a, or of both.
    ///
    /// # Errors
    ///
    /// When no process is to be had.
    pub(super) fn start_proxies(&mut self) -> Result<(), StageError> {
        self.a.start(Path::new(FOLDER))?;
        self.b.start(Path::new(FOLDER))
    }

    /// Starts the proxy of node a again.
    ///
    /// # Errors
    ///
    /// When no process is to be had.
    pub(super) fn restart_a(&mut self) -> Result<(), StageError> {
        self.a.start(Path::new(FOLDER))
    }

    /// Waits until both proxies hold their pods.
    ///
    /// # Errors
    ///
    /// When one ends or takes too long.
    pub(super) fn await_captured(&mut self) -> Result<String, StageError> {
        self.eventually("both proxies hold their pods", |stage| {
            for node in [&mut stage.a, &mut stage.b] {
                if node.has_ended() {
                    let why = format!("the proxy of node {} ended", node.name());
                    return Err(StageError::Unexpected(why));
                }
            }
            Ok(stage.a.captured("client") && stage.b.captured("server"))
        })?;
        Ok("shop/client on node a, shop/server on node b".to_owned())
    }

    /// One request from `from` to `to`, on a new connection.
    ///
    /// # Errors
    ///
    /// When the client cannot be run; what the network did is in the answer.
    pub(super) fn get(&self, from: &PodNs, to: IpAddr) -> Result<Seen, StageError> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["demo-peer", "get", &SocketAddr::new(to, PORT).to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = from.spawn(command)?.output()?;
        if self.stop.is_set() {
            return Err(StageError::Interrupted);
        }
        serde_json::from_slice(&output.stdout).map_err(|_garbled| {
            StageError::Unexpected(format!("the client of pod {} ended early", from.name()))
        })
    }

    /// Looks again and again until `done`.
    ///
    /// # Errors
    ///
    /// When it never is, or `done` fails, or the demonstration is interrupted.
    pub(super) fn eventually(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<bool, StageError>,
    ) -> Result<(), StageError> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self)? {
            if self.stop.is_set() {
                return Err(StageError::Interrupted);
            }
            if Instant::now() > deadline {
                let why = format!("waited {PATIENCE:?} in vain: {what}");
                return Err(StageError::Unexpected(why));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Shows what the proxies said last.
    pub(super) fn last_words(&self, report: &mut Report) {
        for node in self.nodes() {
            for line in node.last_words() {
                report.note(format_args!("node {}: {line}", node.name()));
            }
        }
    }

    /// Removes everything, and looks whether something stayed.
    ///
    /// # Errors
    ///
    /// When something cannot be removed, or is still there.
    pub(super) fn remove(self) -> Result<String, StageError> {
        let Self { stop: _, a, b, servers, lab, .. } = self;
        let traces: Vec<PathBuf> = [&a, &b].into_iter().flat_map(traces).collect();
        drop((a, b, servers));
        lab.remove()?;
        let mut left: Vec<String> = Netns::names()?
            .into_iter()
            .filter(|name| name.starts_with(&format!("culvert-{LAB}-")))
            .collect();
        left.extend(
            traces.iter().filter(|path| path.exists()).map(|path| path.display().to_string()),
        );
        if left.is_empty() {
            return Ok("all removed".to_owned());
        }
        Err(StageError::Unexpected(format!("still there: {}", left.join(", "))))
    }
}

/// What a node's proxy makes on the machine.
fn traces(node: &Node) -> [PathBuf; 2] {
    let instance = node.instance();
    [Path::new("/sys/fs/bpf/culvert").join(&instance), Path::new("/run/culvert").join(&instance)]
}

/// Starts a pod's server and waits until it listens.
fn serve(pod: &PodNs) -> Result<LabChild, StageError> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["demo-peer", "serve", &PORT.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut server = pod.spawn(command)?;
    let mut line = String::new();
    if let Some(stdout) = server.stdout() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim_end() == "listening" {
        return Ok(server);
    }
    Err(StageError::Unexpected(format!("the server of pod {} did not start", pod.name())))
}
