use super::{
    Stats, Tag,
    codes::Codes,
    histogram::Histogram,
    json, prometheus,
    sample::{Kind, Query, Shape},
    tag, text,
};

fn all(stats: &Stats) -> String {
    text::write(&stats.samples(&Query::default()), Shape::Summary)
}

fn some() -> Stats {
    let stats = Stats::default();
    let cluster = stats.scope("cluster", Tag::new(tag::CLUSTER, "outbound|80||a.svc"));
    cluster.counter("upstream_rq_total").add(3);
    Codes::new(cluster.clone(), "upstream_rq").count(200);
    Codes::new(cluster.scope("external"), "upstream_rq").count(503);
    cluster.gauge("upstream_rq_active").set(0);
    [1, 4, 5].iter().for_each(|ms| cluster.histogram("upstream_rq_time").record(*ms));
    let listener = stats.scope("listener", Tag::new(tag::LISTENER, "0.0.0.0:80"));
    Codes::new(listener.tagged("http", tag::HTTP, "in"), "downstream_rq").count_class(200);
    stats
        .root()
        .tagged("", tag::LOCAL_HTTP_RATELIMIT, "lim.")
        .scope("http_local_rate_limit")
        .counter("ok")
        .inc();
    stats
}

#[test]
fn text_is_as_envoys() {
    assert_eq!(
        all(&some()),
        "\
cluster.outbound|80||a.svc.external.upstream_rq_503: 1
cluster.outbound|80||a.svc.external.upstream_rq_5xx: 1
cluster.outbound|80||a.svc.external.upstream_rq_completed: 1
cluster.outbound|80||a.svc.upstream_rq_200: 1
cluster.outbound|80||a.svc.upstream_rq_2xx: 1
cluster.outbound|80||a.svc.upstream_rq_active: 0
cluster.outbound|80||a.svc.upstream_rq_completed: 1
cluster.outbound|80||a.svc.upstream_rq_total: 3
lim.http_local_rate_limit.ok: 1
listener.0.0.0.0_80.http.in.downstream_rq_2xx: 1
listener.0.0.0.0_80.http.in.downstream_rq_completed: 1
cluster.outbound|80||a.svc.upstream_rq_time: P0(nan,1.05) P25(nan,1.05) P50(nan,4.05) \
P75(nan,5.05) P90(nan,5.05) P95(nan,5.05) P99(nan,5.05) P99.5(nan,5.05) P99.9(nan,5.05) \
P100(nan,5.05)
"
    );
}

#[test]
fn prometheus_has_what_varies_as_labels_the_innermost_first() {
    let samples = some().samples(&Query::default());
    let out = prometheus::write(&samples, Shape::Cumulative);
    let cluster = "envoy_cluster_name=\"outbound|80||a.svc\"";
    for line in [
        "# TYPE envoy_cluster_upstream_rq_total counter".to_owned(),
        format!("envoy_cluster_upstream_rq_total{{{cluster}}} 3"),
        format!("envoy_cluster_upstream_rq{{envoy_response_code=\"200\",{cluster}}} 1"),
        format!(
            "envoy_cluster_external_upstream_rq_xx{{envoy_response_code_class=\"5\",{cluster}}} 1"
        ),
        "envoy_listener_http_downstream_rq_xx{envoy_response_code_class=\"2\",\
         envoy_http_conn_manager_prefix=\"in\",envoy_listener_address=\"0.0.0.0_80\"} 1"
            .to_owned(),
        "envoy_http_local_rate_limit_ok{envoy_local_http_ratelimit_prefix=\"lim\"} 1".to_owned(),
        "# TYPE envoy_cluster_upstream_rq_active gauge".to_owned(),
        "# TYPE envoy_cluster_upstream_rq_time histogram".to_owned(),
        format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"0.5\"}} 0"),
        format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"1\"}} 1"),
        format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"5\"}} 3"),
        format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"3600000\"}} 3"),
        format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"+Inf\"}} 3"),
        format!("envoy_cluster_upstream_rq_time_sum{{{cluster}}} 10"),
        format!("envoy_cluster_upstream_rq_time_count{{{cluster}}} 3"),
    ] {
        assert!(out.lines().any(|one| one == line), "no {line} in\n{out}");
    }
    let families =
        out.lines().filter(|line| line.starts_with("# TYPE envoy_cluster_upstream_rq_xx"));
    assert_eq!(families.count(), 1);
}

