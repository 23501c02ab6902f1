//! A manager over real sockets: what clients, backends and logs see of a request's way.
mod early;
mod filters;
mod laws;
mod ledger;
mod levels;
mod told;
mod way;
mod world;

use self::world::{World, forward, route, table, to_backend};
use culvert_model::http::{
    manager::{Routes, Upgrade},
    mutation::{Append, HeaderMutations, HeaderValue},
    route::{
        Action, ClusterChoice, Direct, HostRewrite, PathRewrite, Redirect, RedirectCode,
        RedirectPath,
    },
    snapshot::Resource,
    source::{ConfigSource, From},
};
use http::StatusCode;
use std::sync::Arc;

fn add(name: &str, value: &str) -> HeaderMutations {
    let value = HeaderValue {
        name: name.parse().unwrap(),
        value: value.parse().unwrap(),
        how: Append::OverwriteOrAdd,
        keep_empty: false,
    };
    HeaderMutations::of(Vec::new(), vec![value])
}

#[tokio::test]
async fn a_request_goes_to_its_cluster_and_back_with_what_envoy_says() {
    let world = World::start(|_| {}).await;
    let answer = world.get("/headers", "x-envoy-retry-on: 5xx\r\nx-mine: 1\r\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("server").as_deref(), Some("envoy"));
    assert!(answer.header("date").is_some_and(|date| date.ends_with("GMT")));
    assert!(answer.header("x-envoy-upstream-service-time").is_some());
    assert!(answer.body.contains("x-forwarded-proto: \"http\""), "{}", answer.body);
    assert!(answer.body.contains("x-request-id") && answer.body.contains("x-mine"));
    assert!(answer.body.contains("x-envoy-expected-rq-timeout-ms: \"15000\""), "{}", answer.body);
    assert!(!answer.body.contains("x-envoy-retry-on"));
    let sent = answer.body.len();
    let lines = world.lines(1).await;
    assert_eq!(lines, [format!("GET /headers 200 - via_upstream 0 {sent} / backend")]);
    assert_eq!(world.stat("http.test.downstream_rq_2xx"), 1);
    assert_eq!(world.stat("http.test.downstream_rq_total"), 1);
}

#[tokio::test]
async fn what_routes_say_of_headers_hosts_and_paths_is_done() {
    let mut forward = to_backend();
    forward.host = HostRewrite::Literal("other.test".into());
    forward.path = PathRewrite::Prefix("/headers".into());
    let mut changed = route("/old", Action::Forward(Box::new(forward)));
    changed.request = add("x-cluster", "%UPSTREAM_CLUSTER%:%REQ(:path)%");
    changed.response = add("x-code", "%RESPONSE_CODE%");
    let world = World::start(|config| {
        config.routes = Routes::Here(Arc::new(table(vec![changed])));
    })
    .await;
    let answer = world.get("/old", "").await;
    assert_eq!(answer.header("x-code").as_deref(), Some("200"));
    let body = &answer.body;
    assert!(body.starts_with("GET Some(other.test) Some(/headers)"), "{body}");
    assert!(body.contains("x-cluster: \"backend:/old\""), "{body}");
    assert!(body.contains("x-envoy-original-path: \"/old\""), "{body}");
    assert!(body.contains("x-envoy-original-host: \"here.test\""), "{body}");
    assert_eq!(world.get("/none", "").await.status, 404);
    let lines = world.lines(2).await;
    assert_eq!(lines[1], "GET /none 404 NR route_not_found 0 0 - -");
    assert_eq!(world.stat("http.test.no_route"), 1);
}

#[tokio::test]
async fn routes_answer_themselves_and_clusters_may_be_missing() {
    let direct = Direct {
        status: StatusCode::IM_A_TEAPOT,
        body: b"short and stout".as_slice().into(),
        format: None,
    };
    let redirect = Redirect {
        code: RedirectCode::Found,
        scheme: None,
        host: Some("new.test".into()),
        port: None,
        path: RedirectPath::Keep,
        strip_query: false,
    };
    let mut nowhere = to_backend();
    nowhere.cluster = ClusterChoice::Named("nobody".into());
    let world = World::start(|config| {
        config.routes = Routes::Here(Arc::new(table(vec![
            route("/tea", Action::Direct(Box::new(direct))),
            route("/moved", Action::Redirect(Box::new(redirect))),
            route("/gone", Action::Forward(Box::new(nowhere))),
        ])));
    })
    .await;
    let tea = world.get("/tea", "").await;
    assert_eq!((tea.status, &*tea.body), (418, "short and stout"));
    assert_eq!(tea.header("content-type").as_deref(), Some("text/plain"));
    let moved = world.get("/moved?a", "").await;
    assert_eq!(moved.status, 302);
    assert_eq!(moved.header("location").as_deref(), Some("http://new.test/moved?a"));
    let gone = world.get("/gone", "content-type: application/grpc\r\n").await;
    assert_eq!((gone.status, gone.header("grpc-status").as_deref()), (200, Some("14")));
    let lines = world.lines(3).await;
    assert_eq!(lines[0], "GET /tea 418 - direct_response 0 15 /tea -");
    assert_eq!(lines[2], "GET /gone 200 NC cluster_not_found 0 0 /gone -");
}

#[tokio::test]
async fn what_is_no_request_for_us_is_refused_in_envoys_words() {
    let world = World::start(|_| {}).await;
    for (request, status) in [
        ("GET / HTTP/1.0\r\nhost: a\r\n\r\n", 426),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /%00 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: x\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n", 400),
    ] {
        assert_eq!(world.raw(request).await.status, status, "{request}");
    }
    let lines = world.lines(5).await;
    for (line, end) in lines.iter().zip([
        "426 DPE low_version 0 16 - -",
        "400 DPE missing_host_header 0 11 - -",
        "400 - path_normalization_failed 0 0 - -",
        "403 - upgrade_failed 0 0 / backend",
        "400 DPE http1.invalid_characters 0 11 - -",
    ]) {
        assert!(line.ends_with(end), "{line} | {end}");
    }
}

#[tokio::test]
async fn a_changed_table_holds_for_the_next_request_of_the_same_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let source = ConfigSource { from: From::Ads, patience: None };
    let mut world = World::start(|config| {
        config.routes = Routes::Discovered { name: "later".into(), source };
    })
    .await;
    let mut tcp = tokio::net::TcpStream::connect(world.addr).await.unwrap();
    let mut codes = Vec::new();
    for change in 0..2 {
        if change == 1 {
            let value = Arc::new(table(vec![route("/", forward())]));
            let resource = Resource { version: "2".into(), value };
            world.snapshot.routes_mut().insert("later".into(), resource);
            world.publisher.publish(world.snapshot.clone());
        }
        tcp.write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut read = vec![0; 4096];
        let length = tcp.read(&mut read).await.unwrap();
        codes.push(String::from_utf8_lossy(&read[9..12.min(length)]).into_owned());
    }
    assert_eq!(codes, ["404", "200"]);
}

