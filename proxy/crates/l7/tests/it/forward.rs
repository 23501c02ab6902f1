//! The way of a request: tries, timeouts, retries, mirrors, over connections in memory.
use crate::{
    pool::{World, settle},
    support::Version,
};
use bytes::Bytes;
use culvert_l7::{
    body::{Body, BodyError, Frame, Pull},
    forward::{
        self, Chosen, Expired, Failure, Forwarded, Limits, NoHost, Tried, Verdict, Way, mirror,
    },
    message::{Interim, RequestHead, ResponseHead},
    outcome::{Flag, Reset},
    pool::{Breakers, Options, Pool, Speaks},
};
use http::{HeaderValue, Method, StatusCode, uri::PathAndQuery};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;

/// Goes round the pools, and tries again what failed so many times.
struct Round {
    head: RequestHead,
    pools: Vec<Arc<Pool>>,
    retries: u32,
    keeps: Option<usize>,
    told: Arc<Mutex<Vec<String>>>,
}

struct Host(Arc<Pool>, Arc<Mutex<Vec<String>>>);

impl Chosen for Host {
    fn pool(&self) -> &Pool {
        &self.0
    }

    fn answered(&self, head: &ResponseHead) {
        self.1.lock().unwrap().push(head.status.as_u16().to_string());
    }

    fn failed(&self, reset: Option<Reset>) {
        let told = reset.map_or_else(|| "late".to_owned(), |reset| reset.to_string());
        self.1.lock().unwrap().push(told);
    }
}

impl Way for Round {
    type Chosen = Host;

    async fn choose(&mut self, attempt: u32) -> Result<Host, NoHost> {
        let at = (attempt as usize - 1) % self.pools.len().max(1);
        let pool = self.pools.get(at).ok_or(NoHost)?;
        Ok(Host(Arc::clone(pool), Arc::clone(&self.told)))
    }

    fn head(&mut self, _: u32, _: &Host, _: bool) -> Cow<'_, RequestHead> {
        Cow::Borrowed(&self.head)
    }

    fn keeps(&self) -> Option<usize> {
        self.keeps
    }

    fn judge(&mut self, tried: Tried<'_>) -> Verdict {
        let failed = match tried {
            Tried::Answered(head) => head.status.is_server_error(),
            Tried::Failed { .. } | Tried::TooSlow => true,
        };
        if !failed {
            return Verdict::Final;
        }
        let Some(left) = self.retries.checked_sub(1) else { return Verdict::Exhausted };
        self.retries = left;
        Verdict::Again(Duration::from_millis(25), None)
    }
}

impl Round {
    fn new(path: &'static str, worlds: &[&World]) -> Self {
        let path = PathAndQuery::from_static(path);
        let options = Options { protocol: Speaks::Negotiated, ..Options::default() };
        let pool = |world: &&World| Arc::new(world.pool(options, Breakers::default()));
        Self {
            head: RequestHead::new(Method::POST, "a".parse().unwrap(), path),
            pools: worlds.iter().map(pool).collect(),
            retries: 0,
            keeps: None,
            told: Arc::default(),
        }
    }

    fn retries(mut self, retries: u32, keeps: usize) -> Self {
        self.retries = retries;
        self.keeps = Some(keeps);
        self
    }

    async fn go(&mut self, body: Body, limits: Limits) -> Forwarded {
        forward::forward(body, &Interim::default(), self, limits).await
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

struct Fed(mpsc::Receiver<Bytes>);

impl Pull for Fed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::Data(data))))
    }
}

