//! P13: plain TCP through the node, per second of CPU, beside Envoy.
use std::{
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use culvert_lab::PodNs;

use crate::{
    Programs, envoy,
    iperf::{Carried, carried},
    player::{LOAD_CORE, Player, Seen, pinned},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, best, median},
    stage::{Stage, await_listener},
};

const GOAL: &str = "P13";

/// Where iperf3 listens, and where Envoy does before it.
const SERVER_PORT: u16 = 5201;
const ENVOY_PORT: u16 = 5301;

/// Long enough for CPU time in hundredths of a second to be exact to a percent.
const SECONDS: &str = "3";

/// A way from client to server.
#[derive(Debug)]
struct Way<'a> {
    what: &'static str,
    from: &'a PodNs,
    to: SocketAddr,
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
    let before = SocketAddr::from((Ipv4Addr::LOCALHOST, ENVOY_PORT));
    let _servers = [(&stage.plain_server, direct), (&stage.server, enrolled)]
        .map(|(pod, at)| serve(pod, at))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let envoy = stage.envoy(programs, &envoy::bootstrap(&[(before, direct)]))?;
    await_listener(&stage.plain_client, before)?;
    let way =
        |what, from, to, proxy| Way { what, from, to, proxy, rates: vec![], per_core: vec![] };
    let (client, plain) = (&stage.client, &stage.plain_client);
    let (culvert, envoy) = (Some(stage.culvert()), Some(envoy.pid()));
    let mut ways = [
        way("direct", plain, direct, None),
        way("envoy tcp_proxy", plain, before, envoy),
        way("outbound", client, direct, culvert),
        way("inbound", plain, enrolled, culvert),
        way("outbound and inbound", client, enrolled, culvert),
    ];
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.go()?;
        }
    }
    let [direct, envoy, ours @ ..] = &ways;
    Ok(findings(direct, envoy, ours))
}

impl Way<'_> {
    fn go(&mut self) -> Result<()> {
        let before = self.proxy.map(cpu_seconds).transpose()?;
        let carried = run(self.from, self.to).context(self.what)?;
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

fn serve(pod: &PodNs, at: SocketAddr) -> Result<Player> {
    let mut command = iperf3();
    command.args(["--server", "--bind", &at.ip().to_string(), "--port", &at.port().to_string()]);
    // It complains of whoever only asks whether it listens.
    command.stderr(Stdio::null());
    let server = Player::start(pod, Seen::Yes, command)?;
    // Asked from inside the pod itself, which is never captured.
    await_listener(pod, at)?;
    Ok(server)
}

fn run(from: &PodNs, to: SocketAddr) -> Result<Carried> {
    let mut command = iperf3();
    command.args(["--client", &address(to.ip()), "--port", &to.port().to_string()]);
    command.args(["--time", SECONDS, "--json"]).stdout(Stdio::piped());
    let mut child = from.spawn(command)?;
    let mut json = Vec::new();
    child.stdout().context("iperf3 without output")?.read_to_end(&mut json)?;
    child.wait()?;
    carried(&json)
}

fn iperf3() -> Command {
    pinned(LOAD_CORE, Path::new("iperf3"))
}

fn address(ip: IpAddr) -> String {
    ip.to_string()
}
