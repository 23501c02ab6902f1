//! What a person reads when one of Istio's objects is wrong.
use super::{read, told};
use crate::object::istio::{
    text_match::TextMatch,
    virtual_service::{GatewayRef, policy::AbortWith},
};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn a_virtual_service_is_read_whole_and_knows_its_places() {
    let objects = read(ROUTES);
    let [service] = &objects.virtual_services[..] else { panic!("{objects:?}") };
    assert_eq!(service.hosts[0].value.as_str(), "reviews");
    assert!(service.is_for_mesh() && !service.is_delegate());
    assert!(service.gateways[1].value.is("edge", "public", "shop"));
    assert_eq!(service.gateways[0].value, GatewayRef::Mesh);
    let [first, second] = &service.http[..] else { panic!("{service:?}") };
    assert_eq!((first.at.line, second.at.line), (10, 36));
    let one = &first.value.matches[0];
    assert_eq!(one.at.line, 12);
    assert_eq!(one.value.uri, Some(TextMatch::Prefix("/api".into())));
    let share = &first.value.route[1].value;
    assert_eq!((share.weight, share.destination.host.value.as_str()), (Some(10), "reviews.shop"));
    assert_eq!(share.destination.port().map(u16::from), Some(9080));
    assert_eq!(first.value.timeout.as_ref().unwrap().value.0, Duration::from_millis(2500));
    let fault = &first.value.fault.as_ref().unwrap().value;
    let abort = fault.abort.as_ref().unwrap().value;
    assert_eq!((abort.with, abort.share.millionths()), (AbortWith::Grpc(14), 1_000));
    let mirrored: Vec<_> = first.value.mirrored().map(|(_, share)| share.millionths()).collect();
    assert_eq!(mirrored, [500_000]);
    // What did not change is equal, wherever the text came from.
    assert_eq!(read(ROUTES).virtual_services, objects.virtual_services);
    assert_eq!(objects.skipped.len(), 0);
}

#[test]
fn what_is_wrong_with_routes_is_told_at_once() {
    let text = r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews, 'http://a', reviews]
  gateways: [Bad_Name]
  http:
  - match:
    - uri: {prefx: /a}
    - uri: {exact: /a, prefix: /b}
    - headers: {'a b': {regex: '('}}
    route:
    - destination: {host: '*.a', port: {number: 0}}
    timeout: 10
  - redirect: {redirectCode: 200}
    route: [{destination: {host: a}, weight: -1}]
  - name: nowhere
  - route: [{destination: {host: a}}]
    timeout: 0s
    fault: {abort: {httpStatus: 503, grpcStatus: OK}, delay: {percentage: {value: 101}, fixedDelay: 1s}}
    retries: {attempts: 1, retryOn: gateway-eror}
    corsPolicy: {allowMethods: [get], maxAge: 1d}
    mirrorPercent: 101
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part}
spec:
  gateways: [public]
  http:
  - delegate: {name: other}
  tcp: []
"#;
    insta::assert_snapshot!(told(text));
}

#[test]
fn what_is_wrong_with_traffic_policies_is_told_at_once() {
    let text = r#"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: RANDM, consistentHash: {httpHeaderName: a, useSourceIp: true}}
    connectionPool: {}
    tls: {mode: MUTUAL, clientCertificate: /a}
    outlierDetection: {maxEjectionPercent: 101, consecutive5xxErrors: -1, interval: 1}
    portLevelSettings:
    - {port: {number: 80}, tls: {mode: DISABLE}}
    - {port: {number: 80}, tls: {mode: DISABLE}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {}}
  - {name: v1}
  - {name: ''}
"#;
    insta::assert_snapshot!(told(text));
}

#[test]
fn what_is_wrong_with_gateways_is_told_at_once() {
    let text = r#"
apiVersion: networking.istio.io/v1beta1
kind: Gateway
metadata: {name: public}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.example.com]
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: []
    tls: {mode: SIMPLE, credentialName: a}
  - port: {number: 444, name: tls, protocol: TSL}
    hosts: ['./a', 'a/b/c']
    tls: {mode: SIMPLE}
  - port: {number: 445, name: tls, protocol: TLS}
    hosts: ['*']
    bind: here
    tls: {mode: MUTUAL, credentialName: a, credentialNames: [a, b, c], minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}
"#;
    insta::assert_snapshot!(told(text));
}

#[test]
fn limits_of_the_definitions_hold() {
    let long = "a".repeat(257);
    let text = format!(
        "{{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {{name: a}}, \
         spec: {{address: {long}}}}}"
    );
    assert!(
        told(&text).contains("257 characters are too many: want at most 256"),
        "{}",
        told(&text)
    );
}

proptest! {
    /// Likelier to reach the inner parts than noise is.
    #[test]
    fn no_damaged_route_makes_the_reader_panic(
        cuts in prop::collection::vec((0..ROUTES.len(), 0..8_usize, "[-:{}\\[\\]&*!|>'\"%# \n\ta-c0-9]{0,4}"), 1..4),
    ) {
        let mut bytes = ROUTES.as_bytes().to_vec();
        for (at, len, with) in cuts {
            let at = at.min(bytes.len());
            let end = (at + len).min(bytes.len());
            bytes.splice(at..end, with.bytes());
        }
        for problem in crate::object::Objects::parse("x", &bytes).1 {
            prop_assert!(problem.line > 0 && problem.column > 0);
            problem.to_string();
        }
    }
}

/// A route with most of what there is.
const ROUTES: &str = "apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: reviews
  namespace: shop
spec:
  hosts: [reviews, '*.example.com']
  gateways: [mesh, edge/public]
  http:
  - name: first
    match:
    - uri: {prefix: /api}
      ignoreUriCase: true
      headers: {end-user: {exact: jason}, '@request.auth.claims.sub': {regex: 'a.*'}}
      withoutHeaders: {x-old: {}}
      queryParams: {v: {exact: '2'}}
      sourceLabels: {app: web}
    - method: {regex: 'GET|HEAD'}
    route:
    - destination: {host: reviews, subset: v1}
      weight: 90
    - destination: {host: Reviews.shop, subset: v2, port: {number: 9080}}
      weight: 10
      headers: {response: {add: {x-canary: 'true'}, remove: [server]}}
    timeout: 2.5s
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: 'gateway-error,connect-failure,409'}
    fault:
      delay: {fixedDelay: 7s, percentage: {value: 100}}
      abort: {grpcStatus: UNAVAILABLE, percentage: {value: 0.1}}
    mirror: {host: reviews, subset: v3}
    mirror_percent: 50
    corsPolicy: {allowOrigins: [{exact: 'https://a'}], allowMethods: [GET], maxAge: 24h}
    rewrite: {uri: /}
    headers: {request: {set: {':authority': a.b}}}

  - redirect: {uri: /login, authority: 'a.example.com:8443', redirectCode: 302}
  exportTo: ['.', bank]
";
