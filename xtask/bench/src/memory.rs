//! P15: what a node keeps in memory.
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use culvert_lab::PodNs;

use crate::{
    Programs,
    connect::serve,
    envoy,
    player::{Player, Seen, role},
    process::settled_memory,
    report::{Finding, Limit},
    stage::{Stage, await_listener},
};

const GOAL: &str = "P15";

const MB: f64 = 1e6;
const KB: f64 = 1e3;

/// Two sizes, whose difference leaves out whatever is there once.
const FEW_PODS: u32 = 1000;
const MANY_PODS: u32 = 5000;
const FEW_CONNECTIONS: usize = 2000;
const MANY_CONNECTIONS: usize = 4000;

/// Connections that carry something, and how much.
const BUSY_CONNECTIONS: usize = 200;
const MEBIBYTES: usize = 12;

const SERVER_PORT: u16 = 7001;
const ENVOY_PORT: u16 = 7101;

/// What the memory of one proxy is spent on.
#[derive(Debug, Clone, Copy)]
struct Spent {
    idle: f64,
    per_connection: f64,
    /// What each connection holds beyond that after it has carried something.
    left: f64,
}

/// A proxy under test: its process, and how its clients reach the server.
#[derive(Debug, Clone, Copy)]
struct Proxy<'a> {
    pid: u32,
    client: &'a PodNs,
    to: SocketAddr,
}

/// Measures an idle node, then what workloads and connections add to it.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let stage = Stage::set("benchp15", programs)?;
    let server = SocketAddr::from((stage.plain_server.ip4(), SERVER_PORT));
    let _server = serve(&stage.plain_server, Seen::Yes, server)?;
    let ours = Proxy { pid: stage.culvert(), client: &stage.client, to: server }.spend()?;
    let before = SocketAddr::from((Ipv4Addr::LOCALHOST, ENVOY_PORT));
    let envoy = stage.envoy(programs, &envoy::bootstrap(&[(before, server)]))?;
    await_listener(&stage.plain_client, ENVOY_PORT)?;
    let theirs = Proxy { pid: envoy.pid(), client: &stage.plain_client, to: before }.spend()?;
    drop(envoy);
    let per_workload = workloads(&stage)?;
    let after = format!("per connection, after {MEBIBYTES} MiB through each of {BUSY_CONNECTIONS}");
    Ok(vec![
        Finding::new(GOAL, "node, idle", ours.idle / MB, "MB")
            .beside("envoy", theirs.idle / MB)
            .held_to(Limit::AtMost(18.0)),
        Finding::new(GOAL, "per workload known", per_workload / KB, "KB")
            .held_to(Limit::AtMost(1.0)),
        Finding::new(GOAL, "per idle connection", ours.per_connection / KB, "KB")
            .beside("envoy", theirs.per_connection / KB)
            .held_to(Limit::AtMost(3.0)),
        // Back to what an idle one may take.
        Finding::new(GOAL, after, (ours.per_connection + ours.left) / KB, "KB")
            .beside("envoy", (theirs.per_connection + theirs.left) / KB)
            .held_to(Limit::AtMost(3.0)),
    ])
}

impl Proxy<'_> {
    fn spend(&self) -> Result<Spent> {
        let idle = self.memory()?;
        let few = self.with_idle(FEW_CONNECTIONS)?;
        let many = self.with_idle(MANY_CONNECTIONS)?;
        let slope = (many - few) / count(MANY_CONNECTIONS - FEW_CONNECTIONS);
        Ok(Spent { idle, per_connection: slope, left: self.left()? })
    }

    fn memory(&self) -> Result<f64> {
        bytes(self.pid)
    }

    fn hold(&self, count: usize, mebibytes: usize) -> Result<Player> {
        let (to, count) = (self.to.to_string(), count.to_string());
        let mebibytes = mebibytes.to_string();
        let words = ["hold", "--to", &to, "--count", &count, "--mebibytes", &mebibytes];
        let mut player = Player::start(self.client, Seen::Yes, role(&words)?)?;
        player.says("ready")?;
        Ok(player)
    }

    fn with_idle(&self, count: usize) -> Result<f64> {
        let _held = self.hold(count, 0)?;
        self.memory()
    }

    /// Compared with as many that have carried nothing, made right before.
    fn left(&self) -> Result<f64> {
        let before = self.with_idle(BUSY_CONNECTIONS)?;
        let mut held = self.hold(BUSY_CONNECTIONS, MEBIBYTES)?;
        held.says("sent")?;
        Ok((self.memory()? - before) / count(BUSY_CONNECTIONS))
    }
}

/// What one more workload of another node takes.
fn workloads(stage: &Stage) -> Result<f64> {
    stage.add_strangers("few.yaml", 0, FEW_PODS)?;
    let few = bytes(stage.culvert())?;
    stage.add_strangers("many.yaml", FEW_PODS, MANY_PODS - FEW_PODS)?;
    let many = bytes(stage.culvert())?;
    Ok((many - few) / f64::from(MANY_PODS - FEW_PODS))
}

fn bytes(pid: u32) -> Result<f64> {
    // Kilobytes fit: memory of more than four terabytes is not expected.
    Ok(f64::from(u32::try_from(settled_memory(pid)? / 1024)?) * 1024.0)
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}
