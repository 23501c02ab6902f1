//! What a manager makes of the headers of a request, before anything reads them.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use culvert_model::http::manager::{Manager, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::VIA};

use super::{
    Arrival, Client, FORWARDED_PROTO, add_user_agent, forwarded_certificate, identify, request_id,
};
use crate::http::facts::Connection;

const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// How a request came, and who we are.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    pub facts: &'a Connection,
    /// Our own address towards the world, said in place of a loopback peer's.
    pub own: IpAddr,
    /// Headers of the route table that only the inside may send.
    pub internal_only: &'a [HeaderName],
    /// Our cluster and node.
    pub node: (&'a str, &'a str),
    /// For an id of its own.
    pub random: u128,
}

/// Who the connection is from.
#[must_use]
pub fn peer(facts: &Connection) -> SocketAddr {
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    facts.source.or(facts.direct_remote).unwrap_or(nobody)
}

/// Finds out who the client is; leaves in the headers what is believed, and adds what the upstream
/// is told.
///
/// # Errors
///
/// The status of the answer, where an address must be said and is not.
pub fn believe(
    config: &Manager,
    came: Came<'_>,
    headers: &mut HeaderMap,
) -> Result<Client, StatusCode> {
    let Came { facts, own, internal_only, node: (cluster, node), random } = came;
    let arrival = Arrival { peer: peer(facts), own, secure: facts.is_secure() };
    let client = identify(&config.client, arrival, internal_only, headers)?;
    if config.add_user_agent {
        add_user_agent(headers, cluster, node);
    }
    request_id(config.request_id, client.edge, random, headers);
    forwarded_certificate(&config.certificate, facts.tls.as_deref(), headers);
    if let Some(via) = &config.via {
        append_via(headers, via);
    }
    if config.append_forwarded_port
        && !headers.contains_key(FORWARDED_PORT)
        && let Some(local) = facts.local
    {
        headers.insert(FORWARDED_PORT, HeaderValue::from(local.port()));
    }
    Ok(client)
}

fn append_via(headers: &mut HeaderMap, name: &str) {
    let text = match headers.get(VIA).and_then(|before| before.to_str().ok()) {
        Some(before) => HeaderValue::try_from(format!("{before}, {name}")),
        None => HeaderValue::from_str(name),
    };
    if let Ok(text) = text {
        headers.insert(VIA, text);
    }
}

/// The scheme of a request, where it is another than it came with: HTTP/1 (`one`) says in
/// `x-forwarded-proto` what HTTP/2 says in `:scheme`.
pub fn scheme(rule: Scheme, one: bool, headers: &mut HeaderMap) -> Option<&'static str> {
    match rule {
        Scheme::Http => {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
            Some("http")
        }
        Scheme::Https => {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
            Some("https")
        }
        Scheme::Kept | Scheme::MatchUpstream => {
            let said = headers.get(FORWARDED_PROTO).filter(|_| one)?;
            match said.as_bytes() {
                b"https" => Some("https"),
                b"http" => Some("http"),
                _ => None,
            }
        }
    }
}
