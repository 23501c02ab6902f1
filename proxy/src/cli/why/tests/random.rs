//! Manifests and requests of many kinds.
use culvert_control::compile::{Ambient, Settings};
use culvert_policy::http::why::Request;
use proptest::{prelude::*, sample::select};

/// Services, versions and clients.
pub(super) const SHOP: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {culvert.dev/mesh: enabled}}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 9080, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec:
  clusterIP: 10.96.0.2
  selector: {app: ratings}
  ports: [{name: http, port: 80}]
---
{apiVersion: v1, kind: Pod, metadata: {name: v1, namespace: shop, labels: {app: reviews, version: v1}}, spec: {nodeName: a}, status: {podIP: 10.1.0.1, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: v2, namespace: shop, labels: {app: reviews, version: v2}}, spec: {nodeName: b}, status: {podIP: 10.2.0.1, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ratings, namespace: shop, labels: {app: ratings}}, spec: {nodeName: a}, status: {podIP: 10.1.0.2, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: a, serviceAccountName: web}, status: {podIP: 10.1.0.3, phase: Running}}
---
{apiVersion: v1, kind: Pod, metadata: {name: teller, namespace: bank, labels: {app: teller}}, spec: {nodeName: a}, status: {podIP: 10.1.0.4, phase: Running}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]
";

/// A route for some, and a policy that some methods do not pass.
pub(super) const STORY: &str = "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {exact: /b}}]
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{headers: {x-user: {exact: tester}}}]
    route: [{destination: {host: reviews, subset: v2}}]
    mirror: {host: reviews, subset: v1}
    timeout: 10s
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules:
  - to: [{operation: {methods: [DELETE]}}]
";

pub(super) fn settings() -> Settings {
    Settings {
        node_name: "".into(),
        cluster: "Kubernetes".into(),
        trust_domain: "cluster.local".into(),
        ambient: Ambient::Ours,
        l7: true,
    }
}

/// Some of these, as fields of one object.
fn some(groups: &'static [&'static [&'static str]]) -> impl Strategy<Value = String> {
    let each: Vec<_> = groups.iter().map(|group| prop::option::of(select(*group))).collect();
    each.prop_map(|chosen| chosen.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

const MATCHES: &[&[&str]] = &[
    &[
        "uri: {exact: /a}",
        "uri: {prefix: /a}",
        "uri: {prefix: /b}",
        "uri: {regex: '/[ab].*'}",
        "uri: {exact: /A}, ignoreUriCase: true",
    ],
    &[
        "headers: {x-user: {exact: tester}}",
        "headers: {x-user: {prefix: te}}",
        "headers: {x-user: {regex: 't.*r'}}",
        "withoutHeaders: {x-user: {exact: tester}}",
    ],
    &[
        "method: {exact: POST}",
        "queryParams: {x: {exact: '1'}}",
        "authority: {exact: reviews.shop}",
        "authority: {prefix: other}",
    ],
    &["sourceLabels: {app: web}", "sourceNamespace: shop", "port: 9080", "port: 9081"],
];

const TO: &[&str] = &[
    "route: [{destination: {host: reviews, subset: v1}}]",
    "route: [{destination: {host: reviews, subset: v2}}]",
    "route: [{destination: {host: reviews, subset: v3}}]",
    "route: [{destination: {host: reviews, subset: unheard-of}}]",
    "route: [{destination: {host: reviews}}]",
    "route: [{destination: {host: ratings}}]",
    "route: [{destination: {host: gone}}]",
    "route: [{destination: {host: reviews, subset: v1}, weight: 50}, {destination: {host: reviews, subset: v2}, weight: 50}]",
    "route: [{destination: {host: reviews, subset: v1}, weight: 99}, {destination: {host: reviews, subset: v3}, weight: 1}]",
];

const MORE: &[&[&str]] = &[
    &["rewrite: {uri: /r}", "rewrite: {authority: inner}", "rewrite: {uri: /r, authority: inner}"],
    &[
        "fault: {abort: {httpStatus: 501, percentage: {value: 100}}}",
        "fault: {abort: {httpStatus: 501, percentage: {value: 50}}}",
        "fault: {abort: {httpStatus: 501, percentage: {value: 0}}}",
    ],
    &["headers: {request: {set: {x-user: somebody}}}", "headers: {request: {remove: [x-user]}}"],
    &["timeout: 5s", "retries: {attempts: 2}"],
];

const ENDS: &[&str] = &[
    "redirect: {uri: /new}",
    "redirect: {authority: elsewhere, redirectCode: 308}",
    "directResponse: {status: 418}",
];

fn http_rule() -> impl Strategy<Value = String> {
    let matches = prop::collection::vec(some(MATCHES), 0..3);
    let forwards = (select(TO), some(MORE)).prop_map(|(to, more)| match &*more {
        "" => to.to_owned(),
        more => format!("{to}, {more}"),
    });
    let action = prop_oneof![4 => forwards, 1 => select(ENDS).prop_map(str::to_owned)];
    (matches, action).prop_map(|(matches, action)| {
        let matches: Vec<String> =
            matches.iter().filter(|one| !one.is_empty()).map(|one| format!("{{{one}}}")).collect();
        match matches.is_empty() {
            true => format!("  - {{{action}}}\n"),
            false => format!("  - {{match: [{}], {action}}}\n", matches.join(", ")),
        }
    })
}

fn virtual_service() -> impl Strategy<Value = String> {
    prop::collection::vec(http_rule(), 1..5).prop_map(|rules| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: shop}}
spec:
  hosts: [reviews]
  http:
{}",
            rules.concat()
        )
    })
}

