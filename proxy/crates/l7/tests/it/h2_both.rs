//! HTTP/2 against the `h2` crate's own ends and hyper's.
use crate::support::{Server, Version};
use bytes::Bytes;
use culvert_l7::{
    body::{Body, BodyError, Frame, Length, Pull},
    h2,
    io::Io,
    message::{Inform, Interim, RequestHead, ResponseHead},
    outcome::{Ended, Reset},
};
use culvert_runtime::drain::Drain;
use http::{HeaderValue, Method, StatusCode};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{net::TcpStream, sync::mpsc};

/// A client of ours at a server of ours.
async fn client(server: &Server) -> h2::Client {
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    let (client, drive) =
        h2::connect(Io::from(tcp), &h2::ClientOptions::default(), None).await.unwrap();
    server.drain.worker().spawn(drive);
    client
}

fn get(path: &'static str) -> RequestHead {
    RequestHead::new(Method::GET, "a".parse().unwrap(), http::uri::PathAndQuery::from_static(path))
}

async fn send(
    client: &h2::Client,
    head: RequestHead,
    body: Body,
) -> Result<(ResponseHead, Body), Reset> {
    client.clone().send(Cow::Owned(head), body, &Interim::default(), h2::Lease::default()).await
}

/// A body whose pieces come through a channel.
struct Fed(mpsc::Receiver<Bytes>);

impl Pull for Fed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::Data(data))))
    }
}

#[tokio::test]
async fn bodies_go_both_ways_and_at_the_same_time() {
    let server = Server::start(Version::Two).await;
    let client = client(&server).await;
    let (head, body) = send(&client, get("/x"), Body::Empty).await.unwrap();
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(body.length(), Length::Exactly(2));
    assert_eq!(body.collect(9).await.unwrap().0, "/x");

    let large = vec![7; 5 << 20];
    let (_, body) = send(&client, get("/size"), Body::full(large)).await.unwrap();
    assert_eq!(body.collect(99).await.unwrap().0, format!("{} false", 5 << 20));
    let (_, body) = send(&client, get("/large"), Body::Empty).await.unwrap();
    assert_eq!(body.collect(11 << 20).await.unwrap().0.len(), 10 << 20);

    let (tx, rx) = mpsc::channel(1);
    let (_, mut body) = send(&client, get("/echo"), Body::boxed(Fed(rx))).await.unwrap();
    for i in 0..1000 {
        let word = Bytes::from(format!("message {i}"));
        tx.send(word.clone()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data(word));
    }
    drop(tx);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn trailers_hints_and_failures_are_passed_on() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<ResponseHead>>);
    impl Inform for Seen {
        fn inform(&self, head: ResponseHead) {
            self.0.lock().unwrap().push(head);
        }
    }
    let server = Server::start(Version::Two).await;
    let client = client(&server).await;
    let (_, body) = send(&client, get("/trailers"), Body::Empty).await.unwrap();
    let (data, trailers) = body.collect(99).await.unwrap();
    assert_eq!((&*data, trailers.unwrap()["x-sum"].as_bytes()), (&b"abc"[..], &b"7"[..]));

    let seen = Arc::new(Seen::default());
    let interim = Interim::new(Arc::clone(&seen) as Arc<dyn Inform>);
    let sent =
        client.clone().send(Cow::Owned(get("/hints")), Body::Empty, &interim, h2::Lease::default());
    sent.await.unwrap();
    let hints: Vec<_> = seen.0.lock().unwrap().iter().map(|head| head.status).collect();
    assert_eq!(hints, [StatusCode::EARLY_HINTS]);

    let (_, mut body) = send(&client, get("/fails"), Body::Empty).await.unwrap();
    let begun = body.frame().await.unwrap().unwrap();
    assert_eq!(begun, Frame::Data("begun".into()), "what came before the failure comes");
    let error = body.collect(99).await.unwrap_err();
    assert!(matches!(error, BodyError::Reset(::h2::Reason::INTERNAL_ERROR)), "{error}");
}

