//! Names of a small mesh.
use super::*;
use crate::dns::message::kind::{A, AAAA};
use culvert_model::{
    identity::Identity,
    locality::{Balance, Locality},
    member::{NetworkMode, OwnerKind, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    service::{Service, Visibility},
    snapshot::{Mesh, build::Builder},
};
use proptest::prelude::*;

/// A service `namespace/host` with these addresses; `other/` before one puts it into that network.
fn service(namespace: &str, host: &str, vips: &[&str]) -> Service {
    let vip = |vip: &&str| {
        let (network, range) =
            vip.split_once(':').filter(|(n, _)| *n == "other").unwrap_or(("", vip));
        let range = range.parse().unwrap_or_else(|_| range.parse::<IpAddr>().unwrap().into());
        NetworkRange::new(network, range)
    };
    Service {
        host: ServiceName::new(namespace, host),
        name: host.split('.').next().unwrap().into(),
        vips: vips.iter().map(vip).collect(),
        ports: Box::default(),
        accepted: Box::default(),
        waypoint: None,
        weighted_waypoints: Box::default(),
        balance: Balance::default(),
        families: Families::Automatic,
        canonical: false,
        ingress_use_waypoint: false,
        visibility: Visibility::Public,
        l7: culvert_model::l7::L7Ports::default(),
    }
}

fn member(name: &str, ips: &[&str], of: &Service, health: Health) -> Member {
    let namespace = &of.host.namespace;
    let object = ObjectName::new(Arc::clone(namespace), name);
    Member {
        uid: WorkloadUid::pod("c", &object),
        name: object,
        identity: Identity::try_new("td", namespace, name).unwrap(),
        addresses: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        hostname: "".into(),
        network: "".into(),
        network_mode: NetworkMode::Own,
        tunnel: Tunnel::None,
        native_tunnel: false,
        waypoint: None,
        network_gateway: None,
        app_tunnel: None,
        node: "a".into(),
        cluster: "c".into(),
        locality: Locality::default().into(),
        canonical_name: name.into(),
        canonical_revision: "v1".into(),
        owner: name.into(),
        owner_kind: OwnerKind::Pod,
        services: [(of.host.clone(), Arc::default())].into_iter().collect(),
        l7: culvert_model::l7::L7Ports::default(),
        policies: Arc::default(),
        health,
        capacity: 1,
    }
}

fn mesh(services: Vec<Service>, members: Vec<Member>) -> Snapshot {
    let mut builder = Builder::new(Mesh::default());
    services.into_iter().for_each(|service| builder.set_service(Arc::new(service)));
    members.into_iter().for_each(|member| builder.set_member(Arc::new(member)));
    builder.build()
}

/// A pod of `shop` asks.
fn ask(snapshot: &Snapshot, host: &str, kind: u16) -> Answer {
    let domains = Domains::new("cluster.local");
    let asker = Asker { namespace: "shop", domains: &domains, snapshot };
    let name = Name::from_host(host).unwrap();
    answer(asker, &Question { name, kind, class: INTERNET }, || 0)
}

/// The addresses in order, and the name they are of when it is another than was asked for.
#[track_caller]
fn check(snapshot: &Snapshot, host: &str, kind: u16, ips: &[&str], of: Option<&str>) {
    match ask(snapshot, host, kind) {
        Answer::Records(Records { canonical, ips: found }) => {
            let mut found: Vec<_> = found.iter().map(ToString::to_string).collect();
            found.sort();
            assert_eq!(found, ips, "{host}");
            assert_eq!(canonical, of.map(|of| Name::from_host(of).unwrap()), "{host}");
        }
        other @ (Answer::Empty | Answer::Forward { .. }) => panic!("{host}: {other:?}"),
    }
}

const FORWARD: Answer = Answer::Forward { known: false };

#[test]
fn a_service_by_all_its_names() {
    let web = service("shop", "web.shop.svc.cluster.local", &["10.96.0.1"]);
    let bank = service("bank", "web.bank.svc.cluster.local", &["10.96.0.2", "fd00::2"]);
    let mesh = mesh(vec![web, bank], vec![]);
    for host in ["web", "web.shop", "web.shop.svc", "WEB.shop.svc.Cluster.local"] {
        check(&mesh, host, A, &["10.96.0.1"], None);
    }
    check(&mesh, "web.bank.svc.cluster.local", A, &["10.96.0.2"], None);
    check(&mesh, "web.bank.svc.cluster.local", AAAA, &["fd00::2"], None);
    // As a resolver asks that appends its first search domain.
    check(&mesh, "web.bank.shop.svc.cluster.local", A, &["10.96.0.2"], Some("web.bank"));
    assert_eq!(ask(&mesh, "web.shop", AAAA), Answer::Empty);
    assert_eq!(ask(&mesh, "web.shop", kind::SOA), Answer::Forward { known: true });
    for host in ["nobody.shop", "web.shop.example.org", "cluster.local", "web.web.web.web.web"] {
        assert_eq!(ask(&mesh, host, A), FORWARD, "{host}");
    }
}

#[test]
fn a_class_of_its_own_and_the_root_are_not_ours() {
    let mesh = mesh(vec![service("shop", "web", &["10.96.0.1"])], vec![]);
    let domains = Domains::new("cluster.local");
    let asker = Asker { namespace: "shop", domains: &domains, snapshot: &mesh };
    let chaos = Question { name: Name::from_host("web").unwrap(), kind: A, class: 3 };
    assert_eq!(answer(asker, &chaos, || 0), FORWARD);
    let root = Question { name: Name::from_host("").unwrap(), kind: A, class: INTERNET };
    assert_eq!(answer(asker, &root, || 0), FORWARD);
}

#[test]
fn hosts_outside_and_wildcards() {
    let one = service("shop", "api.example.org", &["240.240.0.1"]);
    let all = service("shop", "*.example.org", &["240.240.0.2"]);
    let range = service("shop", "range.example.com", &["198.51.100.0/24"]);
    let bare = service("shop", "bare.example.com", &[]);
    let mesh = mesh(vec![one, all, range, bare], vec![]);
    check(&mesh, "api.example.org", A, &["240.240.0.1"], None);
    check(&mesh, "www.example.org", A, &["240.240.0.2"], None);
    check(&mesh, "a.b.c.example.org", A, &["240.240.0.2"], None);
    // Answered at the first search domain; without another name under a wildcard.
    let long = "api.example.org.shop.svc.cluster.local";
    check(&mesh, long, A, &["240.240.0.1"], Some("api.example.org"));
    check(&mesh, "www.example.org.svc.cluster.local", A, &["240.240.0.2"], None);
    for host in ["example.org", "range.example.com", "bare.example.com"] {
        assert_eq!(ask(&mesh, host, A), FORWARD, "{host}");
    }
}

#[test]
fn whose_service_is_meant() {
    let host = "api.example.org";
    let of = |namespace, vip: &str, canonical, visibility| Service {
        canonical,
        visibility,
        ..service(namespace, host, &[vip])
    };
    let (public, namespace) = (Visibility::Public, Visibility::Namespace);
    let first = of("a", "240.240.0.1", false, public);
    let hidden = of("b", "240.240.0.2", true, namespace);
    let canonical = of("c", "240.240.0.3", true, public);
    let own = of("shop", "240.240.0.4", false, namespace);
    let with = |services: &[&Service]| {
        mesh(services.iter().map(|service| (*service).clone()).collect(), vec![])
    };
    check(&with(&[&first, &hidden, &canonical, &own]), host, A, &["240.240.0.4"], None);
    check(&with(&[&first, &hidden, &canonical]), host, A, &["240.240.0.3"], None);
    check(&with(&[&first, &hidden]), host, A, &["240.240.0.1"], None);
    assert_eq!(ask(&with(&[&hidden]), host, A), FORWARD);
}

#[test]
fn addresses_of_other_networks_are_not_told() {
    let far = service("shop", "far.shop.svc.cluster.local", &["other:10.96.0.1"]);
    let both = service("shop", "both.shop.svc.cluster.local", &["other:10.96.0.2", "10.96.0.3"]);
    let mesh = mesh(vec![far, both], vec![]);
    assert_eq!(ask(&mesh, "far", A), Answer::Empty);
    check(&mesh, "both", A, &["10.96.0.3"], None);
}

#[test]
fn a_headless_service_is_its_healthy_endpoints() {
    let db =
        Service { families: Families::V4, ..service("shop", "db.shop.svc.cluster.local", &[]) };
    let far =
        Member { network: "other".into(), ..member("db-3", &["10.0.0.4"], &db, Health::Healthy) };
    let members = vec![
        member("db-0", &["10.0.0.1", "fd00::1"], &db, Health::Healthy),
        member("db-1", &["10.0.0.2"], &db, Health::Healthy),
        member("db-2", &["10.0.0.3"], &db, Health::Unhealthy),
        far,
    ];
    let all = Service {
        balance: Balance { health: HealthPolicy::AllowAll, ..Balance::default() },
        ..db.clone()
    };
    let snapshot = mesh(vec![db.clone()], members.clone());
    check(&snapshot, "db", A, &["10.0.0.1", "10.0.0.2"], None);
    assert_eq!(ask(&snapshot, "db", AAAA), Answer::Empty, "its families");
    for host in ["db-0.db", "db-0.db.shop", "db-0.db.shop.svc", "db-0.db.shop.svc.cluster.local"] {
        check(&snapshot, host, A, &["10.0.0.1"], None);
    }
    // One that is asked for by name is told even when it is not ready: others wait for it.
    check(&snapshot, "db-2.db", A, &["10.0.0.3"], None);
    assert_eq!(ask(&snapshot, "db-9.db", A), FORWARD);
    check(&mesh(vec![all], members), "db", A, &["10.0.0.1", "10.0.0.2", "10.0.0.3"], None);
    assert_eq!(ask(&mesh(vec![db], vec![]), "db", A), Answer::Empty);
}

#[test]
fn the_order_is_as_the_dice_fall() {
    let mut items = [1, 2, 3, 4];
    shuffle(&mut items, || 0);
    assert_eq!(items, [2, 3, 4, 1]);
    let mut rolls = [3, 2, 1].into_iter();
    shuffle(&mut items, || rolls.next().unwrap());
    assert_eq!(items, [2, 3, 4, 1]);
}

proptest! {
    /// Whatever is asked, what is told is of the family that is asked for, and of a service.
    #[test]
    fn tells_nothing_else(
        labels in prop::collection::vec(prop_oneof!["web|db|shop|bank|svc|cluster|local|db-0", "[a-z]{1,3}"], 1..7),
        kind in prop_oneof![Just(A), Just(AAAA), any::<u16>()],
    ) {
        let web = service("shop", "web.shop.svc.cluster.local", &["10.96.0.1", "fd00::1"]);
        let db = service("bank", "db.bank.svc.cluster.local", &[]);
        let members = vec![member("db-0", &["10.96.0.2", "fd00::2"], &db, Health::Healthy)];
        let mesh = mesh(vec![web, db], members);
        if let Answer::Records(Records { canonical, ips }) = ask(&mesh, &labels.join("."), kind) {
            prop_assert!(matches!(kind, A | AAAA) && !ips.is_empty());
            prop_assert!(ips.iter().all(|ip| ip.is_ipv4() == (kind == A)));
            prop_assert!(canonical.is_none_or(|canonical| canonical.labels().count() < labels.len()));
            let known: &str = if labels.iter().any(|label| label == "web") { "1" } else { "2" };
            prop_assert!(ips.iter().all(|ip| ip.to_string().ends_with(known)));
        } else {
            prop_assert!(labels.as_slice() != ["web"] || kind != A);
        }
    }
}
