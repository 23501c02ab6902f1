//! Messages of HTTP/1 as they are on the wire.
use crate::{backend::Stream, case::Ask};
use serde_json::{Value, json};
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A head and a body, as they were written.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|codings| codings.ends_with("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }

    fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// Asks once (or writes bytes) and reads what is expected.
pub(crate) async fn ask(stream: &mut Box<dyn Stream>, rest: &mut Vec<u8>, ask: &Ask) -> Value {
    if let Some(raw) = &ask.raw {
        return talk(stream, rest, raw.as_bytes(), ask.expect.unwrap_or(1)).await;
    }
    let request = request(ask);
    let (_, writing) = tokio::join!(async {}, stream.write_all(&request));
    let mut answer = one(stream, rest, ask.method()).await;
    if writing.is_err() && answer.get("error").is_some() {
        answer = json!({"error": "closed"});
    }
    if let Some(says) = &ask.tunnel {
        answer["tunnel"] = tunnel(stream, rest, says.as_bytes()).await;
    }
    answer
}

/// All bytes of a request.
fn request(ask: &Ask) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", ask.method(), ask.path());
    let headers = ask.headers.pairs();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) && ask.host() != "-" {
        bytes.push_str(&format!("host: {}\r\n", ask.host()));
    }
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    let (body, trailers) = (ask.content(), ask.trailers.pairs());
    let is_chunked = ask.parts > 0 || !trailers.is_empty();
    match &body {
        _ if is_chunked => bytes.push_str("transfer-encoding: chunked\r\n"),
        Some(body) => bytes.push_str(&format!("content-length: {}\r\n", body.len())),
        None => (),
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    let body = body.unwrap_or_default();
    if is_chunked {
        bytes.extend(chunks(&body, ask.parts.max(1), Some(&trailers)));
    } else {
        bytes.extend(body);
    }
    bytes
}

/// A body in chunks; without trailers (not even none) it has no end.
pub(crate) fn chunks(
    body: &[u8],
    parts: usize,
    trailers: Option<&Vec<(String, String)>>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in body.chunks(body.len().div_ceil(parts).max(1)) {
        bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    if let Some(trailers) = trailers {
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Bytes as they are, the answers to them, and what becomes of the connection.
async fn talk(
    stream: &mut Box<dyn Stream>,
    rest: &mut Vec<u8>,
    raw: &[u8],
    expect: usize,
) -> Value {
    if stream.write_all(raw).await.is_err() {
        return json!({"error": "closed"});
    }
    let mut answers = Vec::new();
    for _ in 0..expect {
        let limit = std::time::Duration::from_millis(1500);
        let answer = tokio::time::timeout(limit, one(stream, rest, "GET")).await;
        let answer = answer.unwrap_or_else(|_| json!({"error": "silence"}));
        let is_over = answer.get("error").is_some();
        answers.push(answer);
        if is_over {
            return json!({"answers": answers});
        }
    }
    // A proxy that still listens answers this one; one that has closed does not.
    drop(stream.write_all(b"GET /probe HTTP/1.1\r\nhost: probe\r\n\r\n").await);
    let limit = std::time::Duration::from_millis(1500);
    let after = tokio::time::timeout(limit, one(stream, rest, "GET")).await;
    let after = match after {
        Ok(answer) if answer.get("error").is_some() => "closed".into(),
        Ok(answer) => answer["line"].clone(),
        Err(_) => "silence".into(),
    };
    json!({"answers": answers, "after": after})
}

/// One final answer, with those before it.
async fn one(stream: &mut Box<dyn Stream>, rest: &mut Vec<u8>, method: &str) -> Value {
    let mut interim = Vec::new();
    loop {
        let mut answer = match head(stream, rest).await {
            Ok(answer) => answer,
            Err(error) => {
                let how =
                    if error.kind() == io::ErrorKind::ConnectionReset { "reset" } else { "closed" };
                // What is left of a reset connection is a race; both are the end of it.
                let _ = how;
                return json!({"error": "closed", "interim": interim});
            }
        };
        let status = answer.status();
        if (100..200).contains(&status) && status != 101 {
            interim.push(json!({"line": answer.line, "headers": answer.headers}));
            continue;
        }
        let end = response_body(stream, rest, &mut answer, method).await;
        return json!({
            "line": answer.line,
            "headers": answer.headers,
            "body": crate::plain::text(&answer.body),
            "trailers": answer.trailers,
            "interim": interim,
            "cut": end.is_err(),
        });
    }
}

async fn tunnel(stream: &mut Box<dyn Stream>, rest: &mut Vec<u8>, says: &[u8]) -> Value {
    if stream.write_all(says).await.is_err() {
        return json!("closed");
    }
    while rest.len() < says.len() {
        if more(stream, rest).await.is_err() {
            break;
        }
    }
    json!(crate::plain::text(&std::mem::take(rest)))
}

/// Reads a head.
pub(crate) async fn head(stream: &mut impl Stream, rest: &mut Vec<u8>) -> io::Result<Message> {
    loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = crate::plain::text(&rest[..end]);
            rest.drain(..end + 4);
            let mut lines = text.split("\r\n");
            let line = lines.next().unwrap_or_default().to_owned();
            return Ok(Message { line, headers: lines.map(field).collect(), ..Message::default() });
        }
        more(stream, rest).await?;
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}

/// Reads the body of a request.
pub(crate) async fn request_body(
    stream: &mut impl Stream,
    rest: &mut Vec<u8>,
    message: &mut Message,
) -> io::Result<()> {
    if message.is_chunked() {
        return chunked(stream, rest, message).await;
    }
    exactly(stream, rest, message.length().unwrap_or(0), &mut message.body).await
}

async fn response_body(
    stream: &mut impl Stream,
    rest: &mut Vec<u8>,
    message: &mut Message,
    method: &str,
) -> io::Result<()> {
    let status = message.status();
    if method == "HEAD" || matches!(status, 101 | 204 | 304) || method == "CONNECT" && status < 300
    {
        return Ok(());
    }
    if message.is_chunked() {
        return chunked(stream, rest, message).await;
    }
    if let Some(length) = message.length() {
        return exactly(stream, rest, length, &mut message.body).await;
    }
    loop {
        message.body.append(rest);
        match more(stream, rest).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
    }
}

async fn exactly(
    stream: &mut impl Stream,
    rest: &mut Vec<u8>,
    mut left: usize,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let take = left.min(rest.len());
        body.extend(rest.drain(..take));
        left -= take;
        if left == 0 {
            return Ok(());
        }
        more(stream, rest).await?;
    }
}

async fn chunked(
    stream: &mut impl Stream,
    rest: &mut Vec<u8>,
    message: &mut Message,
) -> io::Result<()> {
    loop {
        let size = line(stream, rest).await?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16);
        let size = size.map_err(io::Error::other)?;
        if size == 0 {
            break;
        }
        exactly(stream, rest, size, &mut message.body).await?;
        line(stream, rest).await?;
    }
    loop {
        let trailer = line(stream, rest).await?;
        if trailer.is_empty() {
            return Ok(());
        }
        message.trailers.push(field(&trailer));
    }
}

async fn line(stream: &mut impl Stream, rest: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
            let line = crate::plain::text(&rest[..end]);
            rest.drain(..end + 2);
            return Ok(line);
        }
        more(stream, rest).await?;
    }
}

async fn more(stream: &mut impl Stream, rest: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(rest).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
