//! Configurations that are wrong, each with what a person needs to mend it.
use super::*;

mod later;

mod nothing;

/// What is said of a listener.
fn of_listener(fields: &str) -> String {
    let base = "name: l\naddress: {socket_address: {address: 0.0.0.0, port_value: 80}}\n";
    listener_of(&format!("{base}{fields}")).unwrap_err().to_string()
}

/// What is said of a manager's fields; without the way to them.
fn of_manager(fields: &str) -> String {
    let said = manager_of(fields).unwrap_err().to_string();
    let prefix = "filter_chains[0].filters[0].typed_config.";
    said.strip_prefix(prefix).map(ToOwned::to_owned).unwrap_or(said)
}

/// What is said of one HTTP filter.
fn of_filter(typed_config: &str) -> String {
    of_manager(&format!(
        "stat_prefix: p\n{NO_ROUTES}\nhttp_filters:\n- name: f\n  typed_config: {{{typed_config}}}\n\
         - name: envoy.filters.http.router"
    ))
}

/// What is said of one route; without the way to it.
fn of_route(route: &str) -> String {
    let said = routes_of(&format!(
        "name: r\nvirtual_hosts: [{{name: v, domains: ['*'], routes: [{{{route}}}]}}]"
    ));
    let said = said.unwrap_err().to_string();
    said.strip_prefix("virtual_hosts[0].routes[0].").map(ToOwned::to_owned).unwrap_or(said)
}

fn of_cluster(fields: &str) -> String {
    cluster_of(&format!("{{name: c, {fields}}}")).unwrap_err().to_string()
}

fn of_routes(yaml: &str) -> String {
    routes_of(yaml).unwrap_err().to_string()
}

