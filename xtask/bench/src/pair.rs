//! Two nodes and a control plane: pods of the mesh on both, and the same pods outside of it.
use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use culvert_lab::{Lab, NodeNs, PodNs, Roles};
use tempfile::TempDir;

use crate::{
    Programs,
    player::{Player, Seen},
    process::cpu_seconds,
    stage::{MESH, PLAIN, await_, http, namespace, strangers},
};

/// The folder of what only the control plane reads.
const ELSEWHERE: &str = "elsewhere";

const READINESS: u16 = 15021;
const ADMIN: u16 = 15000;
const CONTROL: u16 = 15014;

/// What is measured on; gone when dropped.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) enrolled: Pods,
    pub(crate) plain: Pods,
    // In the order in which they end.
    proxies: [Player; 2],
    _control: Player,
    nodes: [NodeNs; 2],
    pub(crate) folder: TempDir,
    _lab: Lab,
}

/// Who talks to whom.
#[derive(Debug)]
pub(crate) struct Pods {
    pub(crate) client: PodNs,
    /// On the client's node.
    pub(crate) near: PodNs,
    /// On the other one.
    pub(crate) server: PodNs,
}

impl Pair {
    /// Sets the stage and waits until everybody knows that the pods are reached by tunnel.
    pub(crate) fn set(name: &str, programs: &Programs) -> Result<Self> {
        Self::set_with(name, programs, &[])
    }

    /// The same, with certificates of the authority in a folder.
    pub(crate) fn set_with_authority(
        name: &str,
        programs: &Programs,
        folder: &Path,
    ) -> Result<Self> {
        Self::set_with(name, programs, &[("CULVERT_CA_FOLDER", folder)])
    }

    fn set_with(name: &str, programs: &Programs, settings: &[(&str, &Path)]) -> Result<Self> {
        let mut lab = Lab::new(name)?;
        let (plane, a, b) = (lab.node("plane")?, lab.node("a")?, lab.node("b")?);
        let enrolled = Pods::on(&a, &b, "")?;
        let plain = Pods::on(&a, &b, "p")?;
        let folder = tempfile::tempdir()?;
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests)?;
        let mut text = namespace(MESH, "enabled") + &namespace(PLAIN, "disabled");
        for (pods, namespace) in [(&enrolled, MESH), (&plain, PLAIN)] {
            for pod in pods.all() {
                write!(text, "---\n{}", pod.manifest(namespace, "default"))?;
            }
        }
        fs::write(manifests.join("pods.yaml"), text)?;
        let state = folder.path().join("state");
        let roles = Roles { program: programs.culvert.clone(), manifests, state };
        let elsewhere = folder.path().join(ELSEWHERE);
        fs::create_dir(&elsewhere)?;
        let mut control = roles.control(&plane);
        control.arg("-f").arg(elsewhere).envs(settings.iter().copied());
        let control = placed(&plane, control)?;
        await_http(&plane, CONTROL, "/healthz/ready", |_| true).context("control plane")?;
        let proxies = [&a, &b].map(|node| -> Result<Player> {
            let token = token(&roles, &plane, node, &folder)?;
            placed(node, roles.node(node, &plane, &token))
        });
        let [first, second] = proxies;
        let proxies = [first?, second?];
        for node in [&a, &b] {
            await_http(node, READINESS, "/healthz/ready", |_| true).context("node")?;
            let known = |dump: &str| dump.matches("\"HBONE\"").count() >= enrolled.all().len();
            await_http(node, ADMIN, "/config_dump", known).context("tunnels are not announced")?;
        }
        let nodes = [a, b];
        Ok(Self { enrolled, plain, proxies, _control: control, nodes, folder, _lab: lab })
    }

    /// Tells the mesh of pods on other nodes.
    pub(crate) fn add_strangers(&self, file: &str, first: u32, count: u32) -> Result<()> {
        self.write(file, &strangers(first, count)?)
    }

    /// Gives the control plane more to read.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        // Beside the folder that is watched, then moved into it: seen whole or not at all.
        let draft = self.folder.path().join(file);
        fs::write(&draft, text)?;
        Ok(fs::rename(draft, self.folder.path().join(ELSEWHERE).join(file))?)
    }

    /// What both proxies answer to this path of their admin address.
    pub(crate) fn admin(&self, path: &str) -> Result<Vec<String>> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN));
        self.nodes.iter().map(|node| Ok(node.run(|| http(at, path))??)).collect()
    }

    /// The process id of the proxy on the server's node.
    pub(crate) fn server_pid(&self) -> u32 {
        let [_, b] = &self.proxies;
        b.pid()
    }

    /// CPU seconds of both proxies so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let [a, b] = &self.proxies;
        Ok(cpu_seconds(a.pid())? + cpu_seconds(b.pid())?)
    }

    /// Starts Envoy in a pod, with one worker.
    pub(crate) fn envoy(
        &self,
        pod: &PodNs,
        programs: &Programs,
        bootstrap: &str,
    ) -> Result<Player> {
        let mut command = Command::new(programs.envoy()?);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
        command.args(["--config-yaml", bootstrap]);
        Player::start(pod, Seen::Yes, command)
    }
}

impl Pods {
    fn on(a: &NodeNs, b: &NodeNs, prefix: &str) -> Result<Self> {
        let name = |name: &str| format!("{prefix}{name}");
        Ok(Self {
            client: a.pod(&name("client"))?,
            near: a.pod(&name("near"))?,
            server: b.pod(&name("server"))?,
        })
    }

    const fn all(&self) -> [&PodNs; 3] {
        [&self.client, &self.near, &self.server]
    }
}

/// Starts a role on its node, quietly.
pub(crate) fn placed(node: &NodeNs, mut command: Command) -> Result<Player> {
    command.env("CULVERT_LOG", "warn").env("CULVERT_ACCESS_LOG", "off");
    node.netns().place(&mut command, Some(&node.host_cgroup()))?;
    Player::placed(command)
}

pub(crate) fn token(
    roles: &Roles,
    plane: &NodeNs,
    node: &NodeNs,
    folder: &TempDir,
) -> Result<PathBuf> {
    let mut command = roles.token(plane, node.name());
    plane.netns().place(&mut command, Some(&plane.host_cgroup()))?;
    let text = Player::placed(command)?.line()?;
    let file = folder.path().join(format!("{}.token", node.name()));
    fs::write(&file, text)?;
    Ok(file)
}

pub(crate) fn await_http(
    node: &NodeNs,
    port: u16,
    path: &str,
    is: impl Fn(&str) -> bool,
) -> Result<()> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = || node.run(|| http(at, path)).ok()?.ok();
    let fits = |answer: String| answer.starts_with("HTTP/1.1 200") && is(&answer);
    await_(|| ask().is_some_and(fits)).with_context(|| format!("no {path} on {}", node.name()))
}
