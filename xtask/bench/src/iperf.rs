//! iperf3, run and read from its JSON.
use std::{
    io::Read as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use culvert_lab::PodNs;
use serde::Deserialize;

use crate::{
    player::{Player, Seen},
    stage::await_listener,
};

/// What one run carried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Carried {
    pub(crate) gigabits: f64,
    pub(crate) seconds: f64,
}

impl Carried {
    pub(crate) fn gigabits_per_second(self) -> f64 {
        self.gigabits / self.seconds
    }
}

#[derive(Deserialize)]
struct Output {
    error: Option<String>,
    end: Option<End>,
}

#[derive(Deserialize)]
struct End {
    sum_received: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    bytes: f64,
    seconds: f64,
}

/// Starts a server for one run: one that stays may still be busy with the run before.
pub(crate) fn serve(pod: &PodNs, port: u16, mut iperf3: Command) -> Result<Player> {
    iperf3.args(["--server", "--one-off", "--bind", &pod.ip4().to_string()]);
    iperf3.args(["--port", &port.to_string()]);
    let server = Player::start(pod, Seen::Yes, iperf3)?;
    await_listener(pod, port)?;
    Ok(server)
}

/// One run of a client.
pub(crate) fn run(
    from: &PodNs,
    to: SocketAddr,
    mut iperf3: Command,
    more: &[&str],
) -> Result<Carried> {
    iperf3.args(["--client", &to.ip().to_string(), "--port", &to.port().to_string()]);
    iperf3.arg("--json").args(more).stdout(Stdio::piped());
    let mut child = from.spawn(iperf3)?;
    let mut json = Vec::new();
    child.stdout().context("iperf3 without output")?.read_to_end(&mut json)?;
    child.wait()?;
    carried(&json)
}

/// Reads what `iperf3 --json` printed.
pub(crate) fn carried(json: &[u8]) -> Result<Carried> {
    let Output { error, end } = serde_json::from_slice(json).context("iperf3 printed no JSON")?;
    ensure!(error.is_none(), "iperf3: {}", error.unwrap_or_default());
    let sum = end.and_then(|end| end.sum_received).context("iperf3 carried nothing")?;
    Ok(Carried { gigabits: sum.bytes * 8.0 / 1e9, seconds: sum.seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receivers_count_is_taken() {
        let json = br#"{"end":{"sum_sent":{"bytes":9e9,"seconds":2},"sum_received":{"bytes":5e9,"seconds":2}}}"#;
        assert_eq!(carried(json).unwrap().gigabits_per_second(), 20.0);
        let json = br#"{"end":{},"error":"unable to connect"}"#;
        assert_eq!(carried(json).unwrap_err().to_string(), "iperf3: unable to connect");
    }
}
