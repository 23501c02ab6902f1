//! One check, as it goes over the wire.
use super::{
    course::{Failure, Found},
    grpc,
};
use crate::{
    body::{Body, Frame},
    dial::{Dial, Dialling},
    io::Io,
    message::{Interim, RequestHead, ResponseHead, Scheme},
    pool::{Breakers, Pool, Speaks},
    upstream::door::Door,
};
use culvert_model::http::{
    cluster::Cluster,
    endpoint::Endpoint,
    health::{GrpcCheck, HealthCheck, HealthCheckKind, HttpCheck, TcpCheck},
    mutation::HeaderMutations,
};
use culvert_policy::http::{
    facts::Head,
    format::{Nothing, Scene},
    mutate::{self, Message},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use memchr::memmem;
use std::{borrow::Cow, sync::Arc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DEGRADED: HeaderName = HeaderName::from_static("x-envoy-degraded");
pub(super) const FAIL_NOW: HeaderName =
    HeaderName::from_static("x-envoy-immediate-health-check-fail");
const SERVICE: HeaderName = HeaderName::from_static("x-envoy-upstream-healthchecked-cluster");

/// As Envoy calls itself.
const AGENT: HeaderValue = HeaderValue::from_static("Envoy/HC");

/// So much of an answer is looked at.
const MOST: usize = 64 << 10;

/// How an endpoint is asked, again and again.
pub(super) enum Probe {
    Http { pool: Pool, head: Box<RequestHead>, check: HttpCheck },
    Grpc { pool: Pool, head: Box<RequestHead>, check: GrpcCheck },
    Tcp { door: Door, kept: Option<Io>, check: TcpCheck, keeps: bool },
}

/// Connections of checks are not the endpoint's.
struct Uncounted(Door);

impl Dial for Uncounted {
    fn dial(&self) -> Dialling {
        let door = self.0.clone();
        Box::pin(async move { door.open().await })
    }
}

impl Probe {
    pub(super) fn new(
        check: &HealthCheck,
        cluster: &Cluster,
        endpoint: &Endpoint,
        mut door: Door,
    ) -> Self {
        let secure = door.is_secure();
        door.alpn = Arc::clone(&check.alpn);
        let named = |configured: &Arc<str>| {
            let names = [&endpoint.check.hostname, configured, &cluster.name];
            let name = names.into_iter().find(|name| !name.is_empty());
            name.map_or_else(String::new, |name| name.to_string())
        };
        let mut pool = |speaks: Speaks| {
            door.speaks = Some(speaks);
            let mut options = door.wire.options(speaks);
            options.connect = check.timeout;
            options.idle = None;
            options.age = None;
            options.requests = (!check.reuse_connection).then_some(1);
            let worker = door.wire.deps.worker.clone();
            Pool::new(Arc::new(Uncounted(door.clone())), options, Breakers::default(), worker)
        };
        match &check.kind {
            HealthCheckKind::Http(http) => {
                let head = head(&http.method, &named(&http.host), &http.path, secure);
                let head = Box::new(changed(head, &http.headers));
                let pool = pool(if http.http2 { Speaks::Http2 } else { Speaks::Http1 });
                Self::Http { pool, head, check: http.clone() }
            }
            HealthCheckKind::Grpc(grpc) => {
                let mut head = head(&Method::POST, &named(&grpc.authority), grpc::PATH, secure);
                head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
                let kind = HeaderValue::from_static("application/grpc");
                head.headers.insert(header::CONTENT_TYPE, kind);
                let head = Box::new(changed(head, &grpc.metadata));
                Self::Grpc { pool: pool(Speaks::Http2), head, check: grpc.clone() }
            }
            HealthCheckKind::Tcp(tcp) => {
                door.speaks = None;
                let keeps = check.reuse_connection && !tcp.receive.is_empty();
                Self::Tcp { door, kept: None, check: tcp.clone(), keeps }
            }
        }
    }

    /// Dropped half-way, it leaves nothing behind.
    pub(super) async fn ask(&mut self) -> Found {
        match self {
            Self::Http { pool, head, check } => http(pool, head, check).await,
            Self::Grpc { pool, head, check } => {
                let message = grpc::request(&check.service);
                let good =
                    rpc(pool, head, message).await.is_some_and(|answer| grpc::serves(&answer));
                let bad = Found::Bad(Failure::Answer { retriable: false });
                if good { Found::Good { degraded: false } } else { bad }
            }
            Self::Tcp { door, kept, check, keeps } => {
                let Some(io) = tcp(door, kept.take(), check).await else {
                    return Found::Bad(Failure::Network);
                };
                *kept = keeps.then_some(io);
                Found::Good { degraded: false }
            }
        }
    }
}

fn head(method: &Method, host: &str, path: &str, secure: bool) -> RequestHead {
    let unnamed = || http::uri::Authority::from_static("localhost");
    let authority = host.parse().unwrap_or_else(|_not_a_host| unnamed());
    let path = path.parse().unwrap_or_else(|_not_a_path| PathAndQuery::from_static("/"));
    let mut head = RequestHead::new(method.clone(), authority, path);
    head.scheme = if secure { Scheme::Https } else { Scheme::Http };
    head.headers.insert(header::USER_AGENT, AGENT);
    head
}

fn changed(mut head: RequestHead, mutations: &HeaderMutations) -> RequestHead {
    let mut headers = std::mem::take(&mut head.headers);
    let request = Head {
        method: &head.method,
        path: head.path.as_ref().map_or("", PathAndQuery::as_str),
        authority: head.authority.as_ref().map_or("", |authority| authority.as_str()),
        scheme: head.scheme.name(),
        protocol: None,
        headers: mutate::no_headers(),
    };
    let scene = Scene { request: Some(request), ..Scene::new(&Nothing) };
    mutate::route_headers(mutations, Message::Request, &mut headers, &scene);
    head.headers = headers;
    head
}

async fn http(pool: &Pool, head: &RequestHead, check: &HttpCheck) -> Found {
    let interim = Interim::default();
    let sent = pool.send(Cow::Borrowed(head), Body::Empty, &interim).await;
    let Ok((answer, body)) = sent else { return Found::Bad(Failure::Network) };
    let Some(text) = whole(body).await else { return Found::Bad(Failure::Network) };
    judged(&answer, &text, check)
}

fn judged(answer: &ResponseHead, text: &[u8], check: &HttpCheck) -> Found {
    let status = answer.status.as_u16();
    let headers = &answer.headers;
    if !check.expected.iter().any(|range| range.contains(&status)) {
        let retriable = check.retriable.iter().any(|range| range.contains(&status));
        return Found::Bad(if headers.contains_key(FAIL_NOW) {
            Failure::LeaveAlone { retriable }
        } else {
            Failure::Answer { retriable }
        });
    }
    let of_service = check.service.as_ref().is_none_or(|wanted| {
        headers.get(SERVICE).is_some_and(|name| wanted.matches(name.as_bytes()))
    });
    if of_service && has_parts(text, &check.receive) {
        Found::Good { degraded: headers.contains_key(DEGRADED) }
    } else {
        Found::Bad(Failure::Answer { retriable: false })
    }
}

/// All of a body's bytes that are looked at, when it has ended.
async fn whole(mut body: Body) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Frame::Data(data) = frame.ok()? {
            let room = MOST - text.len();
            text.extend(data.iter().take(room));
        }
    }
    Some(text)
}

