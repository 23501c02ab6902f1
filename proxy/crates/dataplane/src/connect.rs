//! Waiting for a connection that a pod's socket makes.
use crate::errors::OpenError;
use socket2::{SockRef, TcpKeepalive};
use std::{
    future::{Future, pending},
    net::SocketAddr,
    pin::Pin,
    time::Duration,
};
use tokio::{io::Interest, net::TcpStream, time};
use tracing::debug;

/// When a silent peer is asked whether it is still there, and how often before it is given up:
/// after five minutes one that vanished without a word no longer holds descriptors.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(180);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMES: u32 = 4;

/// Waits until `connecting` has reached `destination`, at most `limit`, and only while `source`
/// is there.
///
/// In a box, for what waiting needs (two registrations and a timer) is more than what a connection
/// needs for the rest of its life.
pub(crate) fn connected(
    connecting: std::net::TcpStream,
    destination: SocketAddr,
    source: &TcpStream,
    limit: Duration,
) -> Pin<Box<dyn Future<Output = Result<TcpStream, OpenError>> + Send + '_>> {
    let source_left = async { drop(source.ready(Interest::ERROR).await) };
    Box::pin(wait(connecting, destination, source_left, limit))
}

/// The same without a source to look at.
pub(crate) fn reached(
    connecting: std::net::TcpStream,
    destination: SocketAddr,
    limit: Duration,
) -> Pin<Box<dyn Future<Output = Result<TcpStream, OpenError>> + Send>> {
    Box::pin(wait(connecting, destination, pending(), limit))
}

async fn wait(
    connecting: std::net::TcpStream,
    destination: SocketAddr,
    source_left: impl Future<Output = ()>,
    limit: Duration,
) -> Result<TcpStream, OpenError> {
    let failed = |error| OpenError::new(destination, error, limit);
    keep_alive(&connecting);
    let stream = TcpStream::from_std(connecting).map_err(failed)?;
    tokio::select! {
        // One that is there wins over the clock.
        biased;
        ready = stream.writable() => ready.map_err(failed)?,
        () = source_left => return Err(OpenError::SourceLeft { destination }),
        () = time::sleep(limit) => return Err(OpenError::Timeout { destination, waited: limit }),
    }
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(failed(error)),
    }
}

/// Has the kernel find out when the peer of `io` has vanished. A listener passes it on to the
/// sockets it accepts.
pub(crate) fn keep_alive<'s>(io: impl Into<SockRef<'s>>) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TIMES);
    if let Err(error) = io.into().set_tcp_keepalive(&keepalive) {
        debug!(%error, "no keep-alive");
    }
}

/// Has small writes sent at once. A listener passes it on to the sockets it accepts.
pub(crate) fn no_delay<'s>(io: impl Into<SockRef<'s>>) {
    if let Err(error) = io.into().set_tcp_nodelay(true) {
        debug!(%error, "small writes may be delayed");
    }
}
