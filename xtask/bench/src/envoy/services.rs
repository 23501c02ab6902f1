//! Envoy with as many clusters as a mesh has services: one listener that finds the cluster by the
//! address that was connected to, which is the least that Envoy can do for it.
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Result;
use serde_json::{Value, json};

use super::socket;

/// What the listener listens on.
pub(crate) const LISTENER: u16 = 7101;

/// The file of the last cluster's endpoints, which Envoy follows.
const ENDPOINTS: &str = "endpoints.json";

/// The address of a service: every address of this network is the machine's own.
pub(crate) fn address(service: u32) -> SocketAddr {
    (ip(service), LISTENER).into()
}

fn ip(service: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 20, 0, 0).to_bits() + service).into()
}

/// A bootstrap with so many clusters; the endpoints of the last one are in a file of `folder`.
pub(crate) fn bootstrap(services: u32, folder: &Path) -> String {
    let last = services - 1;
    let chains: Vec<_> = (0..services).map(chain).collect();
    let clusters: Vec<_> =
        (0..last).map(fixed).chain([followed(last, &folder.join(ENDPOINTS))]).collect();
    json!({
        "node": { "id": "bench", "cluster": "bench" },
        "static_resources": {
            "listeners": [{
                "name": "services",
                "address": socket((Ipv4Addr::UNSPECIFIED, LISTENER).into()),
                "filter_chains": chains,
            }],
            "clusters": clusters,
        },
    })
    .to_string()
}

/// Writes what is behind the last cluster, seen whole or not at all.
pub(crate) fn tell(services: u32, endpoint: SocketAddr, folder: &Path) -> Result<()> {
    let mut assignment = assignment(services - 1, endpoint);
    assignment["@type"] =
        json!("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment");
    let draft = folder.join("endpoints.draft");
    let text = json!({ "version_info": endpoint.to_string(), "resources": [assignment] });
    fs::write(&draft, text.to_string())?;
    Ok(fs::rename(draft, folder.join(ENDPOINTS))?)
}

fn chain(service: u32) -> Value {
    json!({
        "filter_chain_match": {
            "prefix_ranges": [{ "address_prefix": ip(service).to_string(), "prefix_len": 32 }],
        },
        "filters": [{
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "services",
                "cluster": name(service),
            },
        }],
    })
}

fn fixed(service: u32) -> Value {
    let nobody = (Ipv4Addr::new(10, 96, 0, 0), LISTENER).into();
    json!({
        "name": name(service),
        "type": "STATIC",
        "load_assignment": assignment(service, nobody),
    })
}

fn followed(service: u32, file: &Path) -> Value {
    json!({
        "name": name(service),
        "type": "EDS",
        "eds_cluster_config": { "eds_config": {
            "path_config_source": { "path": file.display().to_string() },
            "resource_api_version": "V3",
        } },
    })
}

fn assignment(service: u32, endpoint: SocketAddr) -> Value {
    json!({ "cluster_name": name(service), "endpoints": [{ "lb_endpoints": [{
        "endpoint": { "address": socket(endpoint) },
    }] }] })
}

fn name(service: u32) -> String {
    format!("service-{service}")
}
