//! P12: full TLS handshakes with client certificates, per second of CPU, beside Envoy.
use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result};
use culvert_lab::PodNs;

use crate::{
    Programs,
    envoy::hbone,
    pair::Pair,
    player::{Player, Seen},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
    stage::await_listener,
};

const GATEWAY: u16 = 15008;

const SECONDS: &str = "3";

/// Measures both sides in interleaved rounds.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    hbone::certificates(folder)?;
    let pair = Pair::set_with_authority("benchtls", programs, folder)?;
    let (client, plain) = (&pair.plain.client, &pair.plain.server);
    let gateway = SocketAddr::from((plain.ip4(), GATEWAY));
    let envoy = pair.envoy(plain, programs, &hbone::server(&[], gateway, folder))?;
    await_listener(plain, GATEWAY)?;
    let tunnel = SocketAddr::from((pair.enrolled.server.ip4(), GATEWAY));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(rate(client, gateway, envoy.pid(), folder).context("envoy")?);
        ours.push(rate(client, tunnel, pair.server_pid(), folder).context("culvert")?);
    }
    Ok(vec![
        Finding::new("P12", "handshakes per CPU second of the server", median(&ours), "1/s")
            .beside("envoy", median(&theirs))
            .held_to(Limit::RatioAtLeast(1.5)),
    ])
}

/// New connections for some seconds, over the server's CPU time.
fn rate(from: &PodNs, to: SocketAddr, server: u32, folder: &Path) -> Result<f64> {
    let mut command = Command::new("openssl");
    command.args(["s_time", "-new", "-tls1_3", "-time", SECONDS, "-connect", &to.to_string()]);
    command.args(["-cert", "own.pem", "-key", "own.key", "-CAfile", "ca.pem"]).current_dir(folder);
    let before = cpu_seconds(server)?;
    let mut player = Player::start(from, Seen::Yes, command)?;
    let count = loop {
        let line = player.line()?;
        if let Some((count, _)) = line.split_once(" connections in ") {
            break count.parse::<f64>().with_context(|| line.clone())?;
        }
    };
    Ok(count / (cpu_seconds(server)? - before))
}
