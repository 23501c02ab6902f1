//! Envoy as a plain TCP proxy, as bare as its configuration can be.
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::socket;

/// A bootstrap that forwards each address to the other and does nothing else.
pub(crate) fn bootstrap(forwards: &[(SocketAddr, SocketAddr)]) -> String {
    let listeners: Vec<_> =
        forwards.iter().enumerate().map(|(at, (from, _))| listener(at, *from)).collect();
    let clusters: Vec<_> =
        forwards.iter().enumerate().map(|(at, (_, to))| cluster(at, *to)).collect();
    json!({ "static_resources": { "listeners": listeners, "clusters": clusters } }).to_string()
}

fn listener(at: usize, address: SocketAddr) -> Value {
    json!({
        "name": format!("listener-{at}"),
        "address": socket(address),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "plain",
                "cluster": format!("cluster-{at}"),
            },
        }] }],
    })
}

fn cluster(at: usize, address: SocketAddr) -> Value {
    // Thousands of idle connections are more than the circuit breaker lets through by itself.
    super::cluster(&format!("cluster-{at}"), address, 1_000_000)
}