#[tokio::test]
async fn an_upgrade_is_a_stream_of_bytes() {
    let server = Server::start(Version::Two).await;
    let client = client(&server).await;
    // The settings that allow it have come when the first response has.
    send(&client, get("/x"), Body::Empty).await.unwrap();
    assert!(client.takes_upgrades());
    let (tx, rx) = mpsc::channel(1);
    let mut head = get("/upgrade");
    head.upgrade = Some(HeaderValue::from_static("websocket"));
    let (head, mut body) = send(&client, head, Body::boxed(Fed(rx))).await.unwrap();
    assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(head.upgrade.unwrap(), "websocket");
    tx.send("hello".into()).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("hello".into()));
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_hold_its_stream_for_ever() {
    let stall = Some(std::time::Duration::from_millis(50));
    let options = h2::Options { stall, ..h2::Options::default() };
    let server = Server::start_with(Version::Two, options).await;
    let client = client(&server).await;
    let (head, body) = send(&client, get("/pieces-for-ever"), Body::Empty).await.unwrap();
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(server.paths.ended(1).await[0].ended, Ended::Stalled);
    assert!(body.collect(usize::MAX).await.is_err(), "it was reset");
}

#[tokio::test]
async fn a_million_small_frames_are_no_attack() {
    let server = Server::start(Version::Two).await;
    let client = client(&server).await;
    let (tx, rx) = mpsc::channel(1000);
    let feeds = async {
        for _ in 0..100_000 {
            tx.send(Bytes::from_static(b"x")).await.unwrap();
        }
        drop(tx);
    };
    let reads = async {
        let (_, body) = send(&client, get("/echo"), Body::boxed(Fed(rx))).await.unwrap();
        body.collect(1 << 20).await.unwrap().0.len()
    };
    assert_eq!(tokio::join!(feeds, reads).1, 100_000);
}

#[tokio::test]
async fn a_drain_ends_after_the_streams_that_are() {
    let server = Server::start(Version::Two).await;
    let Server { addr: _, paths, drain } = server;
    let clients = Drain::default();
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    let (client, drive) =
        h2::connect(Io::from(tcp), &h2::ClientOptions::default(), None).await.unwrap();
    clients.worker().spawn(drive);
    let (tx, rx) = mpsc::channel(1);
    let (_, mut body) = send(&client, get("/echo"), Body::boxed(Fed(rx))).await.unwrap();
    let drained = drain.worker();
    let drains = async {
        // The accept loop does not end by itself: it is dropped at the deadline.
        drain.drain(std::time::Duration::from_secs(2)).await
    };
    let goes_on = async {
        drained.finishing().await;
        tx.send("late".into()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("late".into()));
        drop(tx);
        assert!(body.frame().await.is_none());
    };
    tokio::join!(drains, goes_on);
    assert_eq!(paths.ended(1).await[0].ended, Ended::Whole);
    let mut client = client;
    assert!(!client.is_usable());
}

#[tokio::test]
async fn resets_without_end_close_the_connection_and_no_other() {
    let server = Server::start(Version::Two).await;
    let other = client(&server).await;
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    let (mut attacker, connection) = ::h2::client::handshake(tcp).await.unwrap();
    let (ended, was_ended) = tokio::sync::oneshot::channel();
    server.drain.worker().spawn(async move {
        let _gone = ended.send(connection.await);
    });
    let attack = async {
        for _ in 0..100_000 {
            let request = http::Request::get("http://a/never").body(()).unwrap();
            attacker = attacker.ready().await?;
            let (_response, mut stream) = attacker.send_request(request, false)?;
            stream.send_reset(::h2::Reason::CANCEL);
            tokio::task::yield_now().await;
        }
        Ok::<_, ::h2::Error>(())
    };
    let error = attack.await.expect_err("the connection is closed");
    assert!(error.is_go_away() || error.is_io(), "{error}");
    assert!(was_ended.await.unwrap().is_err());
    let (_, body) = send(&other, get("/x"), Body::Empty).await.unwrap();
    assert_eq!(body.collect(9).await.unwrap().0, "/x");
}
