//! Endpoints that are asked whether they are well.
use crate::{
    support::{Server, Version},
    world::{World, assignment, cluster, eds},
};
use culvert_l7::{
    body::{Body, Frame, Pull},
    forward::Chosen as _,
    h1, h2,
    message::{Request, Response, ResponseHead},
    outcome::Exchanged,
    service::Service,
};
use culvert_model::http::{
    cluster::{Cluster, Discovery},
    health::{GrpcCheck, HealthCheck, HealthCheckKind, HttpCheck, TcpCheck},
    mutation::HeaderMutations,
    outlier::Outlier,
};
use culvert_runtime::drain::{Drain, Worker};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Says how it is, and remembers how it was asked.
#[derive(Debug)]
struct Patient {
    addr: SocketAddr,
    drain: Drain,
    health: Arc<Health>,
}

#[derive(Debug)]
struct Health {
    /// Of HTTP; of gRPC, the status of the message.
    status: AtomicU16,
    asked: Mutex<Vec<String>>,
}

impl Patient {
    async fn start(version: Version) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let health = Arc::new(Health { status: AtomicU16::new(200), asked: Mutex::default() });
        let (drain, service) = (Drain::default(), Arc::clone(&health));
        let worker = drain.worker();
        drain.worker().spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                serve(tcp, version, Arc::clone(&service), worker.clone());
            }
        });
        Self { addr, drain, health }
    }

    fn is(&self, status: u16) {
        self.health.status.store(status, Ordering::SeqCst);
    }

    fn first_asked(&self) -> String {
        self.health.asked.lock().unwrap().first().cloned().unwrap()
    }
}

fn serve(tcp: TcpStream, version: Version, service: Arc<Health>, worker: Worker) {
    worker.clone().spawn(async move {
        match version {
            Version::One => {
                h1::serve(tcp.into(), &*service, &h1::Options::default(), &worker).await;
            }
            Version::Two => {
                h2::serve(tcp.into(), service, &h2::Options::default(), &worker).await;
            }
        }
    });
}

impl Service for Health {
    type Record = ();

