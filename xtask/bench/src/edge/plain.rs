//! P13 at the edge: plain TCP through `tcp_proxy`, per second of CPU.
use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::side::{Side, Sides, free_port};
use crate::{
    Programs, envoy, iperf,
    player::{LOAD_CORE, Player, pinned},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
};

const SECONDS: &str = "3";

/// Measures both, in interleaved rounds, with one stream and with four.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let server = free_port()?;
    let sides = Sides::start(programs, folder.path(), |listen| {
        envoy::plain::bootstrap(&[(listen, server)]).parse().unwrap_or_default()
    })?;
    let mut findings = Vec::new();
    for streams in ["1", "4"] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(per_core(&sides.envoy, server, streams)?);
            ours.push(per_core(&sides.culvert, server, streams)?);
        }
        let what = format!("edge, tcp_proxy, per core, streams: {streams}");
        let finding = Finding::new("P13", what, median(&ours), "Gbit/s");
        let finding = finding.beside("envoy", median(&theirs));
        findings.push(if streams == "1" {
            finding.held_to(Limit::RatioAtLeast(1.0))
        } else {
            finding
        });
    }
    Ok(findings)
}

/// Gbit/s that one core of the proxy carries.
fn per_core(side: &Side, server: SocketAddr, streams: &str) -> Result<f64> {
    let _server = serve(server)?;
    let before = cpu_seconds(side.player.pid())?;
    let mut client = iperf3();
    client.args(["--client", &side.at.ip().to_string(), "--port", &side.at.port().to_string()]);
    client.args(["--json", "--time", SECONDS, "--parallel", streams]);
    let out = client.output().context("iperf3")?;
    let carried = iperf::carried(&out.stdout).context(side.name)?;
    Ok(carried.gigabits / (cpu_seconds(side.player.pid())? - before))
}

/// A server for one run: one that stays may still be busy with the run before.
fn serve(at: SocketAddr) -> Result<Player> {
    let mut command = iperf3();
    command.args(["--server", "--one-off", "--forceflush", "--bind", &at.ip().to_string()]);
    command.args(["--port", &at.port().to_string()]);
    let mut player = Player::placed(command)?;
    while !player.line()?.contains("listening") {}
    Ok(player)
}

fn iperf3() -> Command {
    pinned(LOAD_CORE, Path::new("iperf3"))
}
