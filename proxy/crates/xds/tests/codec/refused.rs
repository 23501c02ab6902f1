//! Each thing that is not understood, and the field that is named.
use culvert_model::{authz::Scope, name::ObjectName};
use culvert_proto::{
    Message as _,
    envoy::service::discovery::v3 as ads,
    istio::{
        security::{self, string_match::MatchType},
        workload::{self, gateway_address::Destination},
    },
};
use culvert_xds::{
    decode,
    resource::{Address, Resource},
};

#[track_caller]
fn workload(change: impl FnOnce(&mut workload::Workload), expect: &str) {
    let mut message = workload::Workload {
        uid: "u".into(),
        namespace: "ns".into(),
        ..workload::Workload::default()
    };
    change(&mut message);
    assert_eq!(decode::workload::decode(message).unwrap_err().to_string(), expect);
}

#[track_caller]
fn service(change: impl FnOnce(&mut workload::Service), expect: &str) {
    let mut message = workload::Service {
        namespace: "ns".into(),
        hostname: "h".into(),
        ..workload::Service::default()
    };
    change(&mut message);
    assert_eq!(decode::service::decode(message).unwrap_err().to_string(), expect);
}

#[track_caller]
fn policy(change: impl FnOnce(&mut security::Match), expect: &str) {
    let mut one = security::Match::default();
    change(&mut one);
    let clause = security::Clause { matches: vec![security::Match::default(), one] };
    let message = security::Authorization {
        name: "p".into(),
        namespace: "ns".into(),
        rules: vec![security::Rule { clauses: vec![clause] }],
        ..security::Authorization::default()
    };
    let error = decode::authorization::decode(message, None).unwrap_err();
    assert_eq!(error.to_string(), format!("rules[0].clauses[0].matches[1].{expect}"));
}

fn gateway(destination: Option<Destination>, hbone_mtls_port: u32) -> workload::GatewayAddress {
    workload::GatewayAddress { destination, hbone_mtls_port }
}

fn extension() -> workload::Extension {
    workload::Extension { name: "culvert.dev/new".into(), config: None }
}

/// What must pass L7: these ports.
fn l7(ports: Vec<u32>) -> workload::Extension {
    let value =
        culvert_proto::culvert::l7::v1::MustPass { ports, ..Default::default() }.encode_to_vec();
    let type_url = "type.googleapis.com/culvert.l7.v1.MustPass".to_owned();
    let config = Some(culvert_proto::Any { type_url, value });
    workload::Extension { name: "culvert.dev/l7".into(), config }
}

#[test]
fn workloads() {
    workload(|w| w.uid.clear(), "uid: empty");
    workload(|w| w.namespace.clear(), "namespace: namespace is empty");
    workload(|w| w.trust_domain = "a/b".into(), "trust_domain: trust domain contains a slash");
    workload(
        |w| w.addresses = vec![vec![10, 0, 0, 1].into(), vec![1, 2, 3].into()],
        "addresses[1]: address has 3 bytes, want 4 or 16",
    );
    workload(
        |w| w.addresses = vec![vec![127, 0, 0, 1].into()],
        "addresses[0]: 127.0.0.1 cannot be the address of a workload",
    );
    workload(
        |w| w.tunnel_protocol = 2,
        "tunnel_protocol: set, and this version does not implement it",
    );
    workload(|w| w.tunnel_protocol = 9, "tunnel_protocol: 9 is no value that this version knows");
    workload(|w| w.network_mode = 2, "network_mode: 2 is no value that this version knows");
    workload(|w| w.status = -1, "status: -1 is no value that this version knows");
    workload(|w| w.waypoint = Some(gateway(None, 1)), "waypoint.destination: not set");
    let empty = Destination::Hostname(workload::NamespacedHostname::default());
    workload(
        |w| w.network_gateway = Some(gateway(Some(empty), 70_000)),
        "network_gateway.hbone_mtls_port: 70000 is not a port",
    );
    workload(
        |w| w.authorization_policies = vec!["ns/a".into(), "b".into()],
        "authorization_policies[1]: \"b\" is not namespace/name",
    );
    workload(
        |w| drop(w.services.insert("h".into(), workload::PortList::default())),
        "services[h]: \"h\" is not namespace/hostname",
    );
    let ports = vec![workload::Port { service_port: 0, ..workload::Port::default() }];
    workload(
        |w| drop(w.services.insert("ns/h".into(), workload::PortList { ports })),
        "services[ns/h].ports[0].service_port: 0 is not a port",
    );
    let tunnel = workload::ApplicationTunnel { protocol: 7, port: 1 };
    workload(
        |w| w.application_tunnel = Some(tunnel),
        "application_tunnel.protocol: 7 is no value that this version knows",
    );
    workload(
        |w| w.extensions = vec![extension()],
        "extensions[0]: set, and this version does not implement it",
    );
    workload(
        |w| w.extensions = vec![l7(vec![80]), l7(vec![80])],
        "extensions[1]: set, and this version does not implement it",
    );
    workload(
        |w| w.extensions = vec![l7(vec![80, 0])],
        "extensions[0].config.ports[1]: 0 is not a port",
    );
    workload(
        |w| w.extensions = vec![workload::Extension { config: None, ..l7(Vec::new()) }],
        "extensions[0].config: not set",
    );
}

