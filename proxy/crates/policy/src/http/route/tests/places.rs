//! Clusters, redirects and rewrites.
use culvert_model::http::{
    matcher::Substitution,
    route::{
        ClusterChoice, Forward, HostRewrite, PathRewrite, Priority, Redirect, RedirectCode,
        RedirectPath, RedirectScheme, Timeouts, Weighted, WeightedCluster, WeightedName,
    },
};

use super::{
    super::{cluster, https_location, location, rewritten_host, rewritten_path},
    *,
};

fn forward(cluster: ClusterChoice) -> Forward {
    Forward {
        cluster,
        not_found: http::StatusCode::SERVICE_UNAVAILABLE,
        metadata_match: Metadata::default(),
        path: PathRewrite::Keep,
        host: HostRewrite::Keep,
        append_forwarded_host: false,
        timeouts: Timeouts::default(),
        retry: None,
        mirrors: Box::default(),
        hash: Box::default(),
        upgrades: Box::default(),
        priority: Priority::Default,
        rate_limits: Box::default(),
        host_rate_limits: false,
        internal_redirect: None,
        cors: None,
    }
}

fn weighted(weights: &[u32]) -> Weighted {
    let one = |(at, weight): (usize, &u32)| WeightedCluster {
        cluster: WeightedName::Named(at.to_string().into()),
        weight: *weight,
        metadata_match: Metadata::default(),
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        host: None,
        per_filter: PerFilter::default(),
    };
    Weighted {
        clusters: weights.iter().enumerate().map(one).collect(),
        total: weights.iter().copied().map(u64::from).sum(),
        dice_header: Some("x-dice".parse().unwrap()),
        runtime_prefix: None,
        by_hash: true,
    }
}

fn chosen(weighted: &Weighted, request: &Req, hash: Option<u64>) -> String {
    let forward = forward(ClusterChoice::Weighted(weighted.clone()));
    request.ask(|asking| cluster(&forward, asking, hash).unwrap().cluster.to_string())
}

#[test]
fn weights_divide_the_dice() {
    let weighted = weighted(&[10, 0, 30]);
    let with = |dice| Req { dice, ..Req::get("h", "/") };
    for (dice, wanted) in [(0, "0"), (9, "0"), (10, "2"), (39, "2"), (40, "0"), (u64::MAX, "2")] {
        assert_eq!(chosen(&weighted, &with(dice), None), wanted, "{dice}");
    }
    assert_eq!(chosen(&weighted, &with(0).with("x-dice", "12"), None), "2");
    assert_eq!(chosen(&weighted, &with(0).with("x-dice", "12").with("x-dice", "13"), None), "0");
    assert_eq!(chosen(&weighted, &with(0).with("x-dice", "12"), Some(41)), "0");
}

#[test]
fn a_header_names_the_cluster() {
    let forward = forward(ClusterChoice::Header("x-cluster".parse().unwrap()));
    let named = Req::get("h", "/").with("x-cluster", "c");
    assert_eq!(named.ask(|asking| cluster(&forward, asking, None).unwrap().cluster), "c".into());
    assert!(Req::get("h", "/").ask(|asking| cluster(&forward, asking, None).is_none()));
}

fn redirect(path: RedirectPath) -> Redirect {
    Redirect {
        code: RedirectCode::Found,
        scheme: None,
        host: None,
        port: None,
        path,
        strip_query: false,
    }
}

#[test]
fn redirects_keep_what_they_do_not_name() {
    let head = Req::get("h:80", "/a/b?q=1");
    let keep = redirect(RedirectPath::Keep);
    let https = Redirect { scheme: Some(RedirectScheme::Https), ..keep.clone() };
    let elsewhere = Redirect { host: Some("o".into()), port: Some(8443), ..keep.clone() };
    let when = prefix("/a");
    for (redirect, wanted) in [
        (&keep, "http://h:80/a/b?q=1"),
        (&https, "https://h/a/b?q=1"),
        (&elsewhere, "http://o:8443/a/b?q=1"),
        (&Redirect { port: Some(1), ..keep.clone() }, "http://h:1/a/b?q=1"),
        (&Redirect { strip_query: true, ..keep.clone() }, "http://h:80/a/b"),
        (&redirect(RedirectPath::Replace("/n".into())), "http://h:80/n?q=1"),
        (
            &Redirect { strip_query: true, ..redirect(RedirectPath::Replace("/n?z".into())) },
            "http://h:80/n?z",
        ),
        (&redirect(RedirectPath::Prefix("/n".into())), "http://h:80/n/b?q=1"),
        (
            &redirect(RedirectPath::Regex(Substitution::new("^/a/(.*)$", r"/\1/a").unwrap())),
            "http://h:80/b/a?q=1",
        ),
    ] {
        assert_eq!(location(redirect, &when, &head.head()), wanted);
    }
    let secure = Req { scheme: "https", ..Req::get("h:80", "/") };
    let down = Redirect { scheme: Some(RedirectScheme::Named("http".into())), ..keep };
    assert_eq!(location(&down, &when, &secure.head()), "http://h:80/");
    assert_eq!(https_location(&Req::get("h:8080", "/a?b").head()), "https://h:8080/a?b");
}

#[test]
fn rewrites_replace_what_the_route_matched() {
    let base = forward(ClusterChoice::Named("c".into()));
    let prefixed = Forward { path: PathRewrite::Prefix("/new".into()), ..base.clone() };
    let by_regex = Forward {
        path: PathRewrite::Regex(Substitution::new("/(v[0-9])/", r"/\1/x/").unwrap()),
        ..base.clone()
    };
    let path = |forward: &Forward, when, path| rewritten_path(forward, &when, path);
    assert_eq!(path(&base, prefix("/a"), "/a"), None);
    assert_eq!(path(&prefixed, prefix("/a"), "/a/b?c").as_deref(), Some("/new/b?c"));
    assert_eq!(path(&prefixed, prefix("/a"), "/ab").as_deref(), Some("/newb"));
    assert_eq!(path(&prefixed, exact("/a"), "/a?c").as_deref(), Some("/new?c"));
    let all = PathMatch::Regex(Regex::new("/.*").unwrap());
    assert_eq!(path(&prefixed, all.clone(), "/a/b?c").as_deref(), Some("/new?c"));
    assert_eq!(path(&by_regex, all, "/v1/v2/?/v3/").as_deref(), Some("/v1/x/v2/?/v3/"));
}

#[test]
fn hosts_come_from_where_the_route_says() {
    let base = forward(ClusterChoice::Named("c".into()));
    let request = Req::get("h", "/n/rest?q").with("x-host", "by-header");
    let host = |rewrite, endpoint| {
        let forward = Forward { host: rewrite, ..base.clone() };
        rewritten_host(&forward, None, &request.head(), endpoint)
    };
    let from_path = Substitution::new("^/([a-z]+)/.*$", r"\1.example").unwrap();
    for (rewrite, wanted) in [
        (HostRewrite::Keep, None),
        (HostRewrite::Literal("l".into()), Some("l")),
        (HostRewrite::Auto, Some("e")),
        (HostRewrite::Header("x-host".parse().unwrap()), Some("by-header")),
        (HostRewrite::Header("x-none".parse().unwrap()), None),
        (HostRewrite::PathRegex(from_path), Some("n.example")),
    ] {
        assert_eq!(host(rewrite, Some("e")).as_deref(), wanted);
    }
    assert_eq!(host(HostRewrite::Auto, None), None);
}
