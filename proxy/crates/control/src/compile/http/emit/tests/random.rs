//! Plans at random: what somebody might write, and what nobody would.
use super::host;
use crate::compile::http::plan::{
    At, Clients, Fraction, Labels, Plan, Routing, Rules, ServicePlan,
    forward::{Backend, Forward, Mirror, Retry, Share, Weighted},
    gateway::{
        Chosen, ClientAuth, GatewayPlan, Server, ServerTls, Serves, TlsVersion, VirtualHost,
    },
    matching::{HeaderMatch, HttpMatch, PathMatch, QueryMatch, Text, Wanted},
    rule::{
        Abort, Action, Cors, Direct, Fault, HeaderOps, HttpRule, PathRewrite, Redirect,
        RedirectPort,
    },
    stream::{StreamMatch, StreamShare, TcpRule, TlsRule},
};
use culvert_model::name::{ObjectName, ServiceName};
pub(super) use policies::policy;
use proptest::{collection::vec, option::of, prelude::*, sample::select};
use std::{num::NonZeroU16, sync::Arc, time::Duration};
use ways::{credential, names, traffic, trust};

mod ways;

mod policies;

const TEXTS: &[&str] = &[
    "",
    "*",
    "a",
    "/",
    "/api",
    "/api/",
    "v1",
    "v2",
    "x-user",
    "Host",
    ":path",
    ":method",
    "bad\n",
    "%",
    "%REQ(x)%",
    "(",
    "{*}",
    "/a/{**}/b",
    "é",
    "1.2.3.4",
    "10.0.0.0/8",
    "80",
    "GET",
    "*.a.com",
    "a.com",
    "a.*",
    "*.*",
    "r1/z1/*",
    "r2",
    "\0",
    "\\1",
    "a=b",
    "shop/web",
    "*web",
    "shop*",
    ".",
    "retriable-status-codes",
    "connect-failure",
    "https",
    "#",
    "/a?b",
    "..",
];

fn text() -> impl Strategy<Value = Arc<str>> + Clone {
    let odd = ".{0,5}".prop_map(Arc::<str>::from);
    prop_oneof![8 => select(TEXTS).prop_map(Arc::<str>::from), 1 => odd]
}

fn port() -> impl Strategy<Value = NonZeroU16> + Clone {
    select(&[1, 80, 443, 3306, 8080, 9080, 65535][..]).prop_map(super::port)
}

fn time() -> impl Strategy<Value = Duration> + Clone {
    let some = [0, 1, 999, 1_000_000, 10_000_000_000].map(Duration::from_nanos);
    prop_oneof![4 => select(some.to_vec()), 1 => Just(Duration::MAX)]
}

fn number() -> impl Strategy<Value = u32> + Clone {
    select(&[0, 1, 3, 100, 1000, u32::MAX][..])
}

fn fraction() -> impl Strategy<Value = Fraction> + Clone {
    select(vec![Fraction::NONE, Fraction::percent(0.1), Fraction::percent(50.0), Fraction::ALL])
}

fn labels() -> impl Strategy<Value = Labels> + Clone {
    let pairs = select(&[("app", "web"), ("app", "reviews"), ("version", "v1"), ("x", "y")][..]);
    vec(pairs, 0..2).prop_map(|pairs| {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    })
}

fn at() -> impl Strategy<Value = At> + Clone {
    (text(), of(0_u32..3), text()).prop_map(|(object, index, place)| At { object, index, place })
}

fn clients() -> impl Strategy<Value = Clients> + Clone {
    let namespaces = select(&["shop", "bank", "other"][..]).prop_map(Arc::<str>::from);
    let namespaces = of(proptest::collection::btree_set(namespaces, 0..2));
    prop_oneof![
        3 => Just(Clients::default()),
        2 => (namespaces, labels())
            .prop_map(|(namespaces, labels)| Clients { namespaces, labels }),
    ]
}

fn service() -> impl Strategy<Value = ServiceName> + Clone {
    select(vec![host("shop", "reviews"), host("shop", "ratings"), host("bank", "nobody")])
}

fn backend() -> impl Strategy<Value = Backend> + Clone {
    (service(), of(port()), of(text())).prop_map(|(service, port, subset)| Backend {
        service,
        port,
        subset,
    })
}

fn share() -> impl Strategy<Value = Share> + Clone {
    prop_oneof![5 => backend().prop_map(Share::To), 1 => Just(Share::Nowhere)]
}

fn ops() -> impl Strategy<Value = HeaderOps> + Clone {
    let pairs = || vec((text(), text()), 0..2);
    (vec(text(), 0..2), pairs(), pairs()).prop_map(|(remove, set, add)| HeaderOps {
        remove,
        set,
        add,
    })
}

fn wanted() -> impl Strategy<Value = Wanted> + Clone {
    prop_oneof![Just(Wanted::Present), compared().prop_map(Wanted::Text)]
}