#[test]
fn services() {
    service(|s| s.hostname.clear(), "hostname: empty");
    service(
        |s| s.subject_alt_names = vec!["spiffe://td/x".into()],
        "subject_alt_names[0]: \"spiffe://td/x\" cannot be a server's identity: path is not \
         /ns/<namespace>/sa/<service account>",
    );
    let vip = |length| workload::NetworkAddress {
        address: vec![10, 0, 0, 1].into(),
        length: Some(length),
        ..workload::NetworkAddress::default()
    };
    service(
        |s| s.addresses = vec![vip(33)],
        "addresses[0].length: prefix length 33 is too long for 10.0.0.1",
    );
    service(
        |s| s.waypoint = Some(gateway(Some(Destination::Address(vip(24))), 1)),
        "waypoint.address.length: set, and this version does not implement it",
    );
    service(
        |s| s.weighted_waypoints = vec![workload::WeightedWaypoint::default()],
        "weighted_waypoints[0].destination: not set",
    );
    service(|s| s.visibility = 5, "visibility: 5 is no value that this version knows");
    service(|s| s.ip_families = 5, "ip_families: 5 is no value that this version knows");
    service(
        |s| {
            s.load_balancing = Some(workload::LoadBalancing {
                routing_preference: vec![1, 0],
                ..workload::LoadBalancing::default()
            });
        },
        "load_balancing.routing_preference[1]: 0 is no value that this version knows",
    );
    service(
        |s| s.extensions = vec![extension()],
        "extensions[0]: set, and this version does not implement it",
    );
    service(
        |s| s.extensions = vec![l7(vec![80]), l7(vec![80])],
        "extensions[1]: set, and this version does not implement it",
    );
    service(
        |s| s.extensions = vec![l7(vec![80, 0])],
        "extensions[0].config.ports[1]: 0 is not a port",
    );
    service(
        |s| s.extensions = vec![workload::Extension { config: None, ..l7(Vec::new()) }],
        "extensions[0].config: not set",
    );
}

#[test]
fn policies() {
    let net =
        |address: Vec<u8>, length| vec![security::Address { address: address.into(), length }];
    policy(
        |m| m.not_source_ips = net(vec![10, 0, 0, 1], 33),
        "not_source_ips[0]: prefix length 33 is too long for 10.0.0.1",
    );
    policy(
        |m| m.destination_ips = net(vec![], 0),
        "destination_ips[0]: address has 0 bytes, want 4 or 16",
    );
    policy(|m| m.destination_ports = vec![80, 65_616], "destination_ports[1]: 65616 is not a port");
    policy(
        |m| m.principals = vec![security::StringMatch { match_type: None }],
        "principals[0].match_type: not set",
    );
    policy(
        |m| m.not_service_accounts = vec![security::ServiceAccountMatch::default()],
        "not_service_accounts[0].namespace: empty",
    );
    policy(
        |m| m.extensions = vec![security::Extension::default()],
        "extensions: set, and this version does not implement it",
    );
}

#[test]
fn a_refused_policy_denies_where_it_may_have_spoken() {
    let name = ObjectName::new("ns", "p");
    let of = |scope, dry_run| {
        let message = security::Authorization { scope, dry_run, ..Default::default() };
        decode::authorization::stand_in(&name, Some(&message)).map(|policy| policy.scope)
    };
    assert_eq!(of(0, false), Some(Scope::Global));
    assert_eq!(of(1, false), Some(Scope::Namespace));
    assert_eq!(of(2, false), None, "whoever names it lets nothing pass while it is not known");
    assert_eq!(of(9, false), Some(Scope::Global));
    assert_eq!(of(0, true), None, "it was only to be logged");
    let unread = decode::authorization::stand_in(&name, None).unwrap();
    assert_eq!((unread.scope, unread.rules.len()), (Scope::Global, 1));
}

#[test]
fn a_refused_workload_is_no_stranger() {
    let resource = ads::Resource { aliases: vec!["net/10.0.0.1".into()], ..Default::default() };
    let closed = |message: Option<&workload::Address>| {
        let ranges = <Address as Resource>::stand_in(&resource, message);
        ranges.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(closed(None), ["net/10.0.0.1"]);
    let message =
        |message| workload::Address { r#type: Some(workload::address::Type::Workload(message)) };
    let whole = message(workload::Workload {
        network: "net".into(),
        addresses: vec![vec![10, 0, 0, 1].into(), vec![10, 0, 0, 2].into(), vec![1].into()],
        ..workload::Workload::default()
    });
    assert_eq!(closed(Some(&whole)), ["net/10.0.0.1", "net/10.0.0.2"]);
}

#[test]
fn a_string_match_of_each_kind_is_understood() {
    for kind in [
        MatchType::Exact("a".into()),
        MatchType::Prefix("a".into()),
        MatchType::Suffix("a".into()),
        MatchType::Presence(()),
    ] {
        let one = security::Match {
            principals: vec![security::StringMatch { match_type: Some(kind) }],
            ..security::Match::default()
        };
        let message = security::Authorization {
            name: "p".into(),
            namespace: "ns".into(),
            rules: vec![security::Rule { clauses: vec![security::Clause { matches: vec![one] }] }],
            ..security::Authorization::default()
        };
        let policy = decode::authorization::decode(message, None).unwrap();
        assert!(!policy.rules[0].clauses[0].matches[0].is_empty());
    }
}
