//! Much, many, and small.
use super::world::{Mesh, through};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time,
};

/// Sends a pattern of so many bytes and finishes.
async fn send(io: &mut (impl tokio::io::AsyncWrite + Unpin), count: usize) {
    let block: Vec<u8> = (0..=u8::MAX).cycle().take(64 << 10).collect();
    let mut left = count;
    while 0 < left {
        let part = left.min(block.len());
        io.write_all(&block[..part]).await.unwrap();
        left -= part;
    }
    io.shutdown().await.unwrap();
}

/// Reads that pattern to its end.
async fn receive(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> usize {
    let (mut buffer, mut count) = (vec![0; 64 << 10], 0);
    loop {
        let read = io.read(&mut buffer).await.unwrap();
        if read == 0 {
            return count;
        }
        let expected = (0..=u8::MAX).cycle().skip(count % 256);
        assert!(buffer[..read].iter().copied().eq(expected.take(read)), "at {count}");
        count += read;
    }
}

async fn both_ways(one: TcpStream, other: TcpStream, count: usize) -> (usize, usize) {
    let ((mut r1, mut w1), (mut r2, mut w2)) = (one.into_split(), other.into_split());
    let ((), (), a, b) = tokio::join!(
        send(&mut w1, count),
        send(&mut w2, count),
        receive(&mut r1),
        receive(&mut r2)
    );
    (a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_at_once() {
    const EACH: usize = 100_000;
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 2).await;
    let mut all = JoinSet::new();
    let mut ends = Vec::new();
    for _ in 0..200 {
        ends.push(through(&client).await);
    }
    for (one, other) in ends {
        all.spawn(both_ways(one, other, EACH));
    }
    while let Some(done) = all.join_next().await {
        assert_eq!(done.unwrap(), (EACH, EACH));
    }
    assert_eq!(client.pool.links(), 2, "a link per thread");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_bytes_for_long_do_not_end_a_link() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    // Sent by the library, frame by frame, as a relay never would.
    let mut raw = mesh.raw(&server).await;
    let (listener, addr) = super::world::app().await;
    let request = http::Request::connect(addr.to_string()).body(()).unwrap();
    let (response, mut send) = raw.send_request(request, false).unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    drop(response.await.unwrap());
    let sending = async {
        for _ in 0..200_000 {
            send.reserve_capacity(1);
            while send.capacity() == 0 {
                std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
            }
            send.send_data(bytes::Bytes::from_static(b"x"), false).unwrap();
        }
        send.send_data(bytes::Bytes::new(), true).unwrap();
    };
    let receiving = async {
        let mut count = 0;
        let mut buffer = [0; 4096];
        loop {
            match accepted.read(&mut buffer).await.unwrap() {
                0 => return count,
                read => count += read,
            }
        }
    };
    let ((), count) = tokio::join!(sending, receiving);
    assert_eq!(count, 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_every_window_goes_through_one_stream() {
    const SENT: usize = 128 << 20;
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (one, mut other) = through(&client).await;
    let mut writers = JoinSet::new();
    writers.spawn(write(one, SENT, Arc::default()));
    let read = tokio::io::copy(&mut other, &mut tokio::io::sink()).await;
    assert_eq!(read.unwrap(), SENT as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_readers_stop_their_writers_and_nobody_else() {
    const SENT: usize = 48 << 20;
    // More than the window of a link is made for.
    const STUCK: usize = 8;
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let (mut writers, mut readers) = (JoinSet::new(), Vec::new());
    for _ in 0..STUCK {
        let (one, stuck) = through(&client).await;
        writers.spawn(write(one, SENT, Arc::clone(&sent)));
        readers.push(stuck);
    }
    // Until nothing goes any more: what is under way is what sockets and windows hold.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < STUCK * SENT / 2, "{before} bytes are held somewhere");
    let (one, other) = through(&client).await;
    assert_eq!(both_ways(one, other, 20_000_000).await, (20_000_000, 20_000_000));
    assert_eq!(client.pool.links(), 1, "beside the stuck ones, in the same link");
    let mut last = readers.pop().unwrap();
    drop(readers);
    let read = tokio::io::copy(&mut last, &mut tokio::io::sink()).await;
    assert_eq!(read.unwrap(), SENT as u64, "nothing is lost of what was stuck");
}

/// Writes zeros, counts them, and finishes, unless its reader leaves.
async fn write(mut io: TcpStream, count: usize, sent: Arc<AtomicUsize>) {
    let block = vec![0; 64 << 10];
    for _ in 0..count / block.len() {
        if io.write_all(&block).await.is_err() {
            return;
        }
        sent.fetch_add(block.len(), Ordering::SeqCst);
    }
    io.shutdown().await.unwrap();
}
