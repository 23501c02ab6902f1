//! P6: what a connection costs on a node that has the kernel programs.
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use culvert_lab::PodNs;

use crate::{
    Programs,
    player::{Player, Seen, role},
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
    stage::Stage,
};

const GOAL: &str = "P6";

/// More rounds than elsewhere: they are short, and what is looked for is small.
const SHORT_ROUNDS: usize = 4 * ROUNDS;

/// How many times a round does it: half a second each.
const REFUSED: &str = "500000";
/// Few enough to leave ports to the next round while these wait for stray packets.
const CONNECTIONS: &str = "1500";

/// One who listens where the programs see it, and one where they do not.
const SEEN_PORT: u16 = 7001;
const UNSEEN_PORT: u16 = 7002;

/// Measures connects with and without programs, and captured ones.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let stage = Stage::set("benchp6", programs)?;
    let mut findings = hook(&stage)?;
    findings.extend(connections(&stage)?);
    Ok(findings)
}

/// `connect(2)` alone: it is refused for want of a route, after every hook has run.
fn hook(stage: &Stage) -> Result<Vec<Finding>> {
    let refused = ["refused", "--count", REFUSED];
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..SHORT_ROUNDS {
        without.push(nanoseconds(&stage.plain_client, Seen::No, &refused)?);
        with.push(nanoseconds(&stage.plain_client, Seen::Yes, &refused)?);
    }
    let (without, with) = (median(&without), median(&with));
    Ok(vec![
        Finding::new(
            GOAL,
            "connect(2), pod not enrolled: added by the programs",
            with - without,
            "ns",
        )
        .held_to(Limit::AtMost(200.0)),
        Finding::new(GOAL, "connect(2), pod not enrolled", with, "ns")
            .beside("without programs", without),
    ])
}

/// Connect, accept, one byte and close: the sockets' whole lives.
fn connections(stage: &Stage) -> Result<Vec<Finding>> {
    let seen = SocketAddr::from((stage.plain_server.ip4(), SEEN_PORT));
    let unseen = SocketAddr::from((stage.plain_server.ip4(), UNSEEN_PORT));
    let _servers = [(Seen::Yes, seen), (Seen::No, unseen)]
        .map(|(seen, at)| serve(&stage.plain_server, seen, at))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let (mut without, mut with, mut captured) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let open = |pod, seen, to: SocketAddr| {
            let to = to.to_string();
            nanoseconds(pod, seen, &["connections", "--count", CONNECTIONS, "--to", &to])
        };
        without.push(open(&stage.plain_client, Seen::No, unseen)?);
        with.push(open(&stage.plain_client, Seen::Yes, seen)?);
        captured.push(open(&stage.client, Seen::Yes, seen)?);
    }
    let [without, with, captured] = [without, with, captured].map(|ns| median(&ns) / 1000.0);
    Ok(vec![
        Finding::new(GOAL, "whole connection, pod not enrolled", with, "µs")
            .beside("without programs", without),
        Finding::new(GOAL, "whole connection, captured outbound", captured, "µs")
            .beside("without programs", without),
    ])
}

/// Starts a server and waits until it listens.
pub(crate) fn serve(pod: &PodNs, seen: Seen, at: SocketAddr) -> Result<Player> {
    let mut server = Player::start(pod, seen, role(&["serve", "--at", &at.to_string()])?)?;
    server.says("ready")?;
    Ok(server)
}

/// Plays a part that prints one number.
fn nanoseconds(pod: &PodNs, seen: Seen, words: &[&str]) -> Result<f64> {
    let line = Player::start(pod, seen, role(words)?)?.line()?;
    line.parse().with_context(|| format!("{line:?} is no number"))
}
