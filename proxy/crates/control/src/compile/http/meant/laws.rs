//! Whatever policies there are: what they come to at L4 and at L7 together is what Istio documents.
use super::{
    Ask, Meant, SERVED,
    access::{permits, policy},
    documented::{Field, Rule, Written, documented},
};
use crate::compile::http::emit::tests::SHOP;
use culvert_model::{identity::Identity, snapshot::Snapshot};
use culvert_policy::{Facts, authz, http::why::Engine};
use proptest::{prelude::*, sample::select};
use std::net::SocketAddr;

const SOURCES: &[&[Field]] = &[
    &[
        ("principals", &["cluster.local/ns/shop/sa/web"]),
        ("principals", &["cluster.local/*", "other.example/ns/shop/sa/web"]),
        ("principals", &["*/teller"]),
        ("principals", &["*"]),
        ("notPrincipals", &["cluster.local/ns/shop/sa/web"]),
        ("namespaces", &["shop"]),
        ("namespaces", &["ba*", "edge"]),
        ("notNamespaces", &["shop", "edge"]),
        ("serviceAccounts", &["web"]),
        ("serviceAccounts", &["bank/teller", "shop/other"]),
        ("notServiceAccounts", &["web"]),
        ("requestPrincipals", &["*"]),
    ],
    &[
        ("ipBlocks", &["10.1.0.3"]),
        ("ipBlocks", &["10.1.0.0/24", "192.0.2.0/24"]),
        ("notIpBlocks", &["10.1.0.0/24"]),
        ("remoteIpBlocks", &["203.0.113.0/24"]),
        ("notRemoteIpBlocks", &["203.0.113.7", "192.0.2.7"]),
    ],
    &[("trustDomains", &["cluster.local"]), ("notTrustDomains", &["other*"])],
];

const OPERATIONS: &[&[Field]] = &[
    &[
        ("paths", &["/a"]),
        ("paths", &["/a*", "*.html"]),
        ("notPaths", &["/a"]),
        ("notPaths", &["*/b", "/c"]),
    ],
    &[
        ("methods", &["GET"]),
        ("methods", &["POST", "PUT"]),
        ("notMethods", &["GET"]),
        ("hosts", &["reviews.shop"]),
        ("hosts", &["*.example"]),
        ("notHosts", &["reviews*"]),
    ],
    &[
        ("ports", &["8080"]),
        ("ports", &["9999", "8080"]),
        ("ports", &["9999"]),
        ("notPorts", &["8080"]),
        ("notPorts", &["9999"]),
    ],
];

const WHEN: &[(&str, Field)] = &[
    ("request.headers[x-user]", ("values", &["tester"])),
    ("request.headers[x-user]", ("values", &["te*", "*n"])),
    ("request.headers[x-user]", ("notValues", &["tester"])),
    ("source.ip", ("values", &["10.1.0.0/24"])),
    ("source.ip", ("notValues", &["10.1.0.3"])),
    ("remote.ip", ("values", &["203.0.113.7"])),
    ("source.namespace", ("values", &["shop"])),
    ("source.principal", ("notValues", &["*/web"])),
    ("source.serviceAccount", ("values", &["shop/web"])),
    ("source.trustDomain", ("values", &["cluster.local"])),
    ("destination.ip", ("values", &["10.1.0.1"])),
    ("destination.ip", ("notValues", &["10.1.0.0/24"])),
    ("destination.port", ("values", &["8080"])),
    ("destination.port", ("notValues", &["80"])),
    ("connection.sni", ("notValues", &["a.example"])),
    ("request.auth.claims[iss]", ("values", &["a"])),
];

fn list(values: &[&str]) -> String {
    let each = values.iter().map(|value| format!("'{value}'"));
    format!("[{}]", each.collect::<Vec<_>>().join(", "))
}

fn manifests(all: &[Written]) -> String {
    let fields = |all: &Vec<Field>| {
        let each = all.iter().map(|(name, values)| format!("{name}: {}", list(values)));
        format!("{{{}}}", each.collect::<Vec<_>>().join(", "))
    };
    let rule = |rule: &Rule| {
        let part = |name: &str, inner: &str, all: &Vec<Vec<Field>>| {
            let each = all.iter().map(|one| format!("{{{inner}: {}}}", fields(one)));
            (!all.is_empty()).then(|| format!("{name}: [{}]", each.collect::<Vec<_>>().join(", ")))
        };
        let when = rule
            .when
            .iter()
            .map(|(key, (kind, values))| format!("{{key: '{key}', {kind}: {}}}", list(values)));
        let when = when.collect::<Vec<_>>().join(", ");
        let when = (!when.is_empty()).then(|| format!("when: [{when}]"));
        let parts = [part("from", "source", &rule.from), part("to", "operation", &rule.to), when];
        format!("{{{}}}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    };
    let one = |(index, one): (usize, &Written)| {
        let rules = one.rules.iter().map(rule).collect::<Vec<_>>().join(", ");
        let app = if one.selects { "reviews" } else { "ratings" };
        let dry_run = if one.dry_run { ", annotations: {istio.io/dry-run: 'true'}" } else { "" };
        let selector = format!("selector: {{matchLabels: {{app: {app}}}}}");
        let spec = format!("{selector}, action: {}, rules: [{rules}]", one.action);
        policy(&format!("p{index}"), dry_run, &spec)
    };
    all.iter().enumerate().map(one).collect()
}

fn some(groups: &'static [&'static [Field]]) -> impl Strategy<Value = Vec<Field>> {
    let each: Vec<_> = groups.iter().map(|all| prop::option::weighted(0.4, select(*all))).collect();
    let chosen = each.prop_map(|all| all.into_iter().flatten().collect::<Vec<_>>());
    chosen.prop_map(|all| if all.is_empty() { vec![groups[0][0]] } else { all })
}

fn rule() -> impl Strategy<Value = Rule> {
    let from = prop::collection::vec(some(SOURCES), 0..3);
    let to = prop::collection::vec(some(OPERATIONS), 0..3);
    let when = prop::collection::vec(select(WHEN), 0..2);
    (from, to, when).prop_map(|(from, to, when)| Rule { from, to, when })
}

fn written(actions: &'static [&'static str]) -> impl Strategy<Value = Written> {
    let rules = prop::collection::vec(rule(), 0..3);
    let (dry_run, selects) = (prop::bool::weighted(0.15), prop::bool::weighted(0.85));
    (select(actions), dry_run, selects, rules).prop_map(|(action, dry_run, selects, rules)| {
        // An AUDIT is never enforced anyway.
        Written { action, dry_run: dry_run && action != "AUDIT", selects, rules }
    })
}

