//! P12 at the edge: full TLS handshakes with client certificates, per second of CPU.
use std::{net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};

use super::{
    config::{self, Http, Setup},
    side::{Backend, Sides},
};
use crate::{
    Programs,
    envoy::hbone,
    player::{LOAD_CORE, pinned},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
};

const SECONDS: &str = "3";

/// Measures both, in interleaved rounds; nothing is asked on the connections.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    hbone::certificates(folder)?;
    let backend = Backend::start(folder)?;
    let setup = Setup { down: Http::One, up: Http::One, tls: Some(folder.to_owned()) };
    let sides = Sides::start(programs, folder, |listen| config::bare(&setup, listen, backend.tls))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (side, rates) in [(&sides.envoy, &mut theirs), (&sides.culvert, &mut ours)] {
            let before = cpu_seconds(side.player.pid())?;
            let count = shake(side.at, folder).context(side.name)?;
            rates.push(count / (cpu_seconds(side.player.pid())? - before));
        }
    }
    Ok(vec![
        Finding::new("P12", "edge: handshakes per CPU second", median(&ours), "1/s")
            .beside("envoy", median(&theirs))
            .held_to(Limit::RatioAtLeast(1.5)),
    ])
}

/// New connections for some seconds; how many there were.
fn shake(to: SocketAddr, folder: &Path) -> Result<f64> {
    let mut command = pinned(LOAD_CORE, Path::new("openssl"));
    command.args(["s_time", "-new", "-tls1_3", "-time", SECONDS, "-connect", &to.to_string()]);
    command.args(["-cert", "own.pem", "-key", "own.key", "-CAfile", "ca.pem"]).current_dir(folder);
    let out = command.output().context("openssl")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let count = text.lines().find_map(|line| line.split_once(" connections in ")?.0.parse().ok());
    count.with_context(|| text.clone())
}
