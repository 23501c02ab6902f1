//! HTTP for few and short questions: nobody who asks can hold up another, or the node.
use axum::Router;
use culvert_runtime::drain::Worker;
use hyper::rt::Executor;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
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

/// Calls of gRPC at a time on one connection, and bytes of the headers of each.
const STREAMS: u32 = 8;
const HEADERS: u32 = 16 * 1024;

/// How long to leave a listener alone that cannot accept.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket of one kind or the other.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// Whoever connects must be root or the user this process runs as.
    Unix(UnixListener),
}

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    /// HTTP/2 also, without TLS: gRPC.
    Both,
}

/// Starts to answer on `listener` until the worker finishes.
pub(crate) fn serve(door: &'static str, listener: Listener, router: Router, worker: &Worker) {
    start(door, listener, router, Speaks::Http1, worker);
}

/// The same, and calls of gRPC.
pub(crate) fn serve_with_grpc(
    door: &'static str,
    listener: Listener,
    router: Router,
    worker: &Worker,
) {
    start(door, listener, router, Speaks::Both, worker);
}

fn start(door: &'static str, listener: Listener, router: Router, speaks: Speaks, worker: &Worker) {
    let at = Door { name: door, router, speaks, worker: worker.clone() };
    worker.spawn(async move {
        let slots = Arc::new(Semaphore::new(CONVERSATIONS));
        tokio::select! {
            biased;
            () = at.worker.finishing() => {}
            () = at.accept(&listener, &slots) => {}
        }
    });
}

/// Who answers.
#[derive(Clone)]
struct Door {
    name: &'static str,
    router: Router,
    speaks: Speaks,
    worker: Worker,
}

impl Door {
    async fn accept(&self, listener: &Listener, slots: &Arc<Semaphore>) {
        while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
            let own = self.clone();
            let accepted = match listener {
                Listener::Tcp(listener) => listener.accept().await.map(|(io, _)| {
                    self.worker.spawn(async move {
                        own.converse(io).await;
                        drop(slot);
                    });
                }),
                Listener::Unix(listener) => listener.accept().await.map(|(io, _)| {
                    self.worker.spawn(async move {
                        own.admit(io).await;
                        drop(slot);
                    });
                }),
            };
            if let Err(error) = accepted {
                warn!(door = self.name, %error, "cannot accept, pausing");
                time::sleep(PAUSE).await;
            }
        }
    }

    async fn admit(self, io: UnixStream) {
        if is_admitted(&io) {
            self.converse(io).await;
        }
    }

    /// One request, one answer; no keep-alive, so that nobody keeps a slot for later. Of gRPC as many
    /// calls as come in that time.
    async fn converse(self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { name: door, router, speaks, worker } = self;
        let (io, service) = (TokioIo::new(io), TowerToHyperService::new(router));
        let mut builder = auto::Builder::new(OnWorker(worker));
        if speaks == Speaks::Http1 {
            builder = builder.http1_only();
        }
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(64)
            .keep_alive(false)
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADERS);
        match time::timeout(WHOLE_TIME, builder.serve_connection(io, service)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(door, %error, "conversation broke off"),
            Err(_elapsed) => debug!(door, "conversation took too long"),
        }
    }
}

/// Runs what belongs to a connection of HTTP/2 beside it.
#[derive(Clone)]
struct OnWorker(Worker);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for OnWorker {
    fn execute(&self, task: F) {
        self.0.spawn_until_finish(task);
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
