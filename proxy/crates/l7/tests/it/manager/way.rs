//! The way to a cluster: tries, copies, redirects, tunnels, both versions of HTTP.
use super::world::{World, forward, route, table, to_backend};
use crate::waiting::until;
use bytes::Bytes;
use culvert_model::http::{
    filter::PerFilter,
    manager::{Manager, Routes, Upgrade},
    matcher::Fraction,
    mutation::HeaderMutations,
    retry::{Conditions, RetryPolicy},
    route::{
        self, Action, ClusterChoice, Forward, InternalRedirect, Mirror, MirrorCluster, PathMatch,
        Route, RouteMatch, Timeouts, Weighted, WeightedCluster, WeightedName,
    },
    value::Metadata,
};
use http::{Request, StatusCode};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn all(change: impl FnOnce(&mut Forward)) -> impl FnOnce(&mut Manager) {
    let mut forward = to_backend();
    change(&mut forward);
    routes(vec![route("/", Action::Forward(Box::new(forward)))])
}

fn routes(routes: Vec<Route>) -> impl FnOnce(&mut Manager) {
    |config| config.routes = Routes::Here(Arc::new(table(routes)))
}

#[tokio::test]
async fn what_fails_is_tried_again_and_counted() {
    let policy =
        RetryPolicy { on: Conditions::parse_http("5xx"), retries: 2, ..RetryPolicy::default() };
    let world = World::start(all(|forward| forward.retry = Some(Arc::new(policy)))).await;
    let answer = world.get("/flaky", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.stat("cluster.backend.upstream_rq_retry"), 2);
    assert_eq!(world.stat("cluster.backend.retry.upstream_rq_502"), 2);
    assert_eq!(world.stat("cluster.backend.upstream_rq_retry_success"), 1);
    assert_eq!(world.stat("cluster.backend.upstream_rq_200"), 1);
}

#[tokio::test]
async fn requests_that_take_too_long_are_answered_in_envoys_words() {
    let request = Some(Duration::from_millis(50));
    let timeouts = Timeouts { request, ..Timeouts::default() };
    let world = World::start(all(|forward| forward.timeouts = timeouts)).await;
    let late = world.get("/never", "").await;
    assert_eq!((late.status, &*late.body), (504, "upstream request timeout"));
    let call = world.get("/never", "content-type: application/grpc\r\n").await;
    assert_eq!(call.header("grpc-status").as_deref(), Some("14"));
    let lines = world.lines(2).await;
    assert!(lines[0].contains("504 UT response_timeout"), "{}", lines[0]);
    assert_eq!(world.stat("cluster.backend.upstream_rq_timeout"), 2);
}

#[tokio::test]
async fn copies_go_to_another_host_and_nobody_waits_for_them() {
    let mirror = Mirror {
        cluster: MirrorCluster::Named("backend".into()),
        fraction: Fraction::ALWAYS.into(),
        shadow_host: true,
        trace: None,
        request: HeaderMutations::default(),
        host: None,
    };
    let world = World::start(all(|forward| forward.mirrors = [mirror].into())).await;
    let body =
        "POST /keep HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nkept";
    assert_eq!(world.raw(body).await.body, "kept");
    assert_eq!(world.backend.paths.kept(2).await, ["kept", "kept"]);
    assert_eq!(world.stat("cluster.backend.upstream_rq_shadow_total"), 1);
}

#[tokio::test]
async fn redirects_of_upstreams_are_followed_if_the_route_says_so() {
    let policy = InternalRedirect {
        limit: 1,
        codes: [StatusCode::FOUND].into(),
        cross_scheme: false,
        copied: Box::default(),
    };
    let follow = |forward: &mut Forward| forward.internal_redirect = Some(Box::new(policy));
    let world = World::start(all(follow)).await;
    let answer = world.get("/moved", "").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.body.starts_with("GET Some(other.test) Some(/headers)"), "{}", answer.body);
    assert!(answer.body.contains("x-envoy-original-url: \"http://here.test/moved\""));
    let lines = world.lines(2).await;
    assert!(lines[0].contains("302 - internal_redirect"), "{}", lines[0]);
}

#[tokio::test]
async fn weights_choose_a_cluster_and_what_it_adds() {
    let weighted = |name: &str, weight| WeightedCluster {
        cluster: WeightedName::Named(name.into()),
        weight,
        metadata_match: Metadata::default(),
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        host: Some("weighted.test".into()),
        per_filter: PerFilter::default(),
    };
    let clusters = Weighted {
        clusters: [weighted("nobody", 0), weighted("backend", 1)].into(),
        total: 1,
        dice_header: None,
        runtime_prefix: None,
        by_hash: false,
    };
    let choice = ClusterChoice::Weighted(clusters);
    let world = World::start(all(|forward| forward.cluster = choice)).await;
    let answer = world.get("/headers", "").await;
    assert!(answer.body.starts_with("GET Some(weighted.test)"), "{}", answer.body);
}

#[tokio::test]
async fn a_connect_that_ends_here_is_bytes_to_the_endpoint() {
    let mut forward = to_backend();
    let connect = route::Upgrade {
        kind: "connect".into(),
        enabled: true,
        terminate_connect: true,
        allow_post: false,
    };
    forward.upgrades = [connect].into();
    let mut route = route("/", Action::Forward(Box::new(forward)));
    route.when = RouteMatch::path(PathMatch::Connect);
    let world = World::start(|config| {
        routes(vec![route])(config);
        let kind = "connect".into();
        config.upgrades = [Upgrade { kind, enabled: true, filters: None }].into();
    })
    .await;
    let mut tcp = TcpStream::connect(world.addr).await.unwrap();
    tcp.write_all(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n").await.unwrap();
    let mut read = [0; 1024];
    let length = tcp.read(&mut read).await.unwrap();
    let head = String::from_utf8_lossy(&read[..length]).into_owned();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let inner = b"GET /inside HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n";
    tcp.write_all(inner).await.unwrap();
    let mut rest = String::new();
    tcp.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("/inside"), "{rest}");
}

#[tokio::test]
async fn one_connection_has_many_requests_of_http_2() {
    let world = World::start(routes(vec![route("/", forward())])).await;
    let tcp = TcpStream::connect(world.addr).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    let driven = async { connection.await.unwrap() };
    let asks = async {
        let mut client = client.ready().await.unwrap();
        let answers = (0..10).map(|_| {
            let request = Request::get("http://here.test/headers").body(()).unwrap();
            client.send_request(request, true).unwrap().0
        });
        for answer in answers.collect::<Vec<_>>() {
            let mut answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["server"], "envoy");
            let body: Bytes = answer.body_mut().data().await.unwrap().unwrap();
            assert!(body.starts_with(b"GET Some(here.test)"));
        }
        drop(client);
    };
    tokio::join!(driven, asks);
    assert_eq!(world.stat("http.test.downstream_rq_http2_total"), 10);
    assert_eq!(world.stat("http.test.downstream_cx_http2_total"), 1);
}

#[tokio::test]
async fn a_client_that_goes_is_noted() {
    let world = World::start(routes(vec![route("/", forward())])).await;
    let mut tcp = TcpStream::connect(world.addr).await.unwrap();
    tcp.write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until(|| world.backend.paths.calls.load(Ordering::SeqCst) != 0).await;
    drop(tcp);
    let lines = world.lines(1).await;
    assert!(lines[0].contains("GET /never 0 DC downstream_remote_disconnect"), "{}", lines[0]);
}
