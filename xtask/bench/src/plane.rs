//! P16: how soon a control plane tells of a large mesh, and of one change in it.
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
    follow::Follower,
    manifests::{self, Apps},
    player::Player,
    process::settled_memory,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
    stage::{self, http, namespace},
};

const GOAL: &str = "P16";

/// 10,000 pods, 1,000 services.
const MESH: Apps = Apps { count: 1000, pods_each: 10 };

/// The app that changes, and how often.
const CHANGED: u32 = 500;
const CHANGES: u8 = 20;

/// How long the control plane waits for more before it reads what changed.
pub(crate) const SETTLING: Duration = Duration::from_millis(50);

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const MB: f64 = 1e6;

/// A control plane, and a client that it told everything.
struct Plane {
    follower: Follower,
    ready: Duration,
    told: Duration,
    process: Player,
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
        let Plane { ready, told, .. } =
            Plane::start(programs, &folder).with_context(|| format!("start {round}"))?;
        starts.push((ready, told));
    }
    let mut last = Plane::start(programs, &folder)?;
    starts.push((last.ready, last.told));
    let memory = settled_memory(last.process.pid())?;
    let changes = last.changes(&folder)?;
    let seconds = |of: fn(&(Duration, Duration)) -> Duration| {
        median(&starts.iter().map(|start| of(start).as_secs_f64()).collect::<Vec<_>>())
    };
    let settling = SETTLING.as_secs_f64() * 1e3;
    Ok(vec![
        Finding::new(GOAL, "10,000 pods, 1,000 services: start → ready", seconds(|s| s.0), "s"),
        // Without routes: manifests have none yet.
        Finding::new(
            GOAL,
            "the same: start → all of it told (no routes yet)",
            seconds(|s| s.1),
            "s",
        )
        .held_to(Limit::AtMost(2.0)),
        Finding::new(GOAL, "one pod changed: written → told", changes, "ms"),
        Finding::new(GOAL, "the same, less 50 ms of waiting for more", changes - settling, "ms")
            .held_to(Limit::AtMost(5.0)),
        // Kilobytes fit: memory of more than four terabytes is not expected.
        Finding::new(
            GOAL,
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
        Ok(Self { follower, ready, told, process })
    }

    /// The middle of the milliseconds from a file's change until its pod is told anew.
    fn changes(&mut self, folder: &TempDir) -> Result<f64> {
        let draft = folder.path().join("draft.yaml");
        let place = folder.path().join("manifests").join(manifests::file(CHANGED));
        let mut took = Vec::new();
        for change in 1..=CHANGES {
            let (name, ip) = MESH.draft_move(CHANGED, change, &draft)?;
            let start = Instant::now();
            fs::rename(&draft, &place)?;
            self.follower.await_workload(&name, ip)?;
            took.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(&took))
    }
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
