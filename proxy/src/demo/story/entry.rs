//! Strangers come in at a gateway, and nowhere else.
use super::routes::{all, told, told_of};
use crate::demo::{
    books::Ask,
    edge::HOST,
    error::StageError,
    peer::client::Browsed,
    report::Report,
    stage::{PORT, Stage},
};
use std::net::SocketAddr;

/// Whom the gateway's certificate says that it is.
const GATEWAY: &str = "spiffe://cluster.local/ns/books/sa/edge";

type Seen = Result<Result<String, String>, StageError>;

/// Opens the gateway, and tells who comes in how.
pub(super) fn entered(stage: &mut Stage, report: &mut Report) -> Result<(), StageError> {
    stage.open_edge()?;
    let seen = page(stage)?;
    report.check("gateway: a stranger sees the page over HTTPS", "TLS by a certificate", seen);
    let seen = redirected(stage)?;
    report.check("gateway: plain HTTP is sent to HTTPS", "the status", seen);
    let seen = by_tunnel(stage)?;
    report.check("gateway: led by tunnel, in its name, to a STRICT pod", "admin socket", seen);
    let seen = refused(stage)?;
    report.check("gateway: nobody gets past it", "requests of others to the pod", seen);
    Ok(())
}

fn page(stage: &mut Stage) -> Seen {
    let mut seen = Browsed::default();
    stage.eventually("a gateway that serves", |stage| {
        stage.alive()?;
        seen = stage.visit("/")?;
        Ok(all(&seen, 200))
    })?;
    let shown = seen.last.map_or_else(|| "no page".to_owned(), told);
    let said = format!("https://{HOST}/ shows {shown}");
    Ok(if shown == "facts, opinions-v1" { Ok(said) } else { Err(said) })
}

fn redirected(stage: &Stage) -> Seen {
    let seen = stage.visit_plainly()?;
    Ok(if all(&seen, 301) { Ok(told_of(&seen)) } else { Err(told_of(&seen)) })
}

fn by_tunnel(stage: &mut Stage) -> Seen {
    let front = format!("{}:{PORT}", stage.books.front.ip4());
    stage.eventually("a connection of the gateway", |stage| {
        // It keeps those that it has, for as long as they are of use.
        stage.visit("/alone")?;
        let open = stage.a.document("/connections").unwrap_or_default();
        Ok(open.as_array().into_iter().flatten().any(|one| {
            one["direction"] == "inbound"
                && one["destination"] == front
                && one["path"] == "tunnel"
                && one["source_identity"] == GATEWAY
        }))
    })?;
    Ok(Ok(format!("{GATEWAY} by tunnel to {front}")))
}

fn refused(stage: &mut Stage) -> Seen {
    let front = SocketAddr::new(stage.books.front.ip4().into(), PORT);
    let past = stage.pass_by(front)?;
    let member = stage.browse(&stage.books.reader, &Ask::once("front:80", "/alone"))?;
    let said = format!("a stranger: {}, a member: {}", told_of(&past), told_of(&member));
    let is_right = past.failed.is_some() && !all(&member, 200);
    Ok(if is_right { Ok(said) } else { Err(said) })
}
