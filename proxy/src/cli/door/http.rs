//! One question and one answer, over whatever carries bytes.
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, error::Error};
use tokio::io::{AsyncRead, AsyncWrite};

/// More than any node's answer: 100,000 connections at 600 bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why there is no answer.
pub(super) type Broken = Box<dyn Error + Send + Sync>;

/// Asks, and reads the whole answer.
pub(super) async fn exchange(
    io: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
) -> Result<(StatusCode, Bytes), Broken> {
    let (mut sender, conn) = http1::handshake(TokioIo::new(io)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "culvert")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The connection's own future only moves bytes; its error is the answer's error, too.
    let drive = async {
        drop(conn.await);
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = drive => match never {},
    }
}
