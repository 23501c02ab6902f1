//! What Istio's objects come to.
use super::{Asked, Objects, asked, hosts::Hosts};
use crate::{
    compile::http::plan::{
        Rules, ServicePlan,
        forward::{Forward, Share},
        gateway::{Serves, VirtualHost},
        matching::PathMatch,
        rule::{Action, HttpRule},
        traffic::{Balancer, Tls, Trust},
    },
    object::Objects as Read,
};
use culvert_model::name::{ObjectName, ServiceName};
use proptest::prelude::*;
use std::time::Duration;

mod together;

fn read(text: &str) -> Read {
    let (objects, problems) = Read::parse("shop.yaml", text.as_bytes());
    assert!(problems.is_empty(), "{problems:#?}");
    objects
}

fn plan_of(read: &Read, turned: bool) -> Asked {
    let hosts = Hosts::of(
        read.services.iter().map(|one| &**one),
        read.service_entries.iter().map(|one| &**one),
    );
    let mut objects = Objects {
        virtual_services: read.virtual_services.iter().map(|one| &**one).collect(),
        destination_rules: read.destination_rules.iter().map(|one| &**one).collect(),
        gateways: read.istio_gateways.iter().map(|one| &**one).collect(),
        hosts: &hosts,
        root: "istio-system",
        only: None,
    };
    if turned {
        objects.virtual_services.reverse();
        objects.destination_rules.reverse();
        objects.gateways.reverse();
    }
    asked(&objects)
}

fn plan(text: &str) -> Asked {
    let read = read(&format!("{SERVICES}{text}"));
    let plan = plan_of(&read, false);
    assert_eq!(plan_of(&read, true), plan, "the order of objects means nothing");
    plan
}

fn service<'a>(plan: &'a Asked, name: &str) -> &'a ServicePlan {
    let name = ServiceName::new("shop", format!("{name}.shop.svc.cluster.local"));
    plan.services.get(&name).unwrap_or_else(|| panic!("{name}: {plan:#?}"))
}

fn http(plan: &ServicePlan) -> &[HttpRule] {
    let first = plan.routes.iter().find_map(|one| match &one.rules {
        Rules::Http(rules) => Some(rules.as_slice()),
        Rules::Tls(_) | Rules::Tcp(_) => None,
    });
    first.unwrap_or_default()
}

fn forward(rule: &HttpRule) -> &Forward {
    match &rule.action {
        Action::Forward(forward) => forward,
        other @ (Action::Redirect(_) | Action::Direct(_)) => panic!("{other:?}"),
    }
}

fn shares(rule: &HttpRule) -> Vec<(String, u32)> {
    let said = |to: &Share| match to {
        Share::Nowhere => "nowhere".to_owned(),
        Share::To(to) => {
            let host = to.service.hostname.split('.').next().unwrap_or_default();
            let subset = to.subset.as_deref().map_or(String::new(), |one| format!("/{one}"));
            let port = to.port.map_or(String::new(), |port| format!(":{port}"));
            format!("{host}{port}{subset}")
        }
    };
    forward(rule).to.iter().map(|one| (said(&one.to), one.weight)).collect()
}

#[test]
fn a_route_is_said_whole_with_its_place() {
    let plan = plan(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /api}, headers: {end-user: {exact: jason}}, sourceLabels: {app: web}}]
    route:
    - destination: {host: reviews, subset: v2}
      weight: 90
    - destination: {host: ratings, port: {number: 9080}}
      weight: 10
    timeout: 10s
    retries: {attempts: 3, perTryTimeout: 2s}
    rewrite: {uri: /}
    fault: {delay: {fixedDelay: 7s}}
    mirror: {host: ratings}
  - match: [{gateways: [edge/public]}]
    route: [{destination: {host: reviews}}]
  - route: [{destination: {host: nobody}}]
",
    );
    let [first, last] = http(service(&plan, "reviews")) else { panic!("{plan:#?}") };
    assert_eq!(first.at.index, Some(0));
    assert_eq!(&*first.at.object, "VirtualService/shop/reviews");
    assert_eq!(&*first.at.place, "shop.yaml:17");
    assert_eq!(last.at.index, Some(2));
    assert_eq!(shares(first), [("reviews/v2".into(), 90), ("ratings:9080".into(), 10)]);
    assert_eq!(shares(last), [("nowhere".into(), 1)]);
    assert_eq!(first.matches[0].path, PathMatch::Prefix("/api".into()));
    assert_eq!(first.matches[0].clients.labels["app"], "web");
    let retry = forward(first).retry.as_ref().unwrap();
    assert_eq!((retry.attempts, retry.per_try), (3, Some(Duration::from_secs(2))));
    assert_eq!(forward(last).retry.as_ref().unwrap().attempts, 2, "Istio's own");
    assert_eq!(forward(first).mirrors.len(), 1);
    assert_eq!(first.fault.as_ref().unwrap().delay.unwrap().0, Duration::from_secs(7));
}

