//! HTTP/1, by hand, so that every byte is meant.
use super::{Place, Stream, pause};
use crate::{
    case::Answer,
    client::h1::{self, Message},
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Serves one connection to its end.
pub(crate) async fn serve(mut stream: impl Stream, place: &Place) {
    let mut rest = Vec::new();
    while let Some(go_on) = exchange(&mut stream, &mut rest, place).await {
        if !go_on {
            break;
        }
    }
}

async fn exchange(stream: &mut impl Stream, rest: &mut Vec<u8>, place: &Place) -> Option<bool> {
    let mut request = h1::head(stream, rest).await.ok()?;
    let answer = place.answer();
    if request.header("expect").is_some() && !answer.early {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    if answer.early {
        saw(place, &request);
        write(stream, &request, &answer).await?;
        drop(h1::request_body(stream, rest, &mut request).await);
        return Some(!answer.close);
    }
    let read = h1::request_body(stream, rest, &mut request).await;
    if read.is_err() {
        request.line.push_str(" (cut)");
    }
    saw(place, &request);
    read.ok()?;
    pause(answer.delay_ms).await;
    if answer.reset {
        return None;
    }
    if request.line.starts_with("CONNECT ")
        || request.header("upgrade").is_some() && answer.status == 200
    {
        return tunnel(stream, rest, &request, &answer).await;
    }
    write(stream, &request, &answer).await?;
    Some(!answer.close && !answer.cut)
}

fn saw(place: &Place, request: &Message) {
    place.saw(json!({
        "line": request.line,
        "headers": request.headers,
        "body": crate::plain::text(&request.body),
        "trailers": request.trailers,
    }));
}

async fn write(stream: &mut impl Stream, request: &Message, answer: &Answer) -> Option<()> {
    if let Some(raw) = &answer.raw {
        return stream.write_all(raw.as_bytes()).await.ok();
    }
    for status in &answer.interim {
        let head = format!("HTTP/1.1 {status} Interim\r\nlink: </style.css>\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
    }
    let body = answer.content();
    let trailers = answer.trailers.pairs();
    let is_chunked = answer.chunked || !trailers.is_empty();
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in answer.headers.pairs() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if is_chunked {
        head.push_str("transfer-encoding: chunked\r\n");
    } else if answer.status >= 200 && answer.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    if answer.close {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    if answer.body_delay_ms > 0 {
        stream.flush().await.ok()?;
        pause(answer.body_delay_ms).await;
    }
    let has_body = !request.line.starts_with("HEAD ") && !matches!(answer.status, 204 | 304);
    let sent = if answer.cut { &body[..body.len() / 2] } else { &body[..] };
    if has_body && is_chunked {
        stream.write_all(&h1::chunks(sent, 1, (!answer.cut).then_some(&trailers))).await.ok()?;
    } else if has_body {
        stream.write_all(sent).await.ok()?;
    }
    stream.flush().await.ok()
}

/// Agrees, then says everything twice.
async fn tunnel(
    stream: &mut impl Stream,
    rest: &[u8],
    request: &Message,
    answer: &Answer,
) -> Option<bool> {
    let mut head = match request.header("upgrade") {
        Some(to) => {
            format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {to}\r\n")
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    for (name, value) in answer.headers.pairs() {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(rest).await.ok()?;
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        stream.write_all(&buffer[..n]).await.ok()?;
    }
}

impl Answer {
    pub(crate) fn content(&self) -> Vec<u8> {
        self.body.as_ref().map_or_else(|| vec![b'y'; self.size], |body| body.clone().into_bytes())
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown")
}
