//! Small sets as they come out.
use super::super::{Emitter, Scope, names};
use super::{SHOP, at, compiler, emit, engine, host, port, scene, shown};
use crate::compile::http::plan::{
    Clients, Fraction, Labels, Plan, Routing, Rules, ServicePlan,
    forward::{Backend, Forward, Retry, Share, Weighted},
    gateway::{ClientAuth, GatewayPlan, Server, ServerTls, Serves, VirtualHost},
    matching::{HeaderMatch, HttpMatch, PathMatch, Text, Wanted},
    policy::{Applies, Attribute, Policy, PolicyAction, PolicyCondition, PolicyRule},
    rule::{Abort, Action, Fault, HeaderOps, HttpRule},
    traffic::{Credential, Outlier, Subset, Traffic, TrafficPolicy},
};
use culvert_model::name::ObjectName;
use culvert_xds::envoy::kind::Kind;
use std::{sync::Arc, time::Duration};

fn to(subset: &str) -> Forward {
    let backend =
        Backend { service: host("shop", "reviews"), port: None, subset: Some(subset.into()) };
    Forward {
        to: vec![Weighted::all(Share::To(backend))],
        timeout: Some(Duration::from_secs(10)),
        retry: Some(Retry { per_try: Some(Duration::from_secs(2)), ..Retry::standard() }),
        ..Forward::default()
    }
}

fn rule(index: usize, matches: Vec<HttpMatch>, forward: Forward) -> HttpRule {
    HttpRule {
        at: at("VirtualService/shop/reviews", 7).rule(index, format!("shop.yaml:{}", 10 + index)),
        name: None,
        matches,
        action: Action::Forward(Box::new(forward)),
        request: HeaderOps::default(),
        response: HeaderOps::default(),
        fault: None,
        cors: None,
    }
}

fn jason() -> HttpMatch {
    let wanted = Wanted::Text(Text::Exact("jason".into()));
    let header = HeaderMatch { name: "end-user".into(), wanted, not: false };
    HttpMatch { headers: vec![header], ..HttpMatch::default() }
}

/// One user's requests to v2, all others to v1.
pub(in super::super) fn by_header(clients: Clients) -> Plan {
    let fault = Fault {
        delay: Some((Duration::from_secs(7), Fraction::percent(10.0))),
        abort: Some((Abort::Http(500), Fraction::percent(0.5))),
    };
    let first = HttpRule { fault: Some(fault), ..rule(0, vec![jason()], to("v2")) };
    let rules = Rules::Http(vec![first, rule(1, Vec::new(), to("v1"))]);
    let routes = vec![Routing { clients: clients.clone(), port: None, rules }];
    let subset = |version: &str| {
        let labels = [("version".to_owned(), version.to_owned())].into();
        (version.into(), Subset { labels, ..Subset::default() })
    };
    let traffic = Traffic {
        at: at("DestinationRule/shop/reviews", 30),
        clients,
        policy: TrafficPolicy {
            outlier: Some(Outlier { consecutive_5xx: Some(3), ..Outlier::default() }),
            ..TrafficPolicy::default()
        },
        ports: Default::default(),
        subsets: [subset("v1"), subset("v2")].into(),
    };
    let service = ServicePlan { routes, traffic: vec![traffic] };
    Plan { services: [(host("shop", "reviews"), Arc::new(service))].into(), ..Plan::default() }
}

pub(in super::super) fn shop_plan() -> Plan {
    by_header(Clients::default())
}

/// Only the web may read, and nobody deletes.
pub(in super::super) fn policies() -> Plan {
    let condition = |attribute, is: &[&str]| PolicyCondition {
        attribute,
        is: is.iter().map(|one| Arc::from(*one)).collect(),
        is_not: Vec::new(),
    };
    let policy = |name: &str, action, clauses| {
        let at = at(&format!("AuthorizationPolicy/shop/{name}"), 3);
        let rules = vec![PolicyRule { at: at.rule(0, "shop.yaml:9"), clauses }];
        let applies = Applies::Pods([("app".to_owned(), "reviews".to_owned())].into());
        let name = ObjectName::new("shop", name);
        let policy = Policy { at: at.clone(), name, applies, action, dry_run: false, rules };
        (at.object, Arc::new(policy))
    };
    let web = condition(Attribute::Principal, &["cluster.local/ns/shop/sa/web"]);
    let read = vec![condition(Attribute::Method, &["GET"]), condition(Attribute::Path, &["/r/*"])];
    let delete = condition(Attribute::Method, &["DELETE"]);
    let all = [
        policy("read", PolicyAction::Allow, vec![vec![vec![web]], vec![read]]),
        policy("no-delete", PolicyAction::Deny, vec![vec![vec![delete]]]),
    ];
    Plan { policies: all.into(), ..Plan::default() }
}

