//! P14: a node that knows ten thousand services, beside an Envoy that has as many clusters.
use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    Programs,
    envoy::services as envoy,
    player::{Player, Seen},
    process::settled_memory,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
    stage::await_listener,
    town::{SERVICES, Started, Town, now},
};

const GOAL: &str = "P14";

/// How often the endpoint of the last service changes.
const CHANGES: usize = 20;

const MB: f64 = 1e6;

/// Measures starts in interleaved rounds, then memory and changes with those of the last round.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let town = Town::set("benchsvc", programs)?;
    let (mut ours, mut theirs, mut last) = (Vec::new(), Vec::new(), None);
    for round in 0..ROUNDS {
        // What was started for the round before ends first.
        drop(last.take());
        let envoy = start_envoy(&town, round, programs).context("envoy")?;
        let culvert = town.start(round).context("culvert")?;
        theirs.push(envoy.took);
        ours.push(culvert.took);
        last = Some((culvert, envoy));
    }
    let (culvert, envoy) = last.context("no rounds")?;
    let (memory, envoy_memory) = (resident(&culvert.proxy)?, resident(&envoy.proxy)?);
    let (written, told, envoy_told) = changes(town, culvert, envoy)?;
    Ok(vec![
        Finding::new(GOAL, "10,000 services: start → the last one answers", median(&ours), "s")
            .beside("envoy", median(&theirs))
            .held_to(Limit::AtMost(1.0)),
        Finding::new(GOAL, "the same, resident", memory, "MB")
            .beside("envoy", envoy_memory)
            .held_to(Limit::AtMost(80.0)),
        Finding::new(GOAL, "an endpoint changed: told → used", median(&told), "ms")
            .beside("envoy, by file", median(&envoy_told))
            .held_to(Limit::AtMost(2.0)),
        Finding::new(GOAL, "the same, since its manifest was written", median(&written), "ms"),
    ])
}

/// Starts Envoy from a file, and waits until the last of its clusters answers.
fn start_envoy(town: &Town, round: usize, programs: &Programs) -> Result<Started> {
    let pod = town.outside(round)?;
    let config = town.folder().join("envoy.json");
    fs::write(&config, envoy::bootstrap(SERVICES, town.folder()))?;
    envoy::tell(SERVICES, town.endpoint(), town.folder())?;
    let mut command = Command::new(programs.envoy()?);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
    command.arg("--config-path").arg(&config);
    let start = now()?;
    let proxy = Player::start(pod, Seen::Yes, command)?;
    await_listener(pod, envoy::LISTENER)?;
    Started::reached(proxy, pod, envoy::address(SERVICES - 1), start)
}

/// Milliseconds until a changed endpoint is used: ours since it was written and since it was told,
/// and Envoy's.
fn changes(
    mut town: Town,
    mut culvert: Started,
    mut envoy: Started,
) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (mut since_written, mut since_told, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut follower = town.follower()?;
    for _ in 0..CHANGES {
        town.turn();
        envoy.client.go_on()?;
        let told = now()?;
        envoy::tell(SERVICES, town.endpoint(), town.folder())?;
        theirs.push((envoy.answered()? - told) * 1e3);
        culvert.client.go_on()?;
        let (written, told) = town.change(&mut follower)?;
        let used = culvert.answered()?;
        since_written.push((used - written) * 1e3);
        since_told.push((used - told) * 1e3);
    }
    Ok((since_written, since_told, theirs))
}

fn resident(process: &Player) -> Result<f64> {
    Ok(settled_memory(process.pid())? / MB)
}