#[test]
fn who_says_a_host_most_exactly_and_first_counts() {
    let route = |name: &str, namespace: &str, host: &str, born: &str, more: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{born}'}}
spec: {{hosts: ['{host}'], http: [{{name: {name}, route: [{{destination: {{host: reviews.shop.svc.cluster.local}}}}]}}]{more}}}
"
        )
    };
    let reviews = "reviews.shop.svc.cluster.local";
    let text = [
        route("wide", "shop", "*.shop.svc.cluster.local", "2026-01-01T00:00:00Z", ""),
        route("young", "shop", reviews, "2026-03-01T00:00:00Z", ""),
        route("old", "shop", reviews, "2026-02-01T00:00:00Z", ""),
        route("own", "bank", reviews, "2026-04-01T00:00:00Z", ", exportTo: ['.']"),
        route("hidden", "bank", reviews, "2026-01-01T00:00:00Z", ", exportTo: ['~']"),
    ];
    let plan = plan(&text.concat());
    let names = |name: &str| {
        let all = service(&plan, name).routes.iter().map(|one| match &one.rules {
            Rules::Http(rules) => rules[0].name.as_deref().unwrap().to_owned(),
            Rules::Tls(_) | Rules::Tcp(_) => panic!("no http"),
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(names("reviews"), ["own", "old", "young", "wide"]);
    assert_eq!(names("ratings"), ["wide"]);
    let own = &service(&plan, "reviews").routes[0].clients;
    assert!(own.may_be_of("bank") && !own.may_be_of("shop"));
}

#[test]
fn what_is_delegated_is_put_in_place() {
    let plan = plan(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /a}}]
    delegate: {name: part}
    timeout: 5s
  - delegate: {name: root}
  - delegate: {name: gone}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part, namespace: shop}
spec:
  http:
  - match: [{uri: {prefix: /a/b}}]
    route: [{destination: {host: ratings}}]
  - match: [{uri: {prefix: /c}}]
    route: [{destination: {host: ratings}}]
  - route: [{destination: {host: reviews}}]
    timeout: 1s
",
    );
    let [first, second] = http(service(&plan, "reviews")) else { panic!("{plan:#?}") };
    assert_eq!(first.matches[0].path, PathMatch::Prefix("/a/b".into()));
    assert_eq!(&*first.at.object, "VirtualService/shop/part");
    assert_eq!(forward(first).timeout, Some(Duration::from_secs(5)));
    assert_eq!(second.matches[0].path, PathMatch::Prefix("/a".into()));
    assert_eq!(forward(second).timeout, Some(Duration::from_secs(1)));
    let told: Vec<_> = plan.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "shop/root has hosts of its own: nobody can delegate to it",
            "there is no VirtualService shop/gone",
            "no request is for this route and for the one that delegates to it",
        ]
    );
}

#[test]
fn what_a_subset_and_a_port_do_not_say_is_taken_over_as_istio_does() {
    let plan = plan(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool: {tcp: {maxConnections: 7}}
    portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: banks, namespace: bank}
spec: {host: reviews.shop.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}, workloadSelector: {matchLabels: {app: teller}}}
",
    );
    let [banks, own, all] = &service(&plan, "reviews").traffic[..] else { panic!("{plan:#?}") };
    assert_eq!(banks.clients.labels["app"], "teller");
    assert!(banks.clients.may_be_of("bank") && !banks.clients.may_be_of("shop"));
    assert!(own.clients.may_be_of("shop") && !own.clients.may_be_of("bank"));
    assert!(all.clients.may_be_of("anyone"));
    let port = |number| std::num::NonZeroU16::new(number).unwrap();
    let of = |subset, number| all.of(subset, port(number)).unwrap();
    assert_eq!(of(None, 81).balancer, Some(Balancer::Random));
    assert_eq!(of(None, 80).balancer, None, "a port takes nothing over");
    assert_eq!(of(None, 80).tls, Tls::Off);
    assert_eq!(of(Some("v1"), 81).balancer, Some(Balancer::Random));
    assert_eq!(of(Some("v2"), 81).balancer, Some(Balancer::RoundRobin(None)));
    assert_eq!(of(Some("v2"), 81).pool.max_connections, Some(7));
    assert_eq!(of(Some("v2"), 80).balancer, Some(Balancer::RoundRobin(None)));
    assert_eq!(of(Some("v2"), 80).tls, Tls::Off);
    assert_eq!(all.of(Some("v3"), port(80)), None);
}

