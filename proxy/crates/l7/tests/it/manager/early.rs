//! Answers that come early, or instead: what becomes of the rest of the request and of the connection.
use super::world::{World, forward, route, table, to_backend};
use culvert_model::http::{
    manager::{Manager, Routes},
    mutation::{Append, HeaderMutations, HeaderValue},
    route::{Action, Direct, InternalRedirect},
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn tea(config: &mut Manager) {
    let direct =
        Direct { status: StatusCode::IM_A_TEAPOT, body: b"tea".as_slice().into(), format: None };
    config.routes = Routes::Here(Arc::new(table(vec![
        route("/tea", Action::Direct(Box::new(direct))),
        route("/", forward()),
    ])));
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_ends_the_connection() {
    let world = World::start(tea).await;
    // Nothing of the body is here, some of it, all of it.
    for body in ["", "ab", "abc"] {
        let head = "POST /tea HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n";
        let answer = world.raw(&format!("{head}{body}")).await;
        assert_eq!((answer.status, &*answer.body), (418, "tea"), "{body:?}");
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
    }
    let two = "GET /tea HTTP/1.1\r\nhost: a\r\n\r\n\
               GET /tea HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = world.raw(two).await;
    assert_eq!(answers.header("connection"), None, "one that is whole may be followed");
    assert_eq!(answers.body.matches("HTTP/1.1 418").count(), 1, "{}", answers.body);
}

#[tokio::test]
async fn a_request_that_is_none_of_ours_ends_the_connection() {
    let world = World::start(|_| {}).await;
    let answer = world.raw("GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (400, Some("close")));
    // What follows may be meant for the other protocol.
    let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n\
                   GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = world.raw(upgrade).await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (403, Some("close")));
    assert!(!answer.body.contains("HTTP/1.1"), "{}", answer.body);
    let connect = "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n";
    let answer = world.raw(connect).await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (404, Some("close")));
    let lenient = World::start(|config| config.keep_connection_on_error = Some(true)).await;
    let two = "GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n\
               GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = lenient.raw(two).await;
    assert_eq!((answers.status, answers.body.ends_with("/x")), (400, true), "{}", answers.body);
}

#[tokio::test]
async fn a_body_that_is_none_is_a_bad_request() {
    let world = World::start(|_| {}).await;
    for body in ["zz\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n"] {
        let head = "POST /size HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = world.raw(&format!("{head}{body}")).await;
        assert_eq!((answer.status, &*answer.body), (400, "Bad Request"), "{body:?}");
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
    }
    for line in world.lines(3).await {
        assert!(line.contains(" 400 DPE http1.codec_error "), "{line}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_come_in_time_is_answered() {
    let limit = Some(Duration::from_millis(50));
    let world = World::start(|config| config.limits.request_timeout = limit).await;
    let head = "POST /size HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na";
    let answer = world.raw(head).await;
    assert_eq!((answer.status, &*answer.body), (408, "request timeout"));
    assert_eq!(world.stat("http.test.downstream_rq_timeout"), 1);
    assert!(world.lines(1).await[0].contains("408 - request_overall_timeout"));
    // One that is here may be answered late.
    let mut tcp = TcpStream::connect(world.addr).await.unwrap();
    tcp.write_all(b"GET /stuck HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut begun = Vec::new();
    while !begun.ends_with(b"begun\r\n") {
        assert_ne!(tcp.read_buf(&mut begun).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn early_mutations_come_before_everything_else() {
    let value = HeaderValue {
        name: "x-early".parse().unwrap(),
        value: "%REQ(x-in)%".parse().unwrap(),
        how: Append::OverwriteOrAdd,
        keep_empty: false,
    };
    let forwarded = "x-forwarded-for".parse::<culvert_model::http::field::Field>().unwrap();
    let early = HeaderMutations::of(vec![forwarded], vec![value]);
    let world = World::start(|config| config.early_mutations = early).await;
    let answer = world.get("/headers", "x-in: 7\r\nx-forwarded-for: 1.2.3.4\r\n").await;
    assert!(answer.body.contains("x-early: \"7\""), "{}", answer.body);
    assert!(!answer.body.contains("1.2.3.4"), "{}", answer.body);
}

#[tokio::test]
async fn hints_are_for_clients_of_managers_that_pass_them_on() {
    let world = World::start(|_| {}).await;
    assert_eq!(world.get("/hints", "").await.status, 200);
    let world = World::start(|config| config.proxy_100_continue = true).await;
    let hinted = world.get("/hints", "").await;
    assert_eq!((hinted.status, hinted.header("link").as_deref()), (103, Some("</a>")));
    assert!(hinted.body.starts_with("HTTP/1.1 200"), "{}", hinted.body);
}

#[tokio::test]
async fn a_body_goes_along_when_a_redirect_is_followed() {
    let policy = InternalRedirect {
        limit: 1,
        codes: [StatusCode::FOUND].into(),
        cross_scheme: false,
        copied: Box::default(),
    };
    let mut forward = to_backend();
    forward.internal_redirect = Some(Box::new(policy));
    let world = World::start(|config| {
        let route = route("/", Action::Forward(Box::new(forward)));
        config.routes = Routes::Here(Arc::new(table(vec![route])));
    })
    .await;
    let post = "POST /moved-with-body HTTP/1.1\r\nhost: here.test\r\nconnection: close\r\n\
                content-length: 4\r\n\r\nkept";
    let answer = world.raw(post).await;
    assert_eq!((answer.status, &*answer.body), (200, "kept"), "{}", answer.head);
    assert_eq!(world.backend.paths.kept(1).await, ["kept"]);
    let lines = world.lines(2).await;
    assert!(lines[0].contains("302 - internal_redirect"), "{}", lines[0]);
    assert!(lines[1].contains("200 - via_upstream"), "{}", lines[1]);
}
