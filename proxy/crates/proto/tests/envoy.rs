//! Envoy's messages as people write them.
use culvert_proto::{
    Message as _, Name as _,
    api::{
        envoy::{
            config::{
                bootstrap::v3::Bootstrap,
                cluster::v3::{Cluster, cluster},
            },
            extensions::{
                filters::network::{
                    http_connection_manager::v3::HttpConnectionManager, tcp_proxy::v3::TcpProxy,
                },
                transport_sockets::tls::v3::Secret,
            },
        },
        google::protobuf::Any,
    },
    json, rules,
};

fn bootstrap(text: &str) -> Result<Bootstrap, String> {
    let value = json::yaml::read(text).map_err(|error| error.to_string())?;
    json::read(&value).map_err(|problems| problems.to_string())
}

fn cluster(text: &str) -> Result<Cluster, String> {
    let value = json::yaml::read(text).map_err(|error| error.to_string())?;
    json::read(&value).map_err(|problems| problems.to_string())
}

#[test]
fn a_bootstrap_is_read_whichever_way_it_is_written() {
    let written = bootstrap(
        "
node: {id: a, cluster: b}
static_resources:
  listeners:
    name: one
    address: {socketAddress: {address: 0.0.0.0, port_value: 8080}}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: x
          cluster: y
          idle_timeout: 1.5s
          max_connect_attempts: 3
  clusters:
  - name: y
    type: strict-dns
    lbPolicy: round_robin
    connect_timeout: 0.25s
    metadata: {filter_metadata: {a: {b: [1, x, true, null, {c: d}]}}}
",
    )
    .unwrap();
    let resources = written.static_resources.unwrap();
    let chain = &resources.listeners[0].filter_chains[0];
    let Some(any) = any(chain) else { panic!("no typed_config") };
    let tcp = TcpProxy::decode(&*any.value).unwrap();
    assert_eq!(tcp.idle_timeout.unwrap().nanos, 500_000_000);
    assert_eq!(tcp.max_connect_attempts.unwrap().value, 3);
    let cluster = &resources.clusters[0];
    assert_eq!(
        cluster.cluster_discovery_type,
        Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::StrictDns.into()))
    );
    assert_eq!(cluster.lb_policy, i32::from(cluster::LbPolicy::RoundRobin));
}

fn any(chain: &culvert_proto::api::envoy::config::listener::v3::FilterChain) -> Option<&Any> {
    use culvert_proto::api::envoy::config::listener::v3::filter::ConfigType;
    match chain.filters[0].config_type.as_ref()? {
        ConfigType::TypedConfig(any) => Some(any),
        ConfigType::ConfigDiscovery(_) => None,
    }
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let problems = bootstrap(
        "
static_resources:
  listners: []
  clusters:
  - name: 5
    conect_timeout: 1s
    type: SOMETIMES
    connect_timeout: 5
    per_connection_buffer_limit_bytes: -1
    load_assignment:
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: a, port_value: 1, named_port: b}}}
    transport_socket:
      typed_config: {sni: x}
",
    )
    .unwrap_err();
    let expected = [
        "static_resources.listners: no such field in \
         envoy.config.bootstrap.v3.Bootstrap.StaticResources; is listeners meant?",
        "static_resources.clusters[0].name: want text, got the number 5; put it in quotes",
        "static_resources.clusters[0].conect_timeout: no such field in \
         envoy.config.cluster.v3.Cluster; is connect_timeout meant?",
        "static_resources.clusters[0].type: \"SOMETIMES\" is none of STATIC, STRICT_DNS, \
         LOGICAL_DNS, EDS, ORIGINAL_DST",
        "static_resources.clusters[0].connect_timeout: want a duration such as 0.25s, got the \
         number 5",
        "static_resources.clusters[0].per_connection_buffer_limit_bytes: -1 is out of range",
        "static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.\
         address.socket_address.port_value: cannot be given beside named_port",
        "static_resources.clusters[0].transport_socket.typed_config: no @type; it says what the \
         other fields mean",
    ];
    let problems: std::collections::BTreeSet<_> = problems.lines().collect();
    assert_eq!(problems, expected.into());
}

#[test]
fn bad_yaml_says_where() {
    let error = bootstrap("a: [1\nb: 2").unwrap_err();
    assert!(error.contains("line 2"), "{error}");
    let error = bootstrap("node: {}\nnode: {}").unwrap_err();
    assert_eq!(error, "node is there twice: again at line 2, column 1");
}

#[test]
fn rules_of_the_proto_files_hold_inside_of_everything() {
    let of = |text: &str| {
        let message = cluster(text).unwrap();
        let problems = rules::check(&Cluster::type_url(), &message.encode_to_vec());
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("{name: a, connect_timeout: 1s}"), Vec::<String>::new());
    assert_eq!(
        of("{connect_timeout: 0s, health_checks: [{timeout: 1s, interval: 1s}], \
            outlier_detection: {enforcing_consecutive_5xx: 101}, lb_policy: 77}"),
        [
            "name: empty",
            "connect_timeout: is 0, must be more than 0 seconds",
            "lb_policy: 77 is no value of LbPolicy",
            "health_checks[0].unhealthy_threshold: not set",
            "health_checks[0].healthy_threshold: not set",
            "health_checks[0]: one of http_health_check, tcp_health_check, grpc_health_check, \
             custom_health_check must be set",
            "outlier_detection.enforcing_consecutive_5xx: is 101, must be at most 100",
        ]
    );
    let manager = Any {
        type_url: HttpConnectionManager::type_url(),
        value: HttpConnectionManager::default().encode_to_vec(),
    };
    let problems = rules::check(&Any::type_url(), &manager.encode_to_vec());
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["stat_prefix: empty", "one of rds, route_config, scoped_routes must be set",]
    );
}

#[test]
fn what_is_written_can_be_read_again_and_shows_no_secret() {
    let text = "
name: y
connect_timeout: 0.250s
circuit_breakers: {thresholds: [{max_connections: 5}]}
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}
metadata: {filter_metadata: {a: {b: [1, x, true, null]}}}
";
    let first = cluster(text).unwrap();
    let written = json::write(&first);
    assert_eq!(written["connect_timeout"], "0.250s");
    assert_eq!(written["circuit_breakers"]["thresholds"][0]["max_connections"], 5);
    let again: Cluster = json::read(&written).unwrap();
    assert_eq!(again, first);

    let secret = json::yaml::read(
        "{name: s, tls_certificate: {certificate_chain: {inline_string: PUBLIC}, \
          private_key: {inline_string: HIDDEN}}}",
    );
    let secret: Secret = json::read(&secret.unwrap()).unwrap();
    let written = json::write(&secret).to_string();
    assert!(written.contains("PUBLIC") && written.contains("[redacted]"), "{written}");
    assert!(!written.contains("HIDDEN"), "{written}");
}
