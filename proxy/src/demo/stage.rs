//! The stage: a control plane, two nodes, their pods, applications and proxies.
use super::{
    books::Books, edge::Edge, error::StageError, node::Node, process::Process, report::Report,
    stop::Stop,
};
use culvert_kernel::netns::Netns;
use culvert_lab::{Lab, LabChild, NodeNs, PodNs, Roles};
use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What the stage is called on this machine; the manifests name its namespaces.
const LAB: &str = "demo";

/// What is in the mesh.
const MANIFESTS: &str = include_str!("../../../deploy/demo/shop.yaml");

/// Who may talk to the server, once that is said.
const POLICY: &str = include_str!("../../../deploy/demo/only-client.yaml");

/// Where everything is written; the lab removes whatever begins with `lab-demo-` there.
pub(super) const FOLDER: &str = "/run/culvert/lab-demo-files";

/// The servers' port.
pub(super) const PORT: u16 = 8080;

/// How many pods of the first application are in the mesh.
pub(super) const PODS: usize = 3;

/// How long anything may take that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often something is looked at that no event announces.
const STEP: Duration = Duration::from_millis(10);

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) stop: Stop,
    pub(super) roles: Roles,
    pub(super) plane: NodeNs,
    control: Process,
    pub(super) a: Node,
    pub(super) b: Node,
    pub(super) client: PodNs,
    /// On the client's node, and not of those who may talk to the server.
    pub(super) near: PodNs,
    pub(super) server: PodNs,
    pub(super) outsider: PodNs,
    pub(super) outside_server: PodNs,
    /// The second application.
    pub(super) books: Books,
    /// The way in for strangers.
    pub(super) edge: Edge,
    /// Dropped before the lab, which would kill them as well.
    servers: Vec<LabChild>,
    lab: Lab,
}

impl Stage {
    /// Makes the nodes and pods and starts the servers; the rest comes with the story.
    ///
    /// # Errors
    ///
    /// When the machine cannot do it, or another demonstration is running.
    pub(super) fn build(stop: &Stop) -> Result<Self, StageError> {
        let mut lab = Lab::new(LAB)?;
        // Last, for the manifests have the addresses of the others.
        let (a, b, plane) = (lab.node("a")?, lab.node("b")?, lab.node("plane")?);
        let (client, outsider, near) = (a.pod("client")?, a.pod("outsider")?, a.pod("near")?);
        let (server, outside_server) = (b.pod("server")?, b.pod("outsider")?);
        let books = Books::build(&a, &b)?;
        let edge = Edge::build(&mut lab)?;
        let folder = Path::new(FOLDER);
        let (manifests, state) = (folder.join("manifests"), folder.join("state"));
        let program = env::current_exe()?;
        let roles = Roles { program, manifests, state };
        fs::create_dir_all(&roles.manifests)?;
        fs::write(roles.manifests.join("shop.yaml"), MANIFESTS)?;
        let servers = vec![serve(&server)?, serve(&outside_server)?, serve(&near)?];
        let (a, b) = (Node::new(a, token_of("a")), Node::new(b, token_of("b")));
        let (stop, control) = (stop.clone(), Process::default());
        Ok(Self {
            stop,
            roles,
            plane,
            control,
            a,
            b,
            client,
            near,
            server,
            outsider,
            outside_server,
            books,
            edge,
            servers,
            lab,
        })
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        [&self.a, &self.b].into_iter()
    }

    /// Starts the control plane, and has the nodes join.
    ///
    /// # Errors
    ///
    /// When no process is to be had, or the control plane does not answer.
    pub(super) fn start(&mut self) -> Result<(), StageError> {
        self.start_control()?;
        for name in ["a", "b"] {
            self.eventually("the control plane gives out tokens", |stage| {
                stage.alive()?;
                stage.token(name, &token_of(name))
            })?;
        }
        self.a.start(&self.roles, &self.plane)?;
        self.b.start(&self.roles, &self.plane)
    }

    /// Starts the control plane, for the first time or again.
    ///
    /// # Errors
    ///
    /// When no process is to be had.
    pub(super) fn start_control(&mut self) -> Result<(), StageError> {
        self.control.start(&self.plane, self.roles.control(&self.plane))
    }

