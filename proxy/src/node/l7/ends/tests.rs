use super::*;
use culvert_l7::ledger::Endpoint;
use culvert_model::{
    identity::Identity,
    member::Member,
    name::{ObjectName, WorkloadUid},
    network::NetworkRange,
    service::{AppProtocol, Port},
    snapshot::{Mesh, build::Builder},
};
use culvert_policy::http::facts::{Connection, Head};
use hyper::{HeaderMap, Method};
use std::{borrow::Cow, net::SocketAddr, num::NonZeroU16, time::Duration};

const VIP: &str = "10.96.0.1:80";
const STOCK: &str = "10.0.1.2:8080";

fn host(name: &str) -> ServiceName {
    ServiceName::new("shop", format!("{name}.shop.svc.cluster.local"))
}

fn port(port: u16, target: u16) -> Port {
    let number = |number| NonZeroU16::new(number).unwrap();
    Port { port: number(port), target: Some(number(target)), protocol: AppProtocol::Http1 }
}

fn member(name: &str, ip: &str, services: &[&str]) -> Arc<Member> {
    let name = ObjectName::new("shop", name);
    let identity = Identity::try_new("td", "shop", &name.name).unwrap();
    let behind = services.iter().map(|name| (host(name), vec![port(80, 8080)]));
    Arc::new(Member {
        addresses: [ip.parse().unwrap()].into(),
        services: behind.collect(),
        ..Member::new(WorkloadUid::pod("c", &name), name, identity)
    })
}

/// `web` asks `stock`, which is behind two services of one port.
fn mesh() -> Snapshot {
    let mut builder = Builder::new(Mesh::default());
    for name in ["stock", "archive"] {
        let range = format!("10.96.0.{}/32", name.len()).parse().unwrap();
        let vips = [NetworkRange { network: "".into(), range }].into();
        let ports = [port(80, 8080)].into();
        builder.set_service(Arc::new(Service { vips, ports, ..Service::new(host(name), name) }));
    }
    builder.set_member(member("web", "10.0.0.1", &[]));
    builder.set_member(member("stock-1", "10.0.1.2", &["stock", "archive"]));
    builder.build()
}

fn origin(direction: Direction, mesh: &Snapshot) -> ConnFacts {
    let workload = |ip: &str| mesh.at(ip.parse().unwrap()).cloned();
    let to = if direction == Direction::Outbound { VIP } else { STOCK };
    let source_workload = workload("10.0.0.1");
    let inbound = direction == Direction::Inbound;
    ConnFacts {
        source_identity: source_workload.as_ref().map(|source| source.identity.clone()),
        source_workload,
        destination_workload: workload("10.0.1.2").filter(|_| inbound),
        path: if inbound { Path::Tunnel } else { Path::L7 },
        ..ConnFacts::new(direction, "10.0.0.1:40000".parse().unwrap(), to.parse().unwrap())
    }
}

/// The ends of a request to a host, by a cluster, to an endpoint.
fn of(
    direction: Direction,
    authority: &str,
    cluster: Option<&str>,
    endpoint: Option<(&str, Option<Path>)>,
) -> ConnFacts {
    let mesh = mesh();
    let (method, headers) = (Method::GET, HeaderMap::new());
    let address = |at: &str| at.parse::<SocketAddr>().ok();
    let over = Over {
        connection: &Connection::default(),
        head: Some(Head {
            method: &method,
            path: "/",
            authority,
            scheme: "http",
            protocol: None,
            headers: &headers,
        }),
        version: "HTTP/1.1",
        status: 200,
        call: None,
        flags: culvert_l7::outcome::Flags::default(),
        details: &Cow::Borrowed(""),
        received: 0,
        sent: 0,
        took: Duration::ZERO,
        route: None,
        cluster,
        metadata: Metadata::default(),
        endpoint: endpoint.map(|(at, path)| Endpoint { address: address(at), path }),
        failure: None,
        configuration: "",
    };
    ends(&origin(direction, &mesh), &over, &mesh)
}

