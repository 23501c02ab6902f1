//! The file that both are started from, and its parts.
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::envoy::{self, socket};

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// What clients and servers speak; with mutual TLS on both sides where its files' folder is given.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) down: Http,
    pub(super) up: Http,
    pub(super) tls: Option<PathBuf>,
}

/// One listener, one route, one cluster.
pub(super) fn bare(setup: &Setup, listen: SocketAddr, backend: SocketAddr) -> Value {
    let hosts = json!([{
        "name": "all",
        "domains": ["*"],
        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "backend" } }],
    }]);
    let routes = json!({ "route_config": { "name": "local", "virtual_hosts": hosts } });
    let mut listener = listener(listen, &manager(routes, json!([router()])), setup.down);
    let mut cluster = cluster("backend", backend);
    if setup.up == Http::Two {
        cluster["typed_extension_protocol_options"] =
            options(&json!({ "http2_protocol_options": {} }));
    }
    if let Some(folder) = &setup.tls {
        listener["filter_chains"][0]["transport_socket"] = tls("Downstream", folder);
        cluster["transport_socket"] = tls("Upstream", folder);
    }
    bootstrap(&json!([listener]), &json!([cluster]), &json!({}))
}

/// A bootstrap, with whatever else it has beside static resources.
pub(crate) fn bootstrap(listeners: &Value, clusters: &Value, more: &Value) -> Value {
    let mut whole = json!({
        "node": { "id": "bench", "cluster": "bench" },
        "static_resources": { "listeners": listeners, "clusters": clusters },
    });
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), more.as_object()) {
        whole.extend(more.clone());
    }
    whole
}

pub(crate) fn listener(at: SocketAddr, manager: &Value, speaks: Http) -> Value {
    let mut manager = manager.clone();
    manager["codec_type"] = json!(if speaks == Http::Two { "HTTP2" } else { "HTTP1" });
    let filter = json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    });
    json!({
        "name": "edge",
        "address": socket(at),
        "filter_chains": [{ "filters": [filter] }],
    })
}

/// What a listener does with HTTP; `routes` says where its routes are.
pub(crate) fn manager(routes: Value, filters: Value) -> Value {
    let mut manager = routes;
    manager["@type"] = json!(
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    );
    manager["stat_prefix"] = json!("edge");
    manager["http_filters"] = filters;
    manager
}

/// A filter of HTTP by the last part of its package, and its message.
pub(crate) fn filter(package: &str, message: &str, mut config: Value) -> Value {
    config["@type"] =
        json!(format!("type.googleapis.com/envoy.extensions.filters.http.{package}.v3.{message}"));
    json!({ "name": format!("envoy.filters.http.{package}"), "typed_config": config })
}

pub(crate) fn router() -> Value {
    filter("router", "Router", json!({}))
}

pub(crate) fn cluster(name: &str, to: SocketAddr) -> Value {
    envoy::cluster(name, to, 100_000)
}

/// A cluster's options of HTTP, given explicitly.
pub(super) fn options(explicit: &Value) -> Value {
    json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": explicit,
    } })
}

pub(crate) fn tls(side: &str, folder: &Path) -> Value {
    let file = |name: &str| json!({ "filename": folder.join(name).display().to_string() });
    let mut config = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext"),
        "common_tls_context": {
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
            "tls_certificates": [{ "certificate_chain": file("own.pem"), "private_key": file("own.key") }],
            "validation_context": { "trusted_ca": file("ca.pem") },
        },
    });
    if side == "Downstream" {
        config["require_client_certificate"] = json!(true);
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": config })
}
