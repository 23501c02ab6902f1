//! P15: what a node keeps in memory.
use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::Result;
use culvert_lab::PodNs;

use crate::{
    Programs,
    connect::serve,
    envoy,
    pair::Pair,
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

/// Longer than proxies wait until they take a buffer for unused.
const QUIET: Duration = Duration::from_secs(20);

const SERVER_PORT: u16 = 7001;
const ENVOY_PORT: u16 = 7101;

/// A proxy under test: its process, and how its clients reach the server.
#[derive(Debug, Clone, Copy)]
struct Proxy<'a> {
    pid: u32,
    client: &'a PodNs,
    to: SocketAddr,
}

/// What is measured on one process, which keeps some of what it once needed: a fresh one for each.
type Measure<T> = fn(&Proxy<'_>) -> Result<T>;

/// Measures an idle node, then what workloads and connections add to it.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let ((whole, each), (envoy_idle, envoy_each)) = both(programs, |proxy| proxy.idle_and_slope())?;
    let (busy, envoy_busy) = both(programs, |proxy| proxy.after_traffic())?;
    let pair = Pair::set("benchp15", programs)?;
    let (idle, workload) = node(&pair)?;
    let after = format!("per connection, after {MEBIBYTES} MiB through each of {BUSY_CONNECTIONS}");
    Ok(vec![
        Finding::new(GOAL, "node, idle", idle / MB, "MB")
            .beside("envoy", envoy_idle / MB)
            .held_to(Limit::AtMost(18.0)),
        Finding::new(GOAL, "node and control plane in one process, idle", whole / MB, "MB"),
        Finding::new(GOAL, "per workload known", workload / KB, "KB").held_to(Limit::AtMost(1.0)),
        Finding::new(GOAL, "per idle connection", each / KB, "KB")
            .beside("envoy", envoy_each / KB)
            .held_to(Limit::AtMost(3.0)),
        // Back to what an idle one may take.
        Finding::new(GOAL, after, busy / KB, "KB")
            .beside("envoy", envoy_busy / KB)
            .held_to(Limit::AtMost(3.0)),
    ])
}

/// The same of Culvert and of Envoy, each started for it.
fn both<T>(programs: &Programs, measure: Measure<T>) -> Result<(T, T)> {
    let stage = Stage::set("benchp15", programs)?;
    let server = SocketAddr::from((stage.plain_server.ip4(), SERVER_PORT));
    let _server = serve(&stage.plain_server, Seen::Yes, server)?;
    let ours = measure(&Proxy { pid: stage.culvert(), client: &stage.client, to: server })?;
    let before = SocketAddr::from((Ipv4Addr::LOCALHOST, ENVOY_PORT));
    let envoy = stage.envoy(programs, &envoy::plain::bootstrap(&[(before, server)]))?;
    await_listener(&stage.plain_client, ENVOY_PORT)?;
    let theirs = measure(&Proxy { pid: envoy.pid(), client: &stage.plain_client, to: before })?;
    Ok((ours, theirs))
}

impl Proxy<'_> {
    /// What the process takes, and each idle connection.
    fn idle_and_slope(&self) -> Result<(f64, f64)> {
        let idle = settled_memory(self.pid)?;
        let few = self.with_idle(FEW_CONNECTIONS)?;
        let many = self.with_idle(MANY_CONNECTIONS)?;
        Ok((idle, (many - few) / count(MANY_CONNECTIONS - FEW_CONNECTIONS)))
    }

    /// What each connection takes once it has carried something and is idle again.
    fn after_traffic(&self) -> Result<f64> {
        let before = settled_memory(self.pid)?;
        let mut held = self.hold(BUSY_CONNECTIONS, MEBIBYTES)?;
        held.go_on()?;
        held.says("sent")?;
        thread::sleep(QUIET);
        Ok((settled_memory(self.pid)? - before) / count(BUSY_CONNECTIONS))
    }

    fn with_idle(&self, count: usize) -> Result<f64> {
        let _held = self.hold(count, 0)?;
        settled_memory(self.pid)
    }

    fn hold(&self, count: usize, mebibytes: usize) -> Result<Player> {
        let (to, count) = (self.to.to_string(), count.to_string());
        let mebibytes = mebibytes.to_string();
        let words = ["hold", "--to", &to, "--count", &count, "--mebibytes", &mebibytes];
        let mut player = Player::start(self.client, Seen::Yes, role(&words)?)?;
        player.says("ready")?;
        Ok(player)
    }
}

/// What a node takes that follows a control plane, and what one more workload elsewhere adds.
fn node(pair: &Pair) -> Result<(f64, f64)> {
    let idle = settled_memory(pair.server_pid())?;
    pair.add_strangers("few.yaml", 0, FEW_PODS)?;
    let few = settled_memory(pair.server_pid())?;
    pair.add_strangers("many.yaml", FEW_PODS, MANY_PODS - FEW_PODS)?;
    let many = settled_memory(pair.server_pid())?;
    Ok((idle, (many - few) / f64::from(MANY_PODS - FEW_PODS)))
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}
