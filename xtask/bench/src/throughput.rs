//! P13: plain TCP through the node, per second of CPU, beside Envoy.
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};
use culvert_lab::PodNs;

use crate::{
    Programs, envoy, iperf,
    player::{LOAD_CORE, pinned},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, best, median},
    stage::{Stage, await_listener},
};

const GOAL: &str = "P13";

/// Where iperf3 listens, and where Envoy does before it; in each round one port higher, for
/// connections of the run before may still be on their way out.
const SERVER_PORT: u16 = 5200;
const BOTH_PORT: u16 = 5300;
const ENVOY_PORT: u16 = 5400;

/// Long enough for CPU time in hundredths of a second to be exact to a percent.
const SECONDS: &str = "3";

/// A way from client to server.
#[derive(Debug)]
struct Way<'a> {
    what: &'static str,
    from: &'a PodNs,
    to: SocketAddr,
    /// Where iperf3 listens, which is elsewhere if a proxy of the client's stands before it.
    server: (&'a PodNs, u16),
    /// Whose CPU time is counted.
    proxy: Option<u32>,
    rates: Vec<f64>,
    /// Gbit/s that one core of the proxy carries.
    per_core: Vec<f64>,
}

/// Measures every way in interleaved rounds.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let stage = Stage::set("benchp13", programs)?;
    let direct = SocketAddr::from((stage.plain_server.ip4(), SERVER_PORT));
    let enrolled = SocketAddr::from((stage.server.ip4(), SERVER_PORT));
    let both = SocketAddr::from((stage.server.ip4(), BOTH_PORT));
    let before = SocketAddr::from((Ipv4Addr::LOCALHOST, ENVOY_PORT));
    let rounds = 0..u16::try_from(ROUNDS)?;
    let forwards: Vec<_> =
        rounds.clone().map(|round| (plus(before, round), plus(direct, round))).collect();
    let envoy = stage.envoy(programs, &envoy::plain::bootstrap(&forwards))?;
    await_listener(&stage.plain_client, ENVOY_PORT)?;
    let (client, plain) = (&stage.client, &stage.plain_client);
    let culvert = Some(stage.culvert());
    let plain_server = (&stage.plain_server, SERVER_PORT);
    let mut ways = [
        Way::new("direct", (plain, direct), plain_server, None),
        Way::new("envoy tcp_proxy", (plain, before), plain_server, Some(envoy.pid())),
        Way::new("outbound", (client, direct), plain_server, culvert),
        Way::new("inbound", (plain, enrolled), (&stage.server, SERVER_PORT), culvert),
        Way::new("outbound and inbound", (client, both), (&stage.server, BOTH_PORT), culvert),
    ];
    for round in rounds {
        for way in &mut ways {
            way.go(round)?;
        }
    }
    let [direct, envoy, ours @ ..] = &ways;
    Ok(findings(direct, envoy, ours))
}

impl<'a> Way<'a> {
    const fn new(
        what: &'static str,
        (from, to): (&'a PodNs, SocketAddr),
        server: (&'a PodNs, u16),
        proxy: Option<u32>,
    ) -> Self {
        Self { what, from, to, server, proxy, rates: Vec::new(), per_core: Vec::new() }
    }

    fn go(&mut self, round: u16) -> Result<()> {
        let (pod, port) = self.server;
        let _server = iperf::serve(pod, port + round, iperf3())?;
        let before = self.proxy.map(cpu_seconds).transpose()?;
        let to = plus(self.to, round);
        let carried =
            iperf::run(self.from, to, iperf3(), &["--time", SECONDS]).context(self.what)?;
        self.rates.push(carried.gigabits_per_second());
        if let (Some(pid), Some(before)) = (self.proxy, before) {
            self.per_core.push(carried.gigabits / (cpu_seconds(pid)? - before));
        }
        Ok(())
    }
}

fn findings(direct: &Way<'_>, envoy: &Way<'_>, ours: &[Way<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, of) in [("median", median as fn(&[f64]) -> f64), ("best", best)] {
        for way in ours {
            let what = format!("{}, per core, {name}", way.what);
            if of(&way.per_core).is_infinite() {
                // The kernel carries it from pod to pod, and the proxy sees none of it.
                continue;
            }
            let finding = Finding::new(GOAL, what, of(&way.per_core), "Gbit/s")
                .beside(envoy.what, of(&envoy.per_core));
            // The third way goes through the node twice.
            let once = !way.what.contains("and");
            findings.push(if once && name == "median" {
                finding.held_to(Limit::RatioAtLeast(1.0))
            } else {
                finding
            });
        }
    }
    for way in ours.iter().chain([envoy]) {
        findings.push(
            Finding::new(GOAL, format!("{}, median", way.what), median(&way.rates), "Gbit/s")
                .beside(direct.what, median(&direct.rates)),
        );
    }
    findings
}

fn iperf3() -> Command {
    pinned(LOAD_CORE, Path::new("iperf3"))
}

fn plus(address: SocketAddr, round: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + round)
}
