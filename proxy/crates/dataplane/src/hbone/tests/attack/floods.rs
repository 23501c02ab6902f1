//! Peers that want to keep us busy.
use super::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time;

/// More than anybody sends who means well, and than any socket holds.
const MANY: usize = 1_000_000;

/// How long a flood may take that is stopped when it is seen.
const LONG: Duration = Duration::from_secs(10);

/// Sends what `next` writes until it is cut off. It is told why, if it listens.
async fn until_cut_off(what: &str, peer: Attacker, mut next: impl FnMut(&mut Said)) {
    let Attacker { mut said, mut heard } = peer;
    let flood = async {
        let mut sent = 0;
        loop {
            while said.out.len() < 16 << 10 {
                next(&mut said);
                sent += 1;
            }
            if !said.try_send().await {
                return;
            }
            assert!(sent < MANY, "{what}: it is let go on");
        }
    };
    let both = async { tokio::join!(flood, heard.last_words()).1 };
    let why = time::timeout(LONG, both).await.unwrap_or_else(|_| panic!("{what}: no end"));
    assert!(matches!(why, None | Some(Code::ENHANCE_YOUR_CALM)), "{what}: {why:?}");
}

#[tokio::test]
async fn whoever_sends_only_what_is_of_no_use_is_cut_off() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    for (what, useless) in [
        ("PING", frame(6, 0, 0, b"anything")),
        ("answers to no PING", frame(6, 0x1, 0, b"anything")),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("SETTINGS that change windows", frame(4, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("answers to no SETTINGS", frame(4, 0x1, 0, &[])),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 7])),
        ("unknown frames", frame(99, 0, 1, b"x")),
        ("empty DATA", frame(0, 0, 1, &[])),
        ("GOAWAY", frame(7, 0, 0, &[0; 8])),
        ("RST_STREAM of what is over", frame(3, 0, 3, &[0, 0, 0, 8])),
    ] {
        let mut peer = Attacker::new(&mesh, &server).await;
        let _app = peer.open(1).await;
        drop(peer.open(3).await);
        peer.said.frame(3, 0, 3, &[0, 0, 0, 8]);
        until_cut_off(what, peer, |said| said.out.extend_from_slice(&useless)).await;
    }
    lives(&mesh, &server).await;
}

/// A server that never answers, and how many it was asked for.
async fn counted(mesh: &Mesh) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = mesh.server_with(move |worker, incoming| {
        count.fetch_add(1, Ordering::SeqCst);
        never_answer(worker, incoming);
    });
    (server.await, asked)
}

/// Without the passing of any time: what is waited for was paid for (CVE-2023-44487).
#[tokio::test]
async fn whoever_takes_back_what_it_asks_is_cut_off_at_once() {
    let mesh = Mesh::new();
    let (server, asked) = counted(&mesh).await;
    let peer = Attacker::new(&mesh, &server).await;
    let (mut stream, to) = (1, server.addr);
    until_cut_off("requests", peer, |said| {
        said.ask(stream, to, false);
        said.frame(3, 0, stream, &[0, 0, 0, 8]);
        stream += 2;
    })
    .await;
    assert!(asked.load(Ordering::SeqCst) < 5000, "{asked:?}");
}

/// The same, by having us break the streams off (CVE-2025-8671).
#[tokio::test]
async fn whoever_has_streams_broken_off_is_cut_off_at_once() {
    let mesh = Mesh::new();
    for wrong in [frame(8, 0, 0, &[0; 4]), frame(1, 0x4, 0, &block(&[("x", "y")]))] {
        let (server, asked) = counted(&mesh).await;
        let peer = Attacker::new(&mesh, &server).await;
        let (mut stream, to) = (1, server.addr);
        until_cut_off("requests", peer, |said| {
            said.ask(stream, to, false);
            let at = said.out.len();
            said.out.extend_from_slice(&wrong);
            said.out[at + 5..at + 9].copy_from_slice(&stream.to_be_bytes());
            stream += 2;
        })
        .await;
        assert!(asked.load(Ordering::SeqCst) < 5000, "{asked:?}");
    }
}

#[tokio::test]
async fn small_frames_of_somebody_who_types_are_no_flood() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let mut app = peer.open(1).await;
    let reads = async {
        let mut all = vec![0; 100_000];
        app.read_exact(&mut all).await.unwrap();
    };
    let types = async {
        for _ in 0..100 {
            for _ in 0..1000 {
                peer.said.data(1, b"x", false);
            }
            peer.said.send().await;
        }
    };
    tokio::join!(reads, types);
    peer.carries(1, &mut app).await;
}
