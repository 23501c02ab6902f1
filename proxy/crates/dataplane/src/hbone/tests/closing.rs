//! What one end does, the other end sees.
use super::world::{Mesh, app, through};
use std::{io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn read_all(io: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await.map(|_| bytes).map_err(|error| error.kind())
}

#[tokio::test]
async fn each_end_can_finish_first_and_still_hear_the_other() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    for swap in [false, true] {
        let (mut one, mut other) = through(&client).await;
        if swap {
            (one, other) = (other, one);
        }
        one.write_all(b"question").await.unwrap();
        one.shutdown().await.unwrap();
        assert_eq!(read_all(&mut other).await, Ok(b"question".to_vec()));
        other.write_all(b"answer").await.unwrap();
        other.shutdown().await.unwrap();
        assert_eq!(read_all(&mut one).await, Ok(b"answer".to_vec()));
    }
    assert_eq!(client.pool.links(), 1);
}

#[tokio::test]
async fn a_reset_of_either_end_is_one_at_the_other() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    for swap in [false, true] {
        let (mut one, mut other) = through(&client).await;
        if swap {
            (one, other) = (other, one);
        }
        one.write_all(b"word").await.unwrap();
        let mut word = [0; 4];
        other.read_exact(&mut word).await.unwrap();
        one.set_zero_linger().unwrap();
        drop(one);
        assert_eq!(read_all(&mut other).await, Err(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_reset_is_noticed_while_the_other_end_does_not_read() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (one, mut other) = through(&client).await;
    // Fills every buffer on the way.
    let block = vec![0; 1 << 20];
    while tokio::time::timeout(Duration::from_millis(300), other.write_all(&block)).await.is_ok() {}
    one.set_zero_linger().unwrap();
    drop(one);
    let error = loop {
        if let Err(error) = other.write_all(&block).await {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[tokio::test]
async fn an_answer_given_before_a_reset_is_not_lost() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (mut one, mut other) = through(&client).await;
    one.write_all(b"a question that is not read").await.unwrap();
    other.readable().await.unwrap();
    other.write_all(b"go away").await.unwrap();
    other.set_zero_linger().unwrap();
    drop(other);
    let mut answer = [0; 7];
    one.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"go away");
    assert_eq!(read_all(&mut one).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_peer_that_lets_go_is_read_as_one_that_finished() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut raw = mesh.raw(&server).await;
    let (listener, addr) = app().await;
    let request = http::Request::connect(addr.to_string()).body(()).unwrap();
    let (response, mut send) = raw.send_request(request, false).unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    drop(response.await.unwrap());
    send.send_data("word".into(), false).unwrap();
    let mut word = [0; 4];
    accepted.read_exact(&mut word).await.unwrap();
    send.send_reset(h2::Reason::CANCEL);
    assert_eq!(read_all(&mut accepted).await, Ok(Vec::new()));
}

#[tokio::test]
async fn connect_error_is_a_reset_both_ways() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut raw = mesh.raw(&server).await;
    let (listener, addr) = app().await;
    for ours in [true, false] {
        let request = http::Request::connect(addr.to_string()).body(()).unwrap();
        let (response, mut send) = raw.send_request(request, false).unwrap();
        let (mut accepted, _) = listener.accept().await.unwrap();
        let mut receive = response.await.unwrap().into_body();
        if ours {
            send.send_reset(h2::Reason::CONNECT_ERROR);
            assert_eq!(read_all(&mut accepted).await, Err(ErrorKind::ConnectionReset));
        } else {
            accepted.set_zero_linger().unwrap();
            drop(accepted);
            let error = receive.data().await.unwrap().unwrap_err();
            assert_eq!(error.reason(), Some(h2::Reason::CONNECT_ERROR));
        }
    }
}
