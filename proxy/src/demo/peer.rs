//! The applications of the demonstration's pods: an HTTP server that tells whom it sees, and a
//! client that tells what it got.
//!
//! They are this binary under a hidden command, so that the demonstration needs nothing else. The
//! second application has services of several versions ([`book`]) and clients ([`client`]).
pub(super) mod book;

pub(super) mod client;

mod secured;

use crate::{
    cli::output,
    failure::{Exit, Failure},
};
use axum::{
    Json, Router,
    extract::{ConnectInfo, Path},
    routing::get,
};
use client::{Question, Server};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task, time,
};

/// How long the client waits for an answer; longer than a proxy waits for nobody.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two requests of a load.
const BREATH: Duration = Duration::from_millis(5);

/// A pod's application.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Peer {
    /// Answers every request with the address it came from.
    Serve { port: u16 },
    /// Asks once on a new connection and tells what happened.
    Get {
        /// An address or a name, and the port.
        server: String,
        /// What the server is to say back.
        #[arg(default_value = "hello")]
        word: String,
    },
    /// Asks on new connections until its input ends, and tells how many went well.
    Load { server: SocketAddr },
    /// Keeps one connection, and tells when it was ended.
    Watch { server: SocketAddr },
    /// A service that asks others.
    Book { name: String, port: u16, next: Vec<String> },
    /// Asks such a service, and tells who answered how.
    Browse {
        server: String,
        path: String,
        times: u64,
        #[arg(long)]
        user: Option<String>,
        #[arg(long, default_value_t)]
        method: Method,
        /// Where the server is, if its name does not say so.
        #[arg(long)]
        at: Option<SocketAddr>,
        /// Over TLS: the file of what its certificate has to lead to.
        #[arg(long)]
        root: Option<PathBuf>,
    },
}

/// What the server saw.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Greeting {
    pub(super) peer: SocketAddr,
    pub(super) word: String,
}

/// What came of many requests.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) failed: u64,
    /// The first failure.
    pub(super) why: Option<String>,
}

/// What a client that watches says.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Watched {
    Open,
    /// Somebody ended it, and how.
    Ended(String),
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
            Self::Get { server, word } => tell(&runtime.block_on(ask(&server, &word))),
            Self::Load { server } => tell(&runtime.block_on(load(server))),
            Self::Watch { server } => runtime.block_on(watch(server)),
            Self::Book { name, port, next } => runtime.block_on(book::serve(name, port, next)),
            Self::Browse { server, path, times, user, method, at, root } => {
                let server = Server { name: &server, at, root: root.as_deref() };
                let question = Question { method, path: &path, user: user.as_deref() };
                tell(&runtime.block_on(client::browse(&server, &question, times)))
            }
        });
        done.map(|()| Exit::Done)
            .map_err(|error| Failure::of(Exit::Cannot, &error, "this is a part of `culvert demo`"))
    }
}

fn tell(what: &impl Serialize) -> io::Result<()> {
    output::print(serde_json::to_string(what).map_err(io::Error::other)?);
    Ok(())
}

/// Serves until killed; says so on standard output once it listens.
async fn serve(port: u16) -> io::Result<()> {
    let hello = |ConnectInfo(peer): ConnectInfo<SocketAddr>, Path(word): Path<String>| async move {
        Json(Greeting { peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()), word })
    };
    let app = Router::new().route("/{word}", get(hello));
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await?;
    output::print("listening");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}

async fn ask(server: &str, word: &str) -> Seen {
    let answer = time::timeout(PATIENCE, exchange(server, word)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match answer {
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Seen::Refused,
        Err(error) => Seen::Failed(error.to_string()),
    }
}

async fn load(server: SocketAddr) -> Tally {
    let (server, mut tally) = (server.to_string(), Tally::default());
    let mut over = task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    loop {
        match ask(&server, "load").await {
            Seen::Answer { .. } => tally.done += 1,
            failed @ (Seen::Refused | Seen::Failed(_)) => {
                tally.failed += 1;
                tally.why.get_or_insert_with(|| format!("{failed:?}"));
            }
        }
        tokio::select! {
            biased;
            _ = &mut over => return tally,
            () = time::sleep(BREATH) => {}
        }
    }
}

async fn watch(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    // The server has read something: the connection is there from end to end.
    stream.write_all(b"GET /watch HTTP/1.1\r\nhost: server\r\n\r\n").await?;
    let mut bytes = [0; 1024];
    if stream.read(&mut bytes).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    tell(&Watched::Open)?;
    let how = loop {
        match stream.read(&mut bytes).await {
            Ok(0) => break "closed".to_owned(),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    tell(&Watched::Ended(how))
}

async fn exchange(server: &str, word: &str) -> io::Result<Seen> {
    let stream = TcpStream::connect(server).await?;
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let (mut sender, conn) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(format!("/{word}"))
        .header("host", server)
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
