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
