//! Connections that go nowhere, and what both ends are told.
use super::{end_of, idle};
use crate::sample::{Mesh, deny, field, member};
use culvert_model::{authz::Authorization, snapshot::OutboundPolicy};
use std::{io::ErrorKind, sync::Arc, time::Duration};

/// How a connection from "cart" to "stock" ends, by source and destination, after `change`.
async fn refused(
    encrypt: bool,
    port: Option<u16>,
    change: impl AsyncFnOnce(&mut Mesh, &mut crate::sample::TestPod),
) -> Vec<String> {
    let mut mesh = Mesh::new(|shared| {
        shared.encrypt_local = encrypt;
        shared.hold = Duration::from_millis(50);
    });
    let cart = mesh.pod("cart").await;
    let mut stock = mesh.pod("stock").await;
    change(&mut mesh, &mut stock).await;
    mesh.publish();
    let mut client = cart.connect((stock.ip, port.unwrap_or(stock.addr().port())).into()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let mut lines = mesh.node.lines();
    lines.sort_by_key(|line| field(line, "direction") == Some("inbound"));
    lines
}

fn ends(lines: &[String]) -> Vec<(&str, &str)> {
    let of = |line| (field(line, "direction").unwrap(), field(line, "close").unwrap());
    lines.iter().map(|line| of(line)).collect()
}

fn select(mesh: &mut Mesh, stock: &crate::sample::TestPod, policy: Arc<Authorization>) {
    let mut selected = member("stock", stock.ip);
    selected.policies = [policy.name.clone()].into();
    mesh.builder.set_member(Arc::new(selected));
    mesh.builder.set_policy(policy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_at_an_address_that_is_not_the_pods_must_prove_to_be_it() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, _stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    let other = mesh.stranger("other").await;
    // As a control plane may have it that is mistaken.
    mesh.builder.set_member(Arc::new(member("stock", other.ip)));
    mesh.publish();
    let mut client = cart.connect(other.addr()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let out = lines.iter().find(|line| field(line, "direction") == Some("outbound")).unwrap();
    assert_eq!((field(out, "close"), field(out, "path")), (Some("tls_failed"), Some("tunnel")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_denied_sees_a_reset_and_both_sides_say_why() {
    for encrypt in [true, false] {
        let lines = refused(encrypt, None, async |mesh, stock| {
            select(mesh, stock, deny("no-cart", "cart"));
        })
        .await;
        assert_eq!(ends(&lines), [("outbound", "peer_denied"), ("inbound", "policy_denied")]);
        assert_eq!(field(&lines[1], "policy"), Some("shop/no-cart"));
        let condition = field(&lines[1], "policy.condition").unwrap();
        assert!(condition.contains("cluster.local/ns/shop/sa/cart"), "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_is_not_there_is_told_of() {
    for encrypt in [true, false] {
        let lines = refused(encrypt, Some(8081), async |_, _| {}).await;
        assert_eq!(
            ends(&lines),
            [("outbound", "peer_unavailable"), ("inbound", "upstream_refused")]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_the_proxys_own_leads_nowhere() {
    for encrypt in [true, false] {
        let lines = refused(encrypt, Some(15008), async |_, _| {}).await;
        assert_eq!(ends(&lines), [("outbound", "peer_unavailable"), ("inbound", "no_route")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_nobody_knows_closes() {
    let lines = refused(true, None, async |mesh, stock| {
        let mut selected = member("stock", stock.ip);
        selected.policies = [deny("unknown", "").name.clone()].into();
        mesh.builder.set_member(Arc::new(selected));
    })
    .await;
    assert_eq!(ends(&lines)[1], ("inbound", "policy_denied"));
    assert_eq!(field(&lines[1], "policy"), Some("shop/unknown"));
}

#[tokio::test]
async fn who_is_not_announced_goes_nowhere() {
    let mut mesh = Mesh::new(|shared| shared.hold = Duration::from_millis(20));
    let (cart, stock) = (mesh.stranger("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    assert_eq!(ends(&lines), [("outbound", "no_route")]);
    assert!(field(&lines[0], "error").unwrap().contains("did not announce the pod"));
}

#[tokio::test]
async fn unknown_destinations_are_refused_where_the_mesh_says_so() {
    let mut mesh = Mesh::new(|_| {});
    let cart = mesh.pod("cart").await;
    mesh.builder.set_mesh(culvert_model::snapshot::Mesh {
        outbound: OutboundPolicy::RegistryOnly,
        ..Default::default()
    });
    mesh.publish();
    let mut client = cart.connect("192.0.2.1:80".parse().unwrap()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    assert_eq!(ends(&lines), [("outbound", "no_route")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_must_be_who_was_meant() {
    let mut mesh = Mesh::new(|shared| shared.encrypt_local = true);
    let (cart, stock) = (mesh.pod("cart").await, mesh.stranger("stock").await);
    let mut other = member("stock", stock.ip);
    other.uid = culvert_model::name::WorkloadUid::new("another");
    other.identity =
        culvert_model::identity::Identity::try_new("cluster.local", "shop", "bank").unwrap();
    mesh.builder.set_member(Arc::new(other));
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    cart.door.pod.load.empty().await;
    let lines = mesh.node.lines();
    let outbound = lines.iter().find(|line| field(line, "direction") == Some("outbound")).unwrap();
    assert_eq!(field(outbound, "close"), Some("tls_failed"));
    let error = field(outbound, "error").unwrap();
    assert!(error.contains("sa/stock, expected was") && error.contains("sa/bank"), "{error}");
}

#[tokio::test]
async fn what_is_no_tls_is_told_of_and_counted() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut raw = cart.raw((stock.ip, 15008).into()).await;
    tokio::io::AsyncWriteExt::write_all(&mut raw, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, or a reset after it.
    let _gone = tokio::io::AsyncReadExt::read_to_end(&mut raw, &mut answer).await;
    drop(raw);
    let failed = "culvert_tunnel_handshakes_total{direction=\"inbound\",outcome=\"failed\"} 1\n";
    while !mesh.node.metrics().contains(failed) {
        tokio::task::yield_now().await;
    }
    let lines = mesh.node.lines();
    assert_eq!(ends(&lines), [("inbound", "tls_failed")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_without_a_certificate_is_told_so_and_no_other() {
    let mut mesh = Mesh::new(|shared| shared.encrypt_local = true);
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    let foreign = mesh.pod("foreign").await;
    let mut member = member("foreign", foreign.ip);
    // The authority does not sign for others.
    member.identity =
        culvert_model::identity::Identity::try_new("elsewhere", "shop", "foreign").unwrap();
    mesh.builder.set_member(Arc::new(member));
    mesh.publish();
    let mut to = cart.connect(foreign.addr()).await;
    assert_eq!(end_of(&mut to).await, Err(ErrorKind::ConnectionReset));
    let mut from = foreign.connect(stock.addr()).await;
    assert_eq!(end_of(&mut from).await, Err(ErrorKind::ConnectionReset));
    let mut between_others = cart.connect(stock.addr()).await;
    super::talk(&mut between_others, &stock.app).await;
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let missing: Vec<_> =
        lines.iter().filter(|line| field(line, "close") == Some("identity_missing")).collect();
    assert_eq!(missing.len(), 2, "{lines:#?}");
    for line in missing {
        assert!(field(line, "error").unwrap().contains("no certificate for spiffe://elsewhere/"));
    }
}
