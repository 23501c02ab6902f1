//! Servers that mean no good.
use super::*;
use crate::hbone::pool::OpenTunnelError;
use culvert_model::close::CloseReason;
use culvert_runtime::drain::Drain;
use std::sync::{Arc, atomic::Ordering};

const OK: (&str, &str) = (":status", "200");

/// A listener that can prove to be "bank", and how clients come to know it.
async fn house() -> (TcpListener, Server) {
    let (listener, addr) = app().await;
    (listener, Server { addr, links: Arc::default(), drain: Drain::default() })
}

/// The next client, which has said its preface and heard these settings.
async fn visitor(mesh: &Mesh, listener: &TcpListener, settings: Settings) -> Attacker {
    let own = mesh.certificate("bank").await;
    let tcp = listener.accept().await.unwrap().0;
    let mut attacker = Attacker::of(tls::accept(&own, tcp).await.unwrap().io);
    let mut preface = [0; PREFACE.len()];
    attacker.heard.io.read_exact(&mut preface).await.unwrap();
    assert_eq!(&preface, PREFACE);
    write::settings(&settings, &mut attacker.said.out);
    attacker.said.send().await;
    attacker
}

impl Attacker {
    /// Waits for the next request.
    async fn asked(&mut self) -> u32 {
        let block = |seen: &Seen| if let Seen::Block(id, _) = seen { Some(*id) } else { None };
        self.heard.until(block).await
    }

    /// Answers, with what is said of a stream and after it.
    async fn answer(&mut self, stream: u32, said: &[(&str, &str)], then: &[Vec<u8>]) {
        write::headers(stream, &block(said), false, 1 << 14, &mut self.said.out);
        self.said.out.extend(then.concat());
        self.said.send().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_none_ends_its_stream() {
    let mesh = Mesh::new();
    let (listener, server) = house().await;
    let client = mesh.client(&server, 1).await;
    let long = "x".repeat(16_350);
    let answers: [&[(&str, &str)]; 6] = [
        &[("baggage", "a=b")],
        &[(":status", "101")],
        &[(":status", "2x0")],
        &[OK, (":path", "/")],
        &[OK, ("connection", "close")],
        &[OK, ("x", &long)],
    ];
    let serve = async {
        let mut peer = visitor(&mesh, &listener, Settings::default()).await;
        for answer in answers {
            let stream = peer.asked().await;
            peer.answer(stream, answer, &[]).await;
            let code = peer.heard.reset_of(stream).await;
            assert!(matches!(code, Code::PROTOCOL_ERROR | Code::ENHANCE_YOUR_CALM), "{code}");
        }
        let stream = peer.asked().await;
        peer.answer(stream, &[(":status", "103")], &[]).await;
        peer.answer(stream, &[OK], &[]).await;
        peer
    };
    let ask = async {
        for _ in answers {
            let error = client.open(server.addr).await.unwrap_err();
            assert_eq!(error.reason(), CloseReason::TunnelFailed, "{error}");
        }
        client.open(server.addr).await.unwrap()
    };
    let (_peer, _opened) = tokio::join!(serve, ask);
    assert_eq!(client.dialled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn data_before_an_answer_reaches_nobody() {
    let mesh = Mesh::new();
    let (listener, server) = house().await;
    let client = mesh.client(&server, 1).await;
    let serve = async {
        let mut peer = visitor(&mesh, &listener, Settings::default()).await;
        let stream = peer.asked().await;
        peer.said.data(stream, b"early", false);
        peer.said.send().await;
        assert_eq!(peer.heard.reset_of(stream).await, Code::PROTOCOL_ERROR);
        peer
    };
    let (_peer, opened) = tokio::join!(serve, client.open(server.addr));
    assert_eq!(opened.unwrap_err().reason(), CloseReason::TunnelFailed);
}

#[tokio::test]
async fn a_request_that_was_not_looked_at_is_made_again_elsewhere() {
    let mesh = Mesh::new();
    let (listener, server) = house().await;
    let client = mesh.client(&server, 1).await;
    let serve = async {
        let mut first = visitor(&mesh, &listener, Settings::default()).await;
        let one = first.asked().await;
        first.answer(one, &[OK], &[]).await;
        let other = first.asked().await;
        write::go_away(one, Code::NO_ERROR, b"", &mut first.said.out);
        first.said.send().await;
        let mut second = visitor(&mesh, &listener, Settings::default()).await;
        let again = second.asked().await;
        second.answer(again, &[OK], &[]).await;
        // What runs in the first one still does.
        assert_ne!(one, other);
        first.said.frame(6, 0, 0, b"anything");
        first.said.send().await;
        first.heard.pong().await;
        (first, second)
    };
    let ask = async {
        let one = client.open(server.addr).await.unwrap();
        let other = client.open(server.addr).await.unwrap();
        (one, other)
    };
    let (_served, _asked) = tokio::join!(serve, ask);
    assert_eq!(client.dialled.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_breaks_the_rules_of_the_link_loses_it() {
    let mesh = Mesh::new();
    let (protocol, calm) = (Code::PROTOCOL_ERROR, Code::ENHANCE_YOUR_CALM);
    let interim = frame(1, 0x4, 1, &block(&[(":status", "103")]));
    for (what, code, frames) in [
        ("a stream of its own", protocol, frame(1, 0x4, 2, &block(&[OK]))),
        ("an answer that nobody asked for", protocol, frame(1, 0x4, 7, &block(&[OK]))),
        ("a push", protocol, frame(5, 0x4, 1, &[0, 0, 0, 2])),
        ("pushes enabled", protocol, frame(4, 0, 0, &[0, 2, 0, 0, 0, 1])),
        ("a table that is not", Code::COMPRESSION_ERROR, frame(1, 0x4, 1, b"\xff\x7f")),
        ("answers without an end", calm, interim.repeat(30_000)),
    ] {
        let (listener, server) = house().await;
        let client = mesh.client(&server, 1).await;
        let serve = async {
            let mut peer = visitor(&mesh, &listener, Settings::default()).await;
            assert_eq!(peer.asked().await, 1);
            // It will not be dialled again.
            drop(listener);
            peer.said.out.extend(frames);
            peer.said.try_send().await;
            assert_eq!(peer.heard.goodbye().await, code, "{what}");
        };
        let ((), opened) = tokio::join!(serve, client.open(server.addr));
        assert!(matches!(
            opened,
            Err(OpenTunnelError::Broken { .. } | OpenTunnelError::Connect(_))
        ));
        assert_eq!(client.pool.links(), 0, "{what}");
    }
}
