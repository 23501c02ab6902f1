//! Connections that must pass L7: who gets them, what is proven of them, and what they have opened.
use super::{end_of, idle, talk};
use crate::{
    cut::Why,
    l7::dial,
    pods::sockets::here,
    sample::{Mesh, TestPod, field, member, service},
};
use culvert_model::{facts::Direction, l7::L7Ports, name::ObjectName, party::Party, path::Path};
use culvert_runtime::doors::{Answer, Bytes, HandOver, Handover, NoPlace, Opened, Place};
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// An engine that only takes connections in.
#[derive(Debug)]
struct Engine(UnboundedSender<Handover>);

#[derive(Debug)]
struct Taker(UnboundedSender<Handover>);

impl HandOver for Engine {
    fn place(
        &self,
        namespace: &Arc<str>,
        _: Direction,
        _: SocketAddr,
    ) -> Answer<Result<Box<dyn Place>, NoPlace>> {
        assert_eq!(&**namespace, "shop");
        let taker: Box<dyn Place> = Box::new(Taker(self.0.clone()));
        Box::pin(async move { Ok(taker) })
    }
}

impl Place for Taker {
    fn take(self: Box<Self>, handover: Handover) {
        self.0.send(handover).unwrap();
    }
}

fn ports(all: &[u16]) -> L7Ports {
    all.iter().filter_map(|port| NonZeroU16::new(*port)).collect()
}

/// Two pods, of which `stock` has its port behind L7.
async fn behind_l7(tunnels: bool) -> (Mesh, TestPod, TestPod, UnboundedReceiver<Handover>) {
    let (taken, takes) = unbounded_channel();
    let mut mesh = Mesh::new(|shared| {
        shared.l7 = Some(Arc::new(Engine(taken)));
        shared.encrypt_local = tunnels;
    });
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    let mut behind = member("stock", stock.ip);
    behind.l7 = ports(&[stock.addr().port()]);
    mesh.builder.set_member(Arc::new(behind));
    mesh.publish();
    (mesh, cart, stock, takes)
}

/// Has both ends say something, and finish.
async fn answer(bytes: &mut Box<dyn culvert_runtime::doors::Stream>) {
    let mut said = [0; 3];
    bytes.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"ask");
    bytes.write_all(b"answer").await.unwrap();
    bytes.shutdown().await.unwrap();
    assert_eq!(bytes.read(&mut said).await.unwrap(), 0);
}