/// The message that was answered, if the call went well.
async fn rpc(pool: &Pool, head: &RequestHead, message: bytes::Bytes) -> Option<Vec<u8>> {
    let interim = Interim::default();
    let sent = pool.send(Cow::Borrowed(head), Body::full(message), &interim).await;
    let (answer, mut body) = sent.ok()?;
    let status = |headers: &HeaderMap| Some(headers.get("grpc-status")?.as_bytes() == b"0");
    let (mut text, mut good) = (Vec::new(), status(&answer.headers));
    while let Some(frame) = body.frame().await {
        match frame.ok()? {
            Frame::Data(data) if text.len() + data.len() <= MOST => text.extend(data),
            Frame::Data(_) => return None,
            Frame::Trailers(trailers) => good = status(&trailers).or(good),
        }
    }
    (answer.status == http::StatusCode::OK && good == Some(true)).then_some(text)
}

/// The connection, if all that was asked for came.
async fn tcp(door: &Door, kept: Option<Io>, check: &TcpCheck) -> Option<Io> {
    let mut io = match kept {
        Some(io) => io,
        None => door.open().await.ok()?.io,
    };
    if !check.send.is_empty() {
        io.write_all(&check.send).await.ok()?;
        io.flush().await.ok()?;
    }
    let mut text = Vec::new();
    while !has_parts(&text, &check.receive) {
        let mut piece = [0; 1024];
        let read = io.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        text.extend_from_slice(piece.get(..read)?);
        if text.len() > MOST {
            return None;
        }
    }
    Some(io)
}

/// Whether all are there, one behind the other.
fn has_parts(mut text: &[u8], parts: &[Arc<[u8]>]) -> bool {
    parts.iter().all(|part| {
        let Some(at) = memmem::find(text, part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
        true
    })
}

#[cfg(test)]
mod tests {
    use super::has_parts;

    #[test]
    fn parts_come_in_their_order() {
        let parts: Vec<std::sync::Arc<[u8]>> = vec![(*b"ab").into(), (*b"c").into()];
        assert!(has_parts(b"xxab--c", &parts));
        assert!(!has_parts(b"c--ab", &parts));
        assert!(has_parts(b"", &[]));
    }
}
