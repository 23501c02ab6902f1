//! P10 and P11: everything that a route of a real mesh has, at saturation and at a pace.
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    config::{self, Http, filter},
    side::{Backend, Sides},
};
use crate::{
    Programs,
    envoy::hbone,
    player::{Player, role},
    process::cpu_seconds,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
};

const HOSTS: u32 = 50;
const ROUTES: u32 = 20;
const RULES: u32 = 10;

/// The last host and route there are.
const HOST: &str = "host49.example.com";
const PATH: &str = "/route19/page";

/// Requests per second for P11.
const PACE: &str = "2000";

/// Measures both, without JSON Web Tokens, which are not there yet.
pub(crate) fn measure(programs: &Programs) -> Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    hbone::certificates(folder)?;
    let backend = Backend::start(folder)?;
    let sides = Sides::start(programs, folder, |listen| {
        bootstrap(
            listen,
            backend.plain,
            &folder.join(format!("{}.log", listen.port())).display().to_string(),
        )
    })?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut direct, mut our_p50, mut their_p50) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_p99, mut their_p99) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (side, rates) in [(&sides.envoy, &mut theirs), (&sides.culvert, &mut ours)] {
            let before = cpu_seconds(side.player.pid())?;
            let asked = Asked::of(side.at, &["--connections", "32"]).context(side.name)?;
            rates.push(asked.done / (cpu_seconds(side.player.pid())? - before));
        }
        let paced = ["--connections", "8", "--rate", PACE];
        direct.push(Asked::of(backend.plain, &paced)?.p50);
        let (envoy, culvert) =
            (Asked::of(sides.envoy.at, &paced)?, Asked::of(sides.culvert.at, &paced)?);
        their_p50.push(envoy.p50);
        their_p99.push(envoy.p99);
        our_p50.push(culvert.p50);
        our_p99.push(culvert.p99);
    }
    let direct = median(&direct);
    let added = |p50: &[f64]| median(p50) - direct;
    Ok(vec![
        Finding::new("P10", "chain without JWT: requests per CPU second", median(&ours), "1/s")
            .beside("envoy", median(&theirs))
            .held_to(Limit::RatioAtLeast(1.6)),
        Finding::new("P11", "chain at 2,000/s: p50 added", added(&our_p50), "µs")
            .beside("envoy", added(&their_p50))
            .held_to(Limit::RatioAtMost(0.8)),
        Finding::new("P11", "the same, p99", median(&our_p99), "µs")
            .beside("envoy", median(&their_p99)),
    ])
}

/// What a client saw.
struct Asked {
    done: f64,
    p50: f64,
    p99: f64,
}

impl Asked {
    fn of(to: SocketAddr, more: &[&str]) -> Result<Self> {
        let to = to.to_string();
        let words = ["ask", "--to", &to, "--seconds", "3", "--host", HOST, "--path", PATH];
        let line = Player::placed(role(&[&words[..], more].concat())?)?.line()?;
        let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [done, failed, p50, p99] = numbers[..] else {
            anyhow::bail!("not four numbers: {line}")
        };
        ensure!(failed == 0.0, "requests failed: {line}");
        Ok(Self { done, p50, p99 })
    }
}

fn bootstrap(listen: SocketAddr, backend: SocketAddr, log: &str) -> Value {
    let hosts: Vec<_> = (0..HOSTS).map(host).collect();
    let mut manager = config::manager(
        json!({ "route_config": { "name": "local", "virtual_hosts": hosts } }),
        json!([fault(), rbac(), rate_limit(), config::router()]),
    );
    manager["access_log"] = json!([access_log(log)]);
    let listener = config::listener(listen, &manager, Http::One);
    let mut cluster = config::cluster("backend", backend);
    cluster["lb_policy"] = json!("LEAST_REQUEST");
    cluster["outlier_detection"] = json!({ "consecutive_5xx": 5 });
    config::bootstrap(&json!([listener]), &json!([cluster]), &json!({}))
}

fn host(at: u32) -> Value {
    let routes: Vec<_> = (0..ROUTES)
        .map(|route| json!({
            "match": { "prefix": format!("/route{route}/") },
            "route": { "cluster": "backend", "timeout": "15s", "retry_policy": { "retry_on": "5xx", "num_retries": 2 } },
        }))
        .collect();
    json!({ "name": format!("host{at}"), "domains": [format!("host{at}.example.com")], "routes": routes })
}

fn fault() -> Value {
    let none = json!({ "numerator": 0, "denominator": "HUNDRED" });
    filter(
        "fault",
        "HTTPFault",
        json!({
            "delay": { "fixed_delay": "1s", "percentage": none },
            "abort": { "http_status": 503, "percentage": none },
        }),
    )
}

/// Ten rules, the last of which allows.
fn rbac() -> Value {
    let rule = |at: u32| {
        let path = if at + 1 == RULES { "/route".to_owned() } else { format!("/nothing{at}") };
        (
            format!("rule{at}"),
            json!({
                "permissions": [{ "and_rules": { "rules": [
                    { "header": { "name": ":method", "string_match": { "exact": "GET" } } },
                    { "url_path": { "path": { "prefix": path } } },
                ] } }],
                "principals": [{ "any": true }],
            }),
        )
    };
    let policies: serde_json::Map<_, _> = (0..RULES).map(rule).collect();
    filter("rbac", "RBAC", json!({ "rules": { "action": "ALLOW", "policies": policies } }))
}

fn rate_limit() -> Value {
    let all = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let many = 1_000_000_000;
    filter(
        "local_ratelimit",
        "LocalRateLimit",
        json!({
            "stat_prefix": "limit",
            "token_bucket": { "max_tokens": many, "tokens_per_fill": many, "fill_interval": "1s" },
            "filter_enabled": all,
            "filter_enforced": all,
        }),
    )
}

fn access_log(file: &str) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": file,
            "log_format": { "json_format": {
                "time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%",
                "authority": "%REQ(:AUTHORITY)%", "code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%",
                "took": "%DURATION%", "received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%",
                "upstream": "%UPSTREAM_HOST%", "id": "%REQ(X-REQUEST-ID)%", "agent": "%REQ(USER-AGENT)%",
            } },
        },
    })
}