/// Of `envoy.extensions.filters.http`.
fn http(kind: &str) -> String {
    format!("'@type': type.googleapis.com/envoy.extensions.filters.http.{kind}")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn listeners() {
    assert_eq!(of_listener(""), "filter_chains: empty; needs at least one");
    assert_eq!(
        of_listener(
            "filter_chains: [{filters: [{name: x, typed_config: {'@type': a.b/not.Known}}]}]"
        ),
        "filter_chains[0].filters[0].typed_config: no network filter not.Known is known"
    );
    assert_eq!(
        of_listener(
            "filter_chains: [{filters: [{name: x, typed_config: {'@type': \
             type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz, \
             stat_prefix: p}}]}]"
        ),
        "filter_chains[0].filters[0].typed_config: ext_authz comes later; this version has no \
         such filter"
    );
    assert_eq!(
        of_listener(
            "filter_chains: [{filters: [{name: x, typed_config: {'@type': \
             type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: p}}]}]"
        ),
        "filter_chains[0].filters[0]: the last filter must take the connection \
         (http_connection_manager, tcp_proxy)"
    );
    assert_eq!(
        of_listener("filter_chains: [{filter_chain_match: {destination_port: 70000}}]"),
        "filter_chains[0].filter_chain_match.destination_port: is 70000, must be at most 65535"
    );
    assert_eq!(
        of_listener("filter_chains: [{filter_chain_match: {server_names: ['a*.b']}}]"),
        "filter_chains[0].filter_chain_match.server_names[0]: \"a*.b\": a * is possible as the \
         first part only (*.example.com)"
    );
    assert_eq!(
        of_listener("filter_chains: [{}, {}]"),
        "filter_chains[1].filter_chain_match: matches the same as filter_chains[0]"
    );
    assert_eq!(
        of_listener(
            "filter_chains: [{filter_chain_match: {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 40}]}}]"
        ),
        "filter_chains[0].filter_chain_match.prefix_ranges[0].prefix_len: 40 is too long for \
         10.0.0.0"
    );
    assert_eq!(
        of_listener("filter_chains: [{}]\nfilter_chain_matcher: {}"),
        "filter_chain_matcher: not supported; give each chain a filter_chain_match"
    );
    assert_eq!(
        of_listener("filter_chains: [{}]\nlistener_filters: [{name: q}]"),
        "listener_filters[0].typed_config: not set"
    );
    assert_eq!(
        of_listener("filter_chains: [{}]\nudp_listener_config: {}"),
        "udp_listener_config: UDP is not supported"
    );
    assert_eq!(
        listener_of("{name: l, address: {socket_address: {address: localhost, port_value: 1}}, filter_chains: [{}]}")
            .unwrap_err()
            .to_string(),
        "address.socket_address.address: \"localhost\" is not an IP address"
    );
}

#[test]
fn managers() {
    assert_eq!(of_manager(&format!("{NO_ROUTES}\n{ROUTER}")), "stat_prefix: empty");
    assert_eq!(
        of_manager(&format!("stat_prefix: p\n{ROUTER}")),
        "filter_chains[0].filters[0].typed_config: one of rds, route_config, scoped_routes must \
         be set"
    );
    let fields = |more: &str| of_manager(&format!("stat_prefix: p\n{NO_ROUTES}\n{more}"));
    assert_eq!(fields(""), "http_filters: empty; the last filter must be a router");
    assert_eq!(
        fields(
            "http_filters: [{name: c, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}]"
        ),
        "http_filters[0]: the last filter must be envoy.filters.http.router"
    );
    assert_eq!(fields(&format!("codec_type: HTTP3\n{ROUTER}")), "codec_type: HTTP/3 comes later");
    assert_eq!(
        fields(&format!("max_request_headers_kb: 10000\n{ROUTER}")),
        "max_request_headers_kb: is 10000, must be at most 8192"
    );
    assert_eq!(
        fields(&format!("upgrade_configs: [{{upgrade_type: a}}, {{upgrade_type: A}}]\n{ROUTER}")),
        "upgrade_configs[1].upgrade_type: a is there twice"
    );
    assert_eq!(
        fields(&format!(
            "access_log: [{{name: x, typed_config: {{'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /a, log_format: {{text_format_source: {{inline_string: '%NOPE%'}}}}}}}}]\n{ROUTER}"
        )),
        "access_log[0].typed_config.log_format.text_format_source: no operator is \
         called NOPE"
    );
    assert_eq!(
        fields(&format!(
            "access_log: [{{name: x, typed_config: {{'@type': type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig, common_config: {{log_name: a, grpc_service: {{envoy_grpc: {{cluster_name: c}}}}}}}}}}]\n{ROUTER}"
        )),
        "access_log[0].typed_config: access logs of kind grpc come later; file, stdout, stderr \
         work"
    );
    assert_eq!(
        of_manager(&format!("stat_prefix: p\n{ROUTER}\nrds: {{route_config_name: r}}")),
        "rds.config_source: not set"
    );
}

#[test]
fn filters() {
    assert_eq!(
        of_filter("'@type': type.googleapis.com/my.Filter"),
        "http_filters[0].typed_config: no HTTP filter my.Filter is known; say is_optional to go \
         on without it"
    );
    assert_eq!(
        of_filter(&format!(
            "{}, rules: {{policies: {{p: {{permissions: [{{any: true}}]}}}}}}",
            http("rbac.v3.RBAC")
        )),
        "http_filters[0].typed_config.rules.policies[\"p\"].principals: empty; needs at least one"
    );
    assert_eq!(
        of_filter(&format!(
            "{}, rules: {{policies: {{p: {{permissions: [{{header: {{name: a, string_match: {{safe_regex: {{regex: '('}}}}}}}}], principals: [{{any: true}}]}}}}}}",
            http("rbac.v3.RBAC")
        ))
        .split(": ")
        .next(),
        Some("http_filters[0].typed_config.rules.policies[\"p\"].permissions[0].header.string_match.safe_regex.regex")
    );
    assert_eq!(
        of_filter(&format!(
            "{}, token_bucket: {{max_tokens: 1, fill_interval: 0.01s}}, stat_prefix: p",
            http("local_ratelimit.v3.LocalRateLimit")
        )),
        "http_filters[0].typed_config.token_bucket.fill_interval: must be at least 0.05s"
    );
    assert_eq!(
        of_filter(&format!("{}, max_request_bytes: 0", http("buffer.v3.Buffer"))),
        "http_filters[0].typed_config.max_request_bytes: is 0, must be more than 0"
    );
    assert_eq!(
        of_filter(&format!("{}, abort: {{http_status: 700}}", http("fault.v3.HTTPFault"))),
        "http_filters[0].typed_config.abort.http_status: is 700, must be less than 600"
    );
    assert_eq!(
        of_filter(&format!(
            "{}, pass_through_mode: false, cache_time: 1s",
            http("health_check.v3.HealthCheck")
        )),
        "http_filters[0].typed_config.cache_time: only in pass_through_mode"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn routes() {
    assert_eq!(
        of_route("match: {}, route: {cluster: a}"),
        "match: one of prefix, path, safe_regex, connect_matcher, path_separated_prefix, path_match_policy must be set"
    );
    assert_eq!(
        of_route("match: {prefix: /}"),
        "virtual_hosts[0].routes[0]: one of route, redirect, direct_response, filter_action, \
         non_forwarding_action must be set"
    );
    assert!(
        of_route("match: {safe_regex: {regex: '(a'}}, route: {cluster: a}")
            .starts_with("match.safe_regex.regex: ")
    );
    assert_eq!(
        of_route("match: {prefix: /}, route: {}"),
        "route: one of cluster, cluster_header, weighted_clusters, cluster_specifier_plugin, \
         inline_cluster_specifier_plugin must be set"
    );
    assert_eq!(
        of_route(
            "match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}"
        ),
        "route.weighted_clusters.clusters: the sum of the weights must be more than 0"
    );
    assert_eq!(
        of_route(
            "match: {prefix: /}, route: {cluster: a, prefix_rewrite: /x, regex_rewrite: {pattern: {regex: a}, substitution: b}}"
        ),
        "route.prefix_rewrite: cannot be given beside regex_rewrite"
    );
    assert_eq!(
        of_route(
            "match: {prefix: /}, route: {cluster: a, retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}}"
        ),
        "route.retry_policy.retry_back_off.max_interval: must not be less than base_interval"
    );
    assert_eq!(
        of_route("match: {safe_regex: {regex: a}}, redirect: {prefix_rewrite: /x}"),
        "redirect.prefix_rewrite: a route that matches by safe_regex has no prefix; give \
         regex_rewrite"
    );
    assert_eq!(
        of_route("match: {prefix: /}, direct_response: {status: 99}"),
        "direct_response.status: is 99, must be at least 200"
    );
    assert_eq!(
        of_route(
            "match: {prefix: /}, route: {cluster: a}, request_headers_to_add: [{header: {key: 'a b', value: c}}]"
        ),
        "request_headers_to_add[0].header.key: \"a b\" cannot be the name of a header"
    );
    assert_eq!(
        of_route("match: {prefix: /}, route: {cluster: a}, request_headers_to_remove: [':path']"),
        "request_headers_to_remove[0]: :path cannot be removed"
    );
    for key in ["host", ":path"] {
        assert_eq!(
            of_route(&format!(
                "match: {{prefix: /}}, route: {{cluster: a}}, response_headers_to_add: [{{header: {{key: '{key}', value: c}}}}]"
            )),
            format!(
                "response_headers_to_add[0].header.key: {key} cannot be set; for the host there is \
                 host_rewrite_literal and its like, for the path prefix_rewrite and regex_rewrite"
            )
        );
    }
    assert_eq!(
        of_route("match: {prefix: /}, direct_response: {status: 200, body: {filename: /nope}}"),
        "direct_response.body.filename: there is no file /nope"
    );
    assert_eq!(
        of_routes(
            "{name: r, virtual_hosts: [{name: a, domains: [x.com]}, {name: b, domains: [X.com]}]}"
        ),
        "virtual_hosts[1].domains[0]: virtual host \"a\" has the domain x.com already"
    );
    assert_eq!(
        of_routes("{name: r, virtual_hosts: [{name: a, domains: [a.*.test]}]}"),
        "virtual_hosts[0].domains[0]: \"a.*.test\": a * is possible as the first or the last letter \
         only (*.example.com, example.*)"
    );
    // As some control planes send it.
    routes_of("{name: r, virtual_hosts: [{name: a, domains: ['*.foo.com:*', 'foo.*']}]}").unwrap();
    assert_eq!(
        of_routes("{name: r, virtual_hosts: [{name: a, domains: []}]}"),
        "virtual_hosts[0].domains: empty; needs at least one"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn clusters() {
    assert_eq!(
        of_cluster("type: STATIC"),
        "load_assignment: not set; this type of cluster needs its endpoints"
    );
    assert_eq!(of_cluster("type: EDS"), "eds_cluster_config: not set");
    assert_eq!(
        of_cluster(
            "type: EDS, eds_cluster_config: {eds_config: {api_config_source: {api_type: REST, cluster_names: [a]}}}"
        ),
        "eds_cluster_config.eds_config.api_config_source.refresh_delay: not set; REST needs it"
    );
    let rest = "load_assignment: {cluster_name: c}";
    assert_eq!(
        of_cluster(&format!("{rest}, lb_policy: CLUSTER_PROVIDED")),
        "lb_policy: CLUSTER_PROVIDED goes with type ORIGINAL_DST, and with nothing else"
    );
    assert_eq!(
        of_cluster(&format!("{rest}, lb_policy: MAGLEV, maglev_lb_config: {{table_size: 100}}")),
        "maglev_lb_config.table_size: must be a prime; 100 is none"
    );
    assert_eq!(
        of_cluster(&format!(
            "{rest}, lb_policy: RING_HASH, ring_hash_lb_config: {{minimum_ring_size: 20, maximum_ring_size: 10}}"
        )),
        "ring_hash_lb_config.minimum_ring_size: is 20, above maximum_ring_size (10)"
    );
    assert_eq!(
        of_cluster(&format!(
            "{rest}, health_checks: [{{timeout: 1s, interval: 1s, healthy_threshold: 1, unhealthy_threshold: 1, tcp_health_check: {{send: {{text: zz}}}}}}]"
        )),
        "health_checks[0].tcp_health_check.send.text: is not hex"
    );
    assert_eq!(
        of_cluster(
            "type: STRICT_DNS, load_assignment: {cluster_name: c, endpoints: [{priority: 1}]}"
        ),
        "load_assignment.endpoints: there is priority 1, but no priority 0"
    );
    assert_eq!(
        of_cluster("type: LOGICAL_DNS, load_assignment: {cluster_name: c}"),
        "load_assignment.endpoints: a LOGICAL_DNS cluster must have one locality with one endpoint"
    );
    assert_eq!(
        of_cluster(&format!(
            "{rest}, transport_socket: {{name: t, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext}}}}"
        )),
        "transport_socket.typed_config: is for listeners; give an UpstreamTlsContext"
    );
    assert_eq!(
        of_cluster(&format!(
            "{rest}, transport_socket: {{name: t, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {{validation_context: {{trusted_ca: {{inline_string: x}}}}}}}}}}"
        )),
        "transport_socket.typed_config.common_tls_context.validation_context.trusted_ca: has no \
         certificate in PEM"
    );
    assert_eq!(
        of_cluster(&format!(
            "{rest}, transport_socket: {{name: t, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {{tls_params: {{tls_maximum_protocol_version: TLSv1_1}}}}}}}}"
        )),
        "transport_socket.typed_config.common_tls_context.tls_params.tls_maximum_protocol_version: \
         TLS 1.0 and 1.1 are not supported; give TLSv1_2 or TLSv1_3"
    );
    assert_eq!(
        of_cluster(&format!(
            "{rest}, load_balancing_policy: {{policies: [{{typed_extension_config: {{name: x, typed_config: {{'@type': a/b.C}}}}}}]}}"
        )),
        "load_balancing_policy.policies: none of these is known: b.C"
    );
}