    async fn call(&self, request: Request) -> (Response, ()) {
        let head = &request.head;
        let of =
            |name| head.headers.get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap());
        let host = head.authority.as_ref().map_or("", |authority| authority.as_str());
        let path = head.path.as_ref().unwrap();
        let agent = of(header::USER_AGENT);
        let line = format!("{} {host} {path} {agent}", head.method);
        self.asked.lock().unwrap().push(line);
        let status = self.status.load(Ordering::SeqCst);
        if of(header::CONTENT_TYPE) != "application/grpc" {
            let status = StatusCode::from_u16(status).unwrap();
            return (Response::new(status, Body::full("I am well")), ());
        }
        let (asked, _) = request.body.collect(100).await.unwrap();
        assert_eq!(asked[..], *b"\0\0\0\0\x05\x0a\x03abc");
        let serving = if status == 200 { 1 } else { 2 };
        let trailers = HeaderMap::from_iter([(
            header::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let message = Frame::Data(vec![0, 0, 0, 0, 2, 8, serving].into());
        let body = Body::boxed(Pieces(vec![Frame::Trailers(trailers), message]));
        (Response::new(StatusCode::OK, body), ())
    }

    fn ended(&self, (): (), _: Exchanged) {}
}

struct Pieces(Vec<Frame>);

impl Pull for Pieces {
    fn poll_frame(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, culvert_l7::body::BodyError>>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}

fn often(kind: HealthCheckKind) -> HealthCheck {
    let often = Duration::from_millis(5);
    HealthCheck {
        timeout: Duration::from_millis(500),
        interval: often,
        initial_jitter: often,
        interval_jitter: Duration::ZERO,
        interval_jitter_percent: 10,
        unhealthy_threshold: NonZeroU32::new(2).unwrap(),
        healthy_threshold: NonZeroU32::new(2).unwrap(),
        no_traffic_interval: often,
        no_traffic_healthy_interval: often,
        unhealthy_interval: often,
        unhealthy_edge_interval: often,
        healthy_edge_interval: often,
        reuse_connection: true,
        alt_port: None,
        always_log_failures: false,
        alpn: Arc::default(),
        kind,
    }
}

fn http(http2: bool) -> HealthCheck {
    let expected = std::ops::Range { start: 200, end: 201 };
    often(HealthCheckKind::Http(HttpCheck {
        host: "".into(),
        path: "/healthz".into(),
        method: http::Method::GET,
        headers: HeaderMutations::default(),
        expected: Arc::from([expected]),
        retriable: Arc::default(),
        http2,
        service: None,
        receive: Arc::from([Arc::from(*b"well")]),
    }))
}

fn checked(discovery: Discovery, check: HealthCheck) -> Cluster {
    Cluster { health_checks: [check].into(), ..cluster(discovery) }
}

fn of(at: &[SocketAddr]) -> Discovery {
    Discovery::Static(assignment(at))
}

const FAILED: &str = "/failed_active_hc";

#[tokio::test]
async fn endpoints_get_requests_while_they_say_that_they_are_well() {
    for version in [Version::One, Version::Two] {
        let (one, two) = (Patient::start(version).await, Patient::start(version).await);
        let check = http(matches!(version, Version::Two));
        let world = World::new(checked(of(&[one.addr, two.addr]), check));
        assert_eq!(world.flags(), [FAILED, FAILED], "before they were asked");
        world.upstreams.warm().await;
        assert_eq!(world.flags(), ["healthy", "healthy"]);
        assert_eq!(one.first_asked(), "GET c /healthz Envoy/HC");
        assert_eq!(world.number("membership_healthy"), 2);
        one.is(503);
        world.until_flags(&[FAILED, "healthy"]).await;
        for _ in 0..4 {
            assert_eq!(world.choose().facts().host.address.as_socket(), Some(two.addr));
        }
        assert_eq!(world.number("membership_healthy"), 1);
        assert!(world.number("health_check.failure") > 0);
        one.is(200);
        world.until_flags(&["healthy", "healthy"]).await;
        assert_eq!(world.number("health_check.healthy"), 2);
    }
}

#[tokio::test]
async fn one_that_cannot_be_reached_fails_after_some_tries_and_comes_back() {
    let one = Patient::start(Version::One).await;
    let addr = one.addr;
    let world = World::new(checked(of(&[addr]), http(false)));
    world.upstreams.warm().await;
    assert_eq!(world.flags(), ["healthy"]);
    one.drain.drain(Duration::from_millis(100)).await;
    world.until_flags(&[FAILED]).await;
    assert!(world.number("health_check.network_failure") >= 2);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_stays_while_it_is_well() {
    let (one, two) = (Patient::start(Version::One).await, Patient::start(Version::One).await);
    let of_eds = |ignore_health_on_removal| Cluster {
        health_checks: [http(false)].into(),
        ignore_health_on_removal,
        ..eds()
    };
    let mut world = World::new(of_eds(false));
    world.set_endpoints(&[one.addr, two.addr]);
    world.upstreams.warm().await;
    world.set_endpoints(&[two.addr]);
    assert_eq!(world.flags(), ["healthy", "/pending_dynamic_removal"]);
    one.is(503);
    world.until_flags(&["healthy"]).await;
    assert_eq!(world.number("membership_total"), 1);
    world.set_endpoints(&[]);
    assert_eq!(world.flags(), ["/pending_dynamic_removal"]);
    world.set(of_eds(true));
    world.set_endpoints(&[one.addr]);
    assert_eq!(world.flags().len(), 1);
}

#[tokio::test]
async fn a_service_of_grpc_is_asked_by_name() {
    let one = Patient::start(Version::Two).await;
    let grpc = GrpcCheck { service: "abc".into(), ..GrpcCheck::default() };
    let world = World::new(checked(of(&[one.addr]), often(HealthCheckKind::Grpc(grpc))));
    world.upstreams.warm().await;
    assert_eq!(world.flags(), ["healthy"]);
    assert_eq!(one.first_asked(), "POST c /grpc.health.v1.Health/Check Envoy/HC");
    one.is(503);
    world.until_flags(&[FAILED]).await;
    one.is(200);
    world.until_flags(&["healthy"]).await;
}

#[tokio::test]
async fn bytes_are_sent_and_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (drain, silent) = (Drain::default(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let told = Arc::clone(&silent);
    drain.worker().spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut ping = [0; 4];
            while tcp.read_exact(&mut ping).await.is_ok() && !told.load(Ordering::SeqCst) {
                assert_eq!(&ping, b"ping");
                tcp.write_all(b"--po--ng").await.unwrap();
            }
        }
    });
    let tcp = TcpCheck {
        send: Arc::from(*b"ping"),
        receive: [Arc::from(*b"po"), Arc::from(*b"ng")].into(),
    };
    let check = often(HealthCheckKind::Tcp(tcp));
    let world = World::new(checked(of(&[addr]), check));
    world.upstreams.warm().await;
    assert_eq!(world.flags(), ["healthy"]);
    silent.store(true, Ordering::SeqCst);
    world.until_flags(&[FAILED]).await;
}

#[tokio::test]
async fn too_slow_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tcp = TcpCheck { receive: [Arc::from(*b"hello")].into(), ..TcpCheck::default() };
    let timeout = Duration::from_millis(20);
    let check = HealthCheck { timeout, ..often(HealthCheckKind::Tcp(tcp)) };
    let world = World::new(checked(of(&[addr]), check));
    world.until_flags(&["/failed_active_hc/active_hc_timeout"]).await;
    drop(listener);
}

#[tokio::test]
async fn an_answer_can_say_at_once_that_the_endpoint_is_to_be_left_alone() {
    let (one, two) = (Patient::start(Version::One).await, Patient::start(Version::One).await);
    let slow = HealthCheck { interval: Duration::from_secs(60), ..http(false) };
    let slow = HealthCheck { no_traffic_healthy_interval: Duration::from_secs(60), ..slow };
    let world = World::new(checked(of(&[one.addr, two.addr]), slow));
    world.upstreams.warm().await;
    let mut head = ResponseHead::new(StatusCode::OK);
    let value = HeaderValue::from_static("true");
    head.headers.insert("x-envoy-immediate-health-check-fail", value);
    let chosen = world.choose();
    let which = usize::from(chosen.facts().host.address.as_socket() != Some(one.addr));
    chosen.answered(&head);
    assert_eq!(world.flags()[which], "/failed_active_hc/excluded_via_immediate_hc_fail");
    assert_eq!(world.flags()[1 - which], "healthy");
    assert_eq!(world.number("health_check.passive_failure"), 1);
}

#[tokio::test]
async fn who_fails_gets_new_connections_when_it_is_well_again() {
    let (one, server) = (Patient::start(Version::One).await, Server::start(Version::One).await);
    let outlier = Some(Arc::new(Outlier { max_percent: 100, ..Outlier::default() }));
    let base =
        checked(of(&[server.addr]), HealthCheck { alt_port: Some(one.addr.port()), ..http(false) });
    let world = World::new(Cluster { outlier, ..base });
    world.upstreams.warm().await;
    world.get().await;
    let connections = || world.upstream().view().hosts[0].connections;
    assert_eq!(connections(), 1);
    one.is(503);
    world.until_flags(&[FAILED]).await;
    assert_eq!(connections(), 0);
    one.is(200);
    world.until_flags(&["healthy"]).await;
    assert_eq!(world.get().await.0, StatusCode::OK);
    // Left out for its answers, and back because its checks succeed.
    for _ in 0..5 {
        world.choose().failed(None);
    }
    assert_eq!(world.number("outlier_detection.ejections_enforced_consecutive_5xx"), 1);
    world.until_flags(&["healthy"]).await;
    assert_eq!(world.number("outlier_detection.ejections_active"), 0);
}
