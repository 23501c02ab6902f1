//! P15: what an idle connection of HTTP takes.
use anyhow::Result;

use super::{
    config::{self, Http, Setup},
    side::{Backend, Side, Sides},
};
use crate::{
    Programs,
    envoy::hbone,
    player::{Player, role},
    process::settled_memory,
    report::{Finding, Limit},
};

/// Two sizes, whose difference leaves out whatever is there once.
const FEW: u32 = 1000;
const MANY: u32 = 4000;

/// Measures an idle process, and what connections that have asked once add to it.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    hbone::certificates(folder)?;
    let backend = Backend::start(folder)?;
    let setup = Setup { down: Http::One, up: Http::One, tls: None };
    let sides =
        Sides::start(programs, folder, |listen| config::bare(&setup, listen, backend.plain))?;
    let (our_idle, our_each) = connections(&sides.culvert)?;
    let (idle, each) = connections(&sides.envoy)?;
    Ok(vec![
        Finding::new("P15", "gateway, idle", our_idle / 1e6, "MB").beside("envoy", idle / 1e6),
        Finding::new("P15", "gateway: per idle connection of HTTP", our_each / 1e3, "KB")
            .beside("envoy", each / 1e3)
            .held_to(Limit::AtMost(10.0)),
    ])
}

fn connections(side: &Side) -> Result<(f64, f64)> {
    let idle = settled_memory(side.player.pid())?;
    let few = held(side, FEW)?;
    let many = held(side, MANY)?;
    Ok((idle, (many - few) / f64::from(MANY - FEW)))
}

fn held(side: &Side, count: u32) -> Result<f64> {
    let (to, count) = (side.at.to_string(), count.to_string());
    let words = ["hold", "--to", &to, "--count", &count, "--http"];
    let mut player = Player::placed(role(&words)?)?;
    player.says("ready")?;
    settled_memory(side.player.pid())
}
