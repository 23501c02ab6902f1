//! What is left behind of requests beside their own line: lines of tries and of what is under way,
//! and numbers by listener, virtual cluster and route.
use super::world::{World, filter, forward, route, table, to_backend};
use crate::waiting::lines;
use culvert_model::http::{
    access_log::{AccessLog, LogFormat, LogSink},
    field::Field,
    filter::{HttpFilter, Router},
    format::Format,
    manager::{LogOptions, Routes},
    matcher::{HeaderCondition, HeaderMatch, StringMatch},
    retry::{Conditions, RetryPolicy},
    route::{Action, VirtualCluster, VirtualHost},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

fn log(path: &Path, line: &str) -> AccessLog {
    let format = Format::Text(line.parse().unwrap());
    let format = LogFormat { format: Arc::new(format), omit_empty: false };
    AccessLog { filter: None, sink: LogSink::File { path: path.to_str().unwrap().into(), format } }
}

#[tokio::test]
async fn every_try_has_a_line_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tries.log");
    let line = "%RESPONSE_CODE% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %ACCESS_LOG_TYPE%\n";
    let router = Router { upstream_logs: [log(&path, line)].into(), ..Router::default() };
    let retry =
        RetryPolicy { on: Conditions::parse_http("5xx"), retries: 2, ..RetryPolicy::default() };
    let mut forward = to_backend();
    forward.retry = Some(Arc::new(retry));
    let world = World::start(|config| {
        let route = route("/", Action::Forward(Box::new(forward)));
        config.routes = Routes::Here(Arc::new(table(vec![route])));
        config.filters = [filter("router", HttpFilter::Router(Arc::new(router)))].into();
    })
    .await;
    assert_eq!(world.get("/flaky", "").await.status, 200);
    let tries = lines(&path, 3).await;
    assert_eq!(tries, ["502 1 UpstreamEnd", "502 2 UpstreamEnd", "200 3 UpstreamEnd"]);
    assert_eq!(world.lines(1).await.len(), 1, "the request's own line is one");
}

#[tokio::test]
async fn what_takes_long_is_told_of_meanwhile() {
    let interval = Some(Duration::from_millis(10));
    let world = World::start(|config| {
        config.log_options = LogOptions { interval, ..LogOptions::default() };
    })
    .await;
    let mut tcp = TcpStream::connect(world.addr).await.unwrap();
    tcp.write_all(b"GET /stuck HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let begun = "GET /stuck 200 - via_upstream 0 5 / backend";
    world.last_line(|line| line == begun).await;
    drop(tcp);
    let mut silent = TcpStream::connect(world.addr).await.unwrap();
    silent.write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    world.last_line(|line| line == "GET /never 0 - - 0 0 / backend").await;
    drop(silent);
    world.last_line(|line| line.contains(" DC downstream_remote_disconnect ")).await;
}

#[tokio::test]
async fn requests_are_counted_where_virtual_hosts_and_routes_say() {
    let posts = HeaderMatch {
        name: Field::Method,
        condition: HeaderCondition::Value(StringMatch::exact("POST")),
        invert: false,
        missing_is_empty: false,
    };
    let clusters = [VirtualCluster { name: "posts".into(), headers: [posts].into() }];
    let mut named = route("/named", forward());
    named.stat_prefix = Some("mine".into());
    let host = VirtualHost {
        name: "all".into(),
        domains: ["*".parse().unwrap()].into(),
        routes: [Arc::new(named), Arc::new(route("/", forward()))].into(),
        clusters: clusters.into(),
        ..VirtualHost::default()
    };
    let mut whole = table(Vec::new());
    whole.hosts = [Arc::new(host)].into();
    let world = World::start(|config| config.routes = Routes::Here(Arc::new(whole))).await;
    let post = "POST /named HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(world.raw(post).await.status, 200);
    assert_eq!(world.get("/x", "").await.status, 200);
    for (name, count) in [
        ("vhost.all.vcluster.posts.upstream_rq_200", 1),
        ("vhost.all.vcluster.posts.upstream_rq_total", 1),
        ("vhost.all.vcluster.other.upstream_rq_2xx", 1),
        ("vhost.all.route.mine.upstream_rq_completed", 1),
        ("listener.here.http.test.downstream_rq_2xx", 2),
        ("listener.here.http.test.downstream_rq_completed", 2),
    ] {
        assert_eq!(world.stat(name), count, "{name}");
    }
}
