//! What objects of the Gateway API come to.
use super::{
    Outcome, compile,
    status::{Condition, Says},
};
use crate::{
    compile::http::plan::{
        Routing, Rules,
        forward::Share,
        gateway::{Server, Serves},
        matching::PathMatch,
        rule::{Action, HttpRule},
        traffic::{Credential, Tls, Trust},
    },
    object::Objects,
};
use proptest::prelude::*;

const SERVICES: &str = "
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80, name: http}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {ports: [{port: 80}, {port: 81, name: b}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
";

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: culvert
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: own, port: 81, protocol: HTTP, hostname: '*.a.example'}
";

fn outcome(texts: &[&str]) -> Outcome {
    let text = texts.join("\n---\n");
    let (objects, problems) = Objects::parse("a.yaml", text.as_bytes());
    assert_eq!(problems, []);
    compile(&objects, "cluster.local")
}

fn route(meta: &str, spec: &str) -> String {
    let version = "gateway.networking.k8s.io/v1";
    format!("{{apiVersion: {version}, kind: HTTPRoute, metadata: {{{meta}}}, spec: {{{spec}}}}}")
}

fn servers(outcome: &Outcome) -> Vec<Server> {
    outcome.plan.gateways.values().flat_map(|plan| plan.servers.clone()).collect()
}

fn says<'a>(outcome: &'a Outcome, object: &str) -> &'a Says {
    &outcome.standings.iter().find(|one| &*one.object == object).unwrap().says
}

/// What is said of a route's parents: each condition as `Type=Reason`.
fn route_says(outcome: &Outcome, object: &str) -> Vec<String> {
    let Says::Route(parents) = says(outcome, object) else { panic!("no route") };
    parents.iter().map(|parent| words(&parent.conditions)).collect()
}

fn words(conditions: &[Condition]) -> String {
    let word = |one: &Condition| format!("{}={} {}", one.kind, one.is_so, one.reason);
    conditions.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn rules_of(server: &Server) -> Vec<(String, Vec<HttpRule>)> {
    let Serves::Http { hosts, .. } = &server.serves else { panic!("no HTTP") };
    hosts.iter().map(|host| (host.domains[0].to_string(), host.rules.clone())).collect()
}

fn paths(rules: &[HttpRule]) -> Vec<String> {
    let path = |rule: &HttpRule| match rule.matches.first().map(|one| &one.path) {
        None | Some(PathMatch::Any) => "*".to_owned(),
        Some(PathMatch::Exact(path)) => format!("={path}"),
        Some(PathMatch::Segments(path) | PathMatch::Prefix(path)) => path.to_string(),
        Some(PathMatch::Regex(path)) => format!("~{path}"),
    };
    rules.iter().map(path).collect()
}

#[test]
fn rules_are_asked_in_the_order_of_the_specification() {
    let specs = "parentRefs: [{name: front, sectionName: http}], rules: [
        {matches: [{path: {value: /}}]},
        {matches: [{path: {value: /a}}, {path: {value: /long, type: Exact}}]},
        {matches: [{path: {value: /a/b}}, {path: {value: '/x.*', type: RegularExpression}}]},
        {matches: [{path: {value: /a}, method: GET}]},
        {matches: [{path: {value: /a}, headers: [{name: h, value: v}]}]}]";
    let outcome = outcome(&[SERVICES, GATEWAY, &route("name: r", specs)]);
    let hosts = rules_of(&servers(&outcome)[0]);
    let [(domain, rules)] = &hosts[..] else { panic!("{hosts:?}") };
    assert_eq!(domain, "*");
    assert_eq!(paths(rules), ["=/long", "/a/b", "/a", "/a", "/a", "~/x.*", "*"]);
    assert!(rules[2].matches[0].method.is_some());
    assert_eq!(rules[3].matches[0].headers.len(), 1);
    assert_eq!(rules[4].at.index, Some(1));
}

#[test]
fn the_older_route_is_asked_first_and_then_the_first_by_name() {
    let spec = "parentRefs: [{name: front, sectionName: http}], rules: [{name: NAMED}]";
    let named = |name: &str| spec.replace("NAMED", name);
    let made = |name: &str, time: &str| {
        route(&format!("name: {name}, creationTimestamp: '{time}'"), &named(name))
    };
    let outcome = outcome(&[
        SERVICES,
        GATEWAY,
        &made("c", "2026-01-01T00:00:00Z"),
        &made("b", "2026-01-02T00:00:00Z"),
        &made("a", "2026-01-02T00:00:00Z"),
    ]);
    let rules = &rules_of(&servers(&outcome)[0])[0].1;
    let names: Vec<_> = rules.iter().map(|rule| rule.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["c", "a", "b"]);
}

