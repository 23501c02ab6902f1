//! Two Envoys with a tunnel between them: HTTP/2 CONNECT in mutual TLS 1.3, as HBONE is.
use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::socket;

/// The windows of HBONE.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A listener of the first Envoy, and where the second one connects for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forward {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// Makes what both ends prove themselves with: a root, also as `ca_folder` has it, and one
/// certificate; ECDSA P-256.
pub(crate) fn certificates(folder: &Path) -> Result<()> {
    let script = "set -e
        openssl ecparam -name prime256v1 -genkey -noout -out ca.key
        openssl req -x509 -new -key ca.key -subj /CN=root -days 2 -out ca.pem \
            -addext keyUsage=critical,keyCertSign,cRLSign
        openssl ecparam -name prime256v1 -genkey -noout -out own.key
        openssl req -new -key own.key -subj /CN=own -out own.csr
        printf 'subjectAltName=URI:spiffe://cluster.local/ns/mesh/sa/default' > own.ext
        openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
            -extfile own.ext -out own.pem
        openssl pkcs8 -topk8 -nocrypt -in ca.key -out ca-key.pem
        chmod 600 ca-key.pem
        cp ca.pem ca-cert.pem
        cp ca.pem root-cert.pem";
    let made = Command::new("sh").arg("-c").arg(script).current_dir(folder).output()?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// The Envoy before the client: what it accepts goes into a tunnel to `gateway`.
pub(crate) fn client(forwards: &[Forward], gateway: SocketAddr, folder: &Path) -> String {
    let listeners: Vec<_> = forwards
        .iter()
        .map(|Forward { from, to }| {
            json!({
                "name": format!("listener-{}", from.port()),
                "address": socket(*from),
                "filter_chains": [{ "filters": [filter("tcp_proxy", "tcp_proxy.v3.TcpProxy", json!({
                    "stat_prefix": "tunnel",
                    "cluster": "tunnel",
                    "tunneling_config": { "hostname": to.to_string() },
                }))] }],
            })
        })
        .collect();
    let mut tunnel = cluster("tunnel", gateway);
    merge(
        &mut tunnel,
        json!({
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": { "http2_protocol_options": windows() },
                },
            },
            "transport_socket": tls("UpstreamTlsContext", folder),
        }),
    );
    bootstrap(&listeners, &[tunnel])
}

/// The Envoy before the server: what comes by tunnel goes to where its authority says.
pub(crate) fn server(forwards: &[Forward], gateway: SocketAddr, folder: &Path) -> String {
    let hosts: Vec<_> = forwards
        .iter()
        .map(|Forward { to, .. }| {
            json!({
                "name": to.to_string(),
                "domains": [to.to_string()],
                "routes": [{
                    "match": { "connect_matcher": {} },
                    "route": {
                        "cluster": to.to_string(),
                        "timeout": "0s",
                        "upgrade_configs": [{ "upgrade_type": "CONNECT", "connect_config": {} }],
                    },
                }],
            })
        })
        .collect();
    let mut http2 = windows();
    merge(&mut http2, json!({ "allow_connect": true }));
    let manager = filter(
        "http_connection_manager",
        "http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "tunnel",
            "codec_type": "HTTP2",
            "http2_protocol_options": http2,
            "stream_idle_timeout": "0s",
            "upgrade_configs": [{ "upgrade_type": "CONNECT" }],
            "route_config": { "virtual_hosts": hosts },
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                },
            }],
        }),
    );
    let mut socket_of_tls = tls("DownstreamTlsContext", folder);
    socket_of_tls["typed_config"]["require_client_certificate"] = json!(true);
    let listener = json!({
        "name": "tunnel",
        "address": socket(gateway),
        "filter_chains": [{ "filters": [manager], "transport_socket": socket_of_tls }],
    });
    let clusters: Vec<_> =
        forwards.iter().map(|Forward { to, .. }| cluster(&to.to_string(), *to)).collect();
    bootstrap(&[listener], &clusters)
}

fn bootstrap(listeners: &[Value], clusters: &[Value]) -> String {
    json!({ "static_resources": { "listeners": listeners, "clusters": clusters } }).to_string()
}

fn filter(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.filters.network.{kind}"));
    json!({ "name": format!("envoy.filters.network.{name}"), "typed_config": config })
}

fn cluster(name: &str, to: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{
            "endpoint": { "address": socket(to) },
        }] }] },
    })
}

fn tls(kind: &str, folder: &Path) -> Value {
    let file = |name: &str| json!({ "filename": folder.join(name).display().to_string() });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {
                    "tls_minimum_protocol_version": "TLSv1_3",
                    "tls_maximum_protocol_version": "TLSv1_3",
                },
                "tls_certificates": [{
                    "certificate_chain": file("own.pem"), "private_key": file("own.key"),
                }],
                "validation_context": { "trusted_ca": file("ca.pem") },
            },
        },
    })
}

fn windows() -> Value {
    json!({
        "initial_stream_window_size": STREAM_WINDOW,
        "initial_connection_window_size": CONNECTION_WINDOW,
    })
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
