//! Who the client is, and what of its headers is believed.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use culvert_model::http::{
    manager::{ClientAddress, Detection},
    matcher::Networks,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::USER_AGENT};

mod believe;
mod certificate;
mod request_id;
mod trace;

pub use self::{
    believe::{Came, believe, peer, scheme},
    certificate::forwarded_certificate,
    request_id::request_id,
    trace::{Trace, mark},
};

pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");
pub const INTERNAL: HeaderName = super::route::INTERNAL;

/// Headers that only the inside may send.
const INTERNAL_ONLY: [&str; 14] = [
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-ip-tags",
    "x-envoy-original-url",
    "x-envoy-hedge-on-per-try-timeout",
];

/// Headers that clients at the edge may not send either.
const EDGE_ONLY: [&str; 4] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-original-path",
];

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The one that connected.
    pub peer: SocketAddr,
    /// Our own address towards the world, said in place of a loopback peer's.
    pub own: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: SocketAddr,
    /// From one of the addresses that count as ours.
    pub internal: bool,
    /// From outside, and we are the first to see it.
    pub edge: bool,
}

/// Finds the client's address, and leaves in the headers what may be believed.
///
/// `internal_only` are the route table's.
///
/// # Errors
///
/// The status of the answer, where an address must be said and is not.
pub fn identify(
    options: &ClientAddress,
    arrival: Arrival,
    internal_only: &[HeaderName],
    headers: &mut HeaderMap,
) -> Result<Client, StatusCode> {
    headers.remove(INTERNAL);
    if headers.get_all(FORWARDED_FOR).iter().nth(1).is_some()
        && let Ok(joined) = HeaderValue::try_from(list(headers))
    {
        // One list, however many lines it came in.
        headers.insert(FORWARDED_FOR, joined);
    }
    let found = if options.use_remote_address {
        remote(options, arrival, headers)
    } else {
        said(options, arrival, headers)?
    };
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, proto(arrival.secure));
    }
    let internal = found.single
        && found
            .address
            .is_some_and(|address| is_internal(address.ip(), options.internal.as_ref()));
    let address = found.address.unwrap_or(arrival.peer);
    let edge = !internal && options.use_remote_address;
    if internal {
        headers.insert(INTERNAL, HeaderValue::from_static("true"));
    } else {
        clean(headers, edge, internal_only);
    }
    if edge && let Ok(value) = HeaderValue::try_from(address.ip().to_string()) {
        headers.insert(EXTERNAL_ADDRESS, value);
    }
    Ok(Client { address, internal, edge })
}

/// Whether it is the one address of loopback that Envoy takes for it.
#[must_use]
pub fn is_loopback(ip: IpAddr) -> bool {
    [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&ip)
}

/// An address, and whether nobody stood between.
struct Said {
    address: Option<SocketAddr>,
    single: bool,
}

fn remote(options: &ClientAddress, arrival: Arrival, headers: &mut HeaderMap) -> Said {
    let single = !headers.contains_key(FORWARDED_FOR);
    let trusted = options.trusted_hops.checked_sub(1);
    let address = trusted.and_then(|skip| from_list(headers, skip).address).unwrap_or(arrival.peer);
    if !options.skip_append {
        append_forwarded(
            headers,
            if is_loopback(arrival.peer.ip()) { arrival.own } else { arrival.peer.ip() },
        );
    }
    if options.trusted_hops == 0 {
        headers.insert(FORWARDED_PROTO, proto(arrival.secure));
    }
    Said { address: Some(address), single }
}

fn said(
    options: &ClientAddress,
    arrival: Arrival,
    headers: &mut HeaderMap,
) -> Result<Said, StatusCode> {
    if options.detection.is_empty() {
        return Ok(from_list(headers, options.trusted_hops));
    }
    for way in options.detection.iter() {
        let (found, skip_append) = match way {
            Detection::Xff { trusted_hops, trusted, skip_append } if trusted.0.is_empty() => {
                (from_list(headers, *trusted_hops), *skip_append)
            }
            Detection::Xff { trusted, skip_append, .. } => {
                (past_trusted(headers, trusted, arrival.peer.ip()), *skip_append)
            }
            Detection::Header { name, trusted, reject } => {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                let address = value.and_then(|text| text.trim().parse::<IpAddr>().ok());
                match (address, reject) {
                    (None, Some(status)) => return Err(*status),
                    (address, _) => {
                        let address = address.map(|ip| SocketAddr::new(ip, 0));
                        (Said { address, single: *trusted }, true)
                    }
                }
            }
        };
        if !skip_append {
            append_forwarded(headers, arrival.peer.ip());
        }
        if found.address.is_some() {
            return Ok(found);
        }
    }
    Ok(Said { address: None, single: false })
}

/// The address in `x-forwarded-for` so many from the end.
fn from_list(headers: &HeaderMap, skip: u32) -> Said {
    let list = list(headers);
    let mut parts = list.rsplit(',').skip(usize::try_from(skip).unwrap_or(usize::MAX));
    let address = parts.next().and_then(parse);
    Said { single: address.is_some() && skip == 0 && parts.next().is_none(), address }
}

/// The last address that is none of the trusted ones.
fn past_trusted(headers: &HeaderMap, trusted: &Networks, peer: IpAddr) -> Said {
    if !trusted.contains(peer) {
        return Said { address: None, single: false };
    }
    let list = list(headers);
    let mut last = None;
    for part in list.rsplit(',') {
        let Some(address) = parse(part) else { break };
        last = Some(address);
        if !trusted.contains(address.ip()) {
            break;
        }
    }
    Said { address: last, single: false }
}

fn list(headers: &HeaderMap) -> String {
    let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn parse(text: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(text.trim().parse().ok()?, 0))
}

/// Adds an address to `x-forwarded-for`.
pub fn append_forwarded(headers: &mut HeaderMap, address: IpAddr) {
    let before = list(headers);
    let all = if before.is_empty() { address.to_string() } else { format!("{before},{address}") };
    if let Ok(value) = HeaderValue::try_from(all) {
        headers.insert(FORWARDED_FOR, value);
    }
}

const fn proto(secure: bool) -> HeaderValue {
    HeaderValue::from_static(if secure { "https" } else { "http" })
}

/// Without networks of its own, a listener counts no address as ours.
fn is_internal(address: IpAddr, networks: Option<&Networks>) -> bool {
    networks.is_some_and(|networks| networks.contains(address))
}

fn clean(headers: &mut HeaderMap, edge: bool, internal_only: &[HeaderName]) {
    for name in internal_only {
        headers.remove(name);
    }
    // Most requests have none of the rest: one look at the names is cheaper than many for each.
    if !headers.keys().any(|name| name.as_str().starts_with("x-envoy-")) {
        return;
    }
    for name in INTERNAL_ONLY {
        headers.remove(name);
    }
    if edge {
        for name in EDGE_ONLY {
            headers.remove(name);
        }
    }
}

/// Says who we are, where that is wanted: `user-agent` if there is none, and the client's cluster
/// and node.
pub fn add_user_agent(headers: &mut HeaderMap, cluster: &str, node: &str) {
    let Ok(cluster) = HeaderValue::from_str(cluster) else { return };
    headers.insert("x-envoy-downstream-service-cluster", cluster.clone());
    headers.entry(USER_AGENT).or_insert(cluster);
    if !node.is_empty()
        && let Ok(node) = HeaderValue::from_str(node)
    {
        headers.insert("x-envoy-downstream-service-node", node);
    }
}

#[cfg(test)]
mod tests;
