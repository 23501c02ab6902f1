//! What a ledger gets to know of requests.
use super::world::World;
use culvert_l7::ledger::{Ledger, Over};
use culvert_model::path::Path;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time,
};

/// Passes on what a test wants to know.
#[derive(Debug)]
struct Notes(UnboundedSender<Note>);

#[derive(Debug)]
struct Note {
    asked: Option<String>,
    status: u16,
    flags: String,
    details: String,
    received: u64,
    sent: u64,
    route: Option<String>,
    cluster: Option<String>,
    endpoint: Option<(Option<std::net::SocketAddr>, Option<Path>)>,
    call: Option<(Option<i64>, u64, u64)>,
}

impl Ledger for Notes {
    fn note(&self, over: &Over<'_>) {
        let note = Note {
            asked: over.head.map(|head| format!("{} {}", head.method, head.path)),
            status: over.status,
            flags: over.flags.to_string(),
            details: over.details.to_string(),
            received: over.received,
            sent: over.sent,
            route: over.route.map(str::to_owned),
            cluster: over.cluster.map(str::to_owned),
            endpoint: over.endpoint.map(|to| (to.address, to.path)),
            call: over.call.map(|call| (call.status, call.requests, call.responses)),
        };
        drop(self.0.send(note));
    }
}

async fn start() -> (World, UnboundedReceiver<Note>) {
    let (told, notes) = mpsc::unbounded_channel();
    let world = World::with(|_| (), |shared| shared.with_ledger(Arc::new(Notes(told)))).await;
    (world, notes)
}

async fn next(notes: &mut UnboundedReceiver<Note>) -> Note {
    time::timeout(Duration::from_secs(30), notes.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_request_is_noted_once_with_where_it_went_and_how_large_it_was() {
    let (world, mut notes) = start().await;
    let body = "x".repeat(1000);
    let head =
        "POST /keep HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n";
    let answer = world.raw(&format!("{head}{body}")).await;
    assert_eq!(answer.status, 200);
    let note = next(&mut notes).await;
    assert_eq!(note.asked.as_deref(), Some("POST /keep"));
    assert_eq!((note.status, &*note.flags, &*note.details), (200, "", "via_upstream"));
    assert_eq!((note.route.as_deref(), note.cluster.as_deref()), (Some("/"), Some("backend")));
    assert_eq!(note.endpoint, Some((Some(world.backend.addr), Some(Path::Plain))));
    assert!((1000..1200).contains(&note.received), "{note:?}");
    assert!(answer.body.len() as u64 <= note.sent, "{note:?}");
    assert_eq!(note.call, None);
    assert!(notes.try_recv().is_err(), "once");
}

#[tokio::test]
async fn a_call_that_was_answered_without_grpcs_words_has_the_status_that_http_means() {
    let (world, mut notes) = start().await;
    let answer = world.get("/x", "content-type: application/grpc\r\n").await;
    assert_eq!(answer.status, 200);
    let note = next(&mut notes).await;
    assert_eq!(note.call.and_then(|(status, ..)| status), Some(2), "{note:?}");
}

#[tokio::test]
async fn what_is_no_request_and_who_does_not_wait_are_noted_too() {
    let (world, mut notes) = start().await;
    assert_eq!(world.raw("nonsense\r\n\r\n").await.status, 400);
    let note = next(&mut notes).await;
    assert_eq!((note.asked, note.status, &*note.flags), (None, 400, "DPE"));
    let mut tcp = TcpStream::connect(world.addr).await.unwrap();
    tcp.write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    drop(tcp);
    let note = next(&mut notes).await;
    assert_eq!((note.status, &*note.flags), (0, "DC"), "{note:?}");
}
