//! A control plane with ten thousand services, and a node for each round that is to know them.
use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use culvert_lab::{Lab, NodeNs, PodNs, Roles};
use tempfile::TempDir;

use crate::{
    Programs,
    follow::Follower,
    manifests::{self, Apps, POD_PORT, SERVICE_PORT, vip},
    pair::{await_http, placed, token},
    player::{Player, Seen, role_anywhere},
    rounds::ROUNDS,
    stage::{MESH, namespace},
};

/// How many services there are; the last of them has an endpoint that is really there.
pub(crate) const SERVICES: u32 = 10_000;

/// All others.
const APPS: Apps = Apps { count: SERVICES - 1, pods_each: 1, routed: false };

/// The pod behind the last one, and its file.
const TURN: &str = "turn";
const TURN_FILE: &str = "turn.yaml";

/// What `culvert control` listens on when nothing else is said.
const DISCOVERY: u16 = 15010;
const METRICS: u16 = 15014;

/// What is measured on; gone when dropped.
pub(crate) struct Town {
    homes: Vec<Home>,
    servers: [PodNs; 2],
    /// Which of them is the endpoint.
    turn: usize,
    roles: Roles,
    // In the order in which they end.
    _answering: [Player; 2],
    _control: Player,
    plane: NodeNs,
    folder: TempDir,
    _lab: Lab,
}

/// A node, a pod that is enrolled, and one that is not.
struct Home {
    node: NodeNs,
    enrolled: PodNs,
    outside: PodNs,
}

/// A proxy that was started, and a client that has reached the last service through it.
pub(crate) struct Started {
    pub(crate) client: Player,
    pub(crate) proxy: Player,
    /// Seconds from the start to the client's first answer.
    pub(crate) took: f64,
}

impl Town {
    /// Sets the stage, up to the control plane.
    pub(crate) fn set(name: &str, programs: &Programs) -> Result<Self> {
        let mut lab = Lab::new(name)?;
        let (plane, far) = (lab.node("plane")?, lab.node("far")?);
        let servers = [far.pod("one")?, far.pod("two")?];
        let homes = (0..ROUNDS)
            .map(|round| Home::on(lab.node(&format!("n{round}"))?))
            .collect::<Result<Vec<_>>>()?;
        let folder = tempfile::tempdir()?;
        let [manifests, services] = ["manifests", "services"].map(|name| folder.path().join(name));
        fs::create_dir(&manifests)?;
        fs::create_dir(&services)?;
        let mut text = namespace(MESH, "enabled");
        for home in &homes {
            write!(text, "---\n{}", home.enrolled.manifest(MESH, "default"))?;
        }
        fs::write(manifests.join("pods.yaml"), text)?;
        let last = manifests::service("last", vip(SERVICES - 1), TURN, "tcp");
        fs::write(services.join("last.yaml"), last)?;
        fs::write(services.join(TURN_FILE), turn(&servers[0]))?;
        APPS.write(&services)?;
        let state = folder.path().join("state");
        let roles = Roles { program: programs.culvert.clone(), manifests, state };
        let mut control = roles.control(&plane);
        control.arg("-f").arg(&services);
        let control = placed(&plane, control)?;
        await_http(&plane, METRICS, "/healthz/ready", |_| true).context("control plane")?;
        let [one, two] = &servers;
        let answering = [serve(one, '1')?, serve(two, '2')?];
        Ok(Self {
            homes,
            servers,
            turn: 0,
            roles,
            _answering: answering,
            _control: control,
            plane,
            folder,
            _lab: lab,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pod of a round that is not in the mesh.
    pub(crate) fn outside(&self, round: usize) -> Result<&PodNs> {
        Ok(&self.home(round)?.outside)
    }

    /// What is behind the last service now.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        (self.servers[self.turn].ip4(), POD_PORT).into()
    }

    /// From now on it is the other one; nobody has been told.
    pub(crate) fn turn(&mut self) {
        self.turn = 1 - self.turn;
    }

    /// Starts the node of a round.
    pub(crate) fn start(&self, round: usize) -> Result<Started> {
        let Home { node, enrolled, .. } = self.home(round)?;
        let token = token(&self.roles, &self.plane, node, &self.folder)?;
        let start = now()?;
        let proxy = placed(node, self.roles.node(node, &self.plane, &token))?;
        Started::reached(proxy, enrolled, (vip(SERVICES - 1), SERVICE_PORT).into(), start)
    }

    /// Somebody else who is told everything; only while it is waited with does it answer when the
    /// control plane asks whether it lives.
    pub(crate) fn follower(&self) -> Result<Follower> {
        let discovery = SocketAddr::from((Ipv4Addr::LOCALHOST, DISCOVERY));
        let mut follower = self.plane.run(|| Follower::connect(discovery))??;
        // Each app with its pod, the last service with its own, and the clients.
        follower.await_all(APPS.resources()? + 2 + ROUNDS)?;
        Ok(follower)
    }

    /// Writes the endpoint down; when it was written, and when the control plane told of it.
    pub(crate) fn change(&self, follower: &mut Follower) -> Result<(f64, f64)> {
        let draft = self.folder().join(TURN_FILE);
        let server = &self.servers[self.turn];
        fs::write(&draft, turn(server))?;
        let written = now()?;
        fs::rename(&draft, self.folder().join("services").join(TURN_FILE))?;
        follower.await_workload(TURN, IpAddr::V4(server.ip4()))?;
        Ok((written, now()?))
    }

    fn home(&self, round: usize) -> Result<&Home> {
        self.homes.get(round).context("no node for this round")
    }
}

impl Home {
    fn on(node: NodeNs) -> Result<Self> {
        let pod = |name: &str| node.pod(&format!("{name}{}", node.name()));
        let (enrolled, outside) = (pod("client")?, pod("plain")?);
        Ok(Self { node, enrolled, outside })
    }
}

impl Started {
    /// Waits until a client in a pod has an answer from `to`, through a proxy that was started.
    pub(crate) fn reached(proxy: Player, pod: &PodNs, to: SocketAddr, start: f64) -> Result<Self> {
        let words = ["turns", "--to", &to.to_string()].map(str::to_owned);
        let client = role_anywhere(&words.each_ref().map(String::as_str))?;
        let mut client = Player::start(pod, Seen::Yes, client)?;
        client.go_on()?;
        let mut started = Self { client, proxy, took: 0.0 };
        started.took = started.answered()? - start;
        Ok(started)
    }

    /// When the client met another server than before: seconds since 1970.
    pub(crate) fn answered(&mut self) -> Result<f64> {
        let line = self.client.line()?;
        line.parse().with_context(|| format!("{line:?} is no number"))
    }
}

/// The pod of the last service, at the address of one that is there.
fn turn(server: &PodNs) -> String {
    manifests::pod(TURN, TURN, "elsewhere", IpAddr::V4(server.ip4()))
}

fn serve(pod: &PodNs, answer: char) -> Result<Player> {
    let at = SocketAddr::from((pod.ip4(), POD_PORT)).to_string();
    let role = role_anywhere(&["serve", "--at", &at, "--answer", &answer.to_string()])?;
    let mut server = Player::start(pod, Seen::Yes, role)?;
    server.says("ready")?;
    Ok(server)
}

/// Seconds since 1970, which is the same clock in every process.
pub(crate) fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}