fn service(facts: &ConnFacts) -> Option<&str> {
    facts.service.as_ref().map(|service| &*service.name)
}

const CLUSTER: Option<&str> = Some("outbound|80|v1|stock.shop.svc.cluster.local");

#[test]
fn who_answered_is_the_destination_where_a_request_was_made() {
    let facts = of(Direction::Outbound, "stock", CLUSTER, Some((STOCK, Some(Path::Tunnel))));
    assert_eq!(&*facts.destination_workload.as_ref().unwrap().name.name, "stock-1");
    assert_eq!(facts.destination_identity, Identity::try_new("td", "shop", "stock-1").ok());
    assert_eq!(facts.source_identity, Identity::try_new("td", "shop", "web").ok());
    assert_eq!((service(&facts), facts.path), (Some("stock"), Path::Tunnel));
    assert_eq!(facts.destination, STOCK.parse().unwrap());
}

#[test]
fn nothing_was_proven_where_no_handshake_was() {
    let outside = Some(("192.0.2.1:443", Some(Path::Plain)));
    let facts = of(Direction::Outbound, "example.com", Some("elsewhere"), outside);
    assert_eq!((facts.source_identity, facts.destination_identity), (None, None));
    assert!(facts.service.is_none() && facts.destination_workload.is_none());
    assert!(facts.source_workload.is_some());
}

#[test]
fn a_request_that_went_nowhere_was_for_its_service() {
    let facts = of(Direction::Outbound, "stock", CLUSTER, None);
    assert_eq!((service(&facts), facts.path), (Some("stock"), Path::L7));
    assert!(facts.destination_workload.is_none());
    assert_eq!(facts.destination, VIP.parse().unwrap());
}

#[test]
fn a_pod_behind_several_services_is_asked_as_the_one_that_is_named() {
    for (authority, expected) in [
        ("stock.shop.svc.cluster.local", "stock"),
        ("Stock:80", "stock"),
        ("archive.shop", "archive"),
        ("10.96.0.5:80", "stock"),
        ("10.0.1.2:8080", "archive"),
        ("arch", "archive"),
        ("", "archive"),
    ] {
        let facts = of(Direction::Inbound, authority, Some("inbound|8080||"), None);
        assert_eq!(service(&facts), Some(expected), "{authority}");
        assert_eq!(&*facts.destination_workload.unwrap().name.name, "stock-1");
        assert_eq!(facts.path, Path::Tunnel);
    }
}

#[test]
fn a_cluster_says_for_which_service_it_stands() {
    let mesh = mesh();
    let text = |text: &str| Value::String(text.into());
    let of = |namespace: &str, host: &str| {
        let fields =
            [("host", text(host)), ("namespace", text(namespace)), ("name", text("short"))];
        let fields = fields.map(|(key, value)| (Arc::from(key), value));
        let services = Value::List([Value::Struct(Arc::new(fields.into()))].into());
        let istio = Value::Struct(Arc::new([("services".into(), services)].into()));
        by_metadata(&Metadata::new([("istio".into(), istio)].into()), &mesh).unwrap()
    };
    assert_eq!(&*of("shop", "stock.shop.svc.cluster.local").name, "stock");
    let unknown = of("shop", "api.example.com");
    assert_eq!((&*unknown.name, &*unknown.host.hostname), ("short", "api.example.com"));
    let by_name = |cluster| by_name(cluster, "shop", &mesh).map(|service| service.name.to_string());
    assert_eq!(by_name("outbound|80||stock.shop.svc.cluster.local@shop").as_deref(), Some("stock"));
    assert_eq!(by_name("outbound|80||stock.shop.svc.cluster.local~tls").as_deref(), Some("stock"));
    assert_eq!(by_name("inbound|80||"), None);
    assert_eq!(by_name("PassthroughCluster"), None);
}
