//! The pool, over connections in memory to servers of ours.
use crate::support::{Paths, Version};
use culvert_l7::{
    body::Body,
    dial::{Dial, DialError, Dialled, Dialling, Protocol},
    h1, h2,
    io::Io,
    link::Link,
    message::{Interim, RequestHead, ResponseHead},
    outcome::Reset,
    pool::{Breakers, Failed, Options, Pool, Speaks},
    share::Bound,
};
use culvert_runtime::drain::{Drain, Worker};
use http::{Method, uri::PathAndQuery};
use std::{
    borrow::Cow,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::duplex, sync::Semaphore};

/// Dials servers in memory.
#[derive(Clone)]
pub(crate) struct Local {
    worker: Worker,
    pub(crate) paths: Arc<Paths>,
    version: Version,
    /// How often it was dialled.
    dialled: Arc<AtomicUsize>,
    /// How often it may succeed.
    pub(crate) allowed: Arc<Semaphore>,
    served: h1::Options,
}

pub(crate) struct World {
    pub(crate) drain: Drain,
    pub(crate) dial: Local,
}

impl World {
    pub(crate) fn new(version: Version) -> Self {
        let drain = Drain::default();
        let allowed = Arc::new(Semaphore::new(1000));
        let worker = drain.worker();
        let served = h1::Options::default();
        let (paths, dialled) = (Arc::default(), Arc::default());
        Self { drain, dial: Local { worker, paths, version, dialled, allowed, served } }
    }

    pub(crate) fn pool(&self, options: Options, breakers: Breakers) -> Pool {
        Pool::new(Arc::new(self.dial.clone()), options, breakers, self.drain.worker())
    }

    pub(crate) fn dialled(&self) -> usize {
        self.dial.dialled.load(Ordering::SeqCst)
    }
}

impl Dial for Local {
    fn dial(&self) -> Dialling {
        let this = self.clone();
        Box::pin(async move {
            this.dialled.fetch_add(1, Ordering::SeqCst);
            let Ok(allowed) = this.allowed.acquire().await else {
                return Err(DialError("nobody there".to_owned()));
            };
            allowed.forget();
            let (near, far) = duplex(1 << 16);
            let (service, worker) = (Arc::clone(&this.paths), this.worker.clone());
            let (version, served) = (this.version, this.served.clone());
            this.worker.spawn(async move {
                let io = Io::boxed(far);
                match version {
                    Version::One => drop(h1::serve(io, &*service, &served, &worker).await),
                    Version::Two => {
                        drop(h2::serve(io, service, &h2::Options::default(), &worker).await);
                    }
                }
            });
            let protocol = match this.version {
                Version::One => Protocol::Http1,
                Version::Two => Protocol::Http2,
            };
            Ok(Dialled {
                io: Io::boxed(near),
                protocol: Some(protocol),
                link: Link::new(None, None),
            })
        })
    }
}

async fn get(pool: &Pool, path: &'static str) -> Result<(ResponseHead, Body), Failed> {
    let path = PathAndQuery::from_static(path);
    let head = RequestHead::new(Method::GET, "a".parse().unwrap(), path);
    pool.send(Cow::Owned(head), Body::Empty, &Interim::default()).await
}

/// Asks and reads the whole answer.
async fn ask(pool: &Pool) {
    let (_, body) = get(pool, "/x").await.unwrap();
    assert_eq!(body.collect(9).await.unwrap().0, "/x");
}

fn breakers(connections: u64, pending: u64, requests: u64) -> Breakers {
    let bound = |limit| Arc::new(Bound::new(limit));
    let (connections, pending, requests) = (bound(connections), bound(pending), bound(requests));
    Breakers { connections, pending, requests, numbers: None }
}

