//! What one side does reaches the other: a client that gives up, and sides that take nothing.
use super::{plane::client, stage::Stage};
use crate::{
    case::Ask,
    server::{PATIENCE, await_port},
};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use std::{future::poll_fn, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

const CONFIGURATION: &str = "
clusters: {one: {}, two: {h2: true}, new: {h2: true}, b1: {}}
routes:
- {match: {prefix: /one}, route: {cluster: one, timeout: 0s}}
- {match: {prefix: /two}, route: {cluster: two, timeout: 0s}}
- {match: {prefix: /new}, route: {cluster: new, timeout: 0s}}
- {match: {prefix: /}, route: {cluster: b1}}
logs: []
";

/// Who is not listened to for so long is stopped.
const STOPPED: Duration = Duration::from_secs(1);

/// What the kernel's buffers of two connections may hold, with what a proxy has of its own.
const BOUND: usize = 64 << 20;

/// More than that by far.
const OFFERED: usize = 512 << 20;

/// A client on a connection of HTTP/2.
struct Two {
    send: h2::client::SendRequest<Bytes>,
    _driver: JoinSet<()>,
}

/// A request at a server of HTTP/2.
struct Behind {
    body: RecvStream,
    respond: h2::server::SendResponse<Bytes>,
    _driver: JoinSet<()>,
}

fn start(name: &str) -> Stage {
    let stage = Stage::start(name, CONFIGURATION);
    await_port(stage.port("l"));
    stage
}

async fn listen(stage: &Stage, name: &str) -> TcpListener {
    TcpListener::bind(("127.0.0.1", stage.port(name))).await.unwrap()
}

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(("127.0.0.1", stage.port("l"))).await.unwrap()
}

impl Two {
    async fn connect(stage: &Stage) -> Self {
        let (send, connection) = h2::client::handshake(connect(stage).await).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Self { send, _driver: driver }
    }

    async fn ask(
        &mut self,
        path: &str,
        is_last: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut ready = self.send.clone().ready().await.unwrap();
        let method = if is_last { "GET" } else { "POST" };
        let request = Request::builder().method(method).uri(format!("http://case.test{path}"));
        ready.send_request(request.body(()).unwrap(), is_last).unwrap()
    }
}

/// The next request of HTTP/1: its connection, with the head read.
async fn one(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut rest, end) = (Vec::new(), b"\r\n\r\n");
    while !rest.windows(4).any(|four| four == end) {
        // No byte of a body is taken that could be left.
        rest.push(stream.read_u8().await.unwrap());
    }
    stream
}

/// The next request of HTTP/2.
async fn two(listener: &TcpListener) -> Behind {
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, respond) = connection.accept().await.unwrap().unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move { while connection.accept().await.is_some() {} });
    Behind { body: request.into_body(), respond, _driver: driver }
}

