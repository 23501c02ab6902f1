//! Our HTTP/1 client at our server and at hyper's.
use crate::support::{Server, Version};
use bytes::Bytes;
use culvert_l7::{
    body::{Body, BodyError, Frame, Length, Pull},
    h1::{self, Client, Home, Lease},
    message::{Interim, RequestHead, ResponseHead},
    outcome::Reset,
};
use http::{HeaderValue, Method, StatusCode};
use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Keeps what comes home.
#[derive(Default)]
struct Shelf(Mutex<Vec<Kept>>);

type Kept = Box<Client>;

impl Home for Shelf {
    fn take_back(&self, client: Box<Client>) {
        self.0.lock().unwrap().push(client);
    }
}

impl Shelf {
    fn lease(self: &Arc<Self>) -> Lease {
        Lease::new(Arc::clone(self) as Arc<dyn Home>, None)
    }

    fn take(&self) -> Option<Box<Client>> {
        self.0.lock().unwrap().pop()
    }
}

struct Fed(mpsc::Receiver<Bytes>);

impl Pull for Fed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::Data(data))))
    }
}

fn head(method: Method, path: &'static str) -> RequestHead {
    let path = http::uri::PathAndQuery::from_static(path);
    RequestHead::new(method, "a".parse().unwrap(), path)
}

async fn open(addr: std::net::SocketAddr) -> Box<Client> {
    let tcp = TcpStream::connect(addr).await.unwrap();
    Box::new(Client::new(tcp.into(), h1::ClientOptions { trailers: true, ..Default::default() }))
}

type Answer = Result<(ResponseHead, Body), Reset>;

async fn send(client: Box<Client>, head: &RequestHead, body: Body, home: &Arc<Shelf>) -> Answer {
    client.send(head, body, &Interim::default(), home.lease()).await
}

/// A server that says `answer` to whatever comes first, and closes.
async fn says(answer: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let listener = listener.into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        let (mut tcp, _) = listener.accept().unwrap();
        let _asked = tcp.read(&mut [0; 4096]).unwrap();
        tcp.write_all(answer.as_bytes()).unwrap();
    });
    addr
}

#[tokio::test]
async fn a_connection_goes_home_when_its_exchange_is_whole() {
    let (server, home) = (Server::start(Version::One).await, Arc::new(Shelf::default()));
    let mut client = Some(open(server.addr).await);
    for (method, path, sent, got) in [
        (Method::GET, "/x", "", "/x"),
        (Method::POST, "/echo", "abc", "abc"),
        (Method::GET, "/pieces", "", "ababab"),
        (Method::HEAD, "/x", "", ""),
        (Method::GET, "/trailers", "", "abc"),
        (Method::GET, "/y", "", "/y"),
    ] {
        let body = Body::full(sent);
        let answer = send(client.take().unwrap(), &head(method, path), body, &home).await;
        let (answer, body) = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(body.collect(99).await.unwrap().0, got);
        client = home.take();
        assert!(client.as_ref().unwrap().is_usable());
    }
    assert_eq!(client.unwrap().requests(), 6);
}

#[tokio::test]
async fn large_bodies_go_both_ways_at_once() {
    let (server, home) = (Server::start(Version::One).await, Arc::new(Shelf::default()));
    let (tx, rx) = mpsc::channel(1);
    let feeds = async {
        for _ in 0..500 {
            tx.send(Bytes::from(vec![7; 20_000])).await.unwrap();
        }
        drop(tx);
    };
    let reads = async {
        let client = open(server.addr).await;
        let body = Body::boxed(Fed(rx));
        let (_, body) = send(client, &head(Method::POST, "/echo"), body, &home).await.unwrap();
        assert_eq!(body.length(), Length::Unknown);
        body.collect(20_000_000).await.unwrap().0.len()
    };
    assert_eq!(tokio::join!(feeds, reads).1, 10_000_000);
    assert!(home.take().is_some(), "both ways came to their end");
}

#[tokio::test]
async fn a_response_before_the_request_is_over_is_not_waited_for() {
    let (server, home) = (Server::start(Version::One).await, Arc::new(Shelf::default()));
    let (_tx, rx) = mpsc::channel(1);
    let client = open(server.addr).await;
    let (answer, body) =
        send(client, &head(Method::POST, "/deny"), Body::boxed(Fed(rx)), &home).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(body.collect(99).await.unwrap().0, "/deny");
    assert!(home.take().is_none(), "the rest of the request cannot be told from the next");
}