#[tokio::test]
async fn upgrades_that_are_allowed_become_tunnels() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let world = World::start(|config| {
        let kind = "websocket".into();
        config.upgrades = [Upgrade { kind, enabled: true, filters: None }].into();
    })
    .await;
    let mut tcp = tokio::net::TcpStream::connect(world.addr).await.unwrap();
    let head =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n\r\n";
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp.write_all(b"ping").await.unwrap();
    let mut all = String::new();
    while !all.ends_with("ping") {
        let mut read = vec![0; 4096];
        let length = tcp.read(&mut read).await.unwrap();
        assert_ne!(length, 0, "{all}");
        all.push_str(&String::from_utf8_lossy(&read[..length]));
    }
    assert!(all.starts_with("HTTP/1.1 101"), "{all}");
    drop(tcp);
    let lines = world.lines(1).await;
    assert!(lines[0].starts_with("GET /upgrade 101 "), "{}", lines[0]);
}

#[tokio::test]
async fn an_engine_has_only_so_many_requests_at_once() {
    let world = World::start(|_| {}).await;
    world.shared.budgets.streams.set_limit(0);
    let answer = world.get("/", "").await;
    assert_eq!((answer.status, &*answer.body), (503, "envoy overloaded"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    world.shared.budgets.streams.set_limit(1);
    assert_eq!(world.get("/", "").await.status, 200);
    let lines = world.lines(2).await;
    assert_eq!(lines.first().unwrap(), "GET / 503 OM overload 0 16 - -");
    assert_eq!(world.stat("http.test.downstream_rq_overload_close"), 1);
}
