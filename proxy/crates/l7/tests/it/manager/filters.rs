//! Each filter, as a client meets it.
use super::world::{Answer, World, filter, forward, route, router, table};
use culvert_model::http::{
    cors::Cors,
    fault::{Abort, AbortWith, Delay, DelayLength, Fault, FaultKeys, Rate, RateLimit},
    field::Field,
    filter::{
        Filter, HeaderMutationFilter, HealthCheckFilter, HttpFilter, Override, OverrideConfig,
        PerFilter, SetFilterState,
    },
    listener::{FilterStateValue, SharedWith},
    manager::{Manager, Routes},
    matcher::{Fraction, HeaderMatch, StringMatch},
    mutation::{Append, HeaderMutations, HeaderValue},
    ratelimit::{Bucket, HostLimits, LocalRateLimit},
    rbac::{self, Engine, Permission, Policies, Policy, Principal},
    route::{Action, Direct},
};
use http::StatusCode;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(super) fn chain(name: &'static str, config: HttpFilter) -> impl FnOnce(&mut Manager) {
    move |manager| manager.filters = [filter(name, config), router()].into()
}

/// The route `/own` says something else about a filter.
fn own(config: &mut Manager, filter: &str, said: Option<OverrideConfig>, disabled: Option<bool>) {
    let mut special = route("/own", forward());
    let said = Override { disabled, config: said };
    special.per_filter = PerFilter::new(BTreeMap::from([(filter.into(), said)]));
    config.routes = Routes::Here(Arc::new(table(vec![special, route("/", forward())])));
}

pub(super) fn denies(path: &str) -> Arc<rbac::Rbac> {
    let policy = Policy {
        permissions: [Permission::UrlPath(StringMatch::exact(path))].into(),
        principals: [Principal::Any].into(),
    };
    let policies = BTreeMap::from([("no way".into(), policy)]);
    Arc::new(rbac::Rbac {
        rules: Some(Engine::Policies(Policies { action: rbac::Action::Deny, policies })),
        shadow: None,
        shadow_prefix: "".into(),
        rules_prefix: "".into(),
        track_rules: false,
    })
}

#[tokio::test]
async fn rbac_denies_and_a_route_may_say_otherwise() {
    let world = World::start(|config| {
        chain("rbac", HttpFilter::Rbac(denies("/secret")))(config);
        own(config, "rbac", Some(OverrideConfig::Rbac(Some(denies("/own/secret")))), None);
    })
    .await;
    let denied = world.get("/secret", "").await;
    assert_eq!((denied.status, &*denied.body), (403, "RBAC: access denied"));
    assert_eq!(world.get("/open", "").await.status, 200);
    assert_eq!(world.get("/own/secret", "").await.status, 403);
    assert_eq!(world.get("/own", "").await.status, 200);
    let lines = world.lines(4).await;
    let details = "403 - rbac_access_denied_matched_policy[no_way] 0 19 / backend";
    assert!(lines[0].ends_with(details), "{}", lines[0]);
    assert_eq!(world.stat("http.test.rbac.denied"), 2);
    assert_eq!(world.stat("http.test.rbac.allowed"), 2);
}

#[tokio::test]
async fn a_filter_that_is_off_works_only_where_a_route_turns_it_on() {
    let world = World::start(|config| {
        let rbac = Filter { disabled: true, ..filter("rbac", HttpFilter::Rbac(denies("/own"))) };
        config.filters = [rbac, router()].into();
        own(config, "rbac", None, Some(false));
    })
    .await;
    assert_eq!(world.get("/own", "").await.status, 403);
    assert_eq!(world.get("/", "").await.status, 200);
}

fn fault(delay: Option<Delay>, abort: Option<Abort>, rate: Option<Rate>) -> HttpFilter {
    HttpFilter::Fault(Arc::new(Fault {
        delay,
        abort,
        rate,
        upstream_cluster: None,
        headers: Box::default(),
        downstream_nodes: Box::default(),
        max_active: None,
        keys: FaultKeys::default(),
        disable_downstream_cluster_stats: false,
    }))
}