/// One host by TLS, to a service of the shop.
pub(super) fn gateway() -> Plan {
    let at = at("Gateway/shop/gw", 1);
    let credentials = vec![Credential::Secret { namespace: "shop".into(), name: "demo".into() }];
    let tls = ServerTls {
        credentials,
        client: ClientAuth::None,
        revoked: None,
        min: None,
        max: None,
        ciphers: Vec::new(),
    };
    let api = HttpMatch { path: PathMatch::Segments("/api".into()), ..HttpMatch::default() };
    let hosts = vec![VirtualHost {
        domains: vec!["demo.example.com".into()],
        rules: vec![rule(0, vec![api], to("v1"))],
    }];
    let server = |name: &str, number, serves| Server {
        at: at.clone(),
        name: name.into(),
        address: None,
        port: port(number),
        hosts: vec!["demo.example.com".into()],
        serves,
    };
    let https = server("https", 443, Serves::Https { hosts, tls });
    let http = server("http", 80, Serves::Http { hosts: Vec::new(), to_https: true });
    let plan = GatewayPlan { at: at.clone(), labels: Labels::new(), servers: vec![https, http] };
    Plan { gateways: [(ObjectName::new("shop", "gw"), Arc::new(plan))].into(), ..shop_plan() }
}

pub(super) fn gateway_scope() -> Scope {
    Scope { gateway: Some(ObjectName::new("shop", "gw")), ..engine("shop") }
}

#[test]
fn one_users_requests_go_elsewhere() {
    let shop = emit(SHOP, shop_plan(), "shop");
    insta::assert_snapshot!("routes_by_header", shown(&shop, Kind::Route, ""));
    insta::assert_snapshot!("listener_of_a_service", shown(&shop, Kind::Listener, ""));
    insta::assert_snapshot!(
        "cluster_of_a_subset",
        shown(&shop, Kind::Cluster, "outbound|9080|v1|")
    );
    insta::assert_snapshot!(
        "endpoints_near_first",
        shown(&shop, Kind::Endpoint, "outbound|9080||")
    );
}

#[test]
fn policies_are_asked_where_the_pods_are() {
    let shop = emit(SHOP, policies(), "shop");
    insta::assert_snapshot!("inbound_with_policies", shown(&shop, Kind::Listener, names::INBOUND));
}

#[test]
fn a_gateway_listens_by_itself() {
    let gw = Emitter::new(gateway_scope(), &scene(SHOP, gateway()));
    insta::assert_snapshot!("gateway_listeners", shown(&gw, Kind::Listener, ""));
    insta::assert_snapshot!("gateway_routes", shown(&gw, Kind::Route, ""));
}

#[test]
fn rules_of_several_gateways_for_one_host_are_put_together() {
    let said = |name: &str, born: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: edge, creationTimestamp: '{born}'}}
spec: {{servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{born}'}}
spec:
  hosts: [a.example.com]
  gateways: [edge/{name}]
  http:
  - match: [{{uri: {{prefix: /{name}}}}}]
    route: [{{destination: {{host: reviews}}}}]
  - route: [{{destination: {{host: reviews}}}}]
"
        )
    };
    let text = SHOP.to_owned()
        + &said("young", "2026-02-01T00:00:00Z")
        + &said("old", "2026-01-01T00:00:00Z");
    let gw = Emitter::new(gateway_scope(), compiler(&text).scene());
    let routes = shown(&gw, Kind::Route, "");
    let rules = ["old[0]", "young[0]", "old[1]", "young[1]"];
    let places = rules.map(|rule| routes.find(&format!("VirtualService/shop/{rule}")));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{routes}");
    assert_eq!(routes.matches("a.example.com:80").count(), 1, "{routes}");
}

#[test]
fn nothing_asked_is_nothing_told() {
    let shop = emit(SHOP, Plan::default(), "shop");
    let names: Vec<_> = shop.resources().keys().map(|(_, name)| &**name).collect();
    assert_eq!(names, [names::BLACK_HOLE, names::PASSTHROUGH]);
}
