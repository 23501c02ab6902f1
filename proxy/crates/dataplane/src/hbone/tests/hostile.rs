//! Clients that mean no good, or know no better.
use super::world::{Mesh, Server, app, id, never_answer, through};
use culvert_identity::tls;
use http::{Method, Request, StatusCode};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

async fn secured(mesh: &Mesh, server: &Server) -> impl AsyncIo + use<> {
    let own = mesh.certificate("cart").await;
    let tcp = TcpStream::connect(server.addr).await.unwrap();
    tls::connect(&own, [id("bank")].into(), tcp).await.unwrap().io
}

trait AsyncIo: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static> AsyncIo for T {}

/// Waits until the server closes, whatever it says before.
async fn closed(io: &mut impl AsyncIo) {
    let mut buffer = [0; 4096];
    while let Ok(read) = io.read(&mut buffer).await {
        if read == 0 {
            break;
        }
    }
}

/// The server still serves others.
async fn lives(mesh: &Mesh, server: &Server) {
    let client = mesh.client(server, 1).await;
    let (mut one, mut other) = through(&client).await;
    one.write_all(b"word").await.unwrap();
    other.read_exact(&mut [0; 4]).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_none_is_answered_with_400() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut raw = mesh.raw(&server).await;
    let (listener, addr) = app().await;
    let get = Request::get(format!("http://{addr}/")).body(()).unwrap();
    let ask = |authority: &str| Request::connect(authority.to_owned()).body(()).unwrap();
    for request in [get, ask("cart"), ask("10.0.0.1"), ask("-:80"), ask("10.0.0.1:0")] {
        let method = request.method().clone();
        let (response, _send) = raw.send_request(request, method != Method::CONNECT).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.body().is_end_stream());
    }
    drop(listener);
    lives(&mesh, &server).await;
}

#[tokio::test]
async fn a_refusal_ends_the_stream_and_resets_it_without_an_error() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut raw = mesh.raw(&server).await;
    let request = Request::connect("cart:80").body(()).unwrap();
    let (response, mut send) = raw.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.body().is_end_stream());
    let reset = std::future::poll_fn(|cx| send.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, h2::Reason::NO_ERROR);
}

#[tokio::test]
async fn garbage_ends_only_its_own_link() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut tcp = TcpStream::connect(server.addr).await.unwrap();
    tcp.write_all(&[0xff; 3000]).await.unwrap();
    closed(&mut tcp).await;
    let mut io = secured(&mesh, &server).await;
    io.write_all(b"GET / HTTP/1.1\r\nhost: bank\r\n\r\n").await.unwrap();
    closed(&mut io).await;
    let mut io = secured(&mesh, &server).await;
    io.write_all(PREFACE).await.unwrap();
    // A frame beyond the largest.
    io.write_all(&[0xff; 100]).await.unwrap();
    closed(&mut io).await;
    lives(&mesh, &server).await;
}

#[tokio::test]
async fn a_client_that_opens_no_stream_is_closed_after_a_while() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let (mut silent, mut polite) = (secured(&mesh, &server).await, secured(&mesh, &server).await);
    polite.write_all(PREFACE).await.unwrap();
    // The beginning of a request that is never finished.
    let mut slow = secured(&mesh, &server).await;
    slow.write_all(PREFACE).await.unwrap();
    slow.write_all(b"\x00\x00\x05\x01\x00\x00\x00\x00\x01\x82").await.unwrap();
    time::pause();
    let all = async {
        closed(&mut silent).await;
        closed(&mut polite).await;
        closed(&mut slow).await;
    };
    time::timeout(Duration::from_secs(120), all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_back_what_it_asks_is_ended() {
    let mesh = Mesh::new();
    // Nobody is ever answered.
    let server = mesh.server_with(never_answer).await;
    let mut raw = mesh.raw(&server).await;
    let flood = async {
        loop {
            let Ok(ready) = raw.clone().ready().await else { return };
            raw = ready;
            let request = Request::connect("10.0.0.1:80").body(()).unwrap();
            let Ok((_, mut send)) = raw.send_request(request, false) else { return };
            send.send_reset(h2::Reason::CANCEL);
        }
    };
    time::timeout(Duration::from_secs(60), flood).await.unwrap();
}

#[tokio::test]
async fn floods_of_settings_and_pings_take_no_memory_and_harm_nobody() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut io = secured(&mesh, &server).await;
    io.write_all(PREFACE).await.unwrap();
    let ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh";
    let settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let flood: Vec<u8> = [&ping[..], &settings[..]].concat().repeat(1000);
    // Never reads: at some point nothing more is taken of it, or it is cut off.
    for _ in 0..400 {
        match time::timeout(Duration::from_millis(500), io.write_all(&flood)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    lives(&mesh, &server).await;
}