#[test]
fn a_gateway_serves_the_hosts_that_both_name() {
    let plan = plan(
        "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com'], tls: {httpsRedirect: true}}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['shop/*.example.com'], tls: {mode: MUTUAL, credentialName: cert}}
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}
  - {port: {number: 444, name: auto, protocol: TLS}, hosts: ['*'], tls: {mode: AUTO_PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: demo, namespace: shop}
spec:
  hosts: [demo.example.com, other.example.org]
  gateways: [edge/public]
  http:
  - match: [{uri: {prefix: /api}}, {uri: {prefix: /health}}]
    route: [{destination: {host: reviews, port: {number: 80}}}]
  tls:
  - match: [{sniHosts: [demo.example.com]}]
    route: [{destination: {host: reviews}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: banks, namespace: bank}
spec:
  exportTo: ['.']
  hosts: ['*']
  gateways: [edge/public]
  http: [{redirect: {uri: /login, scheme: https, derivePort: FROM_PROTOCOL_DEFAULT}}]
",
    );
    assert!(plan.services.is_empty(), "nothing is for the mesh");
    let gateway = &plan.gateways[&ObjectName::new("edge", "public")];
    let [http, https, tls, auto] = &gateway.plan.servers[..] else { panic!("{gateway:#?}") };
    let domains = |serves: &Serves| match serves {
        Serves::Http { hosts, .. } | Serves::Https { hosts, .. } => {
            hosts.iter().map(|host| host.domains[0].to_string()).collect::<Vec<_>>()
        }
        other @ (Serves::TlsTerminated { .. }
        | Serves::TlsPassed(_)
        | Serves::TlsByCluster(_)
        | Serves::Tcp(_)
        | Serves::Nothing) => panic!("{other:?}"),
    };
    assert_eq!(domains(&http.serves), ["*.example.com", "demo.example.com"]);
    assert_eq!(domains(&https.serves), ["demo.example.com"], "only of its namespace");
    assert!(matches!(&http.serves, Serves::Http { to_https: true, .. }));
    assert!(matches!(&https.serves, Serves::Https { tls, .. } if tls.credentials.len() == 1));
    assert!(matches!(&tls.serves, Serves::TlsPassed(rules) if rules.len() == 1));
    let own = |name: &str| ServiceName::new("shop", format!("{name}.shop.svc.cluster.local"));
    let services = ["ratings", "reviews"].map(own).into();
    assert_eq!(auto.serves, Serves::TlsByCluster(services));
    assert_eq!(gateway.labels, [("istio".to_owned(), "edge".to_owned())].into());
    // Of a service that is not shown to all, only gateways of those namespaces have rules.
    let Serves::Http { hosts, .. } = &http.serves else { panic!() };
    let shown = |host: &VirtualHost| host.rules[0].matches[0].clients.namespaces.clone();
    assert_eq!(shown(&hosts[0]), Some(["bank".into()].into()));
    assert_eq!(shown(&hosts[1]), None);
    assert_eq!(plan.notes, []);
}

#[test]
fn tls_to_the_outside_is_said_with_its_certificates() {
    let plan = plan(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec: {hosts: [external.service.com], ports: [{number: 443, name: https, protocol: HTTPS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outside, namespace: shop}
spec:
  host: external.service.com
  trafficPolicy:
    tls: {mode: MUTUAL, clientCertificate: /a.pem, privateKey: /b.pem, caCertificates: /c.pem, sni: x}
",
    );
    let name = ServiceName::new("shop", "external.service.com");
    let traffic = &plan.services[&name].traffic[0];
    let Tls::Originate(tls) = &traffic.policy.tls else { panic!("{traffic:#?}") };
    assert!(tls.client.is_some() && tls.sni.as_deref() == Some("x"));
    assert!(matches!(tls.trust, Trust::Only(_)));
}

proptest! {
    /// Whoever says what in which order: it comes to the same, and to something.
    #[test]
    fn no_set_of_routes_makes_the_compiler_panic(
        picks in prop::collection::vec((0..6_usize, 0..4_usize, 0..4_usize, any::<bool>()), 0..12),
    ) {
        let hosts = ["reviews", "'*'", "'*.shop.svc.cluster.local'", "ratings.shop", "10.0.0.1", "a.example.com"];
        let mut text = SERVICES.to_owned();
        for (index, (host, to, namespace, is_edge)) in picks.into_iter().enumerate() {
            let (host, to) = (hosts[host], ["reviews", "ratings", "nobody", "a.example.com"][to]);
            let namespace = ["shop", "bank", "edge", "istio-system"][namespace];
            let gateways = if is_edge { "edge/public" } else { "mesh" };
            if host == "'*'" && !is_edge {
                continue;
            }
            text += &format!(
                "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                 metadata: {{name: v{index}, namespace: {namespace}}}\nspec:\n  hosts: [{host}]\n  \
                 gateways: [{gateways}]\n  http: [{{route: [{{destination: {{host: {to}}}}}]}}]\n\
                 ---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
                 metadata: {{name: d{index}, namespace: {namespace}}}\nspec: {{host: {host}}}\n"
            );
        }
        let read = read(&text);
        let plan = plan_of(&read, false);
        prop_assert_eq!(&plan_of(&read, true), &plan);
    }
}

/// Services that are routed to.
const SERVICES: &str = "apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec: {ports: [{name: http, port: 9080}]}
";
