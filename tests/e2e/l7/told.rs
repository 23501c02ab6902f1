//! What engines are told: a client's side that routes, and a server's side that authorizes.
use std::net::{IpAddr, SocketAddr};

/// The service's address, where HTTP is spoken.
pub(super) const VIP: &str = "10.96.7.10";

/// A filter chain's only filter: HTTP by these routes, after these filters.
fn manager(prefix: &str, filters: &str, routes: &str) -> String {
    format!(
        "name: envoy.filters.network.http_connection_manager
typed_config:
  '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  stat_prefix: {prefix}
  forward_client_cert_details: SANITIZE_SET
  set_current_client_cert_details: {{uri: true}}
  http_filters:
{filters}
  - name: envoy.filters.http.router
    typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  route_config:
    name: {prefix}
    virtual_hosts:
    - name: all
      domains: ['*']
      routes:
{routes}"
    )
}

fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    text.lines().map(|line| format!("{pad}{line}\n")).collect()
}

/// A tester's requests go to `second`, those for `/away` to an endpoint that is none, others to
/// `first`.
pub(super) fn outbound() -> String {
    let routes = "      - match: {prefix: /away}
        route: {cluster: away}
      - match: {prefix: /, headers: [{name: x-user, string_match: {exact: tester}}]}
        route: {cluster: second}
      - match: {prefix: /}
        route: {cluster: first}";
    let manager = indented(&manager("outbound", "", routes), 4);
    format!(
        "name: '{VIP}_80'
address: {{socket_address: {{address: {VIP}, port_value: 80}}}}
bind_to_port: false
traffic_direction: OUTBOUND
filter_chains:
- filters:
  -
{manager}"
    )
}

/// Of the port 8080 of these pods: `client` may ask for what is not below `/admin`.
pub(super) fn inbound(pods: &[IpAddr], client: &str) -> String {
    let rbac = format!(
        "  - name: envoy.filters.http.rbac
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
      rules:
        action: ALLOW
        policies:
          callers:
            permissions: [{{not_rule: {{url_path: {{path: {{prefix: /admin}}}}}}}}]
            principals: [{{authenticated: {{principal_name: {{exact: '{client}'}}}}}}]"
    );
    let routes = "      - match: {prefix: /}
        route: {cluster: inbound}";
    let manager = indented(&manager("inbound", &rbac, routes), 4);
    let ranges: Vec<_> =
        pods.iter().map(|ip| format!("{{address_prefix: {ip}, prefix_len: 32}}")).collect();
    let ranges = ranges.join(", ");
    format!(
        "name: inbound
address: {{socket_address: {{address: 0.0.0.0, port_value: 15006}}}}
bind_to_port: false
traffic_direction: INBOUND
filter_chains:
- filter_chain_match: {{prefix_ranges: [{ranges}], destination_port: 8080}}
  filters:
  -
{manager}"
    )
}

/// One endpoint; a TLS is named that a mesh does not need.
pub(super) fn cluster(name: &str, to: SocketAddr) -> String {
    format!(
        "name: {name}
type: STATIC
connect_timeout: 5s
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: mesh}}
load_assignment:
  cluster_name: {name}
  endpoints:
  - lb_endpoints:
    - endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}",
        to.ip(),
        to.port()
    )
}

/// Where a connection was meant to go.
pub(super) fn original() -> String {
    "name: inbound
type: ORIGINAL_DST
lb_policy: CLUSTER_PROVIDED
connect_timeout: 5s"
        .to_owned()
}
