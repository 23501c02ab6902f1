//! P16: how soon a control plane tells of a large mesh, with its routes, and of one change in it.
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
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

/// The app that changes, and how often.
const CHANGED: u32 = 500;
const CHANGES: u8 = 20;

/// How long the control plane waits for more before it reads what changed.
pub(crate) const SETTLING: Duration = Duration::from_millis(50);

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const MB: f64 = 1e6;

/// A control plane, and clients that it told everything: one as a node, one as an engine.
struct Plane {
    follower: Follower,
    engine: Engine,
    took: Start,
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
    MESH.write(&mesh)?;
    let mut starts = Vec::new();
    for round in 1..ROUNDS {
        let plane = Plane::start(programs, &folder).with_context(|| format!("start {round}"))?;
        starts.push(plane.took);
    }
    let mut last = Plane::start(programs, &folder)?;
    starts.push(last.took);
    let memory = settled_memory(last.process.pid())?;
    let pods = last.pods(&folder)?;
    let routes = last.routes(&folder)?;
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
        number("one pod changed: written → told", pods, "ms"),
        number("the same, less 50 ms of waiting for more", pods - settling, "ms")
            .held_to(Limit::AtMost(5.0)),
        number("one route changed: written → told, less the same", routes - settling, "ms"),
        // Kilobytes fit: memory of more than four terabytes is not expected.
        number(
            "control plane, resident",
            f64::from(u32::try_from(memory / 1024)?) * 1024.0 / MB,
            "MB",
        ),
    ])
}

impl Plane {
    fn start(programs: &Programs, folder: &TempDir) -> Result<Self> {
        let folder = folder.path();
        let (discovery, readiness) = (free_port()?, free_port()?);
        let mut command = Command::new(&programs.culvert);
        command.args(["control", "--instance", "bench", "--log", "warn"]);
        command.args(["--xds-tls-address", "off", "--xds-address", &discovery.to_string()]);
        command.args(["--metrics-address", &readiness.to_string()]);
        command.arg("--state-dir").arg(folder.join("state"));
        command.arg("-f").arg(folder.join("manifests"));
        // Without root that is where the process's sockets are.
        command.env("XDG_RUNTIME_DIR", folder);
        let start = Instant::now();
        let process = Player::placed(command)?;
        await_ready(readiness, start)?;
        let ready = start.elapsed();
        let mut follower = Follower::connect(discovery)?;
        follower.await_all(MESH.resources()?)?;
        let told = start.elapsed();
        let count = usize::try_from(MESH.count)?;
        let names = (0..MESH.count).map(manifests::routes).collect();
        let mut engine = Engine::connect(discovery, stage::MESH, names)?;
        engine.await_all(count, count)?;
        let took = Start { ready, told, routed: start.elapsed() };
        Ok(Self { follower, engine, took, process })
    }

    /// The middle of the milliseconds from a file's change until its pod is told anew.
    fn pods(&mut self, folder: &TempDir) -> Result<f64> {
        changes(
            folder,
            |change, draft| {
                let (name, ip) = MESH.draft_move(CHANGED, change, draft)?;
                Ok(move |plane: &mut Self| plane.follower.await_workload(&name, ip))
            },
            self,
        )
    }

    /// The same of its route.
    fn routes(&mut self, folder: &TempDir) -> Result<f64> {
        changes(
            folder,
            |change, draft| {
                let prefix = format!("/api/changed-{change}");
                MESH.draft_prefix(CHANGED, &prefix, draft)?;
                let name = manifests::routes(CHANGED);
                Ok(move |plane: &mut Self| plane.engine.await_route(&name, &prefix))
            },
            self,
        )
    }
}

/// The middle of the milliseconds from when the file that `draft` wrote is in its place until what
/// it gives has been waited for.
fn changes<W: FnOnce(&mut Plane) -> Result<()>>(
    folder: &TempDir,
    draft: impl Fn(u8, &Path) -> Result<W>,
    plane: &mut Plane,
) -> Result<f64> {
    let file = folder.path().join("draft.yaml");
    let place = folder.path().join("manifests").join(manifests::file(CHANGED));
    let mut took = Vec::new();
    for change in 1..=CHANGES {
        let told = draft(change, &file)?;
        let start = Instant::now();
        fs::rename(&file, &place)?;
        told(plane)?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&took))
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
