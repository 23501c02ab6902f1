//! The applications of the demonstration's pods: an HTTP server that tells whom it sees, and a
//! client that tells what it got.
//!
//! They are this binary under a hidden command, so that the demonstration needs nothing else.
use crate::{
    cli::output,
    failure::{Exit, Failure},
};
use axum::{Json, Router, extract::ConnectInfo, routing::get};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

/// How long the client waits for an answer; longer than a proxy waits for nobody.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pod's application.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Peer {
    /// Answers every request with the address it came from.
    Serve { port: u16 },
    /// Asks once on a new connection and tells what happened.
    Get { server: SocketAddr },
}

/// What the server saw.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Greeting {
    pub(super) peer: SocketAddr,
}

/// What the client saw.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seen {
    Answer {
        /// The client's own address, and the server's as the client's socket tells it.
        local: SocketAddr,
        remote: SocketAddr,
        greeting: Greeting,
    },
    /// The connection was refused.
    Refused,
    /// It failed in another way.
    Failed(String),
}

impl Peer {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = runtime.and_then(|runtime| match self {
            Self::Serve { port } => runtime.block_on(serve(port)),
            Self::Get { server } => {
                let seen = runtime.block_on(ask(server));
                output::print(serde_json::to_string(&seen).map_err(io::Error::other)?);
                Ok(())
            }
        });
        done.map(|()| Exit::Done)
            .map_err(|error| Failure::of(Exit::Cannot, &error, "this is a part of `culvert demo`"))
    }
}

/// Serves until killed; says so on standard output once it listens.
async fn serve(port: u16) -> io::Result<()> {
    let hello = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Json(Greeting { peer })
    };
    let app = Router::new().route("/", get(hello));
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await?;
    output::print("listening");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

async fn ask(server: SocketAddr) -> Seen {
    let answer = time::timeout(PATIENCE, exchange(server)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match answer {
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Seen::Refused,
        Err(error) => Seen::Failed(error.to_string()),
    }
}

async fn exchange(server: SocketAddr) -> io::Result<Seen> {
    let stream = TcpStream::connect(server).await?;
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let (mut sender, conn) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get("/")
        .header("host", server.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    // The connection ends with its only request: what sends it goes with it.
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let greeting = serde_json::from_slice(&body).map_err(io::Error::other)?;
        Ok(Seen::Answer { local, remote, greeting })
    };
    let (answer, _closed) = tokio::join!(answer, conn);
    answer
}
