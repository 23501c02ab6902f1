//! Which version of HTTP a connection speaks.
use crate::{
    connection::Connection,
    dial::Protocol,
    io::Io,
    sniff::{self, Begins, PREFACE},
};
use culvert_model::http::manager::{Codec, Manager};
use std::{io, time::Duration};
use tokio::{net::TcpStream, time};

/// How long a client may take that has begun to say which it speaks, before it is looked at again.
const AGAIN: Duration = Duration::from_millis(5);

/// By configuration, by what TLS agreed on, or by the first bytes; `None`: it has ended, or has said
/// nothing for as long as a connection may be idle.
pub(super) async fn choose(
    config: &Manager,
    io: Io,
    connection: &Connection,
) -> Option<(Io, Protocol)> {
    let protocol = match config.codec {
        Codec::Http1 => Protocol::Http1,
        Codec::Http2 => Protocol::Http2,
        Codec::Auto => match agreed(connection) {
            Some(protocol) => protocol,
            None => return look(config.common.idle_timeout, io).await,
        },
    };
    Some((io, protocol))
}

/// What both sides agreed on during the handshake.
fn agreed(connection: &Connection) -> Option<Protocol> {
    connection.facts.tls.as_ref()?;
    match &**connection.facts.protocols.first()? {
        "h2" => Some(Protocol::Http2),
        "http/1.1" | "http/1.0" => Some(Protocol::Http1),
        _ => None,
    }
}

async fn look(idle: Option<Duration>, io: Io) -> Option<(Io, Protocol)> {
    let wait = idle.unwrap_or(Duration::MAX);
    if let Some(tcp) = io.tcp() {
        let protocol = time::timeout(wait, peek(tcp)).await.ok()?.ok()??;
        return Some((io, protocol));
    }
    let (io, begins) = sniff::read(io, wait).await.ok()?;
    let two = begins == Begins::With(Protocol::Http2);
    Some((io, if two { Protocol::Http2 } else { Protocol::Http1 }))
}

/// Leaves the bytes where they are.
async fn peek(tcp: &TcpStream) -> io::Result<Option<Protocol>> {
    let mut bytes = [0; PREFACE.len()];
    loop {
        let read = tcp.peek(&mut bytes).await?;
        let seen = bytes.get(..read).unwrap_or_default();
        if seen.is_empty() {
            return Ok(None);
        }
        if seen == PREFACE {
            return Ok(Some(Protocol::Http2));
        }
        if !PREFACE.starts_with(seen) {
            return Ok(Some(Protocol::Http1));
        }
        // The socket stays readable: there is nothing to await for the rest.
        time::sleep(AGAIN).await;
    }
}