fn compared() -> impl Strategy<Value = Text> + Clone {
    (text(), 0..3).prop_map(|(text, kind)| match kind {
        0 => Text::Exact(text),
        1 => Text::Prefix(text),
        _ => Text::Regex(text),
    })
}

fn path() -> impl Strategy<Value = PathMatch> + Clone {
    (text(), 0..5).prop_map(|(text, kind)| match kind {
        0 => PathMatch::Any,
        1 => PathMatch::Exact(text),
        2 => PathMatch::Prefix(text),
        3 => PathMatch::Segments(text),
        _ => PathMatch::Regex(text),
    })
}

fn rewrite() -> impl Strategy<Value = PathRewrite> + Clone {
    (text(), text(), 0..3).prop_map(|(one, other, kind)| match kind {
        0 => PathRewrite::Full(one),
        1 => PathRewrite::Prefix(one),
        _ => PathRewrite::Regex { pattern: one, substitution: other },
    })
}

fn http_match() -> impl Strategy<Value = HttpMatch> {
    let headers = (text(), wanted(), any::<bool>());
    let headers = headers.prop_map(|(name, wanted, not)| HeaderMatch { name, wanted, not });
    let query = (text(), wanted()).prop_map(|(name, wanted)| QueryMatch { name, wanted });
    let first = (of(text()), path(), any::<bool>(), of(compared()), of(compared()));
    let rest = (of(compared()), vec(headers, 0..3), vec(query, 0..2), of(port()), clients());
    (first, rest).prop_map(|(first, rest)| {
        let (name, path, ignore_path_case, method, scheme) = first;
        let (authority, headers, query, port, clients) = rest;
        HttpMatch {
            name,
            path,
            ignore_path_case,
            method,
            scheme,
            authority,
            headers,
            query,
            port,
            clients,
            counted: None,
        }
    })
}

fn retry() -> impl Strategy<Value = Retry> {
    let numbers = (number(), of(time()), vec(text(), 0..3));
    let rest = (vec(any::<u16>(), 0..2), of(time()), any::<bool>(), any::<bool>());
    (numbers, rest).prop_map(|((attempts, per_try, on), rest)| {
        let (statuses, back_off, avoid_previous, remote) = rest;
        Retry { attempts, per_try, on, statuses, back_off, avoid_previous, remote }
    })
}

fn forward() -> impl Strategy<Value = Forward> {
    let weighted = (share(), number(), ops(), ops());
    let weighted = weighted.prop_map(|(to, weight, request, response)| Weighted {
        to,
        weight,
        request,
        response,
    });
    let mirror = (backend(), fraction()).prop_map(|(to, share)| Mirror { to, share });
    (vec(weighted, 0..3), of(time()), of(retry()), of(rewrite()), of(text()), vec(mirror, 0..2))
        .prop_map(|(to, timeout, retry, path, host, mirrors)| Forward {
            to,
            timeout,
            retry,
            path,
            host,
            mirrors,
        })
}

