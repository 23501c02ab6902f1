//! Open connections follow policy: those no longer allowed are cut, others not touched.
use super::{end_of, idle};
use crate::{
    pods::belief::cut_disbelieved,
    recheck::{
        abandoned,
        absent::{Absent, PATIENCE},
    },
    sample::{Mesh, TestPod, deny, field, member},
};
use culvert_identity::{
    ca::Authority,
    clock::{Clock as _, SystemClock},
    issue::{Answer, IssueError, Issued, Issuer, Request},
    keeper::{self, Parties, Settings},
    trust::TrustStore,
};
use culvert_model::{
    authz::Authorization,
    identity::Identity,
    member::Tunnel,
    path::Path,
    snapshot::{Mesh as MeshSettings, OutboundPolicy},
};
use culvert_runtime::drain::Drain;
use std::{io::ErrorKind, sync::Arc, time::Instant};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A connection that both ends know is open.
async fn open(client: &mut TcpStream, app: &TestPod) -> TcpStream {
    let (mut server, _) = app.app.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    server.read_exact(&mut [0; 1]).await.unwrap();
    server
}

fn select(mesh: &mut Mesh, pod: &TestPod, policy: &Arc<Authorization>) {
    let mut selected = member("stock", pod.ip);
    selected.policies = [policy.name.clone()].into();
    mesh.builder.set_member(Arc::new(selected));
}

