//! Requests to services of the second application, and what came of them.
use super::{
    book::{Page, USER},
    secured::secured,
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

/// For an answer; longer than anything takes in the story.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server<'a> {
    pub(super) name: &'a str,
    /// `None`: where the name says, which then has a port.
    pub(super) at: Option<SocketAddr>,
    /// What its certificate has to lead to; `None`: in plain text.
    pub(super) root: Option<&'a Path>,
}

/// What is asked, and who wants to know.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) user: Option<&'a str>,
}

/// What came of some requests.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(in crate::demo) struct Browsed {
    pub(in crate::demo) statuses: BTreeMap<u16, u64>,
    /// By the names that services say of themselves.
    pub(in crate::demo) names: BTreeMap<String, u64>,
    pub(in crate::demo) last: Option<Page>,
    pub(in crate::demo) longest_ms: u64,
    /// Why no more were made.
    pub(in crate::demo) failed: Option<String>,
}

/// Asks once.
pub(super) async fn ask(
    server: &str,
    question: &Question<'_>,
) -> io::Result<(StatusCode, Option<Page>)> {
    let server = Server { name: server, at: None, root: None };
    connected(server, async |mut sender| one(&mut sender, server.name, question).await).await
}

/// Asks again and again on one connection.
pub(super) async fn browse(server: &Server<'_>, question: &Question<'_>, times: u64) -> Browsed {
    let mut browsed = Browsed::default();
    let done = connected(*server, async |mut sender| {
        for _ in 0..times {
            let begun = Instant::now();
            let (status, page) = one(&mut sender, server.name, question).await?;
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            browsed.add(status, page, took);
        }
        Ok(())
    });
    let done = done.await;
    browsed.failed = done.err().map(|error| error.to_string());
    browsed
}

impl Browsed {
    fn add(&mut self, status: StatusCode, page: Option<Page>, took: u64) {
        *self.statuses.entry(status.as_u16()).or_default() += 1;
        if let Some(page) = &page {
            *self.names.entry(page.name.clone()).or_default() += 1;
        }
        self.last = page;
        self.longest_ms = self.longest_ms.max(took);
    }
}

/// A connection for as long as `use_it` needs it.
async fn connected<T>(
    Server { name, at, root }: Server<'_>,
    use_it: impl AsyncFnOnce(SendRequest<Empty<Bytes>>) -> io::Result<T>,
) -> io::Result<T> {
    let stream = match at {
        Some(at) => TcpStream::connect(at).await?,
        None => TcpStream::connect(name).await?,
    };
    match root {
        Some(root) => used(secured(name, root, stream).await?, use_it).await,
        None => used(stream, use_it).await,
    }
}

async fn used<T>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    use_it: impl AsyncFnOnce(SendRequest<Empty<Bytes>>) -> io::Result<T>,
) -> io::Result<T> {
    let (sender, conn) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with whoever sends on it.
    let (done, _closed) = tokio::join!(use_it(sender), conn);
    done
}

async fn one(
    sender: &mut SendRequest<Empty<Bytes>>,
    server: &str,
    question: &Question<'_>,
) -> io::Result<(StatusCode, Option<Page>)> {
    let Question { method, path, user } = question;
    let mut request = Request::builder().method(method).uri(*path).header("host", server);
    if let Some(user) = user {
        request = request.header(USER, *user);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answered = async {
        sender.ready().await.map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((status, serde_json::from_slice(&body).ok()))
    };
    let in_time = time::timeout(PATIENCE, answered).await;
    in_time.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
