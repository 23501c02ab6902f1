//! Fields that an Envoy goes by, and we would not.
use super::*;

#[test]
fn what_would_do_nothing_is_named() {
    let said = of_cluster("connection_pool_per_downstream_connection: true");
    let what = "requests of all clients share connections; leave it out";
    assert_eq!(said, format!("connection_pool_per_downstream_connection: {what}"));
    assert_eq!(
        of_cluster(
            "load_assignment: {cluster_name: c}, outlier_detection: {detect_degraded_hosts: true}"
        ),
        "outlier_detection.detect_degraded_hosts: is not supported"
    );
    assert_eq!(
        of_route("match: {prefix: /}, route: {cluster: c, flush_timeout: 1s}"),
        "route.flush_timeout: not supported; give the manager's stream_flush_timeout"
    );
    assert_eq!(
        of_routes(
            "name: r\nvirtual_hosts: [{name: v, domains: ['*'], include_is_timeout_retry_header: \
             true}]"
        ),
        "virtual_hosts[0].include_is_timeout_retry_header: not supported; give \
         include_request_attempt_count"
    );
    let field = "represent_ipv4_remote_address_as_ipv4_mapped_ipv6";
    let what = "not supported; an address of IPv4 is one: leave it out, and match it as such";
    assert_eq!(
        of_manager(&format!("stat_prefix: p\n{field}: true\n{NO_ROUTES}\n{ROUTER}")),
        format!("{field}: {what}")
    );
    let limit = http("local_ratelimit.v3.LocalRateLimit");
    assert_eq!(
        of_filter(&format!("{limit}, stat_prefix: p, enable_retry_after_header: true")),
        "http_filters[0].typed_config.enable_retry_after_header: not supported; give \
         response_headers_to_add"
    );
    let tcp = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    for (field, said) in [
        (
            "upstream_connect_mode: ON_DOWNSTREAM_DATA",
            "upstream_connect_mode: the upstream is connected to at once; leave it out",
        ),
        (
            "access_log_options: {flush_access_log_on_connected: true}",
            "access_log_options.flush_access_log_on_connected: a connection has a line when it is \
             over; leave it out",
        ),
    ] {
        let fields = format!(
            "filter_chains: [{{filters: [{{name: t, typed_config: {{'@type': {tcp}, stat_prefix: \
             p, cluster: c, {field}}}}}]}}]"
        );
        let at = "filter_chains[0].filters[0].typed_config";
        assert_eq!(of_listener(&fields), format!("{at}.{said}"));
    }
}