const FROM: &[&str] = &[
    "principals: [cluster.local/ns/shop/sa/web]",
    "notPrincipals: [cluster.local/ns/shop/sa/web]",
    "namespaces: [shop]",
    "notNamespaces: [shop]",
    "ipBlocks: [10.1.0.3/32]",
    "remoteIpBlocks: [10.1.0.0/24]",
];

const OPERATIONS: &[&[&str]] = &[
    &["paths: [/a*]", "paths: ['*b']", "notPaths: [/a]", "paths: [/a, /b]"],
    &["methods: [GET]", "notMethods: [GET]", "hosts: [reviews.shop]", "notHosts: ['other*']"],
    &["ports: ['8080']", "notPorts: ['8080']"],
];

const WHEN: &[&str] = &[
    "{key: 'request.headers[x-user]', values: [tester]}",
    "{key: 'request.headers[x-user]', notValues: [te*]}",
    "{key: source.namespace, values: [shop]}",
    "{key: destination.port, values: ['8080']}",
];

fn policy_rule() -> impl Strategy<Value = String> {
    let from = prop::option::of(select(FROM));
    let when = prop::option::of(select(WHEN));
    (from, some(OPERATIONS), when).prop_map(|(from, to, when)| {
        let from = from.map(|from| format!("from: [{{source: {{{from}}}}}]"));
        let to = Some(to).filter(|to| !to.is_empty());
        let to = to.map(|to| format!("to: [{{operation: {{{to}}}}}]"));
        let when = when.map(|when| format!("when: [{when}]"));
        let all: Vec<String> = [from, to, when].into_iter().flatten().collect();
        format!("  - {{{}}}\n", all.join(", "))
    })
}

fn policy(name: String) -> impl Strategy<Value = String> {
    let action = select(&["ALLOW", "DENY", "AUDIT"][..]);
    let rules = prop::collection::vec(policy_rule(), 1..4);
    (action, any::<bool>(), rules).prop_map(move |(action, dry_run, rules)| {
        let annotation = match dry_run && action != "AUDIT" {
            true => ", annotations: {istio.io/dry-run: 'true'}",
            false => "",
        };
        format!(
            "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: shop{annotation}}}
spec:
  selector: {{matchLabels: {{app: reviews}}}}
  action: {action}
  rules:
{}",
            rules.concat()
        )
    })
}

/// The shop, with or without routes and policies of some kind; or all of it through L7.
pub(super) fn manifests() -> impl Strategy<Value = String> {
    let policies: Vec<_> = ["one", "two", "three"]
        .map(|name| prop::option::weighted(0.6, policy(name.to_owned())))
        .into_iter()
        .collect();
    (any::<bool>(), prop::option::weighted(0.9, virtual_service()), policies).prop_map(
        |(labelled, routes, policies)| {
            let shop = match labelled {
                true => SHOP.replace(
                    "{name: shop, labels: {culvert.dev/mesh: enabled}}",
                    "{name: shop, labels: {culvert.dev/mesh: enabled, culvert.dev/l7: enabled}}",
                ),
                false => SHOP.to_owned(),
            };
            let more: Vec<String> =
                routes.into_iter().chain(policies.into_iter().flatten()).collect();
            shop + &more.concat()
        },
    )
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    let method = select(&["GET", "POST", "DELETE"][..]);
    let path =
        select(&["/", "/a", "/a/b", "/A", "/b?x=1", "/a?x=2", "//a/../b", "/a%2Fb", "/new"][..]);
    let host = select(&["reviews.shop", "reviews.shop:9080", "other.host", "10.96.0.1:9080"][..]);
    let user = select(&["", "x-user: tester", "x-user: test", "x-user: other"][..]);
    (method, path, host, user).prop_map(|(method, path, host, user)| {
        let headers = Some(user).filter(|user| !user.is_empty());
        Request::parse(method, path, host, headers).unwrap()
    })
}
