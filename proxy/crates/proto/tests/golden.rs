//! The numbers on the wire: each message encoded and compared byte by byte, so that a field whose
//! number changes is found here and not by a peer.
#![expect(clippy::unwrap_used, clippy::too_many_lines, reason = "messages written out whole")]
use culvert_proto::{
    Any, Message, Struct, Value,
    envoy::{
        config::core::v3::{ControlPlane, Locality, Metadata, Node},
        service::discovery::v3::{
            CacheControl, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest,
            DiscoveryResponse, Resource,
        },
    },
    google::rpc::Status,
    istio::{security, v1::auth, workload},
    value::Kind,
};

/// One field of length-delimited kind: tag, length, payload.
fn field(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = tag(number, 2);
    bytes.extend(varint(u64::try_from(payload.len()).unwrap()));
    bytes.extend(payload);
    bytes
}

/// One field of varint kind.
fn number(field: u32, value: u64) -> Vec<u8> {
    [tag(field, 0), varint(value)].concat()
}

fn tag(number: u32, kind: u32) -> Vec<u8> {
    varint(u64::from(number << 3 | kind))
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

#[track_caller]
fn check<M: Message + PartialEq + Default + std::fmt::Debug>(message: &M, fields: &[Vec<u8>]) {
    let expect = fields.concat();
    assert_eq!(message.encode_to_vec(), expect);
    assert_eq!(&M::decode(&*expect).unwrap(), message);
}

fn any() -> Any {
    Any { type_url: "t".into(), value: b"v".to_vec() }
}

fn any_bytes() -> Vec<u8> {
    [field(1, b"t"), field(2, b"v")].concat()
}

#[test]
fn delta_request() {
    let message = DeltaDiscoveryRequest {
        node: Some(Node {
            id: "i".into(),
            cluster: "c".into(),
            metadata: Some(Struct {
                fields: [("k".into(), Value { kind: Some(Kind::StringValue("v".into())) })].into(),
            }),
            locality: Some(Locality { region: "r".into(), zone: "z".into(), sub_zone: "s".into() }),
            ..Node::default()
        }),
        type_url: "url".into(),
        resource_names_subscribe: vec!["s".into()],
        resource_names_unsubscribe: vec!["u".into()],
        initial_resource_versions: [("n".into(), "1".into())].into(),
        response_nonce: "nonce".into(),
        error_detail: Some(Status { code: 3, message: "bad".into(), details: vec![any()] }),
    };
    let metadata = field(1, &[field(1, b"k"), field(2, &field(3, b"v"))].concat());
    let locality = [field(1, b"r"), field(2, b"z"), field(3, b"s")].concat();
    let node = [field(1, b"i"), field(2, b"c"), field(3, &metadata), field(4, &locality)].concat();
    let status = [number(1, 3), field(2, b"bad"), field(3, &any_bytes())].concat();
    check(
        &message,
        &[
            field(1, &node),
            field(2, b"url"),
            field(3, b"s"),
            field(4, b"u"),
            field(5, &[field(1, b"n"), field(2, b"1")].concat()),
            field(6, b"nonce"),
            field(7, &status),
        ],
    );
}

#[test]
fn delta_response() {
    let message = DeltaDiscoveryResponse {
        system_version_info: "7".into(),
        resources: vec![Resource {
            version: "1".into(),
            resource: Some(any()),
            name: "n".into(),
            aliases: vec!["a".into()],
            ttl: Some(culvert_proto::Duration { seconds: 1, nanos: 0 }),
            cache_control: Some(CacheControl { do_not_cache: true }),
            metadata: Some(Metadata { filter_metadata: [("f".into(), Struct::default())].into() }),
        }],
        type_url: "url".into(),
        nonce: "nonce".into(),
        removed_resources: vec!["gone".into()],
        control_plane: Some(ControlPlane { identifier: "c".into() }),
    };
    let resource = [
        field(1, b"1"),
        field(2, &any_bytes()),
        field(3, b"n"),
        field(4, b"a"),
        field(6, &number(1, 1)),
        field(7, &number(1, 1)),
        field(8, &field(1, &[field(1, b"f")].concat())),
    ]
    .concat();
    check(
        &message,
        &[
            field(1, b"7"),
            field(2, &resource),
            field(4, b"url"),
            field(5, b"nonce"),
            field(6, b"gone"),
            field(7, &field(1, b"c")),
        ],
    );
}

#[test]
fn state_of_the_world() {
    let request = DiscoveryRequest {
        version_info: "1".into(),
        node: Some(Node { id: "i".into(), ..Node::default() }),
        resource_names: vec!["n".into()],
        type_url: "t".into(),
        response_nonce: "r".into(),
        error_detail: Some(Status { code: 3, ..Status::default() }),
    };
    check(
        &request,
        &[
            field(1, b"1"),
            field(2, &field(1, b"i")),
            field(3, b"n"),
            field(4, b"t"),
            field(5, b"r"),
            field(6, &number(1, 3)),
        ],
    );
    let response = DiscoveryResponse {
        version_info: "1".into(),
        resources: vec![any()],
        type_url: "t".into(),
        nonce: "r".into(),
        control_plane: Some(ControlPlane { identifier: "c".into() }),
    };
    check(
        &response,
        &[
            field(1, b"1"),
            field(2, &any_bytes()),
            field(4, b"t"),
            field(5, b"r"),
            field(6, &field(1, b"c")),
        ],
    );
}

fn gateway() -> workload::GatewayAddress {
    use workload::{NamespacedHostname, gateway_address::Destination};
    workload::GatewayAddress {
        hbone_mtls_port: 15008,
        destination: Some(Destination::Hostname(NamespacedHostname {
            namespace: "ns".into(),
            hostname: "h".into(),
        })),
    }
}

fn gateway_bytes() -> Vec<u8> {
    [field(1, &[field(1, b"ns"), field(2, b"h")].concat()), number(3, 15008)].concat()
}

fn extension_bytes() -> Vec<u8> {
    [field(1, b"e"), field(2, &any_bytes())].concat()
}

#[test]
fn workload() {
    let port = workload::Port { service_port: 80, target_port: 8080, app_protocol: 5 };
    let message = workload::Workload {
        uid: "uid".into(),
        name: "name".into(),
        namespace: "ns".into(),
        addresses: vec![vec![10, 0, 0, 1].into(), vec![7; 16].into()],
        hostname: "host".into(),
        network: "net".into(),
        tunnel_protocol: 1,
        trust_domain: "td".into(),
        service_account: "sa".into(),
        waypoint: Some(gateway()),
        network_gateway: Some(gateway()),
        node: "node".into(),
        canonical_name: "cn".into(),
        canonical_revision: "cr".into(),
        workload_type: 2,
        workload_name: "wn".into(),
        native_tunnel: true,
        application_tunnel: Some(workload::ApplicationTunnel { protocol: 1, port: 15088 }),
        services: [("ns/h".into(), workload::PortList { ports: vec![port] })].into(),
        authorization_policies: vec!["ns/p".into()],
        status: 1,
        cluster_id: "c".into(),
        locality: Some(workload::Locality {
            region: "r".into(),
            zone: "z".into(),
            subzone: "s".into(),
        }),
        network_mode: 1,
        extensions: vec![workload::Extension { name: "e".into(), config: Some(any()) }],
        capacity: Some(5),
    };
    let port = [number(1, 80), number(2, 8080), number(3, 5)].concat();
    let services = [field(1, b"ns/h"), field(2, &field(1, &port))].concat();
    let fields = [
        field(1, b"name"),
        field(2, b"ns"),
        field(3, &[10, 0, 0, 1]),
        field(3, &[7; 16]),
        field(4, b"net"),
        number(5, 1),
        field(6, b"td"),
        field(7, b"sa"),
        field(8, &gateway_bytes()),
        field(9, b"node"),
        field(10, b"cn"),
        field(11, b"cr"),
        number(12, 2),
        field(13, b"wn"),
        number(14, 1),
        field(16, b"ns/p"),
        number(17, 1),
        field(18, b"c"),
        field(19, &gateway_bytes()),
        field(20, b"uid"),
        field(21, b"host"),
        field(22, &services),
        field(23, &[number(1, 1), number(2, 15088)].concat()),
        field(24, &[field(1, b"r"), field(2, b"z"), field(3, b"s")].concat()),
        number(25, 1),
        field(26, &extension_bytes()),
        field(27, &number(1, 5)),
    ];
    check(&message, &fields);
    let address = workload::Address { r#type: Some(workload::address::Type::Workload(message)) };
    check(&address, &[field(1, &fields.concat())]);
}

#[test]
fn service() {
    use workload::{NetworkAddress, gateway_address::Destination};
    let vip =
        NetworkAddress { network: "n".into(), address: vec![10, 0, 0, 0].into(), length: Some(0) };
    let message = workload::Service {
        name: "name".into(),
        namespace: "ns".into(),
        hostname: "h".into(),
        addresses: vec![vip.clone()],
        ports: vec![workload::Port { service_port: 80, ..workload::Port::default() }],
        subject_alt_names: vec!["san".into()],
        waypoint: Some(workload::GatewayAddress {
            destination: Some(Destination::Address(vip)),
            hbone_mtls_port: 0,
        }),
        load_balancing: Some(workload::LoadBalancing {
            routing_preference: vec![1, 6],
            mode: 2,
            health_policy: 1,
        }),
        ip_families: 3,
        extensions: vec![workload::Extension { name: "e".into(), config: Some(any()) }],
        canonical: true,
        ingress_use_waypoint: true,
        weighted_waypoints: vec![workload::WeightedWaypoint {
            destination: Some(gateway()),
            weight: 9,
        }],
        visibility: 1,
    };
    let vip = [field(1, b"n"), field(2, &[10, 0, 0, 0]), number(3, 0)].concat();
    let fields = [
        field(1, b"name"),
        field(2, b"ns"),
        field(3, b"h"),
        field(4, &vip),
        field(5, &number(1, 80)),
        field(6, b"san"),
        field(7, &field(2, &vip)),
        field(8, &[field(1, &[1, 6]), number(2, 2), number(3, 1)].concat()),
        number(9, 3),
        field(10, &extension_bytes()),
        number(11, 1),
        number(12, 1),
        field(13, &[field(1, &gateway_bytes()), number(2, 9)].concat()),
        number(14, 1),
    ];
    check(&message, &fields);
    let address = workload::Address { r#type: Some(workload::address::Type::Service(message)) };
    check(&address, &[field(2, &fields.concat())]);
}

#[test]
fn authorization() {
    use security::{Address, ServiceAccountMatch, StringMatch, string_match::MatchType};
    let string = |match_type| vec![StringMatch { match_type: Some(match_type) }];
    let net = |b: u8| vec![Address { address: vec![10, 0, 0, b].into(), length: 32 }];
    let account =
        |s: &str| vec![ServiceAccountMatch { namespace: "ns".into(), service_account: s.into() }];
    let all = security::Match {
        namespaces: string(MatchType::Exact("a".into())),
        not_namespaces: string(MatchType::Prefix("b".into())),
        principals: string(MatchType::Suffix("c".into())),
        not_principals: string(MatchType::Presence(())),
        source_ips: net(1),
        not_source_ips: net(2),
        destination_ips: net(3),
        not_destination_ips: net(4),
        destination_ports: vec![80],
        not_destination_ports: vec![90],
        service_accounts: account("e"),
        not_service_accounts: account("f"),
        extensions: vec![security::Extension { name: "e".into(), config: Some(any()) }],
    };
    let net = |b: u8| [field(1, &[10, 0, 0, b]), number(2, 32)].concat();
    let account = |s: &[u8]| [field(1, b"ns"), field(2, s)].concat();
    let match_bytes = [
        field(1, &field(1, b"a")),
        field(2, &field(2, b"b")),
        field(3, &field(3, b"c")),
        field(4, &field(4, b"")),
        field(5, &net(1)),
        field(6, &net(2)),
        field(7, &net(3)),
        field(8, &net(4)),
        field(9, &[80]),
        field(10, &[90]),
        field(11, &account(b"e")),
        field(12, &account(b"f")),
        field(13, &extension_bytes()),
    ]
    .concat();
    let message = security::Authorization {
        name: "p".into(),
        namespace: "ns".into(),
        scope: 2,
        action: 1,
        rules: vec![security::Rule { clauses: vec![security::Clause { matches: vec![all] }] }],
        dry_run: true,
        extensions: vec![security::Extension { name: "e".into(), config: Some(any()) }],
    };
    check(
        &message,
        &[
            field(1, b"p"),
            field(2, b"ns"),
            number(3, 2),
            number(4, 1),
            field(5, &field(1, &field(2, &match_bytes))),
            number(6, 1),
            field(7, &extension_bytes()),
        ],
    );
}

#[test]
fn certificate_authority() {
    let request = auth::IstioCertificateRequest {
        csr: "pem".into(),
        validity_duration: 86_400,
        metadata: Some(Struct::default()),
    };
    check(&request, &[field(1, b"pem"), number(3, 86_400), field(4, b"")]);
    let response = auth::IstioCertificateResponse { cert_chain: vec!["a".into(), "b".into()] };
    check(&response, &[field(1, b"a"), field(1, b"b")]);
}
