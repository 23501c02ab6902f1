//! Streams that wait to send, and those that end meanwhile.
use super::*;
use std::{io::ErrorKind, time::Duration};
use tokio::time;

/// How long something may take that happens at once; the next ping would be later.
const SOON: Duration = Duration::from_secs(8);

/// Writes until nothing more is taken.
async fn fill(app: &mut TcpStream) {
    let block = vec![0; 64 << 10];
    while time::timeout(Duration::from_millis(300), app.write_all(&block)).await.is_ok() {}
}

/// Writes until it fails.
async fn broken(app: &mut TcpStream) -> ErrorKind {
    loop {
        if let Err(error) = app.write_all(&[0; 1 << 10]).await {
            return error.kind();
        }
    }
}

/// A peer that lets us send as much as we like, and takes nothing.
async fn greedy(mesh: &Mesh, server: &Server) -> Attacker {
    let settings = Settings { initial_window_size: Some(1 << 30), ..Settings::default() };
    let mut peer = Attacker::with(mesh, server, settings).await;
    write::window_update(0, 1 << 30, &mut peer.said.out);
    peer
}

#[tokio::test]
async fn those_that_ended_in_line_keep_nobody_waiting() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = greedy(&mesh, &server).await;
    let mut apps = Vec::new();
    for stream in (1..).step_by(2).take(150) {
        apps.push(peer.open(stream).await);
    }
    // The first one fills the link, all others wait.
    fill(&mut apps[0]).await;
    for app in &mut apps[1..] {
        app.write_all(&[7; 10_000]).await.unwrap();
    }
    fill(&mut apps[0]).await;
    let (over, running) = apps.split_at_mut(140);
    for stream in (1..).step_by(2).take(over.len()) {
        peer.said.frame(3, 0, stream, &[0, 0, 0, 8]);
    }
    peer.said.send().await;
    let all = async {
        let mut missing = running.len() * 10_000;
        while 0 < missing {
            let seen = peer.heard.next().await;
            assert!(!matches!(seen, Seen::Gone), "the link was closed");
            if let Seen::Data(281.., bytes, _) = seen {
                missing -= bytes.len();
            }
        }
    };
    time::timeout(SOON, all).await.expect("streams stand still");
}

/// The peer has finished; what it does then is seen by a sender that waits for its window.
#[tokio::test]
async fn a_sender_that_waits_hears_of_the_end() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    for ends in [
        Some(frame(3, 0, 1, &[0, 0, 0, 8])),
        Some(frame(8, 0, 1, &[0; 4])),
        Some(frame(0, 0, 1, b"after the end")),
        None,
    ] {
        let mut peer = Attacker::new(&mesh, &server).await;
        let mut app = peer.open(1).await;
        peer.said.data(1, b"", true);
        peer.said.send().await;
        assert_eq!(app.read(&mut [0]).await.unwrap(), 0);
        fill(&mut app).await;
        match &ends {
            Some(ends) => {
                peer.said.out.extend(ends);
                peer.said.send().await;
            }
            None => drop(peer),
        }
        let end = time::timeout(SOON, broken(&mut app)).await;
        let end = end.unwrap_or_else(|_| panic!("{ends:?}: unheard"));
        assert!(matches!(end, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{end}");
    }
}

#[tokio::test]
async fn a_peer_that_takes_nothing_costs_no_more_than_its_share() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = greedy(&mesh, &server).await;
    let mut good = peer.open(1).await;
    let mut stuck = peer.open(3).await;
    fill(&mut stuck).await;
    // What is asked for of the link is still answered once it is taken.
    peer.said.frame(6, 0, 0, b"anything");
    peer.said.send().await;
    assert_eq!(&peer.heard.pong().await, b"anything");
    peer.carries(1, &mut good).await;
}