/// The request behind ends when its client is gone, whichever versions they speak.
pub(super) fn gives_up() {
    let stage = start("gives_up");
    let told = async {
        // A connection that ended is not used again by chance: none is there before.
        for (by_one, by_two) in [("one", "one"), ("two", "new")] {
            let listener = listen(&stage, by_one).await;
            let mut client = connect(&stage).await;
            let head = format!("GET /{by_one} HTTP/1.1\r\nhost: case.test\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            ends(by_one, &listener, || drop(client)).await;
            drop(listener);

            let listener = listen(&stage, by_two).await;
            let mut client = Two::connect(&stage).await;
            let asked = client.ask(&format!("/{by_two}"), true).await;
            ends(by_two, &listener, || drop(asked)).await;
            // Its other requests go on.
            let (answer, _) = client.ask("/", true).await;
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    };
    stage.runtime.block_on(async { timeout(PATIENCE, told).await.expect("nobody is told") });
}

/// Sees the request arrive, lets its client go, and sees it end.
async fn ends(name: &str, listener: &TcpListener, go: impl FnOnce()) {
    if name == "one" {
        let mut stream = one(listener).await;
        go();
        let read = stream.read(&mut [0]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    } else {
        let mut behind = two(listener).await;
        go();
        let reason = poll_fn(|cx| behind.respond.poll_reset(cx)).await.unwrap();
        assert_eq!(reason, Reason::CANCEL);
    }
}

/// A client that reads nothing stops the server, and lets it go on by reading.
pub(super) fn reads_nothing() {
    let stage = start("reads_nothing");
    stage.runtime.block_on(async {
        let (at_one, at_two) = (listen(&stage, "one").await, listen(&stage, "two").await);
        let mut client = connect(&stage).await;
        client.write_all(b"GET /one HTTP/1.1\r\nhost: case.test\r\n\r\n").await.unwrap();
        let mut server = one(&at_one).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {OFFERED}\r\n\r\n");
        server.write_all(head.as_bytes()).await.unwrap();
        let stopped = stops(pour(&mut server).await);
        tokio::join!(drink(&mut client, 2 * stopped), pour(&mut server));

        let mut client = Two::connect(&stage).await;
        let (answer, _stream) = client.ask("/two", true).await;
        let mut server = two(&at_two).await;
        let head = Response::builder().status(200).body(()).unwrap();
        let mut body = server.respond.send_response(head, false).unwrap();
        let stopped = stops(pour_two(&mut body).await);
        let mut answer = answer.await.unwrap().into_body();
        tokio::join!(drink_two(&mut answer, 2 * stopped), pour_two(&mut body));
    });
    answers(&stage);
}

/// A server that reads nothing stops the client, and lets it go on by reading.
pub(super) fn takes_nothing() {
    let stage = start("takes_nothing");
    stage.runtime.block_on(async {
        let (at_one, at_two) = (listen(&stage, "one").await, listen(&stage, "two").await);
        let mut client = connect(&stage).await;
        let head =
            format!("POST /one HTTP/1.1\r\nhost: case.test\r\ncontent-length: {OFFERED}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut server = one(&at_one).await;
        let stopped = stops(pour(&mut client).await);
        tokio::join!(drink(&mut server, 2 * stopped), pour(&mut client));

        let mut client = Two::connect(&stage).await;
        let (_answer, mut body) = client.ask("/two", false).await;
        let mut server = two(&at_two).await;
        let stopped = stops(pour_two(&mut body).await);
        tokio::join!(drink_two(&mut server.body, 2 * stopped), pour_two(&mut body));
    });
    answers(&stage);
}

/// Others are served all the time.
fn answers(stage: &Stage) {
    let ask = Ask { get: Some("/".into()), ..Ask::default() };
    let answer = stage.runtime.block_on(client(stage).ask(&ask));
    assert_eq!(answer["line"], "HTTP/1.1 200 OK", "{answer}");
}

/// What was taken by nobody's reading is bounded.
fn stops(taken: usize) -> usize {
    assert!((1..BOUND).contains(&taken), "{taken} bytes were taken");
    taken
}

/// Writes until nobody takes more; how much was taken.
async fn pour(stream: &mut TcpStream) -> usize {
    let (mut written, piece) = (0, vec![b'x'; 1 << 16]);
    while let Ok(wrote) = timeout(STOPPED, stream.write(&piece)).await {
        written += wrote.unwrap();
        assert!(written < 4 * BOUND, "nothing stops it");
    }
    written
}

async fn pour_two(stream: &mut SendStream<Bytes>) -> usize {
    let mut written = 0;
    loop {
        stream.reserve_capacity(1 << 16);
        let room = poll_fn(|cx| stream.poll_capacity(cx));
        let Ok(room) = timeout(STOPPED, room).await else { return written };
        let room = room.unwrap().unwrap();
        stream.send_data(Bytes::from(vec![b'x'; room]), false).unwrap();
        written += room;
        assert!(written < 4 * BOUND, "nothing stops it");
    }
}

async fn drink(stream: &mut TcpStream, wanted: usize) {
    let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
    while read < wanted {
        let more = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("it goes on").unwrap();
        assert!(0 < more, "ended after {read}");
        read += more;
    }
}

async fn drink_two(body: &mut RecvStream, wanted: usize) {
    let mut read = 0;
    while read < wanted {
        let more = timeout(PATIENCE, body.data()).await.expect("it goes on").unwrap().unwrap();
        body.flow_control().release_capacity(more.len()).unwrap();
        read += more.len();
    }
}
