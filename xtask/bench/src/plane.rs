//! P16: how soon a control plane tells of a large mesh, with its routes, and of one change in it.
mod changes;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{
    Programs,
    follow::{Engine, Follower},
    manifests::{self, Apps},
    player::Player,
    process::settled_memory,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
    stage::{self, http, namespace},
};

const GOAL: &str = "P16";

/// 10,000 pods, 1,000 services, 1,000 routes.
const MESH: Apps = Apps { count: 1000, pods_each: 10, routed: true };

/// Pods, a service and a route for each app.
const OBJECTS: u32 = MESH.count * (MESH.pods_each + 2);

/// A namespace that sees all of it, and has an engine too.
const OTHER: &str = "bench-guests";

/// How long the control plane waits for more before it reads what changed.
pub(crate) const SETTLING: Duration = Duration::from_millis(50);

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const MB: f64 = 1e6;
const KB: f64 = 1e3;

/// A control plane, and clients that it told everything: one as a node, one as an engine.
struct Plane {
    follower: Follower,
    engine: Engine,
    took: Start,
    metrics: SocketAddr,
    discovery: SocketAddr,
    process: Player,
}

/// How long a start took.
#[derive(Clone, Copy)]
struct Start {
    ready: Duration,
    told: Duration,
    routed: Duration,
}

/// Measures starts, then changes and memory with the last one.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let mesh = folder.path().join("manifests");
    fs::create_dir(&mesh)?;
    fs::write(mesh.join("namespaces.yaml"), namespace(stage::MESH, "enabled"))?;
    let empty = empty(programs, &folder)?;
    MESH.write(&mesh)?;
    let mut starts = Vec::new();
    for round in 1..ROUNDS {
        let plane = Plane::start(programs, &folder).with_context(|| format!("start {round}"))?;
        starts.push(plane.took);
    }
    let mut last = Plane::start(programs, &folder)?;
    starts.push(last.took);
    let memory = last.memory()?;
    let _guests = follow(last.discovery, OTHER)?;
    let engine = last.memory()? - memory;
    let pods = changes::pods(&mut last, &folder)?;
    let routes = changes::routes(&mut last, &folder)?;
    let seconds = |of: fn(&Start) -> Duration| {
        median(&starts.iter().map(|start| of(start).as_secs_f64()).collect::<Vec<_>>())
    };
    let settling = SETTLING.as_secs_f64() * 1e3;
    let size = "10,000 pods, 1,000 services, 1,000 routes";
    let number = |what: &str, value, unit| Finding::new(GOAL, what, value, unit);
    Ok(vec![
        number(&format!("{size}: start → ready"), seconds(|s| s.ready), "s"),
        number("start → all of it told to a node", seconds(|s| s.told), "s"),
        number("start → and all clusters and routes to an engine", seconds(|s| s.routed), "s")
            .held_to(Limit::AtMost(2.0)),
        number("one pod changed: written → told", pods.told, "ms"),
        number("the same, less 50 ms of waiting for more", pods.told - settling, "ms")
            .held_to(Limit::AtMost(5.0)),
        number("the same: parts made anew, for two engines", pods.parts, ""),
        number("one route changed: written → told, less 50 ms", routes.told - settling, "ms"),
        number("the same: parts made anew, for two engines", routes.parts, ""),
        number("control plane, resident", memory / MB, "MB"),
        number("the same, per object", (memory - empty) / f64::from(OBJECTS) / KB, "KB"),
        number("the same, per engine that is told all clusters and routes", engine / MB, "MB"),
    ])
}

/// What a control plane takes that knows of nothing.
fn empty(programs: &Programs, folder: &TempDir) -> Result<f64> {
    let (process, _discovery, metrics) = start(programs, folder)?;
    await_ready(metrics, Instant::now())?;
    settled_memory(process.pid())
}

/// Starts one; gives where it tells, and where its metrics are.
fn start(programs: &Programs, folder: &TempDir) -> Result<(Player, SocketAddr, SocketAddr)> {
    let folder = folder.path();
    let (discovery, metrics) = (free_port()?, free_port()?);
    let mut command = Command::new(&programs.culvert);
    command.args(["control", "--instance", "bench", "--log", "warn"]);
    command.args(["--xds-tls-address", "off", "--xds-address", &discovery.to_string()]);
    command.args(["--metrics-address", &metrics.to_string()]);
    command.arg("--state-dir").arg(folder.join("state"));
    command.arg("-f").arg(folder.join("manifests"));
    // Without root that is where the process's sockets are.
    command.env("XDG_RUNTIME_DIR", folder);
    Ok((Player::placed(command)?, discovery, metrics))
}

impl Plane {
    fn start(programs: &Programs, folder: &TempDir) -> Result<Self> {
        let began = Instant::now();
        let (process, discovery, metrics) = start(programs, folder)?;
        await_ready(metrics, began)?;
        let ready = began.elapsed();
        let mut follower = Follower::connect(discovery)?;
        follower.await_all(MESH.resources()?)?;
        let told = began.elapsed();
        let engine = follow(discovery, stage::MESH)?;
        let took = Start { ready, told, routed: began.elapsed() };
        Ok(Self { follower, engine, took, metrics, discovery, process })
    }

    fn memory(&self) -> Result<f64> {
        settled_memory(self.process.pid())
    }
}

/// An engine of a namespace that was told everything.
fn follow(discovery: SocketAddr, namespace: &str) -> Result<Engine> {
    let count = usize::try_from(MESH.count)?;
    let names = (0..MESH.count).map(manifests::routes).collect();
    let mut engine = Engine::connect(discovery, namespace, names)?;
    engine.await_all(count, count)?;
    Ok(engine)
}

fn await_ready(at: SocketAddr, start: Instant) -> Result<()> {
    while start.elapsed() < PATIENCE {
        if http(at, "/healthz/ready").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    bail!("the control plane does not get ready")
}

/// A port of this machine that nobody listens on.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
