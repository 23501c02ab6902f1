//! The checks, in the order in which they are told.
use super::{error::StageError, node::Counted, peer::Seen, report::Report, stage::Stage};
use culvert_lab::PodNs;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// How many requests the counters and the log are compared over.
const REQUESTS: u64 = 10;

/// Tells the whole story.
///
/// # Errors
///
/// When it cannot go on; a check that fails does not end it.
pub(super) fn tell(stage: &mut Stage, report: &mut Report) -> Result<(), StageError> {
    stage.start_proxies()?;
    let held = stage.await_captured()?;
    report.check(
        "the pods of the enrolled namespace are captured",
        "admin socket",
        Ok::<_, StageError>(held),
    );
    let (server4, server6) = (stage.server.ip4().into(), stage.server.ip6().into());

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

    stage.a.kill()?;
    let seen = refused(&stage.get(&stage.client, server4)?);
    report.check("proxy killed: new connections are refused", "connect(2)", seen);
    let outside = stage.outside_server.ip4().into();
    let seen = answered(&stage.get(&stage.outsider, outside)?).map(|_| "200".to_owned());
    report.check("proxy killed: the others do not notice", "HTTP", seen);

    stage.restart_a()?;
    stage.await_captured()?;
    let seen = carried(stage, server4)?;
    report.check("proxy back: captured as before", "kernel counters, access logs", seen);
    Ok(())
}

/// A request arrives, counted and logged once on each side.
fn carried(stage: &mut Stage, to: IpAddr) -> Result<Result<String, String>, StageError> {
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

/// Counters and logs grow by the same number.
fn agree(stage: &mut Stage, to: IpAddr) -> Result<Result<String, String>, StageError> {
    let before = Evidence::now(stage, to)?;
    for _ in 0..REQUESTS {
        if let Err(problem) = answered(&stage.get(&stage.client, to)?) {
            return Ok(Err(problem));
        }
    }
    let after = Evidence::grown_by(stage, to, before, REQUESTS)?;
    let Evidence { out, inn, logged_out, logged_in } = after;
    let counted = (out.captured - before.out.captured, inn.inbound - before.inn.inbound);
    let logged = (logged_out - before.logged_out, logged_in - before.logged_in);
    if counted == logged {
        return Ok(Ok(format!("{} out, {} in, each once in its log", counted.0, counted.1)));
    }
    Ok(Err(format!("counted {counted:?}, logged {logged:?}")))
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

fn goes_to(line: &Value, to: IpAddr) -> bool {
    let destination = line["dst.addr"].as_str().and_then(|addr| addr.parse::<SocketAddr>().ok());
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

fn answered(seen: &Seen) -> Result<(SocketAddr, SocketAddr, SocketAddr), String> {
    match seen {
        Seen::Answer { local, remote, greeting } => Ok((*local, *remote, greeting.peer)),
        Seen::Refused => Err("connection refused".to_owned()),
        Seen::Failed(why) => Err(why.clone()),
    }
}

fn refused(seen: &Seen) -> Result<String, String> {
    match seen {
        Seen::Refused => Ok("connection refused".to_owned()),
        Seen::Answer { greeting, .. } => Err(format!("it went through, as {}", greeting.peer)),
        Seen::Failed(why) => Err(why.clone()),
    }
}
