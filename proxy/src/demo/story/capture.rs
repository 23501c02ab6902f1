//! Connections go through both proxies, and look as if they did not.
use super::answered;
use crate::demo::{error::StageError, node::Counted, peer::Seen, report::Report, stage::Stage};
use culvert_lab::PodNs;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// How many more requests the counters and the logs are compared over.
const REQUESTS: u64 = 10;

/// Connections go through both proxies and look as if they did not.
pub(super) fn captured(
    stage: &mut Stage,
    report: &mut Report,
    (server4, server6): (IpAddr, IpAddr),
) -> Result<(), StageError> {
    let seen = carried(stage, server4)?;
    report.check("IPv4: captured on the way out and in", "kernel counters, access logs", seen);
    let seen = carried(stage, server6)?;
    report.check("IPv6: captured on the way out and in", "kernel counters, access logs", seen);

    let seen = stage.get(&stage.client, server4)?;
    report.check(
        "the server sees the client's own address",
        "the server's answer",
        source_kept(stage, &seen),
    );
    report.check(
        "the client sees the address it dialled",
        "getpeername(2)",
        dialled(&seen, server4),
    );

    let seen = agree(stage, server4)?;
    report.check("kernel counters and access logs agree", "10 requests", seen);

    let seen = untouched(stage)?;
    report.check(
        "a pod that is not enrolled is left alone",
        "its source port arrives unchanged, nothing logged",
        seen,
    );
    Ok(())
}

/// A request arrives, counted and logged once on each side.
pub(super) fn carried(stage: &mut Stage, to: IpAddr) -> Result<Result<String, String>, StageError> {
    let before = Evidence::now(stage, to)?;
    let seen = stage.get(&stage.client, to)?;
    let from = match answered(&seen) {
        Ok((local, _, _)) => local.ip(),
        Err(problem) => return Ok(Err(problem)),
    };
    let after = Evidence::grown_by(stage, to, before, 1)?;
    Ok(Ok(format!(
        "{from} -> {to}, captured {}, inbound {}",
        after.out.captured, after.inn.inbound
    )))
}

/// What the kernel captured is logged, once on each side.
fn agree(stage: &mut Stage, to: IpAddr) -> Result<Result<String, String>, StageError> {
    for _ in 0..REQUESTS {
        if let Err(problem) = answered(&stage.get(&stage.client, to)?) {
            return Ok(Err(problem));
        }
    }
    let of = |direction: &'static str| {
        move |line: &Value| line["direction"] == direction && line["src.workload"] == "client"
    };
    let mut seen = (0, 0, 0);
    let agreed = stage.eventually("counters and logs agree", |stage| {
        let captured = stage.a.counted("client").map_or(0, |counted| counted.captured);
        let logged = (stage.a.access_lines(of("outbound")), stage.b.access_lines(of("inbound")));
        seen = (captured, logged.0 as u64, logged.1 as u64);
        Ok(seen.0 >= REQUESTS && seen.0 == seen.1 && seen.1 == seen.2)
    });
    let (captured, out, inn) = seen;
    Ok(match agreed {
        Ok(()) => Ok(format!("{captured} captured, {out} logged out, {inn} logged in")),
        Err(StageError::Interrupted) => return Err(StageError::Interrupted),
        Err(_) => Err(format!("{captured} captured, {out} logged out, {inn} logged in")),
    })
}

/// What counters and logs say of connections from `client` to `server`.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    out: Counted,
    inn: Counted,
    logged_out: u64,
    logged_in: u64,
}

impl Evidence {
    fn now(stage: &Stage, to: IpAddr) -> Result<Self, StageError> {
        let unanswered = || StageError::Unexpected("a proxy does not answer".to_owned());
        let lines = |direction: &'static str| {
            move |line: &Value| line["direction"] == direction && goes_to(line, to)
        };
        Ok(Self {
            out: stage.a.counted("client").ok_or_else(unanswered)?,
            inn: stage.b.counted("server").ok_or_else(unanswered)?,
            logged_out: stage.a.access_lines(lines("outbound")) as u64,
            logged_in: stage.b.access_lines(lines("inbound")) as u64,
        })
    }

    /// Waits until each log has `by` more lines than `before`.
    fn grown_by(stage: &mut Stage, to: IpAddr, before: Self, by: u64) -> Result<Self, StageError> {
        stage.eventually("every connection has its line in both access logs", |stage| {
            let now = Self::now(stage, to)?;
            Ok(now.logged_out >= before.logged_out + by && now.logged_in >= before.logged_in + by)
        })?;
        Self::now(stage, to)
    }
}

pub(super) fn goes_to(line: &Value, to: IpAddr) -> bool {
    // At the end of a tunnel, or without.
    let end = line.get("dst.hbone_addr").unwrap_or(&line["dst.addr"]);
    let destination = end.as_str().and_then(|addr| addr.parse::<SocketAddr>().ok());
    destination.is_some_and(|addr| addr.ip() == to)
}

/// The server's view of the client: its address, from the proxy's port.
fn source_kept(stage: &Stage, seen: &Seen) -> Result<String, String> {
    let (local, _, peer) = answered(seen)?;
    if peer.ip() != IpAddr::from(stage.client.ip4()) {
        return Err(format!("the server saw {peer}"));
    }
    if peer.port() == local.port() {
        return Err("the connection was not carried by the proxies".to_owned());
    }
    Ok(format!("client {}, seen by the server as {}", local.ip(), peer.ip()))
}

fn dialled(seen: &Seen, to: IpAddr) -> Result<String, String> {
    let (_, remote, _) = answered(seen)?;
    if remote.ip() == to { Ok(remote.to_string()) } else { Err(format!("the client saw {remote}")) }
}

/// The outsiders' connection is one connection, and nobody tells of it.
fn untouched(stage: &Stage) -> Result<Result<String, String>, StageError> {
    let seen = stage.get(&stage.outsider, stage.outside_server.ip4().into())?;
    let known = |pod: &PodNs| {
        let ip = pod.ip4().to_string();
        move |line: &Value| line.to_string().contains(&ip)
    };
    let logged = stage.a.access_lines(known(&stage.outsider))
        + stage.b.access_lines(known(&stage.outside_server));
    Ok(answered(&seen).and_then(|(local, _, peer)| {
        if local != peer {
            return Err(format!("the client's {local} arrived as {peer}"));
        }
        if logged > 0 {
            return Err(format!("{logged} lines in the access logs"));
        }
        Ok(format!("{local} arrived as {peer}"))
    }))
}
