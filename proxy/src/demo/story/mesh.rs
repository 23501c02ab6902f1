//! What only the mesh gives: secrecy, identity, policy, shortcuts and names, without a disturbance.
use super::{answered, capture::goes_to};
use crate::demo::{
    error::StageError,
    peer::{Seen, Tally, Watched},
    report::Report,
    stage::Stage,
    tap::{Heard, Tap},
};
use culvert_lab::PodNs;
use serde_json::Value;
use std::{net::IpAddr, time::Duration};

/// What nobody but the two applications shall hear.
const CANARY: &str = "canary-7f3a9c51";

/// How long the control plane stays away.
const AWAY: Duration = Duration::from_secs(20);

/// What is said between nodes is not heard there, and each knows who the other is.
pub(super) fn encrypted(
    stage: &Stage,
    report: &mut Report,
    server: IpAddr,
) -> Result<(), StageError> {
    let inside = overheard(stage, &stage.client, server)?;
    report.check(
        "a canary sent both ways is not on the wire",
        "AF_PACKET on both nodes",
        inside.and_then(|heard| match heard.sang {
            0 => Ok(format!("not in {} packets", heard.packets)),
            sang => Err(format!("in {sang} of {} packets", heard.packets)),
        }),
    );
    let outside = overheard(stage, &stage.outsider, stage.outside_server.ip4().into())?;
    report.check(
        "the canary of a pair that is not enrolled is",
        "AF_PACKET on both nodes",
        outside.and_then(|heard| match heard.sang {
            0 => Err(format!("not in {} packets: is the tap deaf?", heard.packets)),
            sang => Ok(format!("in {sang} of {} packets", heard.packets)),
        }),
    );
    let seen = identities(stage, server);
    report.check("each side knows who the other is", "access logs of both nodes", seen);
    Ok(())
}

/// Listens on both nodes while the canary sings.
fn overheard(stage: &Stage, from: &PodNs, to: IpAddr) -> Result<Result<Heard, String>, StageError> {
    let taps = [Tap::on(&stage.a.ns, CANARY)?, Tap::on(&stage.b.ns, CANARY)?];
    let seen = stage.get_word(from, to, CANARY)?;
    let mut all = Heard::default();
    for tap in taps {
        let heard = tap.heard()?;
        all.packets += heard.packets;
        all.sang += heard.sang;
    }
    Ok(answered(&seen).map(|_| all))
}

/// The last line of each log names both.
fn identities(stage: &Stage, server: IpAddr) -> Result<String, String> {
    let mut seen = Vec::new();
    for (node, direction) in [(&stage.a, "outbound"), (&stage.b, "inbound")] {
        let lines = node.proxy.said(|line| line["direction"] == direction && goes_to(line, server));
        let line = lines.last().ok_or_else(|| format!("no {direction} line"))?;
        let of = |key: &str| line[key].as_str().unwrap_or("nobody").to_owned();
        seen.push((of("src.identity"), of("dst.identity")));
    }
    let expected = |account: &str| format!("spiffe://cluster.local/ns/shop/sa/{account}");
    let expected = (expected("client"), expected("server"));
    if seen.iter().all(|pair| *pair == expected) {
        return Ok(format!("{} -> {}", expected.0, expected.1));
    }
    Err(format!("{seen:?}"))
}

/// Who is not allowed is refused and told why; what is open is ended by a change.
pub(super) fn policed(
    stage: &mut Stage,
    report: &mut Report,
    server: IpAddr,
) -> Result<(), StageError> {
    let mut watching = stage.play(&stage.near, "watch", server)?;
    let open: Watched = watching.says()?;
    stage.restrict()?;
    let ended: Watched = watching.says()?;
    let cut = match (open, ended) {
        (Watched::Open, Watched::Ended(how)) => Ok(how),
        (first, then) => Err(format!("{first:?}, then {then:?}")),
    };
    report.check("a change of policy ends a connection it forbids", "the client's socket", cut);
    let refused = match stage.get(&stage.near, server)? {
        Seen::Answer { .. } => Err("it went through".to_owned()),
        Seen::Refused | Seen::Failed(_) => denial(stage),
    };
    report.check("who is not allowed is refused", "access log of the server's node", refused);
    let seen = answered(&stage.get(&stage.client, server)?).map(|_| "200".to_owned());
    report.check("who is allowed is not disturbed", "HTTP", seen);
    stage.allow()?;
    stage.eventually("everybody may talk to the server again", |stage| {
        Ok(answered(&stage.get(&stage.near, server)?).is_ok())
    })
}

/// What the server's node said of the refusal.
fn denial(stage: &mut Stage) -> Result<String, String> {
    let denied = |line: &Value| line["close"] == "policy_denied";
    let there = |stage: &mut Stage| Ok(stage.b.access_lines(denied) > 0);
    stage.eventually("a line of the refusal", there).map_err(|error| error.to_string())?;
    let lines = stage.b.proxy.said(denied);
    let line = lines.last().ok_or("no line")?;
    Ok(line["error"].as_str().unwrap_or_default().to_owned())
}

/// Two pods of one node: the second connection goes past the proxy.
pub(super) fn direct(stage: &mut Stage, report: &mut Report) -> Result<(), StageError> {
    let near = stage.near.ip4().into();
    let counted = |stage: &Stage| stage.a.counted("client").map_or(0, |counted| counted.direct);
    let first = answered(&stage.get(&stage.client, near)?);
    let before = counted(stage);
    let mut last = first;
    stage.eventually("a connection that goes direct", |stage| {
        last = answered(&stage.get(&stage.client, near)?);
        Ok(counted(stage) > before || last.is_err())
    })?;
    let seen = last.and_then(|(local, _, peer)| {
        if local == peer {
            Ok(format!("{local} arrived as {peer}"))
        } else {
            Err(format!("the client's {local} arrived as {peer}"))
        }
    });
    report.check(
        "pods of one node: direct after the first connection",
        "kernel counter, source port unchanged",
        seen,
    );
    Ok(())
}

pub(super) fn by_name(stage: &Stage) -> Result<Result<String, String>, StageError> {
    let seen = stage.get_by_name(&stage.client, "web.shop:80")?;
    Ok(answered(&seen).map(|(_, remote, _)| format!("web.shop is {}", remote.ip())))
}

/// Certificates are replaced and the control plane is away, and nobody notices.
pub(super) fn undisturbed(
    stage: &mut Stage,
    report: &mut Report,
    server: IpAddr,
) -> Result<(), StageError> {
    let load = stage.play(&stage.client, "load", server)?;
    let before = stage.b.serials("server");
    stage.patiently(AWAY * 2, "a new certificate of the server", |stage| {
        let now = stage.b.serials("server");
        Ok(!now.is_empty() && now != before)
    })?;
    let tally: Tally = load.finish()?;
    let seen = unharmed(&tally);
    report.check(
        "certificates are replaced under load without an error",
        "serial numbers, HTTP",
        seen,
    );
    let load = stage.play(&stage.client, "load", server)?;
    stage.stop_control()?;
    stage.rest(AWAY)?;
    stage.start_control()?;
    let tally: Tally = load.finish()?;
    report.check("the control plane is away for 20 s without an error", "HTTP", unharmed(&tally));
    Ok(())
}

fn unharmed(tally: &Tally) -> Result<String, String> {
    match tally {
        Tally { failed: 0, done, .. } if *done > 0 => Ok(format!("{done} requests, 0 failed")),
        Tally { done, failed, why } => {
            Err(format!("{failed} of {} failed: {}", done + failed, why.as_deref().unwrap_or("")))
        }
    }
}