#[tokio::test]
async fn faults_delay_abort_and_slow() {
    let delay =
        Delay { how: DelayLength::Fixed(Duration::from_millis(1)), share: Fraction::ALWAYS };
    let abort = Abort { how: AbortWith::Header, share: Fraction::ALWAYS };
    let rate = Rate { how: RateLimit::Fixed(1 << 20), share: Fraction::ALWAYS };
    let filter = fault(Some(delay), Some(abort), Some(rate));
    let world = World::start(chain("fault", filter)).await;
    let aborted = world.get("/", "x-envoy-fault-abort-request: 418\r\n").await;
    assert_eq!((aborted.status, &*aborted.body), (418, "fault filter abort"));
    let slowed = world.get("/pieces", "").await;
    assert_eq!(slowed.status, 200);
    assert!(slowed.body.contains("ab"));
    let lines = world.lines(2).await;
    assert!(lines[0].contains("418 DI,FI fault_filter_abort"), "{}", lines[0]);
    assert!(lines[1].contains("200 DI via_upstream"), "{}", lines[1]);
    assert_eq!(world.stat("http.test.fault.aborts_injected"), 1);
    assert_eq!(world.stat("http.test.fault.delays_injected"), 2);
}

fn bucket(max: u32) -> Arc<LocalRateLimit> {
    Arc::new(LocalRateLimit {
        stat_prefix: "limit".into(),
        status: StatusCode::TOO_MANY_REQUESTS,
        bucket: Some(Bucket { max, per_fill: 1, interval: Duration::from_secs(3600) }),
        enabled: Fraction::ALWAYS.into(),
        enforced: Fraction::ALWAYS.into(),
        request_headers: Box::default(),
        response_headers: [added("x-limited", "yes")].into(),
        descriptors: Box::default(),
        stage: 0,
        per_connection: false,
        x_ratelimit_headers: true,
        always_default: true,
        resource_exhausted: false,
        limits: Box::default(),
        host_limits: HostLimits::default(),
        max_dynamic: 20,
    })
}

fn added(name: &str, value: &str) -> HeaderValue {
    HeaderValue {
        name: name.parse().unwrap(),
        value: value.parse().unwrap(),
        how: Append::AppendOrAdd,
        keep_empty: false,
    }
}

#[tokio::test]
async fn each_connection_can_have_tokens_of_its_own() {
    let limit = LocalRateLimit { per_connection: true, ..LocalRateLimit::clone(&bucket(1)) };
    let limit = HttpFilter::LocalRateLimit(Arc::new(limit));
    let world = World::start(chain("limit", limit)).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n";
    for _ in 0..2 {
        let both = format!("{request}\r\n{request}connection: close\r\n\r\n");
        let answers = world.raw(&both).await;
        assert_eq!(answers.status, 200);
        assert!(answers.body.contains("HTTP/1.1 429"), "{}", answers.body);
    }
    assert_eq!(world.stat("limit.http_local_rate_limit.rate_limited"), 2);
}

#[tokio::test]
async fn no_more_requests_pass_than_there_are_tokens() {
    let world = World::start(|config| {
        chain("limit", HttpFilter::LocalRateLimit(bucket(2)))(config);
        own(config, "limit", Some(OverrideConfig::LocalRateLimit(bucket(1))), None);
    })
    .await;
    let first = world.get("/", "").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("x-ratelimit-limit").as_deref(), Some("2"));
    assert_eq!(first.header("x-ratelimit-remaining").as_deref(), Some("1"));
    assert_eq!(world.get("/", "").await.status, 200);
    let over = world.get("/", "").await;
    assert_eq!((over.status, &*over.body), (429, "local_rate_limited"));
    assert_eq!(over.header("x-limited").as_deref(), Some("yes"));
    assert_eq!(world.get("/own", "").await.status, 200);
    assert_eq!(world.get("/own", "").await.status, 429);
    let lines = world.lines(5).await;
    assert!(lines[2].contains("429 RL local_rate_limited"), "{}", lines[2]);
    assert_eq!(world.stat("limit.http_local_rate_limit.enforced"), 2);
}

pub(super) fn cors(origins: &[&str], methods: Option<&str>) -> Cors {
    Cors {
        origins: origins.iter().map(|origin| StringMatch::exact(origin)).collect(),
        methods: methods.map(Into::into),
        headers: None,
        expose: None,
        max_age: None,
        credentials: false,
        private_network: false,
        enabled: Fraction::ALWAYS.into(),
        shadow: None,
        forward_other_preflights: true,
    }
}

#[tokio::test]
async fn browsers_are_told_what_a_route_allows_them() {
    let world = World::start(|config| {
        chain("cors", HttpFilter::Cors)(config);
        let cors = Cors { expose: Some("x-e".into()), ..cors(&["https://a.test"], Some("GET")) };
        own(config, "cors", Some(OverrideConfig::Cors(Arc::new(cors))), None);
    })
    .await;
    let allow = "access-control-allow-origin";
    let origin = "origin: https://a.test\r\n";
    let marked = world.get("/own", origin).await;
    assert_eq!(marked.header(allow).as_deref(), Some("https://a.test"));
    assert_eq!(world.get("/", origin).await.header(allow), None);
    let preflight = world
        .raw(&format!(
            "OPTIONS /own HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{origin}\
             access-control-request-method: GET\r\n\r\n"
        ))
        .await;
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-methods").as_deref(), Some("GET"));
    assert_eq!(world.stat("http.test.cors.origin_valid"), 2);
}

