//! What each field of a `DestinationRule` asks for.
use super::{Ask, Meant, WEB};
use crate::compile::http::emit::{Scope, tests::SHOP};
use culvert_model::{
    http::{
        balance::{LocalityMode, Policy},
        cluster::{Cluster, Discovery, RetryLimit, UpstreamVersion},
        route::{Action, HashOn},
        tls::{ProxyVersion, UpstreamTransport},
    },
    locality::Locality,
};
use std::{sync::Arc, time::Duration};

fn rule(host: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {}, namespace: shop}}
spec: {{host: {host}, {spec}}}
",
        host.replace('.', "-")
    )
}

fn meant(policy: &str) -> Meant {
    let meant =
        Meant::of(&[SHOP, &rule("reviews", &format!("trafficPolicy: {{{policy}}}"))].concat());
    assert_eq!(meant.notes(), [""; 0], "{policy}");
    meant
}

fn cluster(policy: &str) -> Arc<Cluster> {
    meant(policy).cluster("outbound|9080||reviews.shop.svc.cluster.local")
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_balancer_is_what_it_is_called() {
    let policy = |simple: &str| {
        cluster(&format!("loadBalancer: {{simple: {simple}}}")).balance.policy.clone()
    };
    assert_eq!(policy("RANDOM"), Policy::Random);
    assert_eq!(policy("ROUND_ROBIN"), Policy::RoundRobin { slow_start: None });
    assert!(matches!(policy("LEAST_REQUEST"), Policy::LeastRequest(_)));
    assert!(matches!(policy("LEAST_CONN"), Policy::LeastRequest(_)));
    let passthrough = cluster("loadBalancer: {simple: PASSTHROUGH}");
    assert_eq!(passthrough.balance.policy, Policy::ClusterProvided);
    assert!(matches!(passthrough.discovery, Discovery::OriginalDst(_)));
}

#[test]
fn new_endpoints_are_warmed_up() {
    let warmup = "warmup: {duration: 30s, minimumPercent: 25, aggression: 2}";
    let of = |simple: &str, warmup: &str| {
        let found = cluster(&format!("loadBalancer: {{{simple}{warmup}}}"));
        if let Policy::LeastRequest(least) = &found.balance.policy {
            return least.slow_start.clone().unwrap();
        }
        let Policy::RoundRobin { slow_start } = &found.balance.policy else { panic!("{found:?}") };
        slow_start.clone().unwrap()
    };
    for simple in ["", "simple: ROUND_ROBIN, ", "simple: LEAST_REQUEST, "] {
        let found = of(simple, warmup);
        assert_eq!((found.window, found.aggression.default), (seconds(30), 2.0));
        assert!((found.min_weight - 25.0).abs() < f64::EPSILON);
    }
    assert_eq!(of("", "warmupDurationSecs: 20s").window, seconds(20));
}

#[test]
fn what_belongs_together_goes_to_one_endpoint() {
    let hashed = |hash: &str| {
        let meant = meant(&format!("loadBalancer: {{consistentHash: {{{hash}}}}}"));
        let ask = Ask { headers: &["x-user: tester", "cookie: c=1"], path: "/?q=1", ..WEB };
        let side = ask.side(&meant.engine("shop"));
        assert!(side.sent().unwrap().by_hash, "{hash}");
        let Action::Forward(forward) = &side.passage().unwrap().taken().unwrap().route.action
        else {
            panic!("{side:?}")
        };
        let [policy] = &forward.hash[..] else { panic!("{side:?}") };
        let balance = meant.cluster("outbound|9080||reviews.shop.svc.cluster.local");
        (policy.on.clone(), balance.balance.policy.clone())
    };
    let (HashOn::Header { name, .. }, Policy::RingHash(ring)) =
        hashed("httpHeaderName: X-User, ringHash: {minimumRingSize: 2048}")
    else {
        panic!()
    };
    assert_eq!((name.to_string(), ring.minimum), ("x-user".into(), 2048));
    let cookie = "httpCookie: {name: c, path: /p, ttl: 9s, attributes: [{name: SameSite, value: Strict}]}, maglev: {tableSize: 1009}";
    let (HashOn::Cookie(cookie), Policy::Maglev(maglev)) = hashed(cookie) else { panic!() };
    assert_eq!((&*cookie.name, &*cookie.path, cookie.ttl), ("c", "/p", Some(seconds(9))));
    assert_eq!((&*cookie.attributes[0].name, maglev.table_size), ("SameSite", 1009));
    let (on, policy) = hashed("useSourceIp: true");
    assert!(on == HashOn::SourceIp && matches!(policy, Policy::RingHash(_)));
    let (on, _) = hashed("httpQueryParameterName: q, minimumRingSize: 512");
    assert_eq!(on, HashOn::Query("q".into()));
}

#[test]
fn connections_and_requests_have_their_limits() {
    let found = cluster(
        "connectionPool: {tcp: {maxConnections: 7, connectTimeout: 3s, maxConnectionDuration: 600s, \
         tcpKeepalive: {probes: 4, time: 9s, interval: 5s}}, \
         http: {http1MaxPendingRequests: 8, http2MaxRequests: 9, maxRequestsPerConnection: 2, maxRetries: 6, \
         idleTimeout: 30s, maxConcurrentStreams: 11, http2KeepAlive: {interval: 30s, timeout: 4s}, h2UpgradePolicy: UPGRADE}}",
    );
    let of = &found.breakers.default;
    assert_eq!((of.max_connections, of.max_pending, of.max_requests), (7, 8, 9));
    assert_eq!((of.retries, found.connect_timeout), (RetryLimit::Count(6), seconds(3)));
    let common = &found.http.common;
    assert_eq!(common.max_requests_per_connection.map(u32::from), Some(2));
    assert_eq!(common.idle_timeout, Some(seconds(30)));
    assert_eq!(common.max_connection_duration, Some(seconds(600)));
    let keepalive = found.keepalive.unwrap();
    assert_eq!(
        (keepalive.probes, keepalive.time, keepalive.interval),
        (Some(4), Some(seconds(9)), Some(seconds(5)))
    );
    assert_eq!(found.http.version, UpstreamVersion::Http2);
    let version =
        |http: &str| cluster(&format!("connectionPool: {{http: {{{http}}}}}")).http.version;
    assert_eq!(version("useClientProtocol: true"), UpstreamVersion::AsDownstream);
    assert_eq!(version("h2UpgradePolicy: DO_NOT_UPGRADE"), UpstreamVersion::Http1);
    // Without limits, unless they are given.
    let none = &cluster("loadBalancer: {simple: RANDOM}").breakers.default;
    assert_eq!((none.max_connections, none.retries), (u32::MAX, RetryLimit::Count(u32::MAX)));
}

#[test]
fn tries_may_be_a_part_of_all_requests() {
    let found = cluster("retryBudget: {percent: 25, minRetryConcurrency: 4}");
    assert_eq!(found.breakers.default.retries, RetryLimit::Budget { percent: 25.0, min: 4 });
}

#[test]
fn endpoints_that_fail_are_left_out() {
    let found = cluster(
        "outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 2, interval: 4s, baseEjectionTime: 50s, \
         maxEjectionPercent: 40, minHealthPercent: 30, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 6}",
    );
    let of = found.outlier.as_ref().unwrap();
    assert_eq!((of.consecutive_5xx, of.consecutive_gateway, of.consecutive_local), (3, 2, 6));
    assert_eq!((of.interval, of.base_ejection, of.max_percent), (seconds(4), seconds(50), 40));
    assert_eq!((of.enforcing_consecutive_gateway, of.split_local), (100, true));
    assert!((found.balance.panic_threshold - 30.0).abs() < f64::EPSILON);
    // 0 turns a way of counting off.
    let off = cluster("outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 5}");
    let of = off.outlier.as_ref().unwrap();
    assert_eq!((of.enforcing_consecutive_5xx, of.enforcing_consecutive_gateway), (0, 100));
}

#[test]
fn a_proxy_header_goes_first() {
    for (version, wanted) in [("V1", ProxyVersion::V1), ("V2", ProxyVersion::V2)] {
        let found = cluster(&format!("proxyProtocol: {{version: {version}}}"));
        let UpstreamTransport::ProxyProtocol { version, .. } = &found.transport else {
            panic!("{found:?}")
        };
        assert_eq!(*version, wanted);
    }
}

/// Whether a rule that is shown to some counts, by a number that it says.
#[test]
fn a_rule_is_for_those_to_whom_it_is_exported() {
    let of = |export: &str, namespace: &str| {
        let spec = format!(
            "exportTo: [{export}], trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: 7}}}}}}"
        );
        // Everybody's connections pass, whatever the rule says.
        let route = "---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: r, namespace: shop}, \
                     spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}}\n";
        let meant =
            Meant::of(&[SHOP, route, &rule("reviews.shop.svc.cluster.local", &spec)].concat());
        let told = meant.told(Scope::of_engine(namespace, "node-a"));
        let name = "outbound|9080||reviews.shop.svc.cluster.local";
        told.clusters().value(name).unwrap().breakers.default.max_connections == 7
    };
    assert_eq!((of("'*'", "shop"), of("'*'", "bank")), (true, true));
    assert_eq!((of(".", "shop"), of(".", "bank")), (true, false));
    // As Istio has it, what is shown to others alone is not for its own namespace.
    assert_eq!((of("bank", "shop"), of("bank", "bank")), (false, true));
    assert_eq!((of("bank, shop", "shop"), of("bank, .", "shop")), (true, true));
    assert_eq!((of("'~'", "shop"), of("'~'", "bank")), (false, false));
}

const PLACES: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: shop}
spec:
  hosts: [far.example]
  addresses: [240.0.0.1]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 192.0.2.1, locality: r1/z1/s1}
  - {address: 192.0.2.2, locality: r1/z2}
  - {address: 192.0.2.3, locality: r2/z1, labels: {version: v1}}
  - {address: 192.0.2.4, locality: r3/z1, labels: {version: v1, tier: gold}}
