//! One connection of HTTP/2.
use crate::{backend::Stream, case::Ask};
use bytes::Bytes;
use h2::{RecvStream, client::SendRequest, ext::Protocol};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A connection, and the task that drives it.
pub(crate) struct Connection {
    send: SendRequest<Bytes>,
    _driver: JoinSet<()>,
}

impl Connection {
    pub(crate) async fn open(stream: Box<dyn Stream>) -> Result<Self, Value> {
        let opened = h2::client::handshake(stream).await;
        let (send, connection) = opened.map_err(|_closed| json!({"error": "closed"}))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Ok(Self { send, _driver: driver })
    }

    pub(crate) async fn ask(&mut self, ask: &Ask) -> Value {
        if ask.method() == "CONNECT" && ask.path.is_some() {
            // Extended CONNECT waits for the settings that allow it.
            for _ in 0..200 {
                if self.send.is_extended_connect_protocol_enabled() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        match self.exchange(ask).await {
            Ok(answer) => answer,
            Err(error) => failure(&error),
        }
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<Value, h2::Error> {
        let (body, trailers) = (ask.content(), ask.trailers.pairs());
        let is_open = ask.tunnel.is_some();
        let is_last = body.is_none() && trailers.is_empty() && !is_open;
        let mut ready = self.send.clone().ready().await?;
        let (response, mut stream) = ready.send_request(head(ask), is_last)?;
        let mut response = Box::pin(response);
        if let Some(body) = body {
            let parts = body.chunks(body.len().div_ceil(ask.parts.max(1)).max(1));
            let count = parts.len();
            for (at, part) in parts.enumerate() {
                let is_last = at + 1 == count && trailers.is_empty() && !is_open;
                if stream.send_data(Bytes::copy_from_slice(part), is_last).is_err() {
                    break;
                }
            }
        }
        if !trailers.is_empty() {
            drop(stream.send_trailers(headers(&trailers)));
        }
        let mut interim = Vec::new();
        let informed = std::future::poll_fn(|cx| {
            while let std::task::Poll::Ready(Some(Ok(head))) = response.poll_informational(cx) {
                interim.push(
                    json!({"line": head.status().as_u16(), "headers": pairs(head.headers())}),
                );
            }
            response.as_mut().poll(cx)
        });
        let response = informed.await?;
        let mut answer = json!({"line": format!("HTTP/2 {}", response.status().as_u16()), "headers": pairs(response.headers())});
        answer["interim"] = json!(interim);
        if let Some(says) = &ask.tunnel {
            drop(stream.send_data(Bytes::from(says.clone().into_bytes()), false));
            let mut body = response.into_body();
            answer["tunnel"] = json!(tunnel(&mut body, says.len()).await);
            drop(stream.send_data(Bytes::new(), true));
            return Ok(answer);
        }
        read(&mut answer, response.into_body()).await;
        Ok(answer)
    }
}

fn head(ask: &Ask) -> Request<()> {
    let mut request = Request::builder().method(ask.method());
    let uri = if ask.method() == "CONNECT" && ask.path.is_none() {
        ask.host().to_owned()
    } else {
        format!("{}://{}{}", ask.scheme.as_deref().unwrap_or("http"), ask.host(), ask.path())
    };
    request = request.uri(uri).version(http::Version::HTTP_2);
    let mut request = request.body(()).unwrap();
    *request.headers_mut() = headers(&ask.headers.pairs());
    if let Some(protocol) = request
        .headers_mut()
        .remove(":protocol")
        .or_else(|| request.headers_mut().remove("x-protocol"))
    {
        request.extensions_mut().insert(Protocol::from(protocol.to_str().unwrap()));
    }
    request
}

async fn read(answer: &mut Value, mut body: RecvStream) {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                drop(body.flow_control().release_capacity(data.len()));
                all.extend_from_slice(&data);
            }
            Err(error) => {
                answer["cut"] = failure(&error)["error"].clone();
                break;
            }
        }
    }
    answer["body"] = json!(crate::plain::text(&all));
    if let Ok(Some(trailers)) = body.trailers().await {
        answer["trailers"] = json!(pairs(&trailers));
    }
}

async fn tunnel(body: &mut RecvStream, length: usize) -> String {
    let mut all = Vec::new();
    while all.len() < length {
        match body.data().await {
            Some(Ok(data)) => all.extend_from_slice(&data),
            _ => break,
        }
    }
    crate::plain::text(&all)
}

fn failure(error: &h2::Error) -> Value {
    match error.reason() {
        Some(reason) if error.is_reset() => json!({"error": format!("reset {reason:?}")}),
        Some(reason) if error.is_go_away() => json!({"error": format!("goaway {reason:?}")}),
        _ => json!({"error": "closed"}),
    }
}

pub(crate) fn headers(pairs: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        let name = HeaderName::from_bytes(name.trim_start_matches(':').as_bytes()).unwrap();
        (
            if name == "protocol" { HeaderName::from_static("x-protocol") } else { name },
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

pub(crate) fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), crate::plain::text(value.as_bytes()))
    };
    headers.iter().map(pair).collect()
}