#[tokio::test]
async fn an_upgrade_carries_bytes() {
    let (server, home) = (Server::start(Version::One).await, Arc::new(Shelf::default()));
    let (tx, rx) = mpsc::channel(1);
    tx.send("early".into()).await.unwrap();
    let mut asks = head(Method::GET, "/upgrade");
    asks.upgrade = Some(HeaderValue::from_static("echo"));
    let client = open(server.addr).await;
    let (answer, mut body) = send(client, &asks, Body::boxed(Fed(rx)), &home).await.unwrap();
    assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("early".into()));
    tx.send("GET /".into()).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("GET /".into()));
    drop(tx);
    assert!(body.frame().await.is_none());
    assert!(home.take().is_none());
}

#[tokio::test]
async fn responses_that_end_in_other_ways() {
    let home = Arc::new(Shelf::default());
    let ask = async |answer| {
        let client = open(says(answer).await).await;
        let (head, body) = send(client, &head(Method::GET, "/"), Body::Empty, &home).await?;
        Ok::<_, Reset>((head.status.as_u16(), body.collect(99).await))
    };
    let (status, body) = ask("HTTP/1.1 200 OK\r\n\r\nuntil the end").await.unwrap();
    assert_eq!((status, &*body.unwrap().0), (200, &b"until the end"[..]));
    let (status, body) = ask("HTTP/1.1 103 Hm\r\n\r\nHTTP/1.1 100 Go\r\n\r\nHTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert_eq!((status, body.unwrap().0.len()), (404, 0));
    let (_, body) = ask("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").await.unwrap();
    assert!(matches!(body.unwrap_err(), BodyError::Closed));
    let (_, body) =
        ask("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nz\r\n").await.unwrap();
    assert!(matches!(body.unwrap_err(), BodyError::Malformed(_)));
    assert_eq!(ask("").await.unwrap_err(), Reset::ConnectionTermination);
    assert_eq!(ask("HTTP/1.1 200").await.unwrap_err(), Reset::ConnectionTermination);
    assert_eq!(ask("SSH-2.0-x\r\n").await.unwrap_err(), Reset::ProtocolError);
    assert_eq!(ask("HTTP/1.1 101 Sure\r\n\r\n").await.unwrap_err(), Reset::ProtocolError);
    home.take();
}

#[tokio::test]
async fn a_connection_that_was_closed_or_spoke_unasked_is_not_used() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for speaks in [false, true] {
        let client = open(listener.local_addr().unwrap()).await;
        let (mut tcp, _) = listener.accept().await.unwrap();
        assert!(client.is_usable());
        if speaks {
            tcp.write_all(b"HTTP/1.1 408 Too slow\r\n\r\n").await.unwrap();
        }
        tcp.shutdown().await.unwrap();
        drop(tcp);
        while client.is_usable() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_hyper_server_understands_us() {
    use http_body_util::Full;
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, home) = (listener.local_addr().unwrap(), Arc::new(Shelf::default()));
    let serves = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let echo = service_fn(async |request: hyper::Request<Incoming>| {
            use http_body_util::BodyExt as _;
            let host = request.headers()["host"].clone();
            let body = request.into_body().collect().await?.to_bytes();
            let answer = [host.as_bytes(), b":", &body].concat();
            Ok::<_, hyper::Error>(hyper::Response::new(Full::new(Bytes::from(answer))))
        });
        http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(tcp), echo).await
    };
    let asks = async {
        let mut client = open(addr).await;
        for _ in 0..3 {
            let (tx, rx) = mpsc::channel(2);
            tx.send("ab".into()).await.unwrap();
            tx.send("cd".into()).await.unwrap();
            drop(tx);
            let body = Body::boxed(Fed(rx));
            let (_, body) = send(client, &head(Method::PUT, "/"), body, &home).await.unwrap();
            assert_eq!(body.collect(99).await.unwrap().0, "a:abcd");
            client = home.take().unwrap();
        }
    };
    let (served, ()) = tokio::join!(serves, asks);
    served.unwrap();
}
