//! One node with four pods, two of them enrolled, and Culvert on it.
use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use culvert_lab::{Lab, NodeNs, PodNs};
use tempfile::TempDir;

use crate::{
    Programs,
    player::{PROXY_CORE, Player, Seen, pinned},
};

/// The namespace that is enrolled, and the one that is not.
pub(crate) const MESH: &str = "mesh";
pub(crate) const PLAIN: &str = "plain";

const READINESS: u16 = 15021;

/// How often, and how far apart, a starting process is asked whether it is ready.
const ASKED: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// What is measured on; gone when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Enrolled.
    pub(crate) client: PodNs,
    pub(crate) server: PodNs,
    /// Not enrolled.
    pub(crate) plain_client: PodNs,
    pub(crate) plain_server: PodNs,
    // In the order in which they end.
    culvert: Player,
    _manifests: TempDir,
    _lab: Lab,
}

impl Stage {
    /// Sets the stage and waits until Culvert has captured the enrolled pods.
    pub(crate) fn set(name: &str, programs: &Programs) -> Result<Self> {
        let mut lab = Lab::new(name)?;
        let node = lab.node("a")?;
        let [client, server, plain_client, plain_server] =
            ["client", "server", "plainclient", "plainserver"].map(|name| node.pod(name));
        let (client, server) = (client?, server?);
        let (plain_client, plain_server) = (plain_client?, plain_server?);
        let manifests = tempfile::tempdir()?;
        let mut text = namespace(MESH, "enabled") + &namespace(PLAIN, "disabled");
        for (pod, namespace) in
            [(&client, MESH), (&server, MESH), (&plain_client, PLAIN), (&plain_server, PLAIN)]
        {
            write!(text, "---\n{}", pod.manifest(namespace, "default"))?;
        }
        fs::write(manifests.path().join("pods.yaml"), text)?;
        let culvert = start(&node, &manifests, programs)?;
        let ready = SocketAddr::from((Ipv4Addr::LOCALHOST, READINESS));
        let ask = || node.run(|| http(ready, "/healthz/ready")).ok()?.ok();
        await_(|| ask().is_some_and(|answer| answer.starts_with("HTTP/1.1 200")))
            .context("Culvert does not get ready")?;
        Ok(Self {
            client,
            server,
            plain_client,
            plain_server,
            culvert,
            _manifests: manifests,
            _lab: lab,
        })
    }

    /// The process id of Culvert.
    pub(crate) fn culvert(&self) -> u32 {
        self.culvert.pid()
    }

    /// Starts Envoy in a pod that is not enrolled.
    pub(crate) fn envoy(&self, programs: &Programs, bootstrap: &str) -> Result<Player> {
        let mut command = pinned(PROXY_CORE, programs.envoy()?);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
        command.args(["--config-yaml", bootstrap]);
        Player::start(&self.plain_client, Seen::Yes, command)
    }
}

fn start(node: &NodeNs, manifests: &TempDir, programs: &Programs) -> Result<Player> {
    let mut command: Command = pinned(PROXY_CORE, &programs.culvert);
    command.args(["up", "--access-log", "off", "--log", "warn", "-f"]).arg(manifests.path());
    command.args(["--instance", &node.instance(), "--node-name", node.name(), "--cgroup-root"]);
    command.arg(node.cgroup());
    node.netns().place(&mut command, Some(&node.host_cgroup()))?;
    Player::placed(command)
}

/// Pods of another node, as manifests.
pub(crate) fn strangers(first: u32, count: u32) -> Result<String> {
    let mut text = String::new();
    for number in first..first + count {
        let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 200, 0, 0).to_bits() + number);
        write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web-6c9f5d7b4-{number:05}\n  \
             namespace: {MESH}\n  labels:\n    app: web-{app}\n    version: v1\nspec:\n  \
             nodeName: node-{host}\n  serviceAccountName: web-{app}\n  containers:\n  - name: \
             main\n    image: none\nstatus:\n  podIP: {ip}\n",
            app = number / 10,
            host = number / 100,
        )?;
    }
    Ok(text)
}

pub(crate) fn namespace(name: &str, mesh: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    \
         culvert.dev/mesh: {mesh}\n"
    )
}

/// Waits until somebody in a pod listens on a port; nobody is connected to, so nobody is disturbed.
pub(crate) fn await_listener(pod: &PodNs, port: u16) -> Result<()> {
    await_(|| pod.run(|| listens(port)).is_ok_and(|ok| ok))
        .with_context(|| format!("nobody listens on port {port} of {}", pod.name()))
}

/// Whether the kernel lists a listener on `port`, in the namespace of this thread.
fn listens(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let local = format!(":{port:04X}");
    ["tcp", "tcp6"].iter().any(|family| {
        let list = fs::read_to_string(format!("/proc/thread-self/net/{family}"));
        list.unwrap_or_default().lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|address| address.ends_with(&local))
                && fields.nth(1) == Some(LISTEN)
        })
    })
}

pub(crate) fn await_(done: impl Fn() -> bool) -> Result<()> {
    for _ in 0..ASKED {
        if done() {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    bail!("gave up after {} s", (PAUSE * u32::try_from(ASKED)?).as_secs())
}

/// The answer to `GET path`, head and body.
pub(crate) fn http(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
