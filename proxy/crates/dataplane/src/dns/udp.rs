//! Questions that come as datagrams.
use crate::dns::respond::{Next, Responder};
use culvert_runtime::drain::Worker;
use culvert_telemetry::metrics::dns::Protocol;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::UdpSocket, time};
use tracing::debug;

/// Larger ones are no questions.
const REQUEST_MAX: usize = 4096;

/// How long to leave a socket alone that failed; not every failure is its end.
const PAUSE: Duration = Duration::from_millis(50);

/// Failures in a row after which it is.
const FAILURES_MAX: u32 = 20;

/// Answers until the worker finishes, then who has asked already.
///
/// # Errors
///
/// When the socket does not receive any more.
pub(crate) async fn serve(
    responder: &Arc<Responder>,
    socket: UdpSocket,
    resolver: SocketAddr,
    worker: &Worker,
) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            () = worker.finishing() => break,
            ready = socket.readable() => ready?,
        }
        match receive(&socket) {
            Ok((request, source)) => {
                failures = 0;
                react(responder, &socket, (&request, source), resolver, worker).await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if failures < FAILURES_MAX => {
                debug!(pod = %responder.pod(), %resolver, %error, "cannot receive questions");
                failures += 1;
                time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    while let Ok((request, source)) = receive(&socket) {
        react(responder, &socket, (&request, source), resolver, worker).await;
    }
    Ok(())
}

/// A buffer while there is something to receive; none while there is not.
fn receive(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
    // One more, to see that there was more.
    let mut buffer = [0; REQUEST_MAX + 1];
    let (length, source) = socket.try_recv_from(&mut buffer)?;
    let request = buffer.get(..length).filter(|_| length <= REQUEST_MAX).unwrap_or_default();
    Ok((request.to_vec(), source))
}

async fn react(
    responder: &Arc<Responder>,
    socket: &Arc<UdpSocket>,
    (request, source): (&[u8], SocketAddr),
    resolver: SocketAddr,
    worker: &Worker,
) {
    match responder.receive(request, resolver, Protocol::Udp) {
        Next::Answer(answer) => send(socket, &answer, source).await,
        Next::Ask(waiting) => {
            let (responder, socket) = (Arc::clone(responder), Arc::clone(socket));
            worker.spawn(async move {
                let answer = responder.ask(*waiting).await;
                send(&socket, &answer, source).await;
            });
        }
        Next::Ignore => {}
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(answer, to).await {
        debug!(%to, %error, "answer not sent");
    }
}
