//! What each field of a `VirtualService` asks for.
use super::{Ask, Meant, WEB};
use crate::compile::http::emit::tests::SHOP;
use culvert_model::http::{
    cors::Cors,
    filter::OverrideConfig,
    listener::Direction,
    route::{Action, Forward, Route},
};
use culvert_policy::http::{
    fault::Abort,
    why::{Does, Engine},
};
use std::{sync::Arc, time::Duration};

pub(super) const SUBSETS: &str = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
";

pub(super) fn route(spec: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: r, namespace: shop}}
spec: {{{spec}}}
"
    )
}

/// The engine of the shop, with these rules for `reviews`.
fn engine(rules: &str) -> Engine {
    let text = [SHOP, SUBSETS, &route(&format!("hosts: [reviews], http: [{rules}]"))].concat();
    let meant = Meant::of(&text);
    assert_eq!(meant.notes(), [""; 0], "{rules}");
    meant.engine("shop")
}

const TO_V1: &str = "route: [{destination: {host: reviews, subset: v1}}]";

const fn path(path: &'static str) -> Ask<'static> {
    Ask { path, ..WEB }
}

const fn host(host: &'static str) -> Ask<'static> {
    Ask { host, ..WEB }
}

const fn with(headers: &'static [&'static str]) -> Ask<'static> {
    Ask { headers, ..WEB }
}

const POST: Ask<'static> = Ask { method: "POST", ..WEB };
const OTHER_POD: Ask<'static> = Ask { from: "10.1.0.2:40000", ..WEB };

