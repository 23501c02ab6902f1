//! Connections between pods of the mesh.
use super::{end_of, idle, talk};
use crate::sample::{Mesh, field, service};
use culvert_model::{
    name::ServiceName,
    path::Path,
    service::{AppProtocol, Port},
};
use std::{io::ErrorKind, num::NonZeroU16, sync::Arc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The lines of one connection: of its source, and of its destination.
fn both(lines: &[String]) -> [&String; 2] {
    let of = |direction| {
        let mut of = lines.iter().filter(|line| field(line, "direction") == Some(direction));
        let line = of.next().unwrap();
        assert!(of.next().is_none(), "a flow is told once by each side: {lines:#?}");
        line
    };
    [of("outbound"), of("inbound")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_keeps_the_source_address_and_both_sides_know_each_other() {
    let mut mesh = Mesh::new(|shared| shared.encrypt_local = true);
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    assert_eq!(talk(&mut client, &stock.app).await.ip(), cart.ip);
    idle(&mesh).await;
    let metrics = mesh.node.metrics();
    let lines = mesh.node.lines();
    let [out, inn] = both(&lines);
    for line in [out, inn] {
        assert_eq!(field(line, "close"), Some("done"));
        assert_eq!(field(line, "path"), Some("tunnel"));
        assert_eq!(field(line, "src.identity"), Some("spiffe://cluster.local/ns/shop/sa/cart"));
        assert_eq!(field(line, "dst.identity"), Some("spiffe://cluster.local/ns/shop/sa/stock"));
        assert_eq!(field(line, "dst.addr"), Some(&*format!("{}:15008", stock.ip)));
        assert_eq!(field(line, "dst.hbone_addr"), Some(&*stock.addr().to_string()));
        assert_eq!((field(line, "bytes_sent"), field(line, "bytes_recv")), (Some("3"), Some("6")));
    }
    assert_eq!(field(out, "src.addr"), field(inn, "src.addr"), "the client's own port");
    assert!(field(out, "trace_id").is_some());
    assert_eq!(field(out, "trace_id"), field(inn, "trace_id"));
    let mutual = metrics.lines().filter(|line| {
        line.starts_with("istio_tcp_connections_opened_total")
            && line.contains("connection_security_policy=\"mutual_tls\"")
            && line.contains("destination_principal=\"spiffe://cluster.local/ns/shop/sa/stock\"")
    });
    assert_eq!(mutual.count(), 2, "once for each reporter");
    for direction in ["inbound", "outbound"] {
        let of = |name: &str| format!("{name}{{direction=\"{direction}\"");
        let done = of("culvert_tunnel_handshakes_total") + ",outcome=\"done\"} 1\n";
        let open = of("culvert_tunnels_open") + "} 1\n";
        assert!(metrics.contains(&done) && metrics.contains(&open), "{metrics}");
        assert!(metrics.contains(&(of("culvert_tunnel_streams_open") + "} 0\n")), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_of_one_node_are_handed_over_and_told_of_as_if_tunnelled() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    assert_eq!(talk(&mut client, &stock.app).await.ip(), cart.ip);
    idle(&mesh).await;
    let lines = mesh.node.lines();
    for line in both(&lines) {
        assert_eq!((field(line, "close"), field(line, "path")), (Some("done"), Some("local")));
        assert_eq!(field(line, "src.identity"), Some("spiffe://cluster.local/ns/shop/sa/cart"));
        assert_eq!(field(line, "dst.identity"), Some("spiffe://cluster.local/ns/shop/sa/stock"));
        assert_eq!(field(line, "dst.addr"), Some(&*stock.addr().to_string()));
        assert_eq!((field(line, "bytes_sent"), field(line, "bytes_recv")), (Some("3"), Some("6")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_a_reset_at_the_other_end_of_a_tunnel() {
    let mut mesh = Mesh::new(|shared| shared.encrypt_local = true);
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    let (mut server, _) = stock.app.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0; 1]).await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let closed: Vec<_> = lines.iter().map(|line| field(line, "close")).collect();
    assert_eq!(closed, [Some("destination_reset"); 2], "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_endpoint_of_a_service_is_tried_when_a_connect_fails() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, first) = (mesh.pod("cart").await, mesh.pod("first").await);
    let second = mesh.pod("second").await;
    let vip = "10.96.0.10".parse().unwrap();
    mesh.builder.set_service(Arc::new(service("stock", vip)));
    for pod in [&first, &second] {
        let uid = &pod.door.pod;
        let mut member = crate::sample::member(&uid.workload().name.name, pod.ip);
        let name = ServiceName::new("shop", "stock.shop.svc.cluster.local");
        let port = Port {
            port: NonZeroU16::new(80).unwrap(),
            target: NonZeroU16::new(8080),
            protocol: AppProtocol::Tcp,
        };
        member.services = [(name, vec![port])].into_iter().collect();
        mesh.builder.set_member(Arc::new(member));
    }
    mesh.publish();
    // Nobody listens at the first one any more.
    drop(first.app);
    for _ in 0..4 {
        let mut client = cart.connect((vip, 80).into()).await;
        talk(&mut client, &second.app).await;
    }
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let outbound: Vec<_> =
        lines.iter().filter(|line| field(line, "direction") == Some("outbound")).collect();
    assert_eq!(outbound.len(), 4);
    for line in outbound {
        assert_eq!(field(line, "close"), Some("done"));
        assert_eq!(field(line, "dst.service"), Some("stock.shop.svc.cluster.local"));
        assert_eq!(field(line, "dst.workload"), Some("second"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_connections_are_listed_with_their_way() {
    let mut mesh = Mesh::new(|shared| shared.encrypt_local = true);
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    let (mut server, _) = stock.app.accept().await.unwrap();
    // Both sides are there once something went through.
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0; 1]).await.unwrap();
    assert_eq!((cart.paths(), stock.paths()), (vec![Path::Tunnel], vec![Path::Tunnel]));
    let listed = stock.door.pod.connections();
    let id = |name| Some(format!("spiffe://cluster.local/ns/shop/sa/{name}"));
    assert_eq!(
        (&listed[0].source_identity, &listed[0].destination_identity),
        (&id("cart"), &id("stock"))
    );
    assert_eq!(listed[0].hop, Some((stock.ip, 15008).into()));
}
