//! P5: two pods of one node.
use std::net::SocketAddr;

use anyhow::{Context as _, Result};

use crate::{
    Programs,
    pair::{Pair, Pods},
    player::{role, role_on_proxy_core},
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
    tunnel::{bulk, listening_by, request_p50_by},
};

const GOAL: &str = "P5";

const BULK_PORT: u16 = 5200;
const ECHO_PORT: u16 = 7001;

/// What one way came to.
#[derive(Default)]
struct Way {
    rates: Vec<f64>,
    p50: Vec<f64>,
    cpu: f64,
}

/// Measures two enrolled pods beside two that are not.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let pair = Pair::set("benchlocal", programs)?;
    // On a core of its own each: else it is a matter of luck whether a request changes cores,
    // which takes twice as long.
    let _echoes =
        [&pair.plain, &pair.enrolled].map(|pods| listening_by(role, "echo", &pods.near, ECHO_PORT));
    let (mut direct, mut ours) = (Way::default(), Way::default());
    for round in 0..u16::try_from(ROUNDS)? {
        direct.go(&pair, &pair.plain, round).context("direct")?;
        ours.go(&pair, &pair.enrolled, round).context("enrolled")?;
    }
    let cpu = ours.cpu / f64::from(u32::try_from(ROUNDS)?);
    Ok(vec![
        Finding::new(GOAL, "throughput, 1 stream", median(&ours.rates), "Gbit/s")
            .beside("direct", median(&direct.rates))
            .held_to(Limit::RatioAtLeast(0.95)),
        Finding::new(GOAL, "request p50", median(&ours.p50), "µs")
            .beside("direct", median(&direct.p50))
            .held_to(Limit::RatioAtMost(1.1)),
        Finding::new(GOAL, "CPU of the proxies, a round", cpu, "s"),
    ])
}

impl Way {
    fn go(&mut self, pair: &Pair, pods: &Pods, round: u16) -> Result<()> {
        let Pods { client, near, .. } = pods;
        let echo = SocketAddr::from((near.ip4(), ECHO_PORT));
        let before = pair.cpu_seconds()?;
        self.p50.push(request_p50_by(role_on_proxy_core, client, echo)?);
        let port = BULK_PORT + round;
        let to = SocketAddr::from((near.ip4(), port));
        // The first connection to a port is decided by the proxy, and iperf3's first is its
        // control connection: what is measured comes after it.
        self.rates.push(bulk((client, to), (near, port), "1")?.gigabits_per_second());
        self.cpu += pair.cpu_seconds()? - before;
        Ok(())
    }
}
