//! Envoy, the peer, with configurations as bare as they can be.
pub(crate) mod hbone;
pub(crate) mod plain;
pub(crate) mod services;

use std::net::SocketAddr;

use serde_json::{Value, json};

pub(crate) fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": {
        "address": address.ip().to_string(), "port_value": address.port(),
    } })
}

/// A cluster of one server, which as many may use at once as `many` says: the circuit breakers of
/// the default would be what is measured.
pub(crate) fn cluster(name: &str, to: SocketAddr, many: u32) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": many, "max_pending_requests": many, "max_requests": many,
        }] },
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": socket(to) },
        }] }] },
    })
}
