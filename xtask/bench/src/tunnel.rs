//! P1 to P4: two nodes with a tunnel between them, beside two Envoys with one.
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use anyhow::{Context as _, Result};
use culvert_lab::PodNs;

use crate::{
    Programs,
    envoy::hbone::{self, Forward},
    iperf,
    pair::Pair,
    player::{Player, Seen, role_anywhere},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, best, median},
    stage::await_listener,
};

/// Where iperf3 listens; one port higher in each round.
const BULK_PORT: u16 = 5200;
/// Where requests are answered, and where connections are.
const ECHO_PORT: u16 = 7001;
const SERVE_PORT: u16 = 7002;
/// Where the Envoy before the client listens for each of these is this much higher.
const ENVOY_OFFSET: u16 = 1000;
const GATEWAY: u16 = 15008;

const SECONDS: &str = "3";
const REQUESTS: &str = "10000";
const CONNECTIONS: u32 = 2000;

/// A way from client to server.
struct Way<'a> {
    what: &'static str,
    from: &'a PodNs,
    server: &'a PodNs,
    /// Added to the port that is meant.
    offset: u16,
    /// To a proxy before the client instead of to the server.
    loopback: bool,
    /// CPU seconds that both proxies have used.
    used: &'a dyn Fn() -> Result<f64>,
    one: Bulk,
    four: Bulk,
    p50: Vec<f64>,
    each: Vec<f64>,
}

/// What bulk transfers came to.
#[derive(Default)]
struct Bulk {
    rates: Vec<f64>,
    cpu_per_gb: Vec<f64>,
}

/// Measures every way in interleaved rounds.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let pair = Pair::set("benchpair", programs)?;
    let (enrolled, plain) = (&pair.enrolled, &pair.plain);
    let folder = pair.folder.path();
    hbone::certificates(folder)?;
    let forwards: Vec<Forward> = (0..u16::try_from(2 * ROUNDS)?)
        .map(|round| BULK_PORT + round)
        .chain([ECHO_PORT, SERVE_PORT])
        .map(|port| Forward {
            from: SocketAddr::from((Ipv4Addr::LOCALHOST, port + ENVOY_OFFSET)),
            to: SocketAddr::from((plain.server.ip4(), port)),
        })
        .collect();
    let gateway = SocketAddr::from((plain.server.ip4(), GATEWAY));
    let envoys = [
        pair.envoy(&plain.server, programs, &hbone::server(&forwards, gateway, folder))?,
        pair.envoy(&plain.client, programs, &hbone::client(&forwards, gateway, folder))?,
    ];
    await_listener(&plain.server, GATEWAY)?;
    await_listener(&plain.client, ECHO_PORT + ENVOY_OFFSET)?;
    let _servers = [&plain.server, &enrolled.server]
        .into_iter()
        .flat_map(|pod| [("echo", pod, ECHO_PORT), ("serve", pod, SERVE_PORT)])
        .map(|(what, pod, port)| listening(what, pod, port))
        .collect::<Result<Vec<_>>>()?;
    let nobody = || Ok(0.0);
    let envoys = || Ok(cpu_seconds(envoys[0].pid())? + cpu_seconds(envoys[1].pid())?);
    let ours = || pair.cpu_seconds();
    let mut ways = [
        Way::new("direct", &plain.client, &plain.server, &nobody),
        Way::new("envoy pair", &plain.client, &plain.server, &envoys).by_loopback(),
        Way::new("culvert", &enrolled.client, &enrolled.server, &ours),
    ];
    for round in 0..u16::try_from(ROUNDS)? {
        for way in &mut ways {
            way.go(round).with_context(|| way.what)?;
        }
    }
    Ok(findings(&ways))
}

/// Starts one of our servers, on whatever core is free.
fn listening(what: &str, pod: &PodNs, port: u16) -> Result<Player> {
    listening_by(role_anywhere, what, pod, port)
}

/// The same by a server that is started like this.
pub(crate) fn listening_by(
    role: fn(&[&str]) -> Result<Command>,
    what: &str,
    pod: &PodNs,
    port: u16,
) -> Result<Player> {
    let at = SocketAddr::from((pod.ip4(), port)).to_string();
    let mut server = Player::start(pod, Seen::Yes, role(&[what, "--at", &at])?)?;
    server.says("ready")?;
    Ok(server)
}

/// The middle of the times that requests take on one connection, in microseconds.
fn request_p50(from: &PodNs, to: SocketAddr) -> Result<f64> {
    request_p50_by(role_anywhere, from, to)
}

