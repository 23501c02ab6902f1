//! What one end of a copied connection does, the other end sees.
use culvert_dataplane::copy::{Bounds, Ended, Grade, Moved, Side, copy};
use std::{cell::Cell, io, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task,
};

const BOUNDS: Bounds = Bounds { buffer: Grade::Huge, idle: None };

/// The two applications of a proxied connection, and the proxy's two sockets.
struct Proxied {
    client: TcpStream,
    source: TcpStream,
    destination: TcpStream,
    server: TcpStream,
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, accepted) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (ours.unwrap(), accepted.unwrap().0)
}

async fn proxied() -> Proxied {
    let (client, source) = connected().await;
    let (destination, server) = connected().await;
    Proxied { client, source, destination, server }
}

/// Copies as the dataplane does: the sockets are gone at the end, reset unless both sides finished.
async fn run(source: TcpStream, destination: TcpStream, bounds: Bounds) -> (Ended, Moved) {
    let total = Cell::new(Moved::default());
    let ended = copy(&source, &destination, bounds, |moved| {
        let Moved { sent, received } = total.get();
        total.set(Moved { sent: sent + moved.sent, received: received + moved.received });
    })
    .await;
    if !matches!(ended, Ended::Finished) {
        source.set_zero_linger().unwrap();
        destination.set_zero_linger().unwrap();
    }
    (ended, total.get())
}

fn reset(io: TcpStream) {
    io.set_zero_linger().unwrap();
    drop(io);
}

async fn read_all(io: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = io.read_to_end(&mut bytes).await;
    (bytes, end.err().map(|error| error.kind()))
}