/// What a longer name has no rule for, a shorter one may have.
#[test]
fn names_fall_back_on_those_that_cover_them() {
    let outcome = outcome(&[
        SERVICES,
        GATEWAY,
        &route(
            "name: a",
            "parentRefs: [{name: front, sectionName: http}], hostnames: [b.a.example], rules: [{name: own, matches: [{path: {value: /own}}]}]",
        ),
        &route(
            "name: b",
            "parentRefs: [{name: front, sectionName: http}], hostnames: ['*.a.example'], rules: [{name: wide}]",
        ),
        &route(
            "name: c",
            "parentRefs: [{name: front, sectionName: http}], rules: [{name: all, matches: [{path: {value: /all/that/is}}]}]",
        ),
    ]);
    let names = |rules: &[HttpRule]| -> Vec<String> {
        rules.iter().map(|rule| rule.name.as_deref().unwrap().to_owned()).collect()
    };
    let hosts = rules_of(&servers(&outcome)[0]);
    let found: Vec<_> =
        hosts.iter().map(|(domain, rules)| (domain.as_str(), names(rules))).collect();
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            ("*", list(&["all"])),
            ("*.a.example", list(&["wide", "all"])),
            ("b.a.example", list(&["own", "wide", "all"])),
        ]
    );
}

#[test]
fn an_attachment_says_why_it_is_none() {
    let outcome = outcome(&[
        SERVICES,
        GATEWAY,
        &route(
            "name: a",
            "parentRefs: [{name: front, sectionName: own}, {name: front, sectionName: none}, {name: front, sectionName: http}], hostnames: [b.example]",
        ),
        &route(
            "name: b, namespace: shop",
            "parentRefs: [{name: front, namespace: default, sectionName: own}]",
        ),
        &route("name: other", "parentRefs: [{name: elsewhere}]"),
    ]);
    assert_eq!(
        route_says(&outcome, "HTTPRoute/default/a"),
        [
            "Accepted=false NoMatchingListenerHostname, ResolvedRefs=true ResolvedRefs",
            "Accepted=false NoMatchingParent, ResolvedRefs=true ResolvedRefs",
            "Accepted=true Accepted, ResolvedRefs=true ResolvedRefs",
        ]
    );
    assert_eq!(
        route_says(&outcome, "HTTPRoute/shop/b"),
        ["Accepted=false NotAllowedByListeners, ResolvedRefs=true ResolvedRefs"]
    );
    assert!(outcome.standings.iter().all(|one| &*one.object != "HTTPRoute/default/other"));
    let Says::Gateway { listeners, .. } = says(&outcome, "Gateway/default/front") else { panic!() };
    assert_eq!(listeners.iter().map(|one| one.attached_routes).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn what_cannot_be_named_gets_nothing_and_is_said() {
    let spec = "parentRefs: [{name: front, sectionName: http}], rules: [{backendRefs: [{name: cart, namespace: shop, port: 80, weight: 3}, {name: web, port: 80, weight: 0}]}]";
    let grant = "{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: g, namespace: shop}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: '', kind: Service}]}}";
    let shares = |outcome: &Outcome| -> Vec<(Share, u32)> {
        let rules = &rules_of(&servers(outcome)[0])[0].1;
        let Action::Forward(forward) = &rules[0].action else { panic!() };
        forward.to.iter().map(|one| (one.to.clone(), one.weight)).collect()
    };
    let refused = outcome(&[SERVICES, GATEWAY, &route("name: r", spec)]);
    assert_eq!(shares(&refused), [(Share::Nowhere, 3)]);
    assert_eq!(
        route_says(&refused, "HTTPRoute/default/r"),
        ["Accepted=true Accepted, ResolvedRefs=false RefNotPermitted"]
    );
    let granted = outcome(&[SERVICES, GATEWAY, &route("name: r", spec), grant]);
    let [(Share::To(backend), 3)] = &shares(&granted)[..] else { panic!("{:?}", shares(&granted)) };
    assert_eq!(backend.service.to_string(), "shop/cart.shop.svc.cluster.local");
    let missing = "parentRefs: [{name: front, sectionName: http}], rules: [{backendRefs: [{name: web, port: 99}]}]";
    let missing = outcome(&[SERVICES, GATEWAY, &route("name: r", missing)]);
    assert!(route_says(&missing, "HTTPRoute/default/r")[0].ends_with("false BackendNotFound"));
}

#[test]
fn a_filter_that_nobody_knows_closes() {
    let spec = "parentRefs: [{name: front, sectionName: http}], rules: [{filters: [{type: ExtensionRef, extensionRef: {group: a, kind: B, name: c}}], backendRefs: [{name: web, port: 80}]}]";
    let outcome = outcome(&[SERVICES, GATEWAY, &route("name: r", spec)]);
    let rules = &rules_of(&servers(&outcome)[0])[0].1;
    assert!(matches!(&rules[0].action, Action::Direct(direct) if direct.status == 500));
    assert!(
        route_says(&outcome, "HTTPRoute/default/r")[0].ends_with("ResolvedRefs=false InvalidKind")
    );
}

/// Routes of other namespaces are for those alone, and before the service's own.
#[test]
fn consumers_have_routes_of_their_own() {
    let parent = "parentRefs: [{group: '', kind: Service, name: cart, namespace: shop}]";
    let port = "parentRefs: [{group: '', kind: Service, name: cart, namespace: shop, port: 81}]";
    let outcome = outcome(&[
        SERVICES,
        &route(
            "name: producer, namespace: shop",
            &format!("{parent}, rules: [{{name: producer}}]"),
        ),
        &route("name: consumer", &format!("{parent}, rules: [{{name: consumer}}]")),
        &route("name: one", &format!("{port}, rules: [{{name: one, matches: [{{method: GET}}]}}]")),
        &route("name: lost", "parentRefs: [{group: '', kind: Service, name: nobody}]"),
    ]);
    let plan = outcome.plan.services.values().next().unwrap();
    let shown = |routing: &Routing| {
        let clients =
            routing.clients.namespaces.as_ref().map(|all| all.iter().next().unwrap().to_string());
        let Rules::Http(rules) = &routing.rules else { panic!() };
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_deref().unwrap()).collect();
        format!("{clients:?} {:?} {}", routing.port.map(std::num::NonZeroU16::get), names.join(","))
    };
    assert_eq!(
        plan.routes.iter().map(shown).collect::<Vec<_>>(),
        [
            "Some(\"default\") Some(81) one,consumer",
            "Some(\"default\") None consumer",
            "None None producer",
        ]
    );
    assert!(
        route_says(&outcome, "HTTPRoute/default/lost")[0]
            .starts_with("Accepted=false NoMatchingParent")
    );
}

#[test]
fn a_listener_needs_a_certificate_and_a_port_of_its_own() {
    let gateway = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: istio
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: b, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: nobody}]}}
  - {name: c, port: 445, protocol: TCP}
  - {name: d, port: 445, protocol: HTTP}
  - {name: e, port: 446, protocol: UDP}
