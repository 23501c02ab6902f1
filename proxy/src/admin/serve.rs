//! HTTP for few and short questions: nobody who asks can hold up another, or the node.
use axum::Router;
use culvert_runtime::drain::Worker;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
    sync::Semaphore,
    time,
};
use tracing::{debug, warn};

/// From accept to the whole request head.
const HEAD_TIME: Duration = Duration::from_secs(3);

/// From accept to the end of the answer; a scraper that reads slower is cut.
const WHOLE_TIME: Duration = Duration::from_secs(30);

/// Conversations at a time, per door; more wait in the listener's queue.
const CONVERSATIONS: usize = 128;

/// How long to leave a listener alone that cannot accept.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket of one kind or the other.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// Whoever connects must be root or the user this process runs as.
    Unix(UnixListener),
}

/// Starts to answer on `listener` until the worker finishes.
pub(crate) fn serve(door: &'static str, listener: Listener, router: Router, worker: &Worker) {
    let own = worker.clone();
    worker.spawn(async move {
        let slots = Arc::new(Semaphore::new(CONVERSATIONS));
        tokio::select! {
            biased;
            () = own.finishing() => {}
            () = accept(door, &listener, &router, &slots, &own) => {}
        }
    });
}

async fn accept(
    door: &'static str,
    listener: &Listener,
    router: &Router,
    slots: &Arc<Semaphore>,
    worker: &Worker,
) {
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        let router = router.clone();
        let accepted = match listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(io, _)| {
                worker.spawn(async move {
                    converse(door, io, router).await;
                    drop(slot);
                });
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(io, _)| {
                worker.spawn(async move {
                    if is_admitted(&io) {
                        converse(door, io, router).await;
                    }
                    drop(slot);
                });
            }),
        };
        if let Err(error) = accepted {
            warn!(door, %error, "cannot accept, pausing");
            time::sleep(PAUSE).await;
        }
    }
}

/// One request, one answer; no keep-alive, so that nobody keeps a slot for later.
async fn converse(door: &'static str, io: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(64)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    match time::timeout(WHOLE_TIME, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(door, %error, "conversation broke off"),
        Err(_elapsed) => debug!(door, "conversation took too long"),
    }
}

/// The socket's mode already says so; this holds also where somebody changed it.
fn is_admitted(io: &UnixStream) -> bool {
    match peer_uid(io) {
        Ok(uid) if uid == 0 || uid == nix::unistd::geteuid().as_raw() => true,
        Ok(uid) => {
            warn!(uid, "refused a user at the admin socket");
            false
        }
        Err(error) => {
            warn!(%error, "cannot tell who is at the admin socket");
            false
        }
    }
}

fn peer_uid(io: &UnixStream) -> io::Result<u32> {
    Ok(io.peer_cred()?.uid())
}
