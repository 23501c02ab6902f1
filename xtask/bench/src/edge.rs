//! P7 to P9: HTTP at the edge. The same file is given to Culvert and to Envoy, the same requests are
//! asked of both, and each goes on to the same nginx.
//!
//! Reading order: [`config`] (the file), [`side`] (what is started from it), then what is measured:
//! this file, [`chain`] (P10, P11), [`secure`] (P12), [`plain`] (P13), [`scale`] (P14, with [`ads`]
//! behind it), [`idle`] (P15).
mod ads;
pub(crate) mod chain;
pub(crate) mod config;
pub(crate) mod idle;
pub(crate) mod plain;
pub(crate) mod scale;
pub(crate) mod secure;
mod side;

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    Programs,
    envoy::hbone,
    player::{LOAD_CORE, Player, pinned, role},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
};
use config::{Http, Setup};
use side::{Backend, Sides};

/// How long a round asks, in seconds.
const SECONDS: &str = "3";

/// Requests at a time: connections of HTTP/1.1, streams of four connections of HTTP/2.
const CONNECTIONS: &str = "32";

/// Measures all of them, in interleaved rounds each.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    hbone::certificates(folder)?;
    let backend = Backend::start(folder)?;
    let (mut grpc, grpc_at) = side::grpc()?;
    let bare = |down, up, tls: Option<&Path>| Setup { down, up, tls: tls.map(Path::to_owned) };
    let works = [
        ("P7", "HTTP/1.1", bare(Http::One, Http::One, None), backend.plain, 1.7, ask as Load),
        ("P8", "h2c", bare(Http::Two, Http::Two, None), backend.two, 2.2, h2load),
        ("P8", "gRPC unary", bare(Http::Two, Http::Two, None), grpc_at, 2.0, h2load_grpc),
        (
            "P9",
            "mTLS in and out, HTTP/1.1",
            bare(Http::One, Http::One, Some(folder)),
            backend.tls,
            1.7,
            ask_tls,
        ),
    ];
    let mut findings = Vec::new();
    for (goal, what, setup, to, limit, load) in works {
        let sides = Sides::start(programs, folder, |listen| config::bare(&setup, listen, to))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for (side, rates) in [(&sides.envoy, &mut theirs), (&sides.culvert, &mut ours)] {
                let before = cpu_seconds(side.player.pid())?;
                let done =
                    load(side.at, folder).with_context(|| format!("{what}, {}", side.name))?;
                rates.push(done / (cpu_seconds(side.player.pid())? - before));
            }
        }
        findings.push(
            Finding::new(goal, format!("{what}: requests per CPU second"), median(&ours), "1/s")
                .beside("envoy", median(&theirs))
                .held_to(Limit::RatioAtLeast(limit)),
        );
    }
    grpc.go_on()?;
    Ok(findings)
}

/// Asks for a round, and says how many requests were answered.
type Load = fn(std::net::SocketAddr, &Path) -> Result<f64>;

fn ask(to: std::net::SocketAddr, _: &Path) -> Result<f64> {
    asked(to, &[])
}

fn ask_tls(to: std::net::SocketAddr, folder: &Path) -> Result<f64> {
    asked(to, &["--tls", &folder.display().to_string()])
}

/// Our own client of HTTP/1.1.
fn asked(to: std::net::SocketAddr, more: &[&str]) -> Result<f64> {
    let to = to.to_string();
    let words = ["ask", "--to", &to, "--connections", CONNECTIONS, "--seconds", SECONDS];
    let line = Player::placed(role(&[&words[..], more].concat())?)?.line()?;
    let (done, rest) = line.split_once(' ').with_context(|| line.clone())?;
    let failed = rest.split(' ').next();
    ensure!(failed == Some("0"), "requests failed: {line}");
    Ok(done.parse()?)
}

fn h2load(to: std::net::SocketAddr, _: &Path) -> Result<f64> {
    h2loaded(to, &[])
}

fn h2load_grpc(to: std::net::SocketAddr, folder: &Path) -> Result<f64> {
    // A message of eight bytes, with its head of five.
    let message = folder.join("message");
    std::fs::write(&message, [0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])?;
    let message = message.display().to_string();
    h2loaded(to, &["-d", &message, "-H", "content-type: application/grpc", "-H", "te: trailers"])
}

fn h2loaded(to: std::net::SocketAddr, more: &[&str]) -> Result<f64> {
    let mut command: Command = pinned(LOAD_CORE, Path::new("h2load"));
    command.args(["-c", "4", "-m", "8", "-D", SECONDS]).args(more).arg(format!("http://{to}/"));
    let out = command.output().context("h2load")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let count = |what: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with("requests: "))?;
        let part = line.split([',', ':']).find(|part| part.trim_end().ends_with(what))?;
        part.trim().split(' ').next()?.parse().ok()
    };
    let (done, failed) = (count(" succeeded"), count(" failed"));
    ensure!(failed == Some(0.0), "requests failed: {text}");
    done.with_context(|| text.clone())
}
