//! The checks, in the order in which they are told.
mod capture;
mod entry;
mod mesh;
mod routes;

use super::{
    error::StageError,
    peer::Seen,
    report::Report,
    stage::{PODS, Stage},
};
use capture::{captured, carried};
use entry::entered;
use mesh::{by_name, direct, encrypted, policed, undisturbed};
use routes::routed;
use std::net::{IpAddr, SocketAddr};

/// Tells the whole story.
///
/// # Errors
///
/// When it cannot go on; a check that fails does not end it.
pub(super) fn tell(stage: &mut Stage, report: &mut Report) -> Result<(), StageError> {
    stage.start()?;
    let held = stage.await_captured()?;
    report.check(
        "the pods of the enrolled namespace are captured",
        "admin socket",
        Ok::<_, StageError>(held),
    );
    let (server4, server6) = (stage.server.ip4().into(), stage.server.ip6().into());
    captured(stage, report, (server4, server6))?;
    encrypted(stage, report, server4)?;
    policed(stage, report, server4)?;
    direct(stage, report)?;
    let seen = by_name(stage)?;
    report.check("a service is reached by its name", "getaddrinfo(3), HTTP", seen);
    undisturbed(stage, report, server4)?;
    crashed(stage, report, server4)?;
    routed(stage, report, PODS)?;
    entered(stage, report)
}

/// Without the proxy nothing gets out, and with it everything is as before.
fn crashed(stage: &mut Stage, report: &mut Report, server4: IpAddr) -> Result<(), StageError> {
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
