//! How links are made, shared, and ended.
use super::world::{Mesh, app, id, through, uid};
use crate::hbone::pool::OpenTunnelError;
use culvert_identity::{tls::HandshakeError, trust::Trust};
use culvert_model::close::CloseReason;
use http::StatusCode;
use std::{io::ErrorKind, sync::atomic::Ordering, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time,
};

#[tokio::test]
async fn whoever_comes_at_once_shares_one_link() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (_listener, addr) = app().await;
    let opened = tokio::join!(client.open(addr), client.open(addr), client.open(addr));
    let opened = [opened.0.unwrap(), opened.1.unwrap(), opened.2.unwrap()];
    assert_eq!(client.dialled.load(Ordering::SeqCst), 1);
    assert_eq!(server.links.load(Ordering::SeqCst), 1);
    assert_eq!(opened[0].peer, id("bank"));
    assert_eq!(opened[0].baggage.service.as_deref(), Some("bank"));
}

#[tokio::test]
async fn a_full_link_is_joined_by_another() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (_listener, addr) = app().await;
    let mut tunnels = Vec::new();
    for _ in 0..100 {
        tunnels.push(client.open(addr).await.unwrap());
    }
    assert_eq!(client.pool.links(), 1);
    tunnels.push(client.open(addr).await.unwrap());
    assert_eq!(client.pool.links(), 2);
    drop(tunnels);
    drop(client.open(addr).await.unwrap());
    assert_eq!(client.dialled.load(Ordering::SeqCst), 2, "room is used again");
}

#[tokio::test]
async fn a_renewed_certificate_gets_links_of_its_own_and_the_old_ones_live_on() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut client = mesh.client(&server, 1).await;
    let (mut one, mut other) = through(&client).await;
    // Another certificate, as a renewal makes it: only its generation matters here.
    client.target.own = mesh.certificate("renewed").await;
    drop(through(&client).await);
    assert_eq!(client.dialled.load(Ordering::SeqCst), 2);
    one.write_all(b"word").await.unwrap();
    other.read_exact(&mut [0; 4]).await.unwrap();
}

#[tokio::test]
async fn a_link_whose_peer_is_disbelieved_while_it_is_made_is_not_used() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (_listener, addr) = app().await;
    let believed = mesh.trust.view().pin();
    // The handshake goes by what was believed before: it is as if it were over.
    let (opened, ()) =
        tokio::join!(client.open(addr), async { client.pool.recheck(&Trust::default()) });
    assert_eq!(opened.unwrap_err().reason(), CloseReason::CertRevoked);
    assert_eq!(client.pool.links(), 0);
    let (opened, ()) =
        tokio::join!(client.open(addr), async { client.pool.recheck(&believed.value) });
    assert!(opened.is_ok(), "who is believed still is not troubled");
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let mesh = Mesh::new();
    let statuses = [
        (StatusCode::UNAUTHORIZED, CloseReason::PeerDenied),
        (StatusCode::SERVICE_UNAVAILABLE, CloseReason::PeerUnavailable),
        (StatusCode::FOUND, CloseReason::TunnelFailed),
    ];
    for (status, reason) in statuses {
        let server = mesh.server_with(move |_, incoming| incoming.respond.refuse(status)).await;
        let client = mesh.client(&server, 1).await;
        let error = client.open(server.addr).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert_eq!(error.is_connect(), status == StatusCode::SERVICE_UNAVAILABLE);
    }
    let server = mesh.server_with(|_, incoming| drop(incoming)).await;
    let client = mesh.client(&server, 1).await;
    let error = client.open(server.addr).await.unwrap_err();
    assert_eq!(error.reason(), CloseReason::PeerUnavailable);
}

#[tokio::test]
async fn nobody_there_and_somebody_else_there_are_told_apart() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut client = mesh.client(&server, 1).await;
    let (listener, free) = app().await;
    drop(listener);
    client.target.next = free;
    let error = client.open(free).await.unwrap_err();
    assert_eq!(error.reason(), CloseReason::UpstreamRefused);
    assert!(error.is_connect());
    assert_eq!(client.pool.links(), 0);

    client.target.next = server.addr;
    client.target.expected = [id("somebody-else")].into();
    let error = client.open(server.addr).await.unwrap_err();
    assert_eq!(error.reason(), CloseReason::TlsFailed);
    assert!(!error.is_connect(), "another endpoint of that name is not asked");
}

#[tokio::test]
async fn a_server_that_does_not_believe_us_is_heard() {
    let (mesh, strangers) = (Mesh::new(), Mesh::new());
    let server = mesh.server().await;
    let mut client = mesh.client(&server, 1).await;
    // The stranger believes the server's root, the server not the stranger's.
    client.target.own = strangers.certificate("cart").await;
    strangers.trust.set_roots(mesh.trust.view().pin().value.roots()).unwrap();
    let error = client.open(server.addr).await.unwrap_err();
    let OpenTunnelError::Tls { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, HandshakeError::Refused(_)), "{source:?}");
    assert_eq!(error.reason(), CloseReason::TlsFailed);
}