";
    let secret = "{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: cert}, stringData: {tls.crt: '-----BEGIN CERTIFICATE-----', tls.key: '-----BEGIN PRIVATE KEY-----'}}";
    let outcome = outcome(&[SERVICES, gateway, secret]);
    let served: Vec<_> =
        servers(&outcome).iter().map(|server| !matches!(server.serves, Serves::Nothing)).collect();
    assert_eq!(served, [true, false, false, false, false]);
    let Says::Gateway { conditions, listeners } = says(&outcome, "Gateway/default/front") else {
        panic!()
    };
    assert_eq!(words(conditions), "Accepted=true ListenersNotValid, Programmed=true Programmed");
    let reasons = |kind: &str| -> Vec<&str> {
        let of =
            listeners.iter().flat_map(|one| one.conditions.iter().filter(|one| one.kind == kind));
        of.map(|one| one.reason).collect()
    };
    assert_eq!(reasons("ResolvedRefs")[..2], ["ResolvedRefs", "InvalidCertificateRef"]);
    assert_eq!(reasons("Conflicted")[2..4], ["ProtocolConflict", "ProtocolConflict"]);
    assert_eq!(reasons("Accepted")[4], "UnsupportedProtocol");
}

#[test]
fn the_oldest_policy_says_how_a_service_is_talked_to() {
    let policy = |name: &str, rest: &str| {
        format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {{name: {name}}}, spec: {{targetRefs: [{{group: '', kind: Service, name: web}}], validation: {{hostname: web.example, {rest}}}}}}}"
        )
    };
    let outcome = outcome(&[
        SERVICES,
        &policy("a", "wellKnownCACertificates: System"),
        &policy("b", "wellKnownCACertificates: System"),
    ]);
    let plan = outcome.plan.services.values().next().unwrap();
    let Tls::Originate(originate) = &plan.traffic[0].policy.tls else { panic!() };
    assert_eq!((&originate.trust, originate.sni.as_deref()), (&Trust::System, Some("web.example")));
    let Says::Policy(conditions) = says(&outcome, "BackendTLSPolicy/default/b") else { panic!() };
    assert_eq!(conditions[0].reason, "Conflicted");
}