async fn ask(client: &mut tokio::net::TcpStream) {
    client.write_all(b"ask").await.unwrap();
    let mut said = [0; 6];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"answer");
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut said).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_dials_goes_to_the_engine_as_it_was_meant() {
    let (taken, mut takes) = unbounded_channel();
    let mut mesh = Mesh::new(|shared| shared.l7 = Some(Arc::new(Engine(taken))));
    let cart = mesh.pod("cart").await;
    let vip: IpAddr = "10.96.0.10".parse().unwrap();
    let mut asked = service("stock", vip);
    asked.l7 = ports(&[80]);
    mesh.builder.set_service(Arc::new(asked));
    mesh.publish();
    let mut client = cart.connect((vip, 80).into()).await;
    let served = async {
        let Handover { mut bytes, facts, party } = takes.recv().await.unwrap();
        assert_eq!(facts.destination, SocketAddr::new(vip, 80));
        assert_eq!(party, Party::Source(cart.door.pod.uid.clone()));
        answer(&mut bytes).await;
    };
    tokio::join!(ask(&mut client), served);
    idle(&mesh).await;
    let lines = mesh.node.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!((field(&lines[0], "close"), field(&lines[0], "path")), (Some("done"), Some("l7")));
    assert_eq!(
        (field(&lines[0], "bytes_sent"), field(&lines[0], "bytes_recv")),
        (Some("3"), Some("6")),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_by_a_tunnel_goes_to_the_engine_with_who_it_proved() {
    for tunnels in [true, false] {
        let (mesh, cart, stock, mut takes) = behind_l7(tunnels).await;
        let mut client = cart.connect(stock.addr()).await;
        let served = async {
            let Handover { mut bytes, facts, party } = takes.recv().await.unwrap();
            let client = facts.source_identity.as_ref().map(ToString::to_string);
            assert_eq!(client.as_deref(), Some("spiffe://cluster.local/ns/shop/sa/cart"));
            assert_eq!((facts.source.ip(), facts.destination), (cart.ip, stock.addr()));
            let pod = stock.door.pod.uid.clone();
            assert_eq!(party, Party::Destination { pod, client: cart.ip });
            answer(&mut bytes).await;
        };
        tokio::join!(ask(&mut client), served);
        idle(&mesh).await;
        let lines = mesh.node.lines();
        let path = if tunnels { "tunnel" } else { "local" };
        assert_eq!(lines.len(), 2, "{lines:#?}");
        for line in &lines {
            assert_eq!((field(line, "close"), field(line, "path")), (Some("done"), Some(path)));
            assert_eq!(
                (field(line, "bytes_sent"), field(line, "bytes_recv")),
                (Some("3"), Some("6")),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_an_engine_has_can_be_cut() {
    let (mesh, cart, stock, mut takes) = behind_l7(true).await;
    let mut client = cart.connect(stock.addr()).await;
    client.write_all(b"ask").await.unwrap();
    let mut handover = takes.recv().await.unwrap();
    handover.bytes.read_exact(&mut [0; 3]).await.unwrap();
    let cut = stock.door.pod.connections.cut(|_| Some(Why::Unannounced));
    assert_eq!(cut, 1);
    let error = handover.bytes.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(handover);
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    assert!(lines.iter().any(|line| field(line, "close") == Some("policy_revoked")), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_open_past_an_engine_ends_when_policies_are_decided_there() {
    let (taken, mut takes) = unbounded_channel();
    let mut mesh = Mesh::new(|shared| shared.l7 = Some(Arc::new(Engine(taken))));
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    let (mut server, _) = stock.app.accept().await.unwrap();
    let mut behind = member("stock", stock.ip);
    behind.l7 = ports(&[stock.addr().port()]);
    let mut deciding = behind.clone();
    mesh.builder.set_member(Arc::new(behind));
    mesh.publish();
    // Nothing is denied to it: that it passes L7 is for the next one.
    client.write_all(b"ask").await.unwrap();
    server.read_exact(&mut [0; 3]).await.unwrap();
    let mut handed = cart.connect(stock.addr()).await;
    let mut handover = takes.recv().await.unwrap();
    deciding.l7 = deciding.l7.deciding([ObjectName::new("shop", "readers")]);
    mesh.builder.set_member(Arc::new(deciding));
    mesh.publish();
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    tokio::join!(ask(&mut handed), answer(&mut handover.bytes));
    drop((server, handover));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let cut = lines.iter().filter(|line| field(line, "close") == Some("policy_revoked"));
    assert!(cut.clone().count() >= 1, "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_engine_it_is_refused_with_the_reason() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    let mut behind = member("stock", stock.ip);
    behind.l7 = ports(&[stock.addr().port()]);
    mesh.builder.set_member(Arc::new(behind));
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    assert!(lines.iter().any(|line| field(line, "close") == Some("no_l7")), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_reaches_members_as_the_mesh_does() {
    for tunnels in [true, false] {
        let mut mesh = Mesh::new(|shared| shared.encrypt_local = tunnels);
        let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
        mesh.publish();
        for pod in [&cart, &stock] {
            // As the node holds them.
            pod.door.pod.certificate(&pod.door.pod.identity()).await.unwrap();
        }
        let opened = dial::from_source(&cart.door, stock.addr()).await.unwrap();
        let Opened { bytes: Bytes::Other(mut bytes), in_mesh: true, path } = opened else {
            unreachable!("{opened:?}");
        };
        assert_eq!(path, if tunnels { Path::Tunnel } else { Path::Local });
        let (mut server, seen) = stock.app.accept().await.unwrap();
        assert_eq!(here::named(seen).ip(), cart.ip, "as the pod whose request it is");
        let big = vec![7; 300_000];
        let says = async {
            bytes.write_all(&big).await.unwrap();
            bytes.shutdown().await.unwrap();
            let mut back = Vec::new();
            bytes.read_to_end(&mut back).await.unwrap();
            back
        };
        let hears = async {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            server.write_all(&heard).await.unwrap();
            drop(server);
        };
        let (back, ()) = tokio::join!(says, hears);
        assert!(back == big, "{} bytes", back.len());
        drop(bytes);
        idle(&mesh).await;
        let lines = mesh.node.lines();
        assert_eq!(lines.len(), 1, "told of where it came to alone: {lines:#?}");
        assert_eq!(field(&lines[0], "direction"), Some("inbound"));
        assert_eq!(field(&lines[0], "close"), Some("done"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_behind_an_engine_sees_its_client() {
    let mut mesh = Mesh::new(|_| {});
    let stock = mesh.pod("stock").await;
    mesh.publish();
    let client: IpAddr = "10.3.2.1".parse().unwrap();
    for to in [stock.addr(), SocketAddr::new([127, 0, 0, 1].into(), stock.addr().port())] {
        let opened = dial::to_application(&stock.door, client, to).await.unwrap();
        let Bytes::Tcp(mut tcp) = opened.bytes else { unreachable!("{opened:?}") };
        assert_eq!(talk(&mut tcp, &stock.app).await.ip(), client);
    }
}