/// A match, requests that it is for, and others.
type Case = (&'static str, &'static [Ask<'static>], &'static [Ask<'static>]);

const MATCHES: &[Case] = &[
    ("uri: {exact: /a}", &[path("/a"), path("/a?b")], &[path("/a/b"), path("/A")]),
    ("uri: {prefix: /a}", &[path("/ab"), path("/a")], &[path("/b/a")]),
    ("uri: {regex: '/[0-9]+'}", &[path("/12"), path("/1?x")], &[path("/12/"), path("/a")]),
    ("uri: {exact: /aB}, ignoreUriCase: true", &[path("/AB")], &[path("/a")]),
    ("uri: {prefix: /aB}, ignoreUriCase: true", &[path("/Abc")], &[path("/a")]),
    ("scheme: {exact: http}", &[WEB], &[]),
    ("scheme: {exact: https}", &[], &[WEB]),
    ("scheme: {prefix: htt}", &[WEB], &[]),
    ("method: {exact: POST}", &[POST], &[WEB]),
    ("method: {regex: 'P.*'}", &[POST], &[WEB]),
    ("authority: {exact: reviews.shop}", &[WEB], &[host("reviews")]),
    ("authority: {prefix: reviews}", &[WEB, host("reviews")], &[host("x.reviews")]),
    ("authority: {regex: '.*[.]shop'}", &[WEB], &[host("reviews")]),
    (
        "headers: {x-user: {exact: tester}}",
        &[with(&["x-user: tester"])],
        &[WEB, with(&["x-user: x"])],
    ),
    ("headers: {X-User: {prefix: te}}", &[with(&["x-user: tester"])], &[WEB, with(&["x-user: x"])]),
    (
        "headers: {x-user: {regex: 't.*r'}}",
        &[with(&["x-user: tester"])],
        &[with(&["x-user: testers"])],
    ),
    ("headers: {x-user: {}}", &[with(&["x-user: anybody"])], &[WEB]),
    (
        "withoutHeaders: {x-user: {exact: tester}}",
        &[WEB, with(&["x-user: x"])],
        &[with(&["x-user: tester"])],
    ),
    ("withoutHeaders: {x-user: {}}", &[WEB], &[with(&["x-user: x"])]),
    ("queryParams: {v: {exact: '2'}}", &[path("/?v=2"), path("/?a&v=2")], &[WEB, path("/?v=22")]),
    ("queryParams: {v: {regex: '[0-9]+'}}", &[path("/?v=22")], &[path("/?v=2a")]),
    ("queryParams: {v: {prefix: a}}", &[path("/?v=ab")], &[path("/?v=ba")]),
    ("port: 9080", &[WEB], &[]),
    ("port: 9081", &[], &[WEB]),
    ("sourceNamespace: shop", &[WEB], &[]),
    ("sourceNamespace: bank", &[], &[WEB]),
    ("sourceLabels: {app: web}", &[WEB], &[OTHER_POD]),
    ("gateways: [mesh]", &[WEB], &[]),
    (
        "uri: {prefix: /a}, method: {exact: POST}",
        &[Ask { path: "/a", ..POST }],
        &[path("/a"), POST],
    ),
];

#[test]
fn every_match_is_for_what_it_says() {
    for (one, held, others) in MATCHES {
        let engine = engine(&format!(
            "{{match: [{{{one}}}], directResponse: {{status: 201}}}}, {{directResponse: {{status: 202}}}}"
        ));
        for ask in *held {
            assert_eq!(ask.said(&engine), "201", "{one}: {ask:?}");
        }
        for ask in *others {
            assert_eq!(ask.said(&engine), "202", "{one}: {ask:?}");
        }
    }
}

#[test]
fn a_rule_is_for_any_of_its_matches() {
    let engine = engine(&format!(
        "{{match: [{{uri: {{exact: /a}}}}, {{method: {{exact: POST}}}}], {TO_V1}}}"
    ));
    assert_eq!(path("/a").said(&engine), "reviews:9080/v1");
    assert_eq!(POST.said(&engine), "reviews:9080/v1");
    assert_eq!(path("/b").said(&engine), "404");
}

/// Rule, what is asked, what becomes of it.
const ACTIONS: &[(&str, Ask<'static>, &str)] = &[
    (TO_V1, WEB, "reviews:9080/v1"),
    ("route: [{destination: {host: reviews, port: {number: 9080}}}]", WEB, "reviews:9080"),
    ("route: [{destination: {host: ratings, port: {number: 80}}}]", WEB, "ratings:80"),
    (
        "route: [{destination: {host: reviews, subset: v1}, weight: 9}, {destination: {host: reviews, subset: v2}, weight: 1}]",
        WEB,
        "reviews:9080/v1 9/10, reviews:9080/v2 1/10",
    ),
    ("redirect: {uri: /there}", path("/a?b=c"), "301 http://reviews.shop/there?b=c"),
    (
        "redirect: {uri: /there, authority: other.test, redirectCode: 308}",
        path("/a"),
        "308 http://other.test/there",
    ),
    ("redirect: {scheme: https}", path("/a"), "301 https://reviews.shop/a"),
    ("redirect: {port: 8443}", path("/a"), "301 http://reviews.shop:8443/a"),
    (
        "redirect: {scheme: https, derivePort: FROM_PROTOCOL_DEFAULT}",
        host("reviews.shop:9080"),
        "301 https://reviews.shop:443/",
    ),
    (
        "redirect: {uri: /a, derivePort: FROM_REQUEST_PORT}",
        host("reviews.shop:9080"),
        "301 http://reviews.shop:9080/a",
    ),
    (
        "match: [{uri: {prefix: /old}}], redirect: {prefixRewrite: /new}",
        path("/old/x"),
        "301 http://reviews.shop/new/x",
    ),
    (
        "match: [{uri: {prefix: /old/}}], rewrite: {uri: /new/}, route: [{destination: {host: reviews}}]",
        path("/old/x?y"),
        "reviews:9080 as /new/x?y",
    ),
    (
        "match: [{uri: {exact: /old}}], rewrite: {uri: /new}, route: [{destination: {host: reviews}}]",
        path("/old"),
        "reviews:9080 as /new",
    ),
    (
        "rewrite: {authority: inner.example}, route: [{destination: {host: reviews}}]",
        WEB,
        "reviews:9080 of inner.example",
    ),
    (
        "rewrite: {uriRegexRewrite: {match: '^/service/([^/]+)(/.*)$', rewrite: '\\2/instance/\\1'}}, route: [{destination: {host: reviews}}]",
        path("/service/foo/v1/api"),
        "reviews:9080 as /v1/api/instance/foo",
    ),
    (
        "headers: {request: {set: {Host: inner.example}}}, route: [{destination: {host: reviews}}]",
        WEB,
        "reviews:9080 of inner.example",
    ),
    ("directResponse: {status: 503, body: {string: closed}}", WEB, "503"),
    (
        "fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: reviews}}]",
        WEB,
        "418",
    ),
];

#[test]
fn every_action_does_what_it_says() {
    for (rule, ask, wanted) in ACTIONS {
        assert_eq!(ask.said(&engine(&format!("{{{rule}}}"))), *wanted, "{rule}");
    }
}

#[test]
fn headers_are_removed_set_and_added() {
    let engine = engine(
        "{headers: {request: {set: {x-set: new}, add: {x-add: more}, remove: [x-gone]}},
          route: [{destination: {host: reviews, subset: v1}, headers: {request: {set: {x-own: v1}}}, weight: 50},
                  {destination: {host: reviews, subset: v2}, weight: 50}]}",
    );
    let ask = with(&["x-set: old", "x-add: one", "x-gone: x"]);
    let side = ask.side(&engine);
    let [first, second] = &side.sent().unwrap().shares[..] else { panic!("{side:?}") };
    let all = |share: &culvert_policy::http::why::Share, name: &str| {
        let values = share.request.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for share in [first, second] {
        assert_eq!(all(share, "x-set"), ["new"]);
        assert_eq!(all(share, "x-add"), ["one", "more"]);
        assert_eq!(all(share, "x-gone"), [""; 0]);
    }
    assert_eq!((all(first, "x-own"), all(second, "x-own")), (vec!["v1".into()], vec![]));
}

/// The route that `WEB` takes.
fn taken(engine: &Engine) -> Arc<Route> {
    let side = WEB.side(engine);
    Arc::clone(&side.passage().unwrap().taken().unwrap_or_else(|| panic!("{side:?}")).route)
}

fn forward(route: &Route) -> &Forward {
    let Action::Forward(forward) = &route.action else { panic!("{route:?}") };
    forward
}

#[test]
fn mirrors_get_their_share() {
    let rule = |mirrors: &str| engine(&format!("{{{TO_V1}, {mirrors}}}"));
    let mirrors = |engine: &Engine| {
        let side = WEB.side(engine);
        let all = side.sent().unwrap().mirrors.iter();
        all.map(|(name, share)| (super::short(name), format!("{share:?}"))).collect::<Vec<_>>()
    };
    let all = mirrors(&rule("mirror: {host: ratings, port: {number: 80}}"));
    assert_eq!(all[0].0, "ratings:80");
    let part = mirrors(&rule(
        "mirror: {host: ratings, port: {number: 80}}, mirrorPercentage: {value: 12.5}",
    ));
    assert_ne!(part, all);
    let both = mirrors(&rule(
        "mirrors: [{destination: {host: ratings, port: {number: 80}}, percentage: {value: 12.5}}, \
         {destination: {host: reviews, subset: v2}}]",
    ));
    assert_eq!(both, [part[0].clone(), ("reviews:9080/v2".into(), all[0].1.clone())]);
    assert_eq!(mirrors(&rule("mirrors: []")), []);
}

#[test]
fn tries_and_times_are_as_they_are_written() {
    let engine = engine(&format!(
        "{{{TO_V1}, timeout: 10s, retries: {{attempts: 4, perTryTimeout: 2s, retryOn: 'gateway-error,503,reset', \
         backoff: 300ms, retryIgnorePreviousHosts: false, retryRemoteLocalities: true}}}}"
    ));
    let side = WEB.side(&engine);
    let sent = side.sent().unwrap();
    assert_eq!(sent.timeout, Some(Duration::from_secs(10)));
    let tries = sent.tries.as_ref().unwrap();
    assert_eq!((tries.most, tries.each), (4, Some(Duration::from_secs(2))));
    let route = taken(&engine);
    let retry = forward(&route).retry.as_ref().unwrap();
    assert_eq!(*retry.status_codes, [503]);
    assert_eq!(retry.back_off.base, Duration::from_millis(300));
    assert!(!retry.avoid_previous && retry.priorities_every.is_some());

    // What Istio does when nothing is said; and never.
    let engine = self::engine(&format!("{{{TO_V1}}}"));
    let side = WEB.side(&engine);
    let sent = side.sent().unwrap();
    assert_eq!((sent.timeout, sent.tries.as_ref().unwrap().most), (None, 2));
    assert!(forward(&taken(&engine)).retry.as_ref().unwrap().avoid_previous);
    let engine = self::engine(&format!("{{{TO_V1}, retries: {{attempts: 0}}}}"));
    assert!(WEB.side(&engine).sent().unwrap().tries.as_ref().is_none_or(|tries| tries.most == 0));
}

#[test]
fn faults_of_grpc_have_its_status() {
    let rule = "fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}, delay: {fixedDelay: 3s, percentage: {value: 100}}}";
    let side = WEB.side(&engine(&format!("{{{rule}, {TO_V1}}}")));
    let filters = &side.passage().unwrap().filters;
    let [Does::Faults { delay, abort: Some(Abort::Grpc(status)), certain: true }] =
        &filters.iter().map(|one| one.does.clone()).collect::<Vec<_>>()[..]
    else {
        panic!("{filters:?}")
    };
    assert_eq!((*delay, format!("{status:?}")), (Some(Duration::from_secs(3)), "14".to_owned()));
}

#[test]
fn browsers_are_told_of_other_sites() {
    let policy = "allowOrigins: [{exact: 'https://a.test'}, {regex: 'https://.*[.]b[.]test'}], \
                  allowMethods: [GET, PUT], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 60s, allowCredentials: true";
    let engine = engine(&format!("{{corsPolicy: {{{policy}}}, {TO_V1}}}"));
    let asks = |origin: &'static [&'static str]| Ask { method: "OPTIONS", ..with(origin) };
    let known = asks(&["origin: https://a.test", "access-control-request-method: PUT"]);
    let other = asks(&["origin: https://c.test", "access-control-request-method: PUT"]);
    let wide = asks(&["origin: https://x.b.test", "access-control-request-method: PUT"]);
    assert_eq!(known.said(&engine), "200");
    assert_eq!(wide.said(&engine), "200");
    assert_eq!(other.said(&engine), "reviews:9080/v1", "Istio forwards those of others");
    let route = taken(&engine);
    let found = route.per_filter.iter().find_map(|(_, one)| {
        let Some(OverrideConfig::Cors(cors)) = &one.config else { return None };
        Some(Arc::clone(cors))
    });
    let Cors { methods, headers, expose, max_age, credentials, .. } = &*found.unwrap();
    let text = |value: &Option<Arc<str>>| value.as_deref().unwrap_or_default().to_owned();
    assert_eq!((text(methods), text(headers)), ("GET,PUT".into(), "x-a".into()));
    assert_eq!((text(expose), text(max_age), *credentials), ("x-b".into(), "60".into(), true));
    let ignored = self::engine(&format!(
        "{{corsPolicy: {{{policy}, unmatchedPreflights: IGNORE}}, {TO_V1}}}"
    ));
    assert_eq!(other.said(&ignored), "200", "it is answered, with nothing said");
}

/// What is shown to some only is for those.
#[test]
fn a_route_is_for_those_to_whom_it_is_exported() {
    let with = |export: &str| {
        let spec = format!(
            "hosts: [reviews], exportTo: [{export}], http: [{{directResponse: {{status: 201}}}}]"
        );
        let meant = Meant::of(&[SHOP, &route(&spec)].concat());
        let both = [meant.engine("shop"), meant.engine("bank")];
        both.map(|engine| WEB.said(&engine))
    };
    assert_eq!(with("'*'"), ["201", "201"]);
    assert_eq!(with("."), ["201", "nobody"]);
    assert_eq!(with("bank"), ["nobody", "201"]);
    assert_eq!(with("'~'"), ["nobody", "nobody"]);
}

#[test]
fn rules_for_gateways_are_not_for_the_mesh() {
    let gateway = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {app: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
";
    let spec = "hosts: [reviews], gateways: [mesh, edge], http: [
        {match: [{gateways: [edge]}], directResponse: {status: 201}},
        {match: [{gateways: [mesh]}], directResponse: {status: 202}}]";
    let meant = Meant::of(&[SHOP, gateway, &route(spec)].concat());
    assert_eq!(WEB.said(&meant.engine("shop")), "202");
    let direction = Direction::Unspecified;
    let ask = Ask { direction, to: "10.1.0.9:80", host: "reviews.shop.svc.cluster.local", ..WEB };
    assert_eq!(ask.said(&meant.gateway("shop", "edge")), "201");
}