/// A body that comes in pieces.
fn pieces(pieces: &[&'static str]) -> Body {
    let (tx, rx) = mpsc::channel(pieces.len());
    for piece in pieces {
        tx.try_send(Bytes::from_static(piece.as_bytes())).unwrap();
    }
    Body::boxed(Fed(rx))
}

async fn text(forwarded: Forwarded) -> (StatusCode, Bytes) {
    let answer = forwarded.answer.unwrap();
    (answer.head.status, answer.body.collect(1 << 20).await.unwrap().0)
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[tokio::test(start_paused = true)]
async fn a_request_that_failed_is_sent_again_from_its_beginning() {
    for version in [Version::One, Version::Two] {
        let world = World::new(version);
        let mut way = Round::new("/flaky", &[&world]).retries(2, 1000);
        let forwarded = way.go(pieces(&["abc", "def"]), Limits::default()).await;
        assert_eq!((forwarded.attempts, forwarded.exhausted), (3, false));
        assert_eq!(text(forwarded).await, (StatusCode::OK, Bytes::from_static(b"abcdef")));
        assert_eq!(way.told(), ["502", "502", "200"]);
    }
}

#[tokio::test(start_paused = true)]
async fn tries_end_with_the_retries_or_with_what_can_be_kept() {
    let world = World::new(Version::One);
    let mut way = Round::new("/flaky", &[&world]).retries(1, 1000);
    let forwarded = way.go(pieces(&["abc"]), Limits::default()).await;
    assert_eq!((forwarded.attempts, forwarded.exhausted), (2, true));
    assert_eq!(text(forwarded).await.0, StatusCode::BAD_GATEWAY);

    let world = World::new(Version::One);
    let mut way = Round::new("/flaky", &[&world]).retries(5, 2);
    let forwarded = way.go(pieces(&["abc", "def"]), Limits::default()).await;
    assert_eq!((forwarded.attempts, forwarded.exhausted), (1, false));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_there_costs_nothing_of_the_body() {
    let (gone, there) = (World::new(Version::One), World::new(Version::One));
    gone.dial.allowed.close();
    let mut way = Round::new("/echo", &[&gone, &there]).retries(1, 0);
    way.keeps = None;
    let forwarded = way.go(pieces(&["abc"]), Limits::default()).await;
    assert_eq!(text(forwarded).await, (StatusCode::OK, Bytes::from_static(b"abc")));
    assert_eq!(way.told(), ["remote connection failure", "200"]);

    let mut way = Round::new("/echo", &[&gone]);
    let forwarded = way.go(Body::Empty, Limits::default()).await;
    let failure = forwarded.answer.unwrap_err();
    let reply = forward::reply::of(&failure, forwarded.attempts);
    assert_eq!((reply.status.as_u16(), reply.flags.to_string().as_str()), (503, "UF"));
    assert!(reply.details.ends_with("|nobody_there}"), "{}", reply.details);

    let forwarded = Round::new("/echo", &[]).go(Body::Empty, Limits::default()).await;
    assert_eq!(forwarded.answer.unwrap_err(), Failure::NoHost);
}

#[tokio::test(start_paused = true)]
async fn time_is_up_for_a_try_or_for_all() {
    let world = World::new(Version::Two);
    let limits =
        Limits { per_try: SECOND, whole: Some(Duration::from_millis(2500)), ..Limits::default() };
    let mut way = Round::new("/never", &[&world]).retries(9, 0);
    let forwarded = way.go(Body::full("x"), limits).await;
    assert_eq!(forwarded.answer.unwrap_err(), Failure::Expired(Expired::Whole));
    assert_eq!((forwarded.attempts, way.told()), (3, vec!["late".to_owned(); 3]));

    let mut way = Round::new("/never", &[&world]).retries(1, 0);
    let forwarded = way.go(Body::Empty, Limits { whole: None, ..limits }).await;
    assert_eq!(forwarded.answer.unwrap_err(), Failure::Expired(Expired::PerTry));
    assert!(forwarded.exhausted);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_an_answer_begins_when_the_request_is_over() {
    let world = World::new(Version::One);
    let (tx, rx) = mpsc::channel(1);
    let mut way = Round::new("/size", &[&world]);
    let limits = Limits { whole: SECOND, ..Limits::default() };
    let feeds = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(900)).await;
            tx.send("abc".into()).await.unwrap();
        }
        drop(tx);
    };
    let (forwarded, ()) = tokio::join!(way.go(Body::boxed(Fed(rx)), limits), feeds);
    assert_eq!(text(forwarded).await.1, "15 false");

    let idle = Limits { idle: SECOND, ..Limits::default() };
    let (_tx, rx) = mpsc::channel(1);
    let forwarded = way.go(Body::boxed(Fed(rx)), idle).await;
    let expired = Expired::Idle { asked: false };
    assert_eq!(forwarded.answer.unwrap_err(), Failure::Expired(expired));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_stops_or_breaks_is_told() {
    for version in [Version::One, Version::Two] {
        let world = World::new(version);
        let limits = Limits { idle: SECOND, ..Limits::default() };
        let forwarded = Round::new("/stuck", &[&world]).go(Body::Empty, limits).await;
        assert!(forwarded.fate.cut().is_none());
        let error = forwarded.answer.unwrap().body.collect(99).await.unwrap_err();
        assert!(matches!(error, BodyError::TimedOut("stream_idle_timeout")), "{error}");
        assert!(forwarded.fate.cut().unwrap().flags.has(Flag::StreamIdleTimeout));

        let mut way = Round::new("/fails", &[&world]);
        let forwarded = way.go(Body::Empty, limits).await;
        forwarded.answer.unwrap().body.collect(99).await.unwrap_err();
        let cut = forwarded.fate.cut().unwrap();
        assert!(cut.details.starts_with("upstream_reset_after_response_started{"), "{cut:?}");
        assert_eq!(way.told().len(), 2, "{:?}", way.told());
    }
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_at_once() {
    for version in [Version::One, Version::Two] {
        let world = World::new(version);
        let (tx, rx) = mpsc::channel(1);
        tx.send("first".into()).await.unwrap();
        let mut way = Round::new("/echo", &[&world]);
        let limits = Limits { idle: SECOND, ..Limits::default() };
        let forwarded = way.go(Body::boxed(Fed(rx)), limits).await;
        let mut body = forwarded.answer.unwrap().body;
        assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("first".into()));
        for i in 0..100 {
            let word = Bytes::from(format!("{i}"));
            tx.send(word.clone()).await.unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data(word));
        }
        drop(tx);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_outlives_the_time_for_an_answer() {
    for version in [Version::One, Version::Two] {
        let world = World::new(version);
        let mut way = Round::new("/upgrade", &[&world]);
        // HTTP/2 says with its first frames that it takes upgrades.
        way.go(Body::Empty, Limits::default()).await;
        way.head.upgrade = Some(HeaderValue::from_static("websocket"));
        way.head.method = Method::GET;
        let (tx, rx) = mpsc::channel(1);
        let limits = Limits { whole: SECOND, ..Limits::default() };
        let forwarded = way.go(Body::boxed(Fed(rx)), limits).await;
        let answer = forwarded.answer.unwrap();
        assert_eq!(answer.head.status, StatusCode::SWITCHING_PROTOCOLS);
        let mut body = answer.body;
        tokio::time::sleep(Duration::from_secs(5)).await;
        tx.send("hello".into()).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("hello".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_mirror_gets_the_same_and_holds_nothing_up() {
    let (main, shadow, gone) =
        (World::new(Version::One), World::new(Version::Two), World::new(Version::One));
    gone.dial.allowed.close();
    for body in [pieces(&["abc", "def"]), Body::full("abcdef")] {
        let mut way = Round::new("/keep", &[&main]);
        let mut mirrors = Vec::new();
        for to in [&shadow, &gone] {
            let mut other = Round::new("/keep", &[to]);
            let chosen = other.choose(1).await.unwrap();
            mirrors.push(mirror::Mirror { head: other.head, chosen, limit: None });
        }
        let body = mirror::start(mirrors, body, &main.drain.worker());
        let forwarded = way.go(body, Limits::default()).await;
        assert_eq!(text(forwarded).await, (StatusCode::OK, Bytes::from_static(b"kept")));
    }
    settle().await;
    assert_eq!(main.dial.paths.kept(2).await, ["abcdef", "abcdef"]);
    assert_eq!(shadow.dial.paths.kept(2).await, ["abcdef", "abcdef"]);
}
