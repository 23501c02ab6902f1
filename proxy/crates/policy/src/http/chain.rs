//! Which filter chain of a listener takes a connection.
use std::{net::IpAddr, sync::Arc};

use culvert_model::http::listener::{FilterChain, SourceType};
use ipnet::IpNet;

use super::{client::is_loopback, facts::Connection};

/// The chain of a connection, found as Envoy finds it.
///
/// By one property after the other, in the order below, each time only the most specific value that the connection has is followed. There is no
/// way back: a chain that is right by what comes first, and wrong by what comes later, leads
/// nowhere, even if a less specific one would have fit.
#[must_use]
pub fn find<'a>(
    chains: &'a [Arc<FilterChain>],
    connection: &Connection,
) -> Option<&'a Arc<FilterChain>> {
    let mut left: Vec<&Arc<FilterChain>> = chains.iter().collect();
    let port = connection.local.map(|local| local.port());
    narrow(&mut left, |chain| match chain.matches.destination_port {
        None => Some(0),
        wanted => (wanted == port).then_some(1),
    })?;
    let address = |address: Option<std::net::SocketAddr>| address.map(|a| a.ip().to_canonical());
    narrow(&mut left, |chain| network(&chain.matches.destination, address(connection.local)))?;
    let name = connection.server_name.to_ascii_lowercase();
    narrow(&mut left, |chain| server_name(&chain.matches.server_names, &name))?;
    narrow(&mut left, |chain| match chain.matches.transport_protocol.as_deref() {
        None | Some("") => Some(0),
        wanted => (wanted == Some(connection.transport)).then_some(1),
    })?;
    narrow(&mut left, |chain| {
        if chain.matches.application_protocols.is_empty() {
            return Some(0);
        }
        // What the client offers first counts most.
        let wanted = &chain.matches.application_protocols;
        let at = connection.protocols.iter().position(|one| wanted.contains(one))?;
        Some(usize::MAX - at)
    })?;
    narrow(&mut left, |chain| {
        network(&chain.matches.direct_source, address(connection.direct_remote))
    })?;
    let local = is_local(connection);
    narrow(&mut left, |chain| match chain.matches.source_type {
        SourceType::Any => Some(0),
        SourceType::SameIpOrLoopback => local.then_some(1),
        SourceType::External => (!local).then_some(1),
    })?;
    let source = connection.source.or(connection.remote);
    narrow(&mut left, |chain| network(&chain.matches.source, address(source)))?;
    narrow(&mut left, |chain| {
        if chain.matches.source_ports.is_empty() {
            return Some(0);
        }
        source.is_some_and(|s| chain.matches.source_ports.contains(&s.port())).then_some(1)
    })?;
    left.into_iter().next()
}

/// Whether a connection comes from the address that it goes to, or from loopback.
#[must_use]
pub fn is_local(connection: &Connection) -> bool {
    let Some(source) = connection.source.or(connection.remote) else { return false };
    let source = source.ip().to_canonical();
    is_loopback(source) || connection.local.is_some_and(|to| to.ip().to_canonical() == source)
}

/// Keeps those that fit best; `None` if none fits.
fn narrow(
    left: &mut Vec<&Arc<FilterChain>>,
    fit: impl Fn(&FilterChain) -> Option<usize>,
) -> Option<()> {
    let best = left.iter().filter_map(|chain| fit(chain)).max()?;
    left.retain(|chain| fit(chain) == Some(best));
    Some(())
}

/// How long the longest network is that holds the address; no network at all is the shortest.
fn network(networks: &[IpNet], address: Option<IpAddr>) -> Option<usize> {
    if networks.is_empty() {
        return Some(0);
    }
    let address = address?;
    let holding = networks.iter().filter(|network| network.contains(&address));
    holding.map(|network| usize::from(network.prefix_len()) + 1).max()
}

