//! `/clusters`.
use super::{Admin, Answer, listeners::written, query::Query};
use culvert_l7::upstream::{
    Fault,
    view::{ClusterView, HostView},
};
use culvert_model::http::{
    address::Address,
    cluster::{Cluster, Discovery, RetryLimit, Thresholds},
    endpoint::HealthStatus,
};
use culvert_xds::envoy::{kind::Kind, wanted::Asked};
use regex::Regex;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering::Relaxed},
};

pub(super) fn answer(admin: &Admin, query: &Query) -> Answer {
    let filter = match query.some("filter").map(Regex::new).transpose() {
        Ok(filter) => filter,
        Err(error) => return Answer::bad(format!("Invalid re2 regex: {error}")),
    };
    let wanted = |name: &str| filter.as_ref().is_none_or(|filter| filter.is_match(name));
    let all = admin.around.shared.upstreams.all();
    let views = all.iter().filter(|one| wanted(&one.config().name)).map(|one| one.view());
    let views: Vec<_> = views.map(|view| (is_dynamic(admin, &view.config), view)).collect();
    if query.get("format") == Some("json") {
        let statuses: Vec<_> = views.iter().map(|(dynamic, view)| status(view, *dynamic)).collect();
        return Answer::json(&json!({ "cluster_statuses": statuses }));
    }
    let mut out = String::new();
    for (dynamic, view) in &views {
        lines(&mut out, view, *dynamic);
    }
    Answer::ok(out)
}

fn is_dynamic(admin: &Admin, config: &Cluster) -> bool {
    let key = (Kind::Cluster, Arc::clone(&config.name));
    admin
        .around
        .discovery
        .inspect(|all| all.held_as(&key).is_some_and(|held| held.from != Asked::Static))
}

/// Envoy's word for how many retries may be; a budget has no number.
const fn retries(limit: RetryLimit) -> u32 {
    match limit {
        RetryLimit::Count(most) => most,
        RetryLimit::Budget { min, .. } => min,
    }
}

fn lines(out: &mut String, view: &ClusterView, dynamic: bool) {
    let ClusterView { config, hosts } = view;
    let name = &config.name;
    let mut line = |what: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        writeln!(out, "{name}::{what}").unwrap_or_default();
    };
    line(format_args!("observability_name::{}", config.stat_name));
    for (priority, of) in [("default", &config.breakers.default), ("high", &config.breakers.high)] {
        line(format_args!("{priority}_priority::max_connections::{}", of.max_connections));
        line(format_args!("{priority}_priority::max_pending_requests::{}", of.max_pending));
        line(format_args!("{priority}_priority::max_requests::{}", of.max_requests));
        line(format_args!("{priority}_priority::max_retries::{}", retries(of.retries)));
    }
    line(format_args!("added_via_api::{dynamic}"));
    for view in hosts {
        for (what, value) in numbers(view) {
            line(format_args!("{}::{what}::{value}", view.name));
        }
        let words = [
            ("hostname", view.endpoint.hostname.to_string()),
            ("health_flags", view.health_flags()),
            ("weight", view.endpoint.weight.to_string()),
            ("region", view.locality.region.to_string()),
            ("zone", view.locality.zone.to_string()),
            ("sub_zone", view.locality.subzone.to_string()),
            ("canary", "false".to_owned()),
            ("priority", view.priority.to_string()),
            ("success_rate", "-1".to_owned()),
            ("local_origin_success_rate", "-1".to_owned()),
        ];
        for (what, value) in words {
            line(format_args!("{}::{what}::{value}", view.name));
        }
    }
}

fn numbers(HostView { host, connections, .. }: &HostView) -> [(&'static str, u64); 9] {
    [
        ("cx_active", u64::try_from(*connections).unwrap_or(u64::MAX)),
        ("cx_connect_fail", host.connect_failures.load(Relaxed)),
        ("cx_total", host.connects.load(Relaxed)),
        ("rq_active", host.active()),
        ("rq_error", host.failed.load(Relaxed)),
        ("rq_pending_active", 0),
        ("rq_success", host.succeeded.load(Relaxed)),
        ("rq_timeout", 0),
        ("rq_total", host.requests.load(Relaxed)),
    ]
}

/// As `envoy.admin.v3.ClusterStatus`.
fn status(view: &ClusterView, dynamic: bool) -> Value {
    let ClusterView { config, hosts } = view;
    let thresholds = |of: &Thresholds| {
        json!({
            "max_connections": of.max_connections,
            "max_pending_requests": of.max_pending,
            "max_requests": of.max_requests,
            "max_retries": retries(of.retries),
        })
    };
    let mut high = thresholds(&config.breakers.high);
    high["priority"] = json!("HIGH");
    let mut status = json!({
        "name": &*config.name,
        "observability_name": &*config.stat_name,
        "host_statuses": hosts.iter().map(host).collect::<Vec<_>>(),
        "circuit_breakers": { "thresholds": [thresholds(&config.breakers.default), high] },
    });
    if let Discovery::Eds { service, .. } = &config.discovery
        && *service != config.name
    {
        status["eds_service_name"] = json!(&**service);
    }
    if dynamic {
        status["added_via_api"] = json!(true);
    }
    status
}

fn host(view: &HostView) -> Value {
    let stats = numbers(view).map(|(name, value)| {
        let mut stat = json!({ "name": name });
        if name.ends_with("_active") {
            stat["type"] = json!("GAUGE");
        }
        if value != 0 {
            stat["value"] = json!(value.to_string());
        }
        stat
    });
    let said = match view.endpoint.health {
        HealthStatus::Unhealthy => "UNHEALTHY",
        HealthStatus::Draining => "DRAINING",
        HealthStatus::Timeout => "TIMEOUT",
        HealthStatus::Degraded => "DEGRADED",
        HealthStatus::Unknown | HealthStatus::Healthy => "HEALTHY",
    };
    let mut health = json!({ "eds_health_status": said });
    if view.host.is_ejected() {
        health["failed_outlier_check"] = json!(true);
    }
    if view.host.has(Fault::FailedCheck) {
        health["failed_active_health_check"] = json!(true);
    }
    let parts = [
        ("region", &view.locality.region),
        ("zone", &view.locality.zone),
        ("sub_zone", &view.locality.subzone),
    ];
    let locality = parts.into_iter().filter(|(_, value)| !value.is_empty());
    let locality = locality.map(|(name, value)| (name.to_owned(), json!(&**value)));
    // Of a name, where it leads.
    let at = view.host.destination().map_or_else(|| view.endpoint.address.clone(), Address::Socket);
    let mut status = json!({
        "address": written(&at),
        "stats": stats,
        "health_status": health,
        "weight": view.endpoint.weight,
        "locality": Value::Object(locality.collect()),
    });
    if !view.endpoint.hostname.is_empty() {
        status["hostname"] = json!(&*view.endpoint.hostname);
    }
    if view.priority != 0 {
        status["priority"] = json!(view.priority);
    }
    status
}