/// Writes until neither the proxy nor the kernel takes any more.
async fn fill(io: &TcpStream) {
    let (chunk, mut refused) = (vec![7; 64 << 10], 0);
    while refused < 100 {
        match io.try_write(&chunk) {
            Ok(_) => refused = 0,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                refused += 1;
                task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_finished_still_gets_its_answer() {
    let Proxied { mut client, source, destination, mut server } = proxied().await;
    let serve = async {
        assert_eq!(read_all(&mut server).await, (b"ask".to_vec(), None));
        server.write_all(b"answer").await.unwrap();
        drop(server);
    };
    let ask = async {
        client.write_all(b"ask").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, (b"answer".to_vec(), None));
    };
    let ((ended, moved), (), ()) = tokio::join!(run(source, destination, BOUNDS), serve, ask);
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
    assert_eq!(moved, Moved { sent: 3, received: 6 });
}

#[tokio::test]
async fn a_destination_that_finished_still_gets_more() {
    let Proxied { mut client, source, destination, mut server } = proxied().await;
    let serve = async {
        server.write_all(b"bye").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(read_all(&mut server).await, (b"last words".to_vec(), None));
    };
    let ask = async {
        assert_eq!(read_all(&mut client).await, (b"bye".to_vec(), None));
        client.write_all(b"last words").await.unwrap();
        drop(client);
    };
    let ((ended, moved), (), ()) = tokio::join!(run(source, destination, BOUNDS), serve, ask);
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
    assert_eq!(moved, Moved { sent: 10, received: 3 });
}

#[tokio::test]
async fn a_reset_of_the_source_resets_the_destination() {
    let Proxied { client, source, destination, mut server } = proxied().await;
    let see = async {
        reset(client);
        assert_eq!(read_all(&mut server).await.1, Some(io::ErrorKind::ConnectionReset));
    };
    let ((ended, _), ()) = tokio::join!(run(source, destination, BOUNDS), see);
    assert!(matches!(ended, Ended::Broken { side: Side::Source, .. }), "{ended:?}");
}

#[tokio::test]
async fn a_reset_of_the_destination_resets_the_source() {
    let Proxied { mut client, source, destination, server } = proxied().await;
    let see = async {
        reset(server);
        assert_eq!(read_all(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
    };
    let ((ended, _), ()) = tokio::join!(run(source, destination, BOUNDS), see);
    assert!(matches!(ended, Ended::Broken { side: Side::Destination, .. }), "{ended:?}");
}

#[tokio::test]
async fn a_reset_is_passed_on_though_the_destination_does_not_read() {
    let Proxied { client, source, destination, mut server } = proxied().await;
    let see = async {
        fill(&client).await;
        reset(client);
    };
    let ((ended, moved), ()) = tokio::join!(run(source, destination, BOUNDS), see);
    assert!(matches!(ended, Ended::Broken { side: Side::Source, .. }), "{ended:?}");
    let (bytes, end) = read_all(&mut server).await;
    assert_eq!(end, Some(io::ErrorKind::ConnectionReset));
    assert!(bytes.len() as u64 <= moved.sent);
}

#[tokio::test]
async fn a_reset_is_passed_on_though_the_source_does_not_read() {
    let Proxied { mut client, source, destination, server } = proxied().await;
    let see = async {
        fill(&server).await;
        reset(server);
    };
    let ((ended, _), ()) = tokio::join!(run(source, destination, BOUNDS), see);
    assert!(matches!(ended, Ended::Broken { side: Side::Destination, .. }), "{ended:?}");
    assert_eq!(read_all(&mut client).await.1, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_reset_after_a_finish_is_passed_on() {
    let Proxied { mut client, source, destination, mut server } = proxied().await;
    let see = async {
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        reset(client);
        // The finish came first, so that reading says nothing of the reset; writing does.
        server.ready(tokio::io::Interest::ERROR).await.unwrap();
        assert_eq!(server.try_write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    };
    let ((ended, _), ()) = tokio::join!(run(source, destination, BOUNDS), see);
    assert!(matches!(ended, Ended::Broken { side: Side::Source, .. }), "{ended:?}");
}

#[tokio::test]
async fn an_answer_before_a_reset_arrives() {
    let Proxied { mut client, source, destination, mut server } = proxied().await;
    let serve = async {
        server.read_exact(&mut [0; 1]).await.unwrap();
        server.write_all(b"too large").await.unwrap();
        // Closed with something unread: the kernel resets.
        server.readable().await.unwrap();
        drop(server);
    };
    let ask = async {
        client.write_all(&[1; 100_000]).await.unwrap();
        let (bytes, end) = read_all(&mut client).await;
        assert_eq!(bytes, b"too large");
        assert_eq!(end, Some(io::ErrorKind::ConnectionReset));
    };
    let ((ended, _), (), ()) = tokio::join!(run(source, destination, BOUNDS), serve, ask);
    assert!(matches!(ended, Ended::Broken { side: Side::Destination, .. }), "{ended:?}");
}

/// A stream whose byte at an offset is known, with a period that no buffer size divides.
fn expected(offset: usize, seed: usize) -> u8 {
    u8::try_from((offset + seed) % 251).unwrap()
}

async fn send_pattern(io: &mut (impl tokio::io::AsyncWrite + Unpin), total: usize, seed: usize) {
    let period: Vec<u8> = (0..251 * 400).map(|i| expected(i, seed)).collect();
    let mut offset = 0;
    while offset < total {
        let len = period.len().min(total - offset);
        io.write_all(&period[..len]).await.unwrap();
        offset += len;
    }
    io.shutdown().await.unwrap();
}

async fn check_pattern(io: &mut (impl tokio::io::AsyncRead + Unpin), seed: usize) -> usize {
    let (mut buf, mut offset) = (vec![0; 300_000], 0);
    loop {
        let read = io.read(&mut buf).await.unwrap();
        if read == 0 {
            return offset;
        }
        let wrong = buf[..read].iter().enumerate().find(|(i, b)| **b != expected(offset + i, seed));
        assert_eq!(wrong, None, "at {offset}");
        offset += read;
    }
}

#[tokio::test]
async fn moves_64_mib_both_ways_at_once_unchanged() {
    const TOTAL: usize = 64 << 20;
    let Proxied { mut client, source, destination, mut server } = proxied().await;
    let (mut client_rx, mut client_tx) = client.split();
    let (mut server_rx, mut server_tx) = server.split();
    let ((ended, moved), (), (), at_server, at_client) = tokio::join!(
        run(source, destination, BOUNDS),
        send_pattern(&mut client_tx, TOTAL, 1),
        send_pattern(&mut server_tx, TOTAL, 2),
        check_pattern(&mut server_rx, 1),
        check_pattern(&mut client_rx, 2),
    );
    assert!(matches!(ended, Ended::Finished), "{ended:?}");
    assert_eq!((at_server, at_client), (TOTAL, TOTAL));
    assert_eq!(moved, Moved { sent: TOTAL as u64, received: TOTAL as u64 });
}

#[tokio::test(start_paused = true)]
async fn ends_when_nobody_says_anything_for_the_idle_timeout() {
    let idle = Duration::from_secs(60);
    let Proxied { mut client, source, destination, mut server } = proxied().await;
    let talk = async {
        for _ in 0..3 {
            tokio::time::sleep(idle / 2).await;
            client.write_all(b"x").await.unwrap();
            server.read_exact(&mut [0]).await.unwrap();
        }
        assert_eq!(read_all(&mut server).await.1, Some(io::ErrorKind::ConnectionReset));
    };
    let bounds = Bounds { idle: Some(idle), ..BOUNDS };
    let ((ended, moved), ()) = tokio::join!(run(source, destination, bounds), talk);
    assert!(matches!(ended, Ended::Idle(limit) if limit == idle), "{ended:?}");
    assert_eq!(moved.sent, 3);
}