#[test]
fn json_has_numbers_and_one_object_of_histograms() {
    let query = Query { filter: Some(regex::Regex::new("_rq_t").unwrap()), ..Query::default() };
    let out = json::write(&some().samples(&query), Shape::Disjoint, false);
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["stats"][0]["name"], "cluster.outbound|80||a.svc.upstream_rq_total");
    assert_eq!(out["stats"][0]["value"], 3);
    let histogram = &out["stats"][1]["histograms"][0];
    assert_eq!(histogram["name"], "cluster.outbound|80||a.svc.upstream_rq_time");
    assert_eq!(histogram["buckets"][1]["cumulative"], 1);
    assert_eq!(histogram["buckets"][2]["cumulative"], 2);
    let out = json::write(&some().samples(&query), Shape::Summary, false);
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    let histograms = &out["stats"][1]["histograms"];
    assert_eq!(histograms["supported_quantiles"][7], 99.5);
    assert_eq!(histograms["computed_quantiles"][0]["values"][2]["cumulative"], 4.05);
}

#[test]
fn nothing_is_there_before_its_first_use_and_what_was_used_can_be_asked_for() {
    let stats = Stats::default();
    let root = stats.root().scope("server");
    let late = root.late::<super::Counter>("late");
    let gauge = root.late::<super::Gauge>("gauge");
    let histogram = root.late::<Histogram>("histogram");
    let _unused = root.counter("unused");
    assert_eq!(all(&stats), "server.unused: 0\n");
    late.inc();
    drop(gauge.raise());
    histogram.record(0);
    let query = Query { used_only: true, ..Query::default() };
    let used = stats.samples(&query);
    let names: Vec<_> = used.counters.iter().chain(&used.gauges).map(|one| &one.name).collect();
    assert_eq!(names, ["server.late", "server.gauge"], "a gauge that was raised stays used");
    assert_eq!(used.histograms.len(), 1);
    let query = Query { kind: Some(Kind::Gauges), ..Query::default() };
    assert!(stats.samples(&query).counters.is_empty());
}

#[test]
fn what_nobody_holds_expires_once_it_no_longer_changes() {
    let stats = Stats::default();
    let scope = stats.scope("cluster", Tag::new(tag::CLUSTER, "a"));
    let held = scope.counter("held");
    scope.counter("unheld").inc();
    held.inc();
    stats.expire();
    assert_eq!(all(&stats).lines().count(), 2, "both have changed since the beginning");
    stats.expire();
    assert_eq!(all(&stats), "cluster.a.held: 1\n");
    stats.expire();
    assert_eq!(all(&stats), "cluster.a.held: 1\n");
    drop((held, scope));
    stats.expire();
    assert!(stats.0.lock().is_empty(), "a place without numbers goes too");
    let again = stats.scope("cluster", Tag::new(tag::CLUSTER, "a")).counter("held");
    assert_eq!(again.value(), 0);
}

#[test]
fn scopes_with_the_same_name_are_the_same() {
    let stats = Stats::default();
    let one = stats.scope("http", Tag::new(tag::HTTP, "in"));
    let two = stats.root().tagged("http", tag::HTTP, "in");
    one.counter("rq_total").inc();
    two.counter("rq_total").inc();
    assert_eq!(all(&stats), "http.in.rq_total: 2\n");
    stats.reset_counters();
    assert_eq!(all(&stats), "http.in.rq_total: 0\n");
}
