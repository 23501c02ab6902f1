//! Bytes and texts that are nearly right: nothing panics, and every refusal has a reason.
//! `PROPTEST_CASES` says how many are tried.
use crate::server;
use culvert_proto::json;
use culvert_xds::envoy::{
    bootstrap,
    decode::{self, Nothing},
    discover::Discovery,
    kind::Kind,
};
use proptest::{collection, prelude::*};
use std::sync::{Arc, LazyLock};

/// Of each type one with much in it.
const WHOLE: [(Kind, &str); 7] = [
    (
        Kind::Cluster,
        "{name: c, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}}}, lb_policy: RING_HASH, \
         ring_hash_lb_config: {minimum_ring_size: 10}, outlier_detection: {consecutive_5xx: 3}, circuit_breakers: \
         {thresholds: [{max_requests: 7, retry_budget: {budget_percent: {value: 20}}}]}, health_checks: [{timeout: 1s, \
         interval: 1s, healthy_threshold: 1, unhealthy_threshold: 1, http_health_check: {path: /, expected_statuses: \
         [{start: 200, end: 300}]}}], lb_subset_config: {subset_selectors: [{keys: [a, b], fallback_policy: KEYS_SUBSET, \
         fallback_keys_subset: [a]}]}}",
    ),
    (
        Kind::Endpoint,
        "{cluster_name: c, endpoints: [{locality: {zone: z}, priority: 0, load_balancing_weight: 3, lb_endpoints: \
         [{health_status: DRAINING, load_balancing_weight: 2, metadata: {filter_metadata: {a: {b: [1, x]}}}, endpoint: \
         {hostname: h, address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}]}], policy: {drop_overloads: \
         [{category: x, drop_percentage: {numerator: 5}}]}}",
    ),
    (
        Kind::Listener,
        "{name: l, address: {socket_address: {address: 0.0.0.0, port_value: 80}}, listener_filters: [{name: \
         envoy.filters.listener.tls_inspector}], filter_chains: [{filter_chain_match: {server_names: ['*.a.b'], \
         prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}, filters: [{name: t, typed_config: {'@type': \
         type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, weighted_clusters: \
         {clusters: [{name: a, weight: 1}]}}}]}]}",
    ),
    (
        Kind::Route,
        "{name: r, virtual_hosts: [{name: v, domains: [a.b, '*.c'], routes: [{match: {safe_regex: {regex: '/a(b)*'}, \
         headers: [{name: x, string_match: {prefix: y, ignore_case: true}}]}, route: {weighted_clusters: {clusters: \
         [{name: a, weight: 3}]}, timeout: 3s, retry_policy: {retry_on: 5xx, num_retries: 2}, hash_policy: [{cookie: \
         {name: s, ttl: 9s}}]}, request_headers_to_add: [{header: {key: a, value: '%REQ(b?c):3%'}}]}, {match: {path: /x}, \
         redirect: {path_redirect: '/y', response_code: FOUND}}]}]}",
    ),
    (
        Kind::Secret,
        "{name: s, validation_context: {match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: 'spiffe://a/b'}}]}}",
    ),
    (
        Kind::Extension,
        "{name: f, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, rules: \
         {policies: {p: {permissions: [{and_rules: {rules: [{url_path: {path: {prefix: /a}}}, {destination_port: 80}]}}], \
         principals: [{not_id: {direct_remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}}]}}}}}",
    ),
    (
        Kind::Runtime,
        "{name: rt, layer: {a: {b: 1, c: [x, {d: true}]}, e.f: '7', g: {numerator: 5, denominator: HUNDRED}}}",
    ),
];

static BYTES: LazyLock<Vec<(Kind, Vec<u8>)>> =
    LazyLock::new(|| WHOLE.map(|(kind, yaml)| (kind, server::any(kind, yaml).value)).into());

const BOOTSTRAP: &str = "
node: {id: n, cluster: c, locality: {zone: z}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
dynamic_resources: {ads_config: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: x}}]}, lds_config: {ads: {}}}
layered_runtime: {layers: [{name: s, static_layer: {a: {b: 1}}}, {name: a, admin_layer: {}}]}
static_resources:
  clusters: [{name: x, type: STRICT_DNS, load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: y, port_value: 1}}}}]}]}}]
  secrets: [{name: s, generic_secret: {secret: {inline_string: hush}}}]
";

/// Where, and what is done there.
#[derive(Clone, Debug)]
enum Slip {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
    /// What stands here comes again elsewhere.
    Copy(usize, u8),
}

fn slip() -> impl Strategy<Value = (usize, Slip)> {
    let what = prop_oneof![
        any::<u8>().prop_map(Slip::Set),
        any::<u8>().prop_map(Slip::Insert),
        Just(Slip::Remove),
        Just(Slip::Cut),
        (any::<usize>(), 1..16_u8).prop_map(|(to, length)| Slip::Copy(to, length)),
    ];
    (any::<usize>(), what)
}

fn slipped(mut bytes: Vec<u8>, slips: Vec<(usize, Slip)>) -> Vec<u8> {
    for (at, slip) in slips {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        match slip {
            Slip::Set(byte) => bytes[at] = byte,
            Slip::Insert(byte) => bytes.insert(at, byte),
            Slip::Remove => _ = bytes.remove(at),
            Slip::Cut => bytes.truncate(at),
            Slip::Copy(to, length) => {
                let end = bytes.len().min(at + usize::from(length));
                let copied: Vec<u8> = bytes[at..end].to_vec();
                let to = to % bytes.len();
                bytes.splice(to..to, copied);
            }
        }
    }
    bytes
}

fn look_at(kind: Kind, bytes: &[u8]) -> Option<decode::Wrong> {
    let mut any = culvert_proto::api::google::protobuf::Any::default();
    (any.type_url, any.value) = (kind.type_url().to_owned(), bytes.to_vec());
    drop((decode::name(&any), json::write(&any)));
    match kind {
        Kind::Cluster => decode::cluster(bytes, &Nothing).err(),
        Kind::Endpoint => decode::assignment(bytes).err(),
        Kind::Listener => decode::listener(bytes, &Nothing).err(),
        Kind::Route => decode::routes(bytes, &Nothing).err(),
        Kind::Secret => decode::secret(bytes, &Nothing).err(),
        Kind::Extension => decode::extension(bytes, &Nothing).err(),
        Kind::Runtime => decode::runtime(bytes).err(),
    }
}

#[test]
fn what_is_right_is_understood() {
    for (kind, bytes) in BYTES.iter() {
        assert_eq!(look_at(*kind, bytes), None, "{kind:?}");
    }
}

proptest! {
    #[test]
    fn resources(which in 0..WHOLE.len(), slips in collection::vec(slip(), 1..5)) {
        let (kind, bytes) = &BYTES[which];
        if let Some(wrong) = look_at(*kind, &slipped(bytes.clone(), slips)) {
            prop_assert!(!wrong.what.is_empty());
        }
    }

    #[test]
    fn bootstraps(slips in collection::vec(slip(), 1..5)) {
        let text = slipped(BOOTSTRAP.as_bytes().to_vec(), slips);
        let text = String::from_utf8_lossy(&text);
        match bootstrap::read("envoy.yaml", &text) {
            Ok(read) => {
                let tried = Discovery::try_new(&read, Arc::new(Nothing));
                if let Err(bad) = tried {
                    prop_assert!(bad.iter().all(|one| !one.wrong.what.is_empty()));
                }
            }
            Err(bad) => prop_assert!(bad.to_string().starts_with("envoy.yaml: ")),
        }
    }
}