/// The same by a client that is started like this.
pub(crate) fn request_p50_by(
    role: fn(&[&str]) -> Result<Command>,
    from: &PodNs,
    to: SocketAddr,
) -> Result<f64> {
    let to = to.to_string();
    let words = ["requests", "--to", &to, "--count", REQUESTS];
    let line = Player::start(from, Seen::Yes, role(&words)?)?.line()?;
    Ok(line.parse::<f64>().with_context(|| format!("{line:?} is no number"))? / 1000.0)
}

/// One bulk transfer by iperf3.
pub(crate) fn bulk(
    (from, to): (&PodNs, SocketAddr),
    (server, port): (&PodNs, u16),
    streams: &str,
) -> Result<iperf::Carried> {
    let _server = iperf::serve(server, port, Command::new("iperf3"))?;
    iperf::run(from, to, Command::new("iperf3"), &["--time", SECONDS, "--parallel", streams])
}

impl<'a> Way<'a> {
    fn new(
        what: &'static str,
        from: &'a PodNs,
        server: &'a PodNs,
        used: &'a dyn Fn() -> Result<f64>,
    ) -> Self {
        let (one, four) = (Bulk::default(), Bulk::default());
        let (p50, each) = (Vec::new(), Vec::new());
        Self { what, from, server, offset: 0, loopback: false, used, one, four, p50, each }
    }

    fn by_loopback(self) -> Self {
        Self { offset: ENVOY_OFFSET, loopback: true, ..self }
    }

    fn to(&self, port: u16) -> SocketAddr {
        let ip = if self.loopback { Ipv4Addr::LOCALHOST } else { self.server.ip4() };
        SocketAddr::from((ip, port + self.offset))
    }

    fn go(&mut self, round: u16) -> Result<()> {
        for (streams, port) in [("1", BULK_PORT + 2 * round), ("4", BULK_PORT + 2 * round + 1)] {
            let before = (self.used)()?;
            let carried = bulk((self.from, self.to(port)), (self.server, port), streams)?;
            let used = (self.used)()? - before;
            let into = if streams == "1" { &mut self.one } else { &mut self.four };
            into.rates.push(carried.gigabits_per_second());
            into.cpu_per_gb.push(used / (carried.gigabits / 8.0));
        }
        self.p50.push(request_p50(self.from, self.to(ECHO_PORT))?);
        let to = self.to(SERVE_PORT).to_string();
        let words = ["connections", "--to", &to, "--count", &CONNECTIONS.to_string()];
        let before = (self.used)()?;
        Player::start(self.from, Seen::Yes, role_anywhere(&words)?)?.line()?;
        self.each.push(((self.used)()? - before) * 1e6 / f64::from(CONNECTIONS));
        Ok(())
    }
}

fn findings([direct, envoy, ours]: &[Way<'_>; 3]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (streams, of) in [("1 stream", |way| &way.one), ("4 streams", |way| &way.four)]
        as [(&str, for<'a, 'b> fn(&'a Way<'b>) -> &'a Bulk); 2]
    {
        let cpu = |way: &Way<'_>| median(&of(way).cpu_per_gb);
        let what = format!("CPU of both proxies, {streams}");
        let finding = Finding::new("P1", what, cpu(ours), "s/GB").beside(envoy.what, cpu(envoy));
        let one = streams.starts_with('1');
        findings.push(if one { finding.held_to(Limit::AtMost(0.70)) } else { finding });
        for (name, pick) in [("median", median as fn(&[f64]) -> f64), ("best", best)] {
            for way in [ours, envoy] {
                let what = format!("{}, {streams}, {name}", way.what);
                let finding = Finding::new("P2", what, pick(&of(way).rates), "Gbit/s")
                    .beside(direct.what, pick(&of(direct).rates));
                let held = one && name == "median" && way.what == ours.what;
                findings.push(if held {
                    finding.held_to(Limit::RatioAtLeast(0.60))
                } else {
                    finding
                });
            }
        }
    }
    for way in [ours, envoy] {
        let finding =
            Finding::new("P3", format!("{}, request p50", way.what), median(&way.p50), "µs")
                .beside(direct.what, median(&direct.p50));
        let ours = way.what == ours.what;
        findings.push(if ours { finding.held_to(Limit::RatioAtMost(1.9)) } else { finding });
    }
    findings.push(
        Finding::new("P4", "CPU of both proxies per connection", median(&ours.each), "µs")
            .beside(envoy.what, median(&envoy.each))
            .held_to(Limit::AtMost(110.0)),
    );
    findings
}