#[tokio::test]
async fn a_forgotten_peer_loses_its_links_and_is_dialled_anew() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (mut one, _other) = through(&client).await;
    client.pool.forget(&uid("somebody-else"));
    assert_eq!(client.pool.links(), 1);
    client.pool.forget(&uid("bank"));
    assert_eq!(client.pool.links(), 0);
    let error = one.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(through(&client).await);
    assert_eq!(client.dialled.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_link_that_is_made_for_a_forgotten_peer_is_not_used() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let open = client.open(server.addr);
    let forget = async {
        while client.dialled.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        client.pool.forget(&uid("bank"));
    };
    let (error, ()) = tokio::join!(open, forget);
    assert_eq!(error.unwrap_err().reason(), CloseReason::PodGone);
    assert_eq!(client.pool.links(), 0);
}

#[tokio::test]
async fn a_peer_that_is_no_longer_believed_loses_its_links_at_both_ends() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (mut one, mut other) = through(&client).await;
    client.pool.recheck(&mesh.trust.view().pin().value);
    assert_eq!(client.pool.links(), 1);
    let others = Mesh::new();
    others.certificate("x").await;
    let roots = others.trust.view().pin();
    client.pool.recheck(&roots.value);
    assert_eq!(client.pool.links(), 0);
    assert_eq!(one.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(other.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (mut one, mut other) = through(&client).await;
    mesh.trust.set_roots(roots.value.roots()).unwrap();
    assert_eq!(other.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(one.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_draining_server_lets_streams_run_on_and_takes_no_new_link() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (mut one, mut other) = through(&client).await;
    let (_listener, addr) = app().await;
    let draining = mesh.drain.worker();
    let drained = std::sync::Arc::new(tokio::sync::Notify::new());
    let tell = std::sync::Arc::clone(&drained);
    draining.spawn(async move {
        server.drain.drain(Duration::from_secs(60)).await;
        tell.notify_one();
    });
    // The client hears of it and lets go of the link.
    while client.open(addr).await.is_ok() {
        time::sleep(Duration::from_millis(10)).await;
    }
    one.write_all(b"word").await.unwrap();
    other.read_exact(&mut [0; 4]).await.unwrap();
    other.write_all(b"word").await.unwrap();
    one.read_exact(&mut [0; 4]).await.unwrap();
    drop((one, other));
    drained.notified().await;
}

#[tokio::test]
async fn a_draining_client_ends_its_links_with_their_last_tunnels() {
    let (mesh, clients) = (Mesh::new(), Mesh::new());
    let server = mesh.server().await;
    let mut client = mesh.client(&server, 1).await;
    client.worker = clients.drain.worker();
    client.pool = crate::hbone::pool::Pool::new(
        &client.worker,
        tokio::runtime::Handle::current(),
        1,
        super::world::TIMEOUTS,
    );
    let (mut one, mut other) = through(&client).await;
    let mut draining = Box::pin(clients.drain.drain(Duration::from_secs(60)));
    assert!(time::timeout(Duration::from_millis(50), &mut draining).await.is_err());
    one.write_all(b"word").await.unwrap();
    other.read_exact(&mut [0; 4]).await.unwrap();
    drop((one, other));
    assert_eq!(draining.await, culvert_runtime::drain::Drained::Clean);
}

#[tokio::test]
async fn an_unused_link_is_let_go_and_a_used_one_is_not() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (_listener, addr) = app().await;
    let tunnel = client.open(addr).await.unwrap();
    time::pause();
    time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(client.pool.links(), 1);
    drop(tunnel);
    time::sleep(Duration::from_secs(280)).await;
    assert_eq!(client.pool.links(), 1);
    time::sleep(Duration::from_secs(40)).await;
    assert_eq!(client.pool.links(), 0);
}

#[tokio::test]
async fn a_link_whose_server_vanished_is_replaced() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let client = mesh.client(&server, 1).await;
    let (_listener, addr) = app().await;
    drop(client.open(addr).await.unwrap());
    drop(server.drain);
    let listener = loop {
        match tokio::net::TcpListener::bind(server.addr).await {
            Ok(listener) => break listener,
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    };
    let mut tries = JoinSet::new();
    tries.spawn(async move { drop(listener.accept().await.unwrap()) });
    // Whatever answers there now is asked anew, and is no server.
    let error = client.open(addr).await.unwrap_err();
    assert_eq!(error.reason(), CloseReason::TlsFailed, "{error:?}");
    assert_eq!(client.dialled.load(Ordering::SeqCst), 2);
}