/// Lets everybody else do what they can.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_and_again() {
    let world = World::new(Version::One);
    let pool = world.pool(Options::default(), Breakers::default());
    for _ in 0..10 {
        ask(&pool).await;
    }
    assert_eq!(world.dialled(), 1);
    let one = get(&pool, "/pieces").await.unwrap();
    let two = get(&pool, "/pieces").await.unwrap();
    assert_eq!((world.dialled(), pool.connections()), (2, 2));
    drop(one);
    settle().await;
    assert_eq!(pool.connections(), 1, "a response that is not read to its end ends its connection");
    two.1.collect(99).await.unwrap();
    ask(&pool).await;
    assert_eq!(world.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_connection_waits_for_one_that_is_given_back() {
    let world = World::new(Version::One);
    let pool = world.pool(Options::default(), breakers(1, 10, 10));
    tokio::join!(ask(&pool), ask(&pool), ask(&pool), ask(&pool));
    assert_eq!(world.dialled(), 1);
    // One that is broken off makes room for a new one.
    let (_, body) = get(&pool, "/pieces").await.unwrap();
    let other = ask(&pool);
    let breaks = async {
        settle().await;
        drop(body);
    };
    tokio::join!(other, breaks);
    assert_eq!(world.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_refused_at_once() {
    let world = World::new(Version::One);
    let bounds = breakers(1, 1, 10);
    let pool = world.pool(Options::default(), bounds.clone());
    let first = async { get(&pool, "/never").await };
    let second = async {
        settle().await;
        get(&pool, "/x").await
    };
    let third = async {
        settle().await;
        settle().await;
        assert!(bounds.pending.is_exhausted());
        let failed = get(&pool, "/x").await.unwrap_err();
        assert_eq!(failed.reset, Reset::Overflow);
        assert!(failed.unsent.is_some());
    };
    tokio::select! {
        _ = first => unreachable!("never answered"),
        _ = second => unreachable!("the only connection is taken"),
        () = third => {}
    }
    assert_eq!((bounds.pending.used(), bounds.requests.used()), (0, 0), "all given back");
    let pool = world.pool(Options::default(), breakers(10, 10, 0));
    assert_eq!(get(&pool, "/x").await.unwrap_err().reset, Reset::Overflow);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_there_fails_all_who_wait() {
    let world = World::new(Version::One);
    world.dial.allowed.close();
    let pool = world.pool(Options::default(), Breakers::default());
    let (one, two) = tokio::join!(get(&pool, "/x"), get(&pool, "/x"));
    for failed in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(failed.reset, Reset::ConnectionFailure);
        assert_eq!(failed.why.as_deref(), Some("nobody there"));
        assert!(failed.unsent.is_some());
    }
    settle().await;
    assert_eq!(pool.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_says_nothing_is_not_waited_for() {
    struct Silent;
    impl Dial for Silent {
        fn dial(&self) -> Dialling {
            Box::pin(pending())
        }
    }
    let drain = Drain::default();
    let pool = Pool::new(Arc::new(Silent), Options::default(), Breakers::default(), drain.worker());
    assert_eq!(get(&pool, "/x").await.unwrap_err().reset, Reset::ConnectionTimeout);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_connection_for_another() {
    let mut world = World::new(Version::One);
    world.dial.allowed = Arc::new(Semaphore::new(0));
    let pool = world.pool(Options::default(), Breakers::default());
    let soon = Duration::from_secs(1);
    assert!(tokio::time::timeout(soon, get(&pool, "/x")).await.is_err());
    world.dial.allowed.add_permits(1);
    settle().await;
    ask(&pool).await;
    assert_eq!(world.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_end_by_use_age_and_rest() {
    let world = World::new(Version::One);
    let options = Options { requests: Some(2), ..Options::default() };
    let pool = world.pool(options, Breakers::default());
    for _ in 0..6 {
        ask(&pool).await;
    }
    assert_eq!(world.dialled(), 3);

    let world = World::new(Version::One);
    let options = Options { age: Some(Duration::from_secs(10)), ..Options::default() };
    let pool = world.pool(options, Breakers::default());
    ask(&pool).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    ask(&pool).await;
    assert_eq!(world.dialled(), 2);

    for version in [Version::One, Version::Two] {
        let world = World::new(version);
        let idle = Some(Duration::from_secs(10));
        let options = Options { idle, protocol: Speaks::Negotiated, ..Options::default() };
        let pool = world.pool(options, Breakers::default());
        ask(&pool).await;
        assert_eq!(pool.connections(), 1);
        tokio::time::sleep(Duration::from_secs(20)).await;
        settle().await;
        assert_eq!(pool.connections(), 0, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_closed_is_not_used() {
    let mut world = World::new(Version::One);
    world.dial.served.idle = Some(Duration::from_secs(3));
    let pool = world.pool(Options::default(), Breakers::default());
    for _ in 0..3 {
        ask(&pool).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(world.dialled(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_requests_share_a_connection_of_http2() {
    let world = World::new(Version::Two);
    let options = Options { protocol: Speaks::Negotiated, ..Options::default() };
    let bounds = Breakers::default();
    let pool = world.pool(options, bounds.clone());
    let (one, two, three) =
        tokio::join!(get(&pool, "/pieces"), get(&pool, "/pieces"), get(&pool, "/trailers"));
    assert_eq!((world.dialled(), pool.agreed()), (1, Some(Protocol::Http2)));
    for answer in [one, two, three] {
        let (_, body) = answer.unwrap();
        assert!(body.collect(99).await.is_ok());
    }
    for _ in 0..10 {
        ask(&pool).await;
    }
    assert_eq!((world.dialled(), bounds.requests.used()), (1, 0));
    let options = Options { requests: Some(3), ..options };
    let pool = world.pool(options, Breakers::default());
    for _ in 0..6 {
        ask(&pool).await;
    }
    assert_eq!(world.dialled(), 3);
}

/// Asks, and says by which connection.
async fn sent(pool: &Pool, path: &'static str) -> (Arc<Link>, Body) {
    let path = PathAndQuery::from_static(path);
    let head = RequestHead::new(Method::GET, "a".parse().unwrap(), path);
    let (mut by, interim) = (None, Interim::default());
    let note = |link: &Arc<Link>| by = Some(Arc::clone(link));
    let (_, body) = pool.send_by(Cow::Owned(head), Body::Empty, &interim, note).await.unwrap();
    (by.unwrap(), body)
}

#[tokio::test(start_paused = true)]
async fn of_http1_the_connection_that_was_free_last_is_used_first() {
    let world = World::new(Version::One);
    let pool = world.pool(Options::default(), Breakers::default());
    for last in [0, 1, 2] {
        let three = [
            sent(&pool, "/pieces").await,
            sent(&pool, "/pieces").await,
            sent(&pool, "/pieces").await,
        ];
        let mut given_back = three.into_iter().map(Some).collect::<Vec<_>>();
        let (expected, body) = given_back[last].take().unwrap();
        for (_, body) in given_back.into_iter().flatten() {
            body.collect(99).await.unwrap();
        }
        body.collect(99).await.unwrap();
        for _ in 0..3 {
            let (by, body) = sent(&pool, "/x").await;
            assert!(Arc::ptr_eq(&by, &expected), "the one that was free last");
            body.collect(99).await.unwrap();
        }
    }
    assert_eq!(world.dialled(), 3);
}

#[tokio::test(start_paused = true)]
async fn of_http2_the_connection_with_the_fewest_streams_is_used() {
    let world = World::new(Version::Two);
    let h2 = h2::ClientOptions { first_streams: 1, ..h2::ClientOptions::default() };
    let options = Options { protocol: Speaks::Http2, h2, ..Options::default() };
    let pool = world.pool(options, Breakers::default());
    let (one, two) = tokio::join!(sent(&pool, "/stuck"), sent(&pool, "/stuck"));
    settle().await;
    assert_eq!((world.dialled(), pool.connections()), (2, 2));
    let mut held = vec![one, two];
    let busy = |held: &[(Arc<Link>, Body)], link: &Arc<Link>| {
        held.iter().filter(|(by, _)| Arc::ptr_eq(by, link)).count()
    };
    while held.len() < 8 {
        held.push(sent(&pool, "/stuck").await);
    }
    let first = Arc::clone(&held[0].0);
    assert_eq!(busy(&held, &first), 4, "both have as many");
    // Three of one end: the next three are its.
    for _ in 0..3 {
        let at = held.iter().position(|(by, _)| Arc::ptr_eq(by, &first)).unwrap();
        drop(held.swap_remove(at));
    }
    settle().await;
    for _ in 0..3 {
        let next = sent(&pool, "/stuck").await;
        assert!(Arc::ptr_eq(&next.0, &first), "the one with fewer streams");
        held.push(next);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_opened_ahead_as_many_as_are_wanted_and_no_more() {
    let world = World::new(Version::One);
    let pool = world.pool(Options { ahead: 3.0, ..Options::default() }, breakers(5, 10, 10));
    ask(&pool).await;
    settle().await;
    assert_eq!((world.dialled(), pool.connections()), (3, 3), "for one, two more are ready");
    ask(&pool).await;
    settle().await;
    assert_eq!(world.dialled(), 3, "they are enough");
    let _one = get(&pool, "/pieces").await.unwrap();
    let _two = get(&pool, "/pieces").await.unwrap();
    settle().await;
    assert_eq!(world.dialled(), 5, "the cluster may have no more");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_connections_ahead_is_left_alone() {
    let world = World::new(Version::One);
    let pool = world.pool(Options { ahead: 2.0, ..Options::default() }, Breakers::default());
    world.dial.allowed.forget_permits(usize::MAX);
    world.dial.allowed.add_permits(1);
    let _one = get(&pool, "/pieces").await.unwrap();
    world.dial.allowed.close();
    settle().await;
    assert_eq!((world.dialled(), pool.connections()), (2, 1));
}
