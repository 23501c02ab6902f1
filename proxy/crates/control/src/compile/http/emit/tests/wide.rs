//! One plan with one of everything.
use super::{at, host};
use crate::compile::http::plan::{
    Clients, Fraction, Plan, Routing, Rules, ServicePlan,
    forward::{Backend, Forward, Mirror, Retry, Share, Weighted},
    matching::{HeaderMatch, HttpMatch, PathMatch, QueryMatch, Text, Wanted},
    rule::{Action, Cors, Direct, HeaderOps, HttpRule, PathRewrite, Redirect, RedirectPort},
    stream::{StreamShare, TcpRule, TlsRule},
    traffic::{
        Balancer, Credential, HashKey, HashTable, Keepalive, Name, Originate, Outlier, Pool,
        RetryBudget, Tls, Traffic, TrafficPolicy, Trust, Version,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

fn reviews() -> Backend {
    Backend { service: host("shop", "reviews"), port: None, subset: None }
}

fn rule(index: usize, of: HttpMatch, action: Action) -> HttpRule {
    let pair = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
    let ops = HeaderOps {
        remove: vec!["x-old".into()],
        set: vec![pair("x-set", "a%%b")],
        add: vec![pair("x-add", "%REQ(x-user)%")],
    };
    HttpRule {
        at: at("VirtualService/shop/ratings", 1).rule(index, "shop.yaml:1"),
        name: None,
        matches: vec![of],
        action,
        request: ops.clone(),
        response: ops,
        fault: None,
        cors: (index == 0).then(|| Cors {
            origins: vec![Text::Prefix("https://a.".into())],
            methods: vec!["GET".into(), "PUT".into()],
            headers: vec!["x-a".into()],
            expose: vec!["x-b".into()],
            max_age: Some(Duration::from_secs(60)),
            credentials: true,
            forward_others: false,
        }),
    }
}

fn at_path(path: PathMatch) -> HttpMatch {
    HttpMatch { path, ..HttpMatch::default() }
}

fn http() -> Vec<HttpRule> {
    let forward = |path: Option<PathRewrite>| {
        let weighted = |weight| Weighted { weight, ..Weighted::all(Share::To(reviews())) };
        let nowhere = Weighted { weight: 1, ..Weighted::all(Share::Nowhere) };
        Action::Forward(Box::new(Forward {
            to: vec![weighted(90), weighted(9), nowhere],
            retry: Some(Retry {
                statuses: vec![503],
                back_off: Some(Duration::from_millis(5)),
                remote: true,
                ..Retry::standard()
            }),
            path,
            host: Some("other.example.com".into()),
            mirrors: vec![Mirror { to: reviews(), share: Fraction::percent(12.5) }],
            ..Forward::default()
        }))
    };
    let header = |name: &str, wanted, not| HeaderMatch { name: name.into(), wanted, not };
    let demanding = HttpMatch {
        method: Some(Text::Exact("GET".into())),
        scheme: Some(Text::Exact("http".into())),
        authority: Some(Text::Regex("ratings.*".into())),
        headers: vec![
            header("x-a", Wanted::Present, true),
            header("x-b", Wanted::Text(Text::Regex("[0-9]+".into())), true),
        ],
        query: vec![QueryMatch {
            name: "q".into(),
            wanted: Wanted::Text(Text::Prefix("a".into())),
        }],
        ignore_path_case: true,
        ..at_path(PathMatch::Prefix("/a".into()))
    };
    let segments = || at_path(PathMatch::Segments("/api/".into()));
    let prefix = |to: &str| Some(PathRewrite::Prefix(to.into()));
    let redirect = Redirect {
        scheme: Some("https".into()),
        host: Some("b.example.com".into()),
        port: RedirectPort::Number(super::port(8443)),
        path: prefix("/new"),
        code: 308,
    };
    let direct = Direct { status: 418, body: Some(b"short and stout".as_slice().into()) };
    let regex = PathRewrite::Regex { pattern: "/(.*)".into(), substitution: r"/x/\1".into() };
    vec![
        rule(0, demanding, forward(Some(PathRewrite::Full("/all".into())))),
        rule(1, segments(), forward(prefix("/"))),
        rule(2, segments(), forward(prefix("/v2/"))),
        rule(3, at_path(PathMatch::Regex("/r/.*".into())), forward(Some(regex))),
        rule(4, at_path(PathMatch::Exact("/old".into())), Action::Redirect(redirect)),
        rule(5, HttpMatch::default(), Action::Direct(direct)),
    ]
}

fn traffic() -> Traffic {
    let pool = Pool {
        connect_timeout: Some(Duration::from_secs(3)),
        max_connections: Some(10),
        max_connection_duration: Some(Duration::from_secs(600)),
        tcp_idle: Some(Duration::from_secs(60)),
        keepalive: Some(Keepalive {
            probes: Some(3),
            time: Some(Duration::from_secs(9)),
            interval: None,
        }),
        max_pending: Some(1),
        max_requests: Some(5),
        max_requests_per_connection: Some(2),
        max_retries: Some(1),
        http_idle: Some(Duration::from_secs(30)),
        max_streams: Some(10),
        pings: Some((Duration::from_secs(30), Duration::from_secs(5))),
        version: Version::Http2,
    };
    let keys = vec![
        HashKey::Header("x-user".into()),
        HashKey::Cookie {
            name: "c".into(),
            path: Some("/".into()),
            ttl: Some(Duration::from_secs(1)),
            attributes: vec![("SameSite".into(), "Strict".into())],
        },
        HashKey::SourceIp,
    ];
    let secret = |name: &str| Credential::Secret { namespace: "shop".into(), name: name.into() };
    let originate = Originate {
        trust: Trust::Only(secret("ca")),
        revoked: None,
        client: Some(secret("client")),
        sni: Some("outside.example.com".into()),
        names: vec![Name::Any("outside.example.com".into())],
        insecure: false,
    };
    let policy = TrafficPolicy {
        balancer: Some(Balancer::Hash { keys, table: HashTable::Ring { minimum: Some(512) } }),
        pool,
        outlier: Some(Outlier { consecutive_gateway: Some(2), ..Outlier::default() }),
        tls: Tls::Originate(Box::new(originate)),
        retry_budget: Some(RetryBudget { share: Some(Fraction::percent(25.0)), least: Some(3) }),
        ..TrafficPolicy::default()
    };
    Traffic {
        at: at("DestinationRule/shop/reviews", 1),
        clients: Clients::default(),
        policy,
        ports: BTreeMap::new(),
        subsets: BTreeMap::new(),
    }
}

/// Clients with a label have other rules than others.
pub(super) fn plan() -> Plan {
    let web =
        Clients { labels: [("app".to_owned(), "web".to_owned())].into(), ..Clients::default() };
    let one = |rules| Routing { clients: Clients::default(), port: None, rules };
    let to = || vec![StreamShare { to: Share::To(reviews()), weight: 1 }];
    let tls = TlsRule {
        at: at("VirtualService/shop/ratings", 1),
        hosts: vec!["a.example.com".into(), "*.b.example.com".into()],
        matches: Vec::new(),
        to: to(),
    };
    let tcp = TcpRule { at: at("TCPRoute/shop/ratings", 1), matches: Vec::new(), to: to() };
    let ratings = ServicePlan {
        routes: vec![
            Routing { clients: web, ..one(Rules::Http(http())) },
            one(Rules::Tls(vec![tls])),
            one(Rules::Tcp(vec![tcp])),
        ],
        traffic: Vec::new(),
    };
    let reviews = ServicePlan { routes: Vec::new(), traffic: vec![traffic()] };
    Plan {
        services: [
            (host("shop", "ratings"), Arc::new(ratings)),
            (host("shop", "reviews"), Arc::new(reviews)),
        ]
        .into(),
        ..Plan::default()
    }
}
