//! The servers behind the proxy: they do what the request's script says, and tell what they saw.
mod h1;
mod h2;

use crate::{case::Answer, client::tls};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// All servers of one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backends {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    script: VecDeque<Answer>,
    seen: Vec<Value>,
}

/// One connection's facts.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) tls: Option<Value>,
    backends: Backends,
}

impl Backends {
    /// Starts the server of this name: `b…` HTTP, `s…` HTTP over TLS, `t…` echoes what it is told,
    /// `g…` speaks first. Any other name is a port where nobody listens.
    pub(crate) async fn start(
        &self,
        tasks: &mut JoinSet<()>,
        name: &str,
        port: u16,
        certificates: &Path,
    ) {
        let kind = name.split_at(1);
        if !matches!(kind.0, "b" | "s" | "t" | "g") || kind.1.parse::<u16>().is_err() {
            return;
        }
        let acceptor = (kind.0 == "s").then(|| tls::acceptor(certificates));
        for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            let at: SocketAddr = format!("{ip}:{port}").parse().unwrap();
            let listener = TcpListener::bind(at).await.unwrap();
            let place = Place { name: name.to_owned(), tls: None, backends: self.clone() };
            tasks.spawn(accept(listener, place, acceptor.clone()));
        }
    }

    /// Forgets the script and what was seen, and takes another script.
    pub(crate) fn play(&self, script: &[Answer]) {
        let mut shared = self.shared.lock().unwrap();
        shared.script = script.iter().cloned().collect();
        shared.seen.clear();
    }

    pub(crate) fn seen(&self) -> Vec<Value> {
        self.shared.lock().unwrap().seen.clone()
    }
}

impl Place {
    /// The answer to the next request.
    pub(crate) fn answer(&self) -> Answer {
        let next = self.backends.shared.lock().unwrap().script.pop_front();
        next.unwrap_or_else(|| Answer { body: Some(self.name.clone()), ..Answer::default() })
    }

    /// Remembers a request.
    pub(crate) fn saw(&self, mut request: Value) {
        request["at"] = json!(self.name);
        if let Some(tls) = &self.tls {
            request["tls"] = tls.clone();
        }
        self.backends.shared.lock().unwrap().seen.push(request);
    }
}

async fn accept(listener: TcpListener, place: Place, acceptor: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream.set_nodelay(true));
        connections.spawn(connection(stream, place.clone(), acceptor.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, mut place: Place, acceptor: Option<TlsAcceptor>) {
    match place.name.as_bytes()[0] {
        b't' | b'g' => return echo(stream, &place).await,
        _ => (),
    }
    let Some(acceptor) = acceptor else {
        let mut first = [0; 3];
        while stream.peek(&mut first).await.is_ok_and(|n| n > 0 && n < 3) {}
        return if &first == b"PRI" {
            h2::serve(stream, &place).await;
        } else {
            h1::serve(stream, &place).await;
        };
    };
    match acceptor.accept(stream).await {
        Ok(stream) => {
            place.tls = Some(tls::facts(stream.get_ref().1));
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            if is_h2 { h2::serve(stream, &place).await } else { h1::serve(stream, &place).await }
        }
        Err(_) => place.saw(json!({"tls": "refused"})),
    }
}

/// Says its name, then what it is told, until the other end is done.
async fn echo(mut stream: TcpStream, place: &Place) {
    if place.name.starts_with('g') && stream.write_all(b"hello from g\n").await.is_err() {
        return;
    }
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        if said.is_empty() && place.name.starts_with('t') {
            drop(stream.write_all(format!("{}:", place.name).as_bytes()).await);
        }
        said.extend_from_slice(&buffer[..n]);
        if stream.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    place.saw(json!({"tcp": crate::plain::text(&said)}));
    drop(stream.shutdown().await);
}

pub(crate) async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Any connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}