#[tokio::test]
async fn headers_are_changed_and_values_left_for_those_after() {
    let state = FilterStateValue {
        key: "who".into(),
        factory: "envoy.string".into(),
        value: "%REQ(x-who)%".parse().unwrap(),
        read_only: false,
        shared: SharedWith::Nobody,
        skip_if_empty: false,
    };
    let mutation = HeaderMutationFilter {
        request: HeaderMutations::of(
            vec!["x-who".parse::<Field>().unwrap()],
            vec![added("x-state", "%FILTER_STATE(who:PLAIN)%")],
        ),
        response: HeaderMutations::of(Vec::new(), vec![added("x-code", "%RESPONSE_CODE%")]),
        ..HeaderMutationFilter::default()
    };
    let world = World::start(|config| {
        config.filters = [
            filter(
                "state",
                HttpFilter::SetFilterState(Arc::new(SetFilterState {
                    values: [state].into(),
                    clear_route: false,
                })),
            ),
            filter("mutation", HttpFilter::HeaderMutation(Arc::new(mutation))),
            router(),
        ]
        .into();
    })
    .await;
    let answer = world.get("/headers", "x-who: me\r\n").await;
    assert!(answer.body.contains("x-state: \"me\""), "{}", answer.body);
    assert!(!answer.body.contains("x-who"));
    assert_eq!(answer.header("x-code").as_deref(), Some("200"));
}

#[tokio::test]
async fn health_checks_are_answered_here_until_they_are_to_fail() {
    let check = HealthCheckFilter {
        pass_through: false,
        cache: None,
        headers: [HeaderMatch::value(Field::Path, StringMatch::exact("/well"))].into(),
        clusters: [("backend".into(), 100.0)].into(),
    };
    let world = World::start(chain("health", HttpFilter::HealthCheck(Arc::new(check)))).await;
    assert_eq!(world.get("/well", "").await.status, 200);
    world.shared.set_failing(true);
    assert_eq!(world.get("/well", "").await.status, 503);
    let other = world.get("/", "").await;
    assert_eq!(other.header("x-envoy-immediate-health-check-fail").as_deref(), Some("true"));
    let lines = world.lines(3).await;
    assert!(lines[1].contains("503 LH health_check_failed"), "{}", lines[1]);
}

async fn post(world: &World, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    world.raw(&format!("{head}{headers}\r\n{body}")).await
}

#[tokio::test]
async fn only_whole_requests_pass_a_buffer_and_only_small_ones() {
    let world = World::start(chain("buffer", HttpFilter::Buffer { max: 4 })).await;
    assert_eq!(post(&world, "/echo", "", "four").await.body, "four");
    let large = post(&world, "/echo", "", "fiver").await;
    assert_eq!((large.status, &*large.body), (413, "Payload Too Large"));
    let lines = world.lines(2).await;
    assert!(lines[1].contains("413 - request_payload_too_large"), "{}", lines[1]);
}

#[tokio::test]
async fn browsers_get_trailers_as_a_message() {
    let world = World::start(chain("web", HttpFilter::GrpcWeb)).await;
    let kind = "content-type: application/grpc-web-text\r\naccept: application/grpc-web-text\r\n";
    let answer = post(&world, "/echo", kind, "AAAAAAA=").await;
    let content = answer.header("content-type");
    assert_eq!(content.as_deref(), Some("application/grpc-web-text+proto"));
    // Chunked, as whole groups come.
    assert!(answer.body.contains("AAAA\r\n4\r\nAAA="), "{}", answer.body);
}

#[tokio::test]
async fn a_filters_answer_may_look_as_the_listener_wants() {
    let direct = Direct { status: StatusCode::OK, body: b"x".as_slice().into(), format: None };
    let world = World::start(|config| {
        chain("rbac", HttpFilter::Rbac(denies("/")))(config);
        let routes = vec![route("/", Action::Direct(Box::new(direct)))];
        config.routes = Routes::Here(Arc::new(table(routes)));
    })
    .await;
    let answer = world.get("/", "content-type: application/grpc\r\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("grpc-status").as_deref(), Some("7"));
    assert_eq!(answer.header("grpc-message").as_deref(), Some("RBAC: access denied"));
}