#[test]
fn a_policy_whose_roots_are_missing_says_so_and_nothing_is_sent_in_plain_text() {
    let policy = "{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: a}, spec: {targetRefs: [{group: '', kind: Service, name: web}], validation: {hostname: web.example, caCertificateRefs: [{group: '', kind: ConfigMap, name: roots}]}}}";
    let roots = "{apiVersion: v1, kind: ConfigMap, metadata: {name: roots}, data: {ca.crt: '-----BEGIN CERTIFICATE-----'}}";
    let of = |documents: &[&str]| {
        let outcome = outcome(documents);
        let plan = outcome.plan.services.values().next().unwrap();
        let Tls::Originate(originate) = &plan.traffic[0].policy.tls else { panic!() };
        assert!(matches!(originate.trust, Trust::Only(Credential::ConfigMap { .. })));
        let Says::Policy(conditions) = says(&outcome, "BackendTLSPolicy/default/a") else {
            panic!()
        };
        let reasons: Vec<_> = conditions.iter().map(|one| one.reason).collect();
        (reasons[0], reasons[1])
    };
    assert_eq!(of(&[SERVICES, policy]), ("NoValidCACertificate", "InvalidCACertificateRef"));
    assert_eq!(of(&[SERVICES, policy, roots]), ("Accepted", "ResolvedRefs"));
}

/// A random route; whatever it names may or may not be there.
fn any_route() -> impl Strategy<Value = String> {
    let path = prop::sample::select(vec!["/", "/a", "/a/b", "/b"]);
    let kind = prop::sample::select(vec!["Exact", "PathPrefix"]);
    let one =
        (path, kind).prop_map(|(path, kind)| format!("{{path: {{type: {kind}, value: {path}}}}}"));
    let backend = prop::sample::select(vec!["web", "cart", "nobody"]);
    let parent = prop::sample::select(vec![
        "{name: front}",
        "{name: front, sectionName: own}",
        "{group: '', kind: Service, name: web}",
        "{group: '', kind: Service, name: cart, namespace: shop}",
    ]);
    let host = prop::sample::select(vec!["[]", "[a.example]", "['*.a.example', b.a.example]"]);
    (prop::collection::vec(one, 1..4), backend, parent, host).prop_map(|(matches, backend, parent, host)| {
        let matches = matches.join(", ");
        format!("parentRefs: [{parent}], hostnames: {host}, rules: [{{matches: [{matches}], backendRefs: [{{name: {backend}, port: 80}}]}}]")
    })
}

proptest! {
    /// The order in which objects come means nothing.
    #[test]
    fn the_same_objects_mean_the_same_in_any_order(specs in prop::collection::vec(any_route(), 1..6), turn in 0..6_usize) {
        let mut texts: Vec<String> =
            specs.iter().enumerate().map(|(index, spec)| route(&format!("name: r{index}"), spec)).collect();
        texts.extend([SERVICES.to_owned(), GATEWAY.to_owned()]);
        let without_places = |texts: &[String]| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let Outcome { plan, standings } = outcome(&texts);
            let shown = format!("{plan:?}\n{standings:?}");
            regex::Regex::new(r#"place: "[^"]*""#).unwrap().replace_all(&shown, "").into_owned()
        };
        let before = without_places(&texts);
        let turn = turn % texts.len();
        texts.rotate_left(turn);
        prop_assert_eq!(before, without_places(&texts));
    }
}
