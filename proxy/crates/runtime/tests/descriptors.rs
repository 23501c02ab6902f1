//! What the accept loop does when the process is out of descriptors.
//!
//! Its own binary with one test: the limit is the process's.
use culvert_runtime::{
    accept::{Reserve, accept_loop},
    drain::{Drain, Drained},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{fs::File, io::ErrorKind, time::Duration};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

#[tokio::test]
async fn resets_what_it_cannot_accept_and_recovers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let reserve = Reserve::new().unwrap();

    // Every descriptor but the client's own is taken.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 128, hard).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    drop(hoard.split_off(hoard.len() - 2));
    let mut clients =
        vec![TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap()];

    let drain = Drain::default();
    let worker = drain.worker();
    let (served_tx, mut served) = mpsc::unbounded_channel();
    let (refused_tx, mut refused) = mpsc::unbounded_channel();
    let own = worker.clone();
    worker.spawn(async move {
        let serve = |_io, source| {
            served_tx.send(source).unwrap();
            std::future::ready(())
        };
        let refused = |io: &TcpStream, source| {
            refused_tx.send((io.local_addr().unwrap(), source)).unwrap();
        };
        accept_loop(&listener, &own, &reserve, serve, refused).await.unwrap();
    });

    for client in &mut clients {
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(refused.recv().await, Some((addr, client.local_addr().unwrap())));
    }
    assert!(served.try_recv().is_err());

    // Again, for the spare descriptor was taken back.
    drop(clients.pop());
    let mut third = TcpStream::connect(addr).await.unwrap();
    assert_eq!(third.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    refused.recv().await.unwrap();

    drop(hoard);
    let fourth = TcpStream::connect(addr).await.unwrap();
    assert_eq!(served.recv().await, Some(fourth.local_addr().unwrap()));
    assert!(refused.try_recv().is_err());

    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert_eq!(drain.drain(Duration::from_secs(5)).await, Drained::Clean);
}
