//! From a case to the bootstrap that both proxies get.
use crate::case::Case;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path};

/// `${T}` in case files.
pub(crate) const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// HTTP filters that have a short name: it, and message and package of the configuration.
const FILTERS: &[(&str, &str)] = &[
    ("rbac", "rbac.v3.RBAC"),
    ("fault", "fault.v3.HTTPFault"),
    ("local_ratelimit", "local_ratelimit.v3.LocalRateLimit"),
    ("cors", "cors.v3.Cors"),
    ("header_mutation", "header_mutation.v3.HeaderMutation"),
    ("set_filter_state", "set_filter_state.v3.Config"),
    ("health_check", "health_check.v3.HealthCheck"),
    ("buffer", "buffer.v3.Buffer"),
    ("grpc_stats", "grpc_stats.v3.FilterConfig"),
    ("grpc_web", "grpc_web.v3.GrpcWeb"),
];

/// What every request leaves in the log.
const LOG: &[(&str, &str)] = &[
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("code", "%RESPONSE_CODE%"),
    ("details", "%RESPONSE_CODE_DETAILS%"),
    ("flags", "%RESPONSE_FLAGS%"),
    ("received", "%BYTES_RECEIVED%"),
    ("sent", "%BYTES_SENT%"),
    ("route", "%ROUTE_NAME%"),
    ("cluster", "%UPSTREAM_CLUSTER%"),
    ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
    ("failure", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// The whole bootstrap of a case.
pub(crate) fn bootstrap(case: &Case, ports: &BTreeMap<String, u16>, dir: &Path) -> Value {
    let admin = json!({"address": socket(ports["admin"])});
    if let Some(whole) = &case.bootstrap {
        let mut whole = whole.clone();
        whole.insert("admin".into(), admin);
        return Value::Object(whole);
    }
    let mut listeners = case.listeners.clone();
    if listeners.is_empty() {
        listeners.push(listener(case, ports, dir));
    }
    let clusters: Vec<Value> = case
        .clusters
        .iter()
        .map(|(name, fields)| cluster(name, fields.clone(), ports))
        .chain((!case.clusters.contains_key("b1")).then(|| cluster("b1", Map::new(), ports)))
        .collect();
    let mut resources = json!({"listeners": listeners, "clusters": clusters});
    if !case.secrets.is_empty() {
        resources["secrets"] = Value::Array(case.secrets.clone());
    }
    let mut whole = json!({"admin": admin, "static_resources": resources});
    lay(&mut whole, &case.process);
    whole
}

fn socket(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn listener(case: &Case, ports: &BTreeMap<String, u16>, dir: &Path) -> Value {
    let chains = if case.chains.is_empty() {
        let mut filters = case.network.clone();
        filters.push(
            case.tcp.as_ref().map_or_else(|| manager(case, dir), |tcp| tcp_proxy(tcp, case, dir)),
        );
        let mut chain = json!({"filters": filters});
        lay(&mut chain, &case.chain);
        vec![chain]
    } else {
        case.chains.iter().map(|chain| with_manager(chain, case, dir)).collect()
    };
    let mut listener = json!({"name": "l", "address": socket(ports["l"]), "filter_chains": chains});
    lay(&mut listener, &case.listener);
    listener
}

/// A chain of the case; one without filters gets the manager of the case, whose answers name the chain.
fn with_manager(chain: &Value, case: &Case, dir: &Path) -> Value {
    let mut chain = chain.clone();
    if chain.get("filters").is_none() {
        let mut own = case.clone();
        if let Some(says) = chain.as_object_mut().unwrap().remove("says") {
            let says = says.as_str().unwrap();
            own.routes = vec![
                json!({"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": says}}}),
            ];
        }
        chain["filters"] = json!([manager(&own, dir)]);
    }
    chain
}

fn tcp_proxy(fields: &Map<String, Value>, case: &Case, dir: &Path) -> Value {
    let mut config = json!({
        "@type": format!("{TYPES}.filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": "in",
        "access_log": logs(case, dir),
    });
    lay(&mut config, fields);
    json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": config})
}

fn manager(case: &Case, dir: &Path) -> Value {
    let mut filters: Vec<Value> = case.filters.iter().map(filter).collect();
    let mut router = json!({"@type": format!("{TYPES}.filters.http.router.v3.Router")});
    lay(&mut router, &case.router);
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config": router}));
    let mut routes = case.routes.clone();
    if routes.is_empty() {
        routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": "b1"}}));
    }
    let mut hosts = case.virtual_hosts.clone();
    if hosts.is_empty() {
        hosts.push(json!({"name": "v", "domains": ["*"], "routes": routes}));
    }
    let mut table = json!({"name": "table", "virtual_hosts": hosts});
    lay(&mut table, &case.table);
    let mut config = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "in",
        "access_log": logs(case, dir),
        "http_filters": filters,
        "route_config": table,
    });
    lay(&mut config, &case.manager);
    if config.get("rds").is_some() {
        config.as_object_mut().unwrap().remove("route_config");
    }
    json!({"name": "manager", "typed_config": config})
}

fn filter(short: &Value) -> Value {
    let fields = short.as_object().unwrap();
    let Some((name, config)) = fields.iter().next().filter(|_| !fields.contains_key("name")) else {
        return short.clone();
    };
    let (_, message) = FILTERS.iter().find(|(short, _)| short == name).expect("a filter's name");
    let mut typed = json!({"@type": format!("{TYPES}.filters.http.{message}")});
    lay(&mut typed, config.as_object().unwrap_or(&Map::new()));
    json!({"name": format!("envoy.filters.http.{name}"), "typed_config": typed})
}

fn logs(case: &Case, dir: &Path) -> Value {
    let file = |format: Value| {
        json!({
            "name": "log",
            "typed_config": {
                "@type": format!("{TYPES}.access_loggers.file.v3.FileAccessLog"),
                "path": dir.join("access.log"),
                "log_format": format,
            },
        })
    };
    if let Some(logs) = &case.logs {
        return json!(logs);
    }
    let fields: BTreeMap<&str, &str> = LOG.iter().copied().collect();
    let mut all = vec![file(json!({"json_format": fields}))];
    for line in &case.log {
        all.push(file(json!({"text_format_source": {"inline_string": format!("{line}\n")}})));
    }
    Value::Array(all)
}

fn cluster(name: &str, mut fields: Map<String, Value>, ports: &BTreeMap<String, u16>) -> Value {
    let mut to = vec![name.to_owned()];
    if let Some(names) = fields.remove("to") {
        to = serde_json::from_value(names).unwrap();
    }
    let mut cluster = json!({"name": name, "connect_timeout": "2s"});
    if !fields.contains_key("cluster_type") {
        cluster["type"] = json!("STATIC");
    }
    if !fields.contains_key("load_assignment")
        && ["EDS", "ORIGINAL_DST"].iter().all(|kind| fields.get("type") != Some(&json!(kind)))
        && !fields.contains_key("cluster_type")
    {
        let endpoints: Vec<Value> = to
            .iter()
            .map(|to| json!({"endpoint": {"address": socket(ports[to.as_str()])}}))
            .collect();
        cluster["load_assignment"] =
            json!({"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]});
    }
    // Short for an upstream that speaks HTTP/2.
    if fields.remove("h2").is_some() {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    lay(&mut cluster, &fields);
    cluster
}

/// Puts fields over those that are there.
fn lay(base: &mut Value, fields: &Map<String, Value>) {
    for (name, value) in fields {
        base[name] = value.clone();
    }
}
