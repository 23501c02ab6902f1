//! Until a connection has said something: what is asked then, and not before.
use crate::{connection::Connection, io::Io, listener::ahead::Ahead};
use std::time::Duration;
use tokio::time;

/// How long a silent client is waited for where nothing else says so; Envoy's idle timeout.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Waits until the client has said something, or its end; nothing is taken of it yet. `None`: the
/// connection broke.
///
/// A drain and a silence that is too long end the wait, too: whoever takes the connection then lets
/// go of one that has nothing under way.
pub(super) async fn opening(
    io: Io,
    connection: &Connection,
    patience: Option<Duration>,
) -> Option<Ahead> {
    let mut ahead = Ahead::new(io);
    let broken = {
        let more = time::timeout(patience.unwrap_or(PATIENCE), ahead.more());
        tokio::select! {
            more = more => matches!(more, Ok(Err(_))),
            () = connection.worker.finishing() => false,
        }
    };
    (!broken).then_some(ahead)
}