    /// Stops the control plane, as a crash does.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub(super) fn stop_control(&mut self) -> Result<(), StageError> {
        Ok(self.control.kill()?)
    }

    /// Starts the proxy of node a again.
    ///
    /// # Errors
    ///
    /// When no process is to be had.
    pub(super) fn restart_a(&mut self) -> Result<(), StageError> {
        self.a.start(&self.roles, &self.plane)
    }

    /// Has only the client talk to the server.
    ///
    /// # Errors
    ///
    /// When the manifest cannot be written.
    pub(super) fn restrict(&self) -> Result<(), StageError> {
        Ok(fs::write(self.roles.manifests.join("only-client.yaml"), POLICY)?)
    }

    /// Takes that back.
    ///
    /// # Errors
    ///
    /// When the manifest cannot be removed.
    pub(super) fn allow(&self) -> Result<(), StageError> {
        Ok(fs::remove_file(self.roles.manifests.join("only-client.yaml"))?)
    }

    /// Writes the token of a node or gateway; `false` when the control plane gives none yet.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or what it says not be written.
    pub(super) fn token(&self, name: &str, file: &Path) -> Result<bool, StageError> {
        let mut command = self.roles.token(&self.plane, name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let token = self.plane.spawn(command)?.output()?;
        if token.status.success() {
            fs::write(file, token.stdout)?;
        }
        Ok(token.status.success())
    }

    /// Waits until both proxies hold their pods, and know that they reach the others by tunnel.
    ///
    /// # Errors
    ///
    /// When one ends or takes too long.
    pub(super) fn await_captured(&mut self) -> Result<String, StageError> {
        self.eventually("both proxies hold their pods", |stage| {
            stage.alive()?;
            let held = stage.a.captured("client")
                && stage.a.captured("near")
                && stage.b.captured("server");
            Ok(held && stage.nodes().all(|node| node.tunnels() == PODS))
        })?;
        Ok("shop/client and shop/near on node a, shop/server on node b".to_owned())
    }

    /// Fails when a process has ended by itself.
    ///
    /// # Errors
    ///
    /// Then.
    pub(super) fn alive(&mut self) -> Result<(), StageError> {
        let processes = [
            ("control plane", &mut self.control),
            ("proxy of node a", &mut self.a.proxy),
            ("proxy of node b", &mut self.b.proxy),
            ("gateway", &mut self.edge.process),
        ];
        for (what, process) in processes {
            if process.has_ended() {
                return Err(StageError::Unexpected(format!("the {what} ended")));
            }
        }
        Ok(())
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
        self.patiently(PATIENCE, what, &mut done)
    }

    /// The same for what takes its time.
    ///
    /// # Errors
    ///
    /// As [`eventually`](Self::eventually).
    pub(super) fn patiently(
        &mut self,
        patience: Duration,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<bool, StageError>,
    ) -> Result<(), StageError> {
        let deadline = Instant::now() + patience;
        while !done(self)? {
            if self.stop.is_set() {
                return Err(StageError::Interrupted);
            }
            if Instant::now() > deadline {
                let why = format!("waited {patience:?} in vain: {what}");
                return Err(StageError::Unexpected(why));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// When the demonstration is interrupted.
    pub(super) fn rest(&mut self, time: Duration) -> Result<(), StageError> {
        let over = Instant::now() + time;
        self.patiently(time * 2, "the clock", |_| Ok(Instant::now() >= over))
    }

    /// Shows what the proxies said last.
    pub(super) fn last_words(&self, report: &mut Report) {
        for line in self.control.last_words() {
            report.note(format_args!("control plane: {line}"));
        }
        for node in self.nodes() {
            for line in node.proxy.last_words() {
                report.note(format_args!("node {}: {line}", node.name()));
            }
        }
        for line in self.edge.process.last_words() {
            report.note(format_args!("gateway: {line}"));
        }
    }

    /// Removes everything, and looks whether something stayed.
    ///
    /// # Errors
    ///
    /// When something cannot be removed, or is still there.
    pub(super) fn remove(self) -> Result<String, StageError> {
        let Self { stop: _, a, b, control, servers, books, edge, lab, .. } = self;
        let traces: Vec<PathBuf> = [&a, &b].into_iter().flat_map(traces).collect();
        drop((a, b, control, servers, books, edge));
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

/// The file of a node's token.
fn token_of(node: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{node}.token"))
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
    listening(pod, command)
}

/// Starts a server, and waits until it says that it listens.
///
/// # Errors
///
/// When it cannot be run, or says something else.
pub(super) fn listening(pod: &PodNs, command: Command) -> Result<LabChild, StageError> {
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
