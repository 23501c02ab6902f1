//! What is understood of resources as people write them, and what is said where it is not.
use super::*;
use crate::envoy::bootstrap;
use culvert_model::http::{
    address::Address,
    balance::Policy,
    cluster::{Discovery, RetryLimit, UpstreamVersion},
    filter::{FilterConfig, OverrideConfig},
    listener::NetworkFilterKind,
    manager::{EscapedSlashes, Manager, Routes},
    route::{Action, ClusterChoice, PathMatch},
    source::From,
    tls::{CertificateSource, SanKind, UpstreamTransport},
};
use culvert_proto::json;
use std::time::Duration;

mod around;

mod bootstraps;

mod broken;

/// Turns a resource in YAML into bytes.
fn bytes<M: culvert_proto::Message + culvert_proto::Name + Default>(yaml: &str) -> Vec<u8> {
    let value = json::yaml::read(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let message: M = json::read(&value).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
    message.encode_to_vec()
}

fn cluster_of(yaml: &str) -> Got<Cluster> {
    cluster(&bytes::<cluster_pb::Cluster>(yaml), &Nothing)
}

fn listener_of(yaml: &str) -> Got<Listener> {
    listener(&bytes::<listener_pb::Listener>(yaml), &Nothing)
}

fn routes_of(yaml: &str) -> Got<RouteTable> {
    routes(&bytes::<route_pb::RouteConfiguration>(yaml), &Nothing)
}

/// A listener around the fields of a manager.
fn manager_yaml(fields: &str) -> String {
    let fields = fields.replace('\n', "\n          ");
    format!(
        "
name: l
address: {{socket_address: {{address: 0.0.0.0, port_value: 80}}}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          {fields}
"
    )
}

const ROUTER: &str = "http_filters: [{name: router, typed_config: {'@type': \
    type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]";

const NO_ROUTES: &str = "route_config: {name: r}";

fn manager_of(fields: &str) -> Got<Arc<Manager>> {
    let listener = listener_of(&manager_yaml(fields))?;
    let kind = &listener.chains[0].filters[0].kind;
    let NetworkFilterKind::HttpManager(manager) = kind else { panic!("{kind:?}") };
    Ok(Arc::clone(manager))
}

#[test]
fn a_manager_has_what_is_said_and_envoys_defaults() {
    let plain = manager_of(&format!("stat_prefix: p\n{NO_ROUTES}\n{ROUTER}")).unwrap();
    assert_eq!(plain.limits.stream_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!(plain.limits.request_timeout, None);
    assert_eq!(plain.limits.max_headers_kb, 60);
    assert_eq!(plain.common.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!((plain.http2.max_streams, plain.http2.stream_window), (1024, 16 << 20));
    assert!(plain.request_id.generate && !plain.path.normalize);

    let said = manager_of(&format!(
        "stat_prefix: p
codec_type: http2
rds: {{route_config_name: r, config_source: {{ads: {{}}, initial_fetch_timeout: 0s}}}}
use_remote_address: true
stream_idle_timeout: 0s
normalize_path: true
path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
common_http_protocol_options: {{idle_timeout: 7s, headers_with_underscores_action: REJECT_REQUEST}}
forward_client_cert_details: SANITIZE_SET
set_current_client_cert_details: {{subject: true, uri: true}}
upgrade_configs: [{{upgrade_type: WebSocket}}]
access_log:
- name: out
  filter: {{status_code_filter: {{comparison: {{op: GE, value: {{default_value: 400}}}}}}}}
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
    log_format: {{text_format_source: {{inline_string: \"%RESPONSE_CODE%\\n\"}}}}
{ROUTER}"
    ))
    .unwrap();
    assert_eq!(said.limits.stream_idle_timeout, None);
    assert_eq!(said.path.escaped_slashes, EscapedSlashes::UnescapeAndRedirect);
    assert_eq!(&*said.upgrades[0].kind, "websocket");
    assert!(said.certificate.subject && said.certificate.uri && !said.certificate.dns);
    let Routes::Discovered { name, source } = &said.routes else { panic!() };
    assert_eq!((&**name, &source.from, source.patience), ("r", &From::Ads, None));
}

#[test]
fn filters_are_known_by_their_types_and_overridden_by_their_names() {
    let manager = manager_of(
        "stat_prefix: p
http_filters:
- name: mine
  typed_config:
    '@type': type.googleapis.com/xds.type.v3.TypedStruct
    type_url: type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
    value: {rules: {action: DENY, policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}}
- name: maybe
  is_optional: true
  typed_config: {'@type': type.googleapis.com/some.thing.Else, x: 1}
- name: istio.stats
  typed_config:
    '@type': type.googleapis.com/udpa.type.v1.TypedStruct
    type_url: type.googleapis.com/stats.PluginConfig
    value: {a: b}
- name: found
  config_discovery:
    config_source: {ads: {}}
    type_urls: [type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors]
- name: envoy.filters.http.router
route_config:
  name: r
  virtual_hosts:
  - name: v
    domains: ['*']
    typed_per_filter_config:
      mine: {'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute}
      off: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}
    routes: [{match: {prefix: /}, direct_response: {status: 204}}]",
    )
    .unwrap();
    let kinds: Vec<_> = (manager.filters.iter())
        .map(|filter| match &filter.config {
            FilterConfig::Here(filter) => filter.as_str(),
            FilterConfig::Discovered(_) => "discovered",
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "envoy.filters.http.rbac",
            "ignored",
            "ignored",
            "discovered",
            "envoy.filters.http.router"
        ]
    );
    let Routes::Here(table) = &manager.routes else { panic!() };
    let overrides = &table.hosts[0].per_filter;
    assert_eq!(overrides.get("mine").unwrap().config, Some(OverrideConfig::Rbac(None)));
    assert_eq!(overrides.get("off").unwrap().disabled, Some(true));
}

#[test]
fn routes_in_the_old_form_and_the_new_one_mean_the_same() {
    let of = |header: &str, add: &str| {
        routes_of(&format!(
            "
name: r
virtual_hosts:
- name: v
  domains: [a.com, '*.b.com', 'c.*', '*']
  routes:
  - match: {{path_separated_prefix: /x, headers: [{{name: h, {header}}}]}}
    request_headers_to_add: [{{header: {{key: k, value: '%DOWNSTREAM_REMOTE_ADDRESS%'}}, {add}}}]
    route:
      weighted_clusters: {{clusters: [{{name: a, weight: 1}}, {{name: b, weight: 3}}]}}
      timeout: 0s
      retry_policy: {{retry_on: '5xx,reset', num_retries: 2}}
"
        ))
        .unwrap()
    };
    let old = of("exact_match: y", "append: false");
    let new = of("string_match: {exact: y}", "append_action: OVERWRITE_IF_EXISTS_OR_ADD");
    assert_eq!(old, new);
    let route = &new.hosts[0].routes[0];
    assert!(matches!(route.when.path, PathMatch::Separated(_)));
    let Action::Forward(forward) = &route.action else { panic!() };
    assert_eq!(forward.timeouts.request, None);
    let ClusterChoice::Weighted(weighted) = &forward.cluster else { panic!() };
    assert_eq!(weighted.total, 4);
}

#[test]
fn clusters_in_the_old_form_and_the_new_one_mean_the_same() {
    let rest = "
name: c
connect_timeout: 1s
type: EDS
eds_cluster_config: {eds_config: {ads: {}}, service_name: s}
circuit_breakers: {thresholds: [{max_requests: 7, retry_budget: {budget_percent: {value: 25}}}]}
";
    let old = cluster_of(&format!(
        "{rest}lb_policy: LEAST_REQUEST\nleast_request_lb_config: {{choice_count: 5}}\n\
         http2_protocol_options: {{}}"
    ))
    .unwrap();
    let new = cluster_of(&format!(
        "{rest}
load_balancing_policy:
  policies:
  - typed_extension_config: {{name: x, typed_config: {{'@type': type.googleapis.com/not.Known}}}}
  - typed_extension_config:
      name: y
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest
        choice_count: 5
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {{http2_protocol_options: {{}}}}
"
    ))
    .unwrap();
    assert_eq!(old, new);
    assert_eq!(new.http.version, UpstreamVersion::Http2);
    assert_eq!(new.breakers.default.max_requests, 7);
    assert_eq!(new.breakers.default.retries, RetryLimit::Budget { percent: 25.0, min: 3 });
    assert!(matches!(&new.balance.policy, Policy::LeastRequest(of) if of.choices == 5));
    assert!(matches!(&new.discovery, Discovery::Eds { service, .. } if &**service == "s"));
}

#[test]
fn names_are_endpoints_only_where_somebody_resolves_them() {
    let of = |kind: &str| {
        cluster_of(&format!(
            "
name: c
type: {kind}
load_assignment:
  cluster_name: c
  endpoints:
  - lb_endpoints:
    - endpoint: {{address: {{socket_address: {{address: example.com, port_value: 80}}}}}}
"
        ))
    };
    let Discovery::StrictDns { assignment, .. } = of("STRICT_DNS").unwrap().discovery else {
        panic!()
    };
    let address = &assignment.endpoints().next().unwrap().address;
    assert_eq!(*address, Address::Name { host: "example.com".into(), port: 80 });
    let wrong = of("STATIC").unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: \
         \"example.com\" is not an IP address; names need a cluster of type STRICT_DNS or \
         LOGICAL_DNS"
    );
}

#[test]
fn transport_security_names_its_secrets_wherever_they_are() {
    let cluster = cluster_of(
        "
name: c
connect_timeout: 1s
load_assignment: {cluster_name: c}
transport_socket:
  name: tls
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: a.b
    common_tls_context:
      alpn_protocols: [h2]
      tls_certificates:
      - certificate_chain: {filename: /c/tls.crt}
        private_key: {filename: /c/tls.key}
        watched_directory: {path: /c}
      combined_validation_context:
        default_validation_context:
          match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: 'spiffe://'}}]
          match_subject_alt_names: [{exact: old}]
        validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}}}
",
    )
    .unwrap();
    let UpstreamTransport::Tls(tls) = &cluster.transport else { panic!() };
    assert!(matches!(
        &tls.common.certificates[0],
        CertificateSource::Secret(secret) if &*secret.name == "files:/c/tls.crt+/c/tls.key"
    ));
    let validation = tls.common.validation.as_ref().unwrap();
    assert_eq!(&*validation.secret.as_ref().unwrap().name, "ROOTCA");
    let kinds: Vec<_> = validation.here.sans.iter().map(|san| san.kind.clone()).collect();
    assert_eq!(kinds, [SanKind::Uri, SanKind::Any]);
}
