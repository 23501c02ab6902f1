//! What resources are called: Istio's conventions.
use crate::compile::http::plan::{Labels, traffic::Traffic};
use culvert_model::name::ServiceName;
use std::{net::IpAddr, num::NonZeroU16};

/// Connections to nowhere that anything is known of.
pub const PASSTHROUGH: &str = "PassthroughCluster";

/// Connections that are not allowed to go anywhere: it has no endpoints.
pub const BLACK_HOLE: &str = "BlackHoleCluster";

/// What never exists: requests to it are answered as their route says.
pub(super) const NOWHERE: &str = "outbound|0||nowhere";

/// What others on the node hand connections of its pods to.
pub const INBOUND: &str = "virtualInbound";

/// `outbound|8080|v1|reviews.default.svc.cluster.local`; `shared`: several namespaces have
/// the host, and it is not the one that a name alone means.
pub(super) fn outbound(
    service: &ServiceName,
    port: NonZeroU16,
    subset: Option<&str>,
    shared: bool,
) -> String {
    let ServiceName { namespace, hostname } = service;
    let subset = subset.unwrap_or_default();
    match shared {
        false => format!("outbound|{port}|{subset}|{hostname}"),
        true => format!("outbound|{port}|{subset}|{hostname}@{namespace}"),
    }
}

/// The same for those who talk to it so: clients with labels may, otherwise than all others do.
pub(super) fn of_clients(cluster: String, traffic: Option<&Traffic>) -> String {
    match traffic.map(|traffic| &traffic.clients.labels).filter(|labels| !labels.is_empty()) {
        None => cluster,
        Some(labels) => format!("{cluster}~{}", self::labels(labels)),
    }
}

/// `app=web,version=v1`
pub(super) fn labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// The same for TLS that a client speaks itself, where for others it is spoken.
pub(super) fn passed(cluster: &str) -> String {
    format!("{cluster}~tls")
}

/// What proxies of Istio elsewhere ask for in TLS, and the cluster that it is passed on to:
/// `outbound_.8080_.v1_.reviews.default.svc.cluster.local`.
pub(super) fn asked(service: &ServiceName, port: NonZeroU16, subset: Option<&str>) -> String {
    format!("outbound_.{port}_.{}_.{}", subset.unwrap_or_default(), service.hostname)
}

/// `inbound|8080||`
pub(super) fn inbound(port: NonZeroU16) -> String {
    format!("inbound|{port}||")
}

/// `10.96.0.1_8080`
pub(super) fn listener(ip: IpAddr, port: NonZeroU16) -> String {
    format!("{ip}_{port}")
}

/// `reviews.default.svc.cluster.local:8080`, and for which clients.
pub(super) fn routes(host: &str, port: NonZeroU16, class: &str) -> String {
    match class {
        "" => format!("{host}:{port}"),
        class => format!("{host}:{port}@{class}"),
    }
}

/// `ns[shop]-policy[web]-rule[0]`
pub(super) fn rule(namespace: &str, policy: &str, index: usize) -> String {
    format!("ns[{namespace}]-policy[{policy}]-rule[{index}]")
}