async fn still_open(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(b"y").await.unwrap();
    server.read_exact(&mut [0; 1]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_comes_later_cuts_what_it_denies_and_nothing_else() {
    for encrypt in [true, false] {
        let mut mesh = Mesh::new(|shared| shared.encrypt_local = encrypt);
        let (cart, web) = (mesh.pod("cart").await, mesh.pod("web").await);
        let stock = mesh.pod("stock").await;
        mesh.publish();
        let mut denied = cart.connect(stock.addr()).await;
        let mut denied_server = open(&mut denied, &stock).await;
        let mut allowed = web.connect(stock.addr()).await;
        let mut allowed_server = open(&mut allowed, &stock).await;
        let mut plain = stock.plain_from(web.ip).await;
        let mut plain_server = open(&mut plain, &stock).await;

        // The selector's policy first, as a control plane may push them; then the workload.
        let policy = deny("no-cart", "cart");
        mesh.builder.set_policy(Arc::clone(&policy));
        mesh.publish();
        still_open(&mut denied, &mut denied_server).await;
        select(&mut mesh, &stock, &policy);
        mesh.publish();
        assert_eq!(end_of(&mut denied).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(end_of(&mut denied_server).await, Err(ErrorKind::ConnectionReset));
        still_open(&mut allowed, &mut allowed_server).await;
        still_open(&mut plain, &mut plain_server).await;

        // Plain text is let pass no longer.
        let everybody = deny("nobody", "");
        mesh.builder.set_policy(Arc::clone(&everybody));
        select(&mut mesh, &stock, &everybody);
        mesh.publish();
        assert_eq!(end_of(&mut plain).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(end_of(&mut allowed).await, Err(ErrorKind::ConnectionReset));
        idle(&mesh).await;
        let lines = mesh.node.lines();
        let inbound = lines.iter().filter(|line| field(line, "direction") == Some("inbound"));
        for line in inbound {
            assert_eq!(field(line, "close"), Some("policy_revoked"), "{line}");
            assert_eq!(field(line, "policy.rule"), Some("0"), "{line}");
        }
        let source = if encrypt { "destination_reset" } else { "policy_revoked" };
        let outbound = lines.iter().filter(|line| field(line, "direction") == Some("outbound"));
        for line in outbound {
            assert_eq!(field(line, "close"), Some(source), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_needs_to_be_believed_as_a_tunnel_would() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    for pod in [&cart, &stock] {
        // As the node holds them.
        pod.door.pod.certificate(&pod.door.pod.identity()).await.unwrap();
    }
    let mut client = cart.connect(stock.addr()).await;
    let _server = open(&mut client, &stock).await;
    cut_disbelieved(&mesh.pods);
    assert_eq!(stock.paths(), [Path::Local], "nothing has changed");
    // Other roots from now on: those of somebody else.
    let other = Authority::new_root("cluster.local", SystemClock.now()).unwrap();
    mesh.node.trust.set_roots(other.roots()).unwrap();
    cut_disbelieved(&mesh.pods);
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    let mut another = cart.connect(stock.addr()).await;
    assert_eq!(end_of(&mut another).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let mut ends: Vec<_> = lines
        .iter()
        .filter(|line| field(line, "direction") == Some("outbound"))
        .map(|line| (field(line, "close").unwrap(), field(line, "path").unwrap()))
        .collect();
    // Each is told of by its own task.
    ends.sort_unstable();
    assert_eq!(ends, [("cert_revoked", "local"), ("tls_failed", "tunnel")]);
}

/// Signs nothing.
#[derive(Debug)]
struct Refuses;

impl Issuer for Refuses {
    fn issue<'a>(&'a self, _: &'a Request) -> Answer<'a, Result<Issued, IssueError>> {
        Box::pin(async { Err(IssueError::Refused("nobody of that name is here".to_owned())) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_nothing_is_handed_over_as_there_would_be_no_tunnel() {
    let drain = Drain::default();
    let mut mesh = Mesh::new(|shared| {
        let clock = Arc::new(SystemClock);
        let parties = Parties { issuer: Arc::new(Refuses), trust: TrustStore::default(), clock };
        shared.identities = keeper::start(parties, Settings::default(), &drain.worker());
    });
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    assert_eq!(mesh.node.ends(), ["identity_missing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_to_a_pod_that_nobody_announces_ends_when_its_time_is_over() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut handed = cart.connect(stock.addr()).await;
    let mut handed_server = open(&mut handed, &stock).await;
    let mut plain = stock.plain_from([192, 0, 2, 1].into()).await;
    let plain_server = open(&mut plain, &stock).await;
    mesh.builder.remove_member(&stock.door.pod.uid);
    mesh.publish();
    let (mut absent, start) = (Absent::default(), Instant::now());
    let snapshot = mesh.builder.build();
    assert!(abandoned(&mesh.pods, &snapshot, &mut absent, start).is_empty());
    still_open(&mut handed, &mut handed_server).await;
    let gone = abandoned(&mesh.pods, &snapshot, &mut absent, start + PATIENCE);
    assert_eq!(gone, std::slice::from_ref(&stock.door.pod.uid));
    for mut client in [handed, plain] {
        assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    }
    drop((handed_server, plain_server));
    idle(&mesh).await;
    let ends = mesh.node.ends();
    assert_eq!(ends, ["policy_revoked"; 3], "both sides of one, and the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handed_over_is_judged_by_who_its_source_is_now() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    let policy = deny("no-thief", "thief");
    mesh.builder.set_policy(Arc::clone(&policy));
    select(&mut mesh, &stock, &policy);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    let mut server = open(&mut client, &stock).await;
    for (account, may) in [("honest", true), ("thief", false)] {
        let mut other = member("cart", cart.ip);
        other.identity = Identity::try_new("cluster.local", "shop", account).unwrap();
        mesh.builder.set_member(Arc::new(other));
        mesh.publish();
        if may {
            still_open(&mut client, &mut server).await;
        }
    }
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    drop(server);
    idle(&mesh).await;
    assert_eq!(mesh.node.ends(), ["policy_revoked"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_vanishes_takes_what_was_handed_to_it_along() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, stock) = (mesh.pod("cart").await, mesh.pod("stock").await);
    mesh.publish();
    let mut client = cart.connect(stock.addr()).await;
    let _server = open(&mut client, &stock).await;
    stock.door.pod.connections.cut(|_| Some(crate::cut::Why::PodGone));
    assert_eq!(end_of(&mut client).await, Err(ErrorKind::ConnectionReset));
    idle(&mesh).await;
    let mut ends = mesh.node.ends();
    ends.sort_unstable();
    assert_eq!(ends, ["destination_reset", "pod_gone"]);
}

#[tokio::test]
async fn strangers_are_left_when_the_mesh_says_so_and_others_not() {
    let mut mesh = Mesh::new(|_| {});
    let (cart, outside) = (mesh.pod("cart").await, mesh.stranger("outside").await);
    let legacy = mesh.stranger("legacy").await;
    let mut known = member("legacy", legacy.ip);
    known.tunnel = Tunnel::None;
    mesh.builder.set_member(Arc::new(known));
    mesh.publish();
    let mut stranger = cart.connect(outside.addr()).await;
    let _server = open(&mut stranger, &outside).await;
    let mut registered = cart.connect(legacy.addr()).await;
    let mut registered_server = open(&mut registered, &legacy).await;
    mesh.builder.set_mesh(MeshSettings {
        outbound: OutboundPolicy::RegistryOnly,
        ..MeshSettings::default()
    });
    mesh.publish();
    assert_eq!(end_of(&mut stranger).await, Err(ErrorKind::ConnectionReset));
    still_open(&mut registered, &mut registered_server).await;
    // Who comes into the mesh is not cut off from what is open.
    mesh.builder.set_member(Arc::new(member("legacy", legacy.ip)));
    mesh.publish();
    still_open(&mut registered, &mut registered_server).await;
    drop((registered, registered_server));
    idle(&mesh).await;
    let lines = mesh.node.lines();
    let cut = lines.iter().find(|line| field(line, "close") == Some("policy_revoked")).unwrap();
    assert!(field(cut, "error").unwrap().contains("REGISTRY_ONLY"), "{cut}");
}
