//! Virtual hosts and conditions of routes.
use super::*;

fn hosts(ignore_port: bool) -> Table {
    let all = [
        ("exact", &["www.foo.com", "www.foo.com:8080"][..]),
        ("suffix", &["*.foo.com"]),
        ("longer", &["*-bar.foo.com"]),
        ("prefix", &["foo.*"]),
        ("longer prefix", &["foo.b*"]),
        ("any", &["*"]),
    ];
    let hosts = all.iter().map(|(name, domains)| {
        host(name, domains, vec![route(name, RouteMatch::path(prefix("/")))])
    });
    let hosts = hosts.collect();
    Table::new(Arc::new(RouteTable { ignore_port, ..table(hosts) }))
}

#[test]
fn exact_then_longest_suffix_then_longest_prefix_then_any() {
    for (authority, wanted) in [
        ("www.foo.com", "exact"),
        ("WWW.Foo.COM", "exact"),
        ("www.foo.com:8080", "exact"),
        ("www.foo.com:80", "any"),
        ("a.foo.com", "suffix"),
        ("a-bar.foo.com", "longer"),
        ("-bar.foo.com", "suffix"),
        (".foo.com", "any"),
        ("foo.org", "prefix"),
        ("foo.bar", "longer prefix"),
        ("foo.b", "prefix"),
        ("foo.", "any"),
        ("what", "any"),
        ("", "no host"),
    ] {
        assert_eq!(name_of(&hosts(false), &Req::get(authority, "/")), wanted, "{authority}");
    }
}

#[test]
fn ports_can_be_passed_over() {
    for (authority, wanted) in
        [("www.foo.com:80", "exact"), ("a.foo.com:1", "suffix"), ("[::1]:80", "any")]
    {
        assert_eq!(name_of(&hosts(true), &Req::get(authority, "/")), wanted, "{authority}");
    }
}

#[test]
fn a_table_of_any_host_takes_requests_without_one() {
    let table = routes(vec![route("all", RouteMatch::path(prefix("/")))]);
    assert_eq!(name_of(&table, &Req::get("", "/")), "all");
}

#[test]
fn the_first_route_that_matches_is_taken() {
    let table = routes(vec![
        route("exact", RouteMatch::path(exact("/a"))),
        route("separated", RouteMatch::path(separated("/a"))),
        route("regex", RouteMatch::path(PathMatch::Regex(Regex::new("/[0-9]+").unwrap()))),
        route("any case", RouteMatch::path(PathMatch::Prefix(PathText::new("/Case", true)))),
        route("connect", RouteMatch::path(PathMatch::Connect)),
        route("prefix", RouteMatch::path(prefix("/"))),
    ]);
    for (path, wanted) in [
        ("/a", "exact"),
        ("/a?b=c", "exact"),
        ("/a#b", "exact"),
        ("/a/", "separated"),
        ("/ab", "prefix"),
        ("/12", "regex"),
        ("/12/", "prefix"),
        ("/cAsE/x", "any case"),
        ("", "nowhere"),
    ] {
        assert_eq!(name_of(&table, &Req::get("h", path)), wanted, "{path}");
    }
    let connect = Req { method: Method::CONNECT, ..Req::get("h", "") };
    assert_eq!(name_of(&table, &connect), "connect");
}

#[test]
fn every_condition_counts() {
    let conditions = [
        RouteMatch {
            headers: [header("x-a", "1"), header(":method", "GET")].into(),
            ..RouteMatch::path(prefix("/"))
        },
        RouteMatch {
            query: [QueryMatch { name: "q".into(), condition: QueryCondition::Present(true) }]
                .into(),
            ..RouteMatch::path(prefix("/"))
        },
        RouteMatch { grpc: true, ..RouteMatch::path(prefix("/")) },
        RouteMatch {
            tls: Some(TlsMatch { presented: Some(true), validated: Some(false) }),
            ..RouteMatch::path(prefix("/"))
        },
        RouteMatch {
            fraction: Some(Fraction::percent(10).into()),
            ..RouteMatch::path(prefix("/"))
        },
        RouteMatch {
            headers: [HeaderMatch::new("x-last".parse().unwrap(), HeaderCondition::Present(true))]
                .into(),
            ..RouteMatch::path(prefix("/"))
        },
    ];
    let table = routes(
        conditions.into_iter().enumerate().map(|(at, when)| route(&at.to_string(), when)).collect(),
    );
    let base = Req { dice: 50, ..Req::get("h", "/") };
    let presented = |validated| Req {
        connection: Connection { tls: Some(tls(validated)), ..Connection::default() },
        ..base.clone()
    };
    for (request, wanted) in [
        (base.clone().with("x-a", "1"), "0"),
        (Req { path: "/?q".into(), ..base.clone() }, "1"),
        (base.clone().with("content-type", "application/grpc+proto"), "2"),
        (base.clone().with("content-type", "application/grpc-web"), "nowhere"),
        (presented(false), "3"),
        (presented(true), "nowhere"),
        (Req { dice: 109, ..base.clone() }, "4"),
        (base.clone().with("x-last", ""), "5"),
        (base, "nowhere"),
    ] {
        assert_eq!(name_of(&table, &request), wanted);
    }
}

#[test]
fn a_host_that_wants_tls_sends_others_away() {
    let all = vec![route("r", RouteMatch::path(prefix("/")))];
    let of = |require_tls| {
        let host = VirtualHost { require_tls, ..host("h", &["*"], all.clone()) };
        Table::new(Arc::new(table(vec![host])))
    };
    let plain = Req::get("h", "/");
    let inside = plain.clone().with("x-envoy-internal", "true");
    let secure = Req { scheme: "https", ..plain.clone() };
    assert_eq!(name_of(&of(RequireTls::All), &plain), "tls");
    assert_eq!(name_of(&of(RequireTls::All), &inside), "tls");
    assert_eq!(name_of(&of(RequireTls::All), &secure), "r");
    assert_eq!(name_of(&of(RequireTls::External), &plain), "tls");
    assert_eq!(name_of(&of(RequireTls::External), &inside), "r");
}

#[test]
fn people_are_told_why_not() {
    let table = routes(vec![
        route("a", RouteMatch::path(exact("/a"))),
        route(
            "b",
            RouteMatch { headers: [header("x-b", "1")].into(), ..RouteMatch::path(prefix("/")) },
        ),
        route("c", RouteMatch::path(prefix("/"))),
        route("d", RouteMatch::path(prefix("/"))),
    ]);
    let text = Req::get("h", "/x").ask(|asking| table.explain(asking).to_string());
    assert_eq!(
        text,
        "virtual host all\n  \
         route 0 (a): the path is not /a\n  \
         route 1 (b): header x-b is not as it must be\n  \
         route 2 (c): matches"
    );
}