fn action() -> impl Strategy<Value = Action> {
    let redirect_port = of(port()).prop_map(|port| match port {
        None => RedirectPort::Unchanged,
        Some(port) => RedirectPort::Number(port),
    });
    let redirect = (of(text()), of(text()), redirect_port, of(rewrite()), any::<u16>());
    let redirect = redirect.prop_map(|(scheme, host, port, path, code)| {
        Action::Redirect(Redirect { scheme, host, port, path, code })
    });
    let body = vec(any::<u8>(), 0..9).prop_map(Arc::<[u8]>::from);
    let direct = (any::<u16>(), of(body));
    prop_oneof![
        4 => forward().prop_map(|forward| Action::Forward(Box::new(forward))),
        1 => redirect,
        1 => direct.prop_map(|(status, body)| Action::Direct(Direct { status, body })),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let abort = prop_oneof![any::<u16>().prop_map(Abort::Http), (0_u32..20).prop_map(Abort::Grpc),];
    (of((time(), fraction())), of((abort, fraction())))
        .prop_map(|(delay, abort)| Fault { delay, abort })
}

fn cors() -> impl Strategy<Value = Cors> {
    let lists = (vec(compared(), 0..3), vec(text(), 0..3), vec(text(), 0..2), vec(text(), 0..2));
    (lists, of(time()), any::<bool>(), any::<bool>()).prop_map(|(lists, max_age, a, b)| {
        let (origins, methods, headers, expose) = lists;
        Cors { origins, methods, headers, expose, max_age, credentials: a, forward_others: b }
    })
}

fn http_rule() -> impl Strategy<Value = HttpRule> {
    let first = (at(), of(text()), vec(http_match(), 0..3), action());
    (first, ops(), ops(), of(fault()), of(cors())).prop_map(
        |((at, name, matches, action), request, response, fault, cors)| HttpRule {
            at,
            name,
            matches,
            action,
            request,
            response,
            fault,
            cors,
        },
    )
}

fn stream_match() -> impl Strategy<Value = StreamMatch> {
    let nets =
        vec(select(&["10.96.0.0/24", "::/0"][..]).prop_map(|net| net.parse().unwrap()), 0..2);
    let sources = select(&["10.1.0.0/16", "10.1.0.3/32", "0.0.0.0/0", "fd00::/8"][..]);
    let source = of(sources.prop_map(|net| net.parse().unwrap()));
    (nets, of(port()), source, clients()).prop_map(|(destinations, port, source, clients)| {
        StreamMatch { destinations, port, source, clients }
    })
}

fn shares() -> impl Strategy<Value = Vec<StreamShare>> {
    vec((share(), number()).prop_map(|(to, weight)| StreamShare { to, weight }), 0..3)
}

fn tls_rule() -> impl Strategy<Value = TlsRule> {
    (at(), vec(text(), 0..3), vec(stream_match(), 0..2), shares())
        .prop_map(|(at, hosts, matches, to)| TlsRule { at, hosts, matches, to })
}

fn tcp_rule() -> impl Strategy<Value = TcpRule> {
    (at(), vec(stream_match(), 0..2), shares()).prop_map(|(at, matches, to)| TcpRule {
        at,
        matches,
        to,
    })
}

fn routing() -> impl Strategy<Value = Routing> {
    let rules = prop_oneof![
        3 => vec(http_rule(), 0..3).prop_map(Rules::Http),
        1 => vec(tls_rule(), 0..3).prop_map(Rules::Tls),
        1 => vec(tcp_rule(), 0..3).prop_map(Rules::Tcp),
    ];
    (clients(), of(port()), rules).prop_map(|(clients, port, rules)| Routing {
        clients,
        port,
        rules,
    })
}

fn server_tls() -> impl Strategy<Value = ServerTls> {
    let client = (trust(), names(), 0..3).prop_map(|(trust, names, kind)| match kind {
        0 => ClientAuth::None,
        1 => ClientAuth::Optional { trust, names },
        _ => ClientAuth::Required { trust, names },
    });
    let version = of(select(&[TlsVersion::V1_2, TlsVersion::V1_3][..]));
    (vec(credential(), 0..2), client, version.clone(), version).prop_map(
        |(credentials, client, min, max)| ServerTls {
            credentials,
            client,
            revoked: None,
            min,
            max,
            ciphers: Vec::new(),
        },
    )
}

fn server() -> impl Strategy<Value = Server> {
    let hosts = || {
        let host = (vec(text(), 0..3), vec(http_rule(), 0..2));
        vec(host.prop_map(|(domains, rules)| VirtualHost { domains, rules }), 0..3)
    };
    let serves = prop_oneof![
        (hosts(), any::<bool>()).prop_map(|(hosts, to_https)| Serves::Http { hosts, to_https }),
        (hosts(), server_tls()).prop_map(|(hosts, tls)| Serves::Https { hosts, tls }),
        (vec(tcp_rule(), 0..2), server_tls())
            .prop_map(|(rules, tls)| Serves::TlsTerminated { rules, tls }),
        vec(tls_rule(), 0..3).prop_map(Serves::TlsPassed),
        proptest::collection::btree_set(service(), 0..3).prop_map(Serves::TlsByCluster),
        vec(tcp_rule(), 0..2).prop_map(Serves::Tcp),
        Just(Serves::Nothing),
    ];
    (at(), text(), port(), vec(text(), 0..3), serves).prop_map(|(at, name, port, hosts, serves)| {
        Server { at, name, address: None, port, hosts, serves }
    })
}

/// Anything, for the services of the shop.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let service_plan = (vec(routing(), 0..3), vec(traffic(), 0..2))
        .prop_map(|(routes, traffic)| Arc::new(ServicePlan { routes, traffic }));
    let services = proptest::collection::btree_map(service(), service_plan, 0..3);
    let gateway = || {
        (at(), vec(server(), 0..4)).prop_map(|(at, servers)| GatewayPlan {
            at,
            labels: Labels::new(),
            servers,
        })
    };
    let gateways = of(gateway()).prop_map(|gateway| {
        gateway.into_iter().map(|one| (ObjectName::new("shop", "gw"), Arc::new(one))).collect()
    });
    let chosen = of(gateway()).prop_map(|gateway| {
        let chosen = |plan| Arc::new(Chosen { labels: Labels::new(), since: None, plan });
        gateway.into_iter().map(|one| (ObjectName::new("edge", "all"), chosen(one))).collect()
    });
    let policies = proptest::collection::btree_map(text(), policy().prop_map(Arc::new), 0..4);
    (services, gateways, chosen, policies).prop_map(|(services, gateways, chosen, policies)| Plan {
        services,
        gateways,
        chosen,
        policies,
    })
}