fn ask() -> impl Strategy<Value = Ask<'static>> {
    let who = select(vec![
        None,
        SERVED.who,
        Some("spiffe://cluster.local/ns/shop/sa/other"),
        Some("spiffe://cluster.local/ns/bank/sa/teller"),
        Some("spiffe://other.example/ns/shop/sa/web"),
    ]);
    let from = select(vec!["10.1.0.3:40000", "10.1.0.4:40000", "192.0.2.7:40000"]);
    let path = select(vec!["/", "/a", "/a/b", "/a?x=1", "/x.html", "/c"]);
    let host = select(vec!["reviews.shop", "Reviews.Shop", "a.example", "reviews.shop:9080"]);
    let headers: [&'static [&'static str]; 5] = [
        &[],
        &["x-user: tester"],
        &["x-user: admin"],
        &["x-forwarded-for: 203.0.113.7"],
        &["x-user: test", "x-forwarded-for: 192.0.2.7"],
    ];
    let method = select(vec!["GET", "POST", "DELETE"]);
    (who, from, path, host, select(headers.to_vec()), method).prop_map(
        |(who, from, path, host, headers, method)| Ask {
            who,
            from,
            path,
            host,
            headers,
            method,
            ..SERVED
        },
    )
}

/// Both sides of a server: what L4 asks of a connection, and its engine of requests.
struct Server {
    engine: Engine,
    snapshot: Snapshot,
}

impl Server {
    fn of(all: &[Written]) -> Self {
        let meant = Meant::of(&format!("{SHOP}{}", manifests(all)));
        Self { engine: meant.engine("shop"), snapshot: meant.0.mesh().snapshot() }
    }

    fn permits(&self, ask: &Ask<'_>) -> bool {
        let (from, to): (SocketAddr, SocketAddr) =
            (ask.from.parse().unwrap(), ask.to.parse().unwrap());
        let peer: Option<Identity> = ask.who.map(|who| who.parse().unwrap());
        let known = self.snapshot.known_at(to.ip()).unwrap();
        let facts = Facts::new(peer.as_ref(), from.ip(), to);
        let at_l4 = authz::decide(&known.authz, &facts).verdict.is_ok();
        let must = known.member.l7.contains(to.port());
        at_l4 && (!must || permits(&self.engine, ask))
    }
}

const ALL: &[&str] = &["ALLOW", "ALLOW", "DENY", "AUDIT"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_judged_as_istio_documents(
        all in prop::collection::vec(written(ALL), 0..4),
        asks in prop::collection::vec(ask(), 6),
    ) {
        let server = Server::of(&all);
        for ask in &asks {
            prop_assert_eq!(server.permits(ask), documented(&all, ask), "{:?}\n{}", ask, manifests(&all));
        }
    }

    #[test]
    fn a_further_denial_permits_nothing_more(
        all in prop::collection::vec(written(ALL), 0..4),
        denial in written(&["DENY"]),
        asks in prop::collection::vec(ask(), 6),
    ) {
        let before = Server::of(&all);
        let more: Vec<Written> = all.iter().cloned().chain([denial]).collect();
        let after = Server::of(&more);
        for ask in &asks {
            prop_assert!(before.permits(ask) || !after.permits(ask), "{:?}\n{}", ask, manifests(&more));
        }
    }

    /// Both kinds of denials at once, whichever side decides each.
    #[test]
    fn the_union_permits_nothing_that_either_refuses(
        some in prop::collection::vec(written(&["DENY"]), 1..3),
        others in prop::collection::vec(written(&["DENY"]), 1..3),
        asks in prop::collection::vec(ask(), 6),
    ) {
        let both: Vec<Written> = some.iter().chain(&others).cloned().collect();
        let (one, other, both) = (Server::of(&some), Server::of(&others), Server::of(&both));
        for ask in &asks {
            prop_assert_eq!(both.permits(ask), one.permits(ask) && other.permits(ask), "{:?}", ask);
        }
    }
}