";

/// Where endpoints are, with priority and weight.
fn places(setting: &str) -> Vec<String> {
    let outlier = "outlierDetection: {consecutive5xxErrors: 3}";
    let policy =
        format!("trafficPolicy: {{loadBalancer: {{localityLbSetting: {{{setting}}}}}, {outlier}}}");
    let meant = Meant::of(&[SHOP, PLACES, &rule("far.example", &policy)].concat());
    let locality = Locality { region: "r1".into(), zone: "z1".into(), subzone: "s1".into() };
    let told = meant.told(Scope { locality, ..Scope::of_engine("shop", "node-a") });
    let all = told.assignments().value("outbound|80||far.example").unwrap();
    let mut said: Vec<_> = (all.localities.iter())
        .map(|one| {
            let weight = one.weight.map_or(String::new(), |weight| format!(" {weight}"));
            format!("{} {}/{}{weight}", one.priority, one.locality.region, one.locality.zone)
        })
        .collect();
    said.sort();
    let weighted =
        told.clusters().value("outbound|80||far.example").unwrap().balance.locality.clone();
    assert_eq!(weighted == LocalityMode::Weighted, setting.contains("distribute"));
    said
}

#[test]
fn near_ones_are_first_or_as_it_is_said() {
    assert_eq!(places("enabled: true"), ["0 r1/z1", "1 r1/z2", "2 r2/z1", "2 r3/z1"]);
    assert_eq!(places("enabled: false"), ["0 r1/z1", "0 r1/z2", "0 r2/z1", "0 r3/z1"]);
    assert_eq!(
        places("failover: [{from: r1, to: r3}]"),
        ["0 r1/z1", "1 r1/z2", "2 r3/z1", "3 r2/z1"]
    );
    assert_eq!(
        places("failoverPriority: ['version=v1', 'tier=gold']"),
        ["0 r3/z1", "1 r2/z1", "2 r1/z1", "2 r1/z2"]
    );
    assert_eq!(
        places("distribute: [{from: r1/*, to: {'r1/z1/*': 70, 'r2/*': 30}}]"),
        ["0 r1/z1 70", "0 r2/z1 30"]
    );
    assert_eq!(
        places("distribute: [{from: r9/*, to: {'r1/*': 100}}]").len(),
        4,
        "nothing is said of this place"
    );
}