/// How much of the name is wanted: all of it, or the end of it after an asterisk.
fn server_name(wanted: &std::collections::BTreeSet<Arc<str>>, name: &str) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    if wanted.contains(name) {
        return Some(usize::MAX);
    }
    let ends = |one: &&Arc<str>| {
        let suffix = one.strip_prefix('*').filter(|suffix| suffix.starts_with('.'));
        suffix.is_some_and(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
    };
    wanted.iter().filter(ends).map(|one| one.len()).max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use culvert_model::http::{
        listener::{ChainMatch, FilterChain, SourceType},
        tls::DownstreamTransport,
        value::Metadata,
    };

    use super::find;
    use crate::http::facts::Connection;

    fn chain(name: &str, matches: ChainMatch) -> Arc<FilterChain> {
        Arc::new(FilterChain {
            name: name.into(),
            matches,
            transport: DownstreamTransport::Plain,
            transport_timeout: None,
            filters: Arc::default(),
            metadata: Metadata::default(),
        })
    }

    fn names(names: &[&str]) -> ChainMatch {
        let server_names = names.iter().map(|name| (*name).into()).collect();
        ChainMatch { server_names, ..ChainMatch::default() }
    }

    fn connection(local: &str, remote: &str, name: &str) -> Connection {
        Connection {
            local: Some(local.parse().unwrap()),
            remote: Some(remote.parse().unwrap()),
            source: Some(remote.parse().unwrap()),
            direct_remote: Some(remote.parse().unwrap()),
            server_name: name.into(),
            transport: "tls",
            protocols: ["h2".into(), "http/1.1".into()].into(),
            ..Connection::default()
        }
    }

    fn found(chains: &[Arc<FilterChain>], connection: &Connection) -> Option<String> {
        find(chains, connection).map(|chain| chain.name.to_string())
    }

    #[test]
    fn names_are_taken_by_how_much_they_say() {
        let chains = [
            chain("any", ChainMatch::default()),
            chain("com", names(&["*.com"])),
            chain("example", names(&["*.example.com", "exact.org"])),
            chain("exact", names(&["www.example.com"])),
        ];
        let by = |name| found(&chains, &connection("1.1.1.1:443", "2.2.2.2:9", name)).unwrap();
        assert_eq!(by("www.example.com"), "exact");
        assert_eq!(by("WWW.example.com"), "exact");
        assert_eq!(by("a.example.com"), "example");
        assert_eq!(by("example.com"), "com");
        assert_eq!(by("exact.org"), "example");
        assert_eq!(by("x.org"), "any");
        assert_eq!(by(""), "any");
    }

    #[test]
    fn there_is_no_way_back() {
        let chains = [
            chain("port", ChainMatch { destination_port: Some(443), ..names(&["a"]) }),
            chain("name", names(&["b"])),
        ];
        assert_eq!(found(&chains, &connection("1.1.1.1:443", "2.2.2.2:9", "b")), None);
        assert_eq!(found(&chains, &connection("1.1.1.1:80", "2.2.2.2:9", "b")).unwrap(), "name");
    }

    #[test]
    fn networks_protocols_and_sources_narrow() {
        let of = |prefix: &str| ChainMatch {
            destination: [prefix.parse().unwrap()].into(),
            ..ChainMatch::default()
        };
        let alpn = ChainMatch {
            application_protocols: [Arc::from("http/1.1")].into(),
            ..of("10.0.0.0/8")
        };
        let own = ChainMatch {
            source_type: SourceType::SameIpOrLoopback,
            source_ports: [7].into(),
            ..of("10.1.0.0/16")
        };
        let plain =
            ChainMatch { transport_protocol: Some("raw_buffer".into()), ..of("11.0.0.0/8") };
        let chains = [
            chain("eight", of("10.0.0.0/8")),
            chain("alpn", alpn),
            chain("own", own),
            chain("plain", plain),
        ];
        let by = |local, remote| found(&chains, &connection(local, remote, ""));
        assert_eq!(by("10.2.0.1:1", "9.9.9.9:1").unwrap(), "alpn");
        assert_eq!(by("10.1.0.1:1", "10.1.0.1:7").unwrap(), "own");
        assert_eq!(by("10.1.0.1:1", "127.0.0.1:7").unwrap(), "own");
        assert_eq!(by("10.1.0.1:1", "10.1.0.1:8"), None);
        assert_eq!(by("10.1.0.1:1", "9.9.9.9:7"), None);
        assert_eq!(by("11.0.0.1:1", "9.9.9.9:7"), None);
        assert_eq!(by("12.0.0.1:1", "9.9.9.9:7"), None);
    }
}
