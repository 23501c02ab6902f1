//! How the connections of a cluster are made, as far as its configuration says.
use super::{Deps, limits::Limits, sides::Sides, tally::Tally};
use crate::{h1, h2, pool};
use arc_swap::ArcSwap;
use culvert_model::http::{
    cluster::{Cluster, UpstreamVersion},
    endpoint::{Endpoint, LocalityEndpoints},
    snapshot::Snapshot,
    tls::{ProxyVersion, UpstreamTls, UpstreamTransport},
    value::{Metadata, Value},
};
use std::sync::Arc;

/// Metadata by which an endpoint says how it is to be reached.
const MATCH: &str = "envoy.transport_socket_match";

/// Connections made by the same wire are alike; another one needs new ones.
pub(super) struct Wire {
    pub(super) config: Arc<Cluster>,
    /// The cluster's own first, then those of `transport_socket_matches`.
    pub(super) ways: Vec<Way>,
    /// Made anew when a secret changes; who has connected stays connected.
    pub(super) sides: ArcSwap<Sides>,
    pub(super) limits: Arc<[Limits; 2]>,
    pub(super) tally: Arc<Tally>,
    pub(super) deps: Arc<Deps>,
}

/// What comes before the application's bytes.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) tls: Option<Arc<UpstreamTls>>,
    pub(super) greeting: Option<ProxyVersion>,
}

impl Wire {
    pub(super) fn new(
        config: &Arc<Cluster>,
        snapshot: &Snapshot,
        (limits, tally): (Arc<[Limits; 2]>, Arc<Tally>),
        deps: &Arc<Deps>,
    ) -> Self {
        let others = config.transport_matches.iter().map(|one| &one.transport);
        let all = std::iter::once(&config.transport).chain(others);
        let ways: Vec<_> = all.map(|one| Way::of(one, config.http.auto_san_validation)).collect();
        // Of those without TLS nobody asks for a side.
        let sided = if ways.iter().any(|way| way.tls.is_some()) { ways.len() } else { 0 };
        let sides = ArcSwap::from_pointee(Sides::new(sided, snapshot.secrets().clone()));
        let (config, deps) = (Arc::clone(config), Arc::clone(deps));
        Self { config, ways, sides, limits, tally, deps }
    }

    /// Whether connections for `config` would be made in the same way.
    pub(super) fn serves(&self, config: &Cluster) -> bool {
        let own = &*self.config;
        own.stat_name == config.stat_name
            && own.transport == config.transport
            && own.transport_matches == config.transport_matches
            && own.http == config.http
            && own.connect_timeout == config.connect_timeout
            && own.buffer_limit == config.buffer_limit
            && own.breakers.max_connections_per_host == config.breakers.max_connections_per_host
            && own.preconnect == config.preconnect
            && own.keepalive == config.keepalive
            && own.source == config.source
            && own.socket_options == config.socket_options
    }

    pub(super) fn follow(&self, snapshot: &Snapshot) {
        if self.ways.iter().any(|way| way.tls.is_some())
            && let Some(sides) = self.sides.load().after(snapshot.secrets())
        {
            self.sides.store(Arc::new(sides));
        }
    }

    /// Which of the ways leads to an endpoint.
    pub(super) fn way_of(&self, endpoint: &Endpoint, locality: &LocalityEndpoints) -> usize {
        let has = |metadata: &Metadata, wanted: &[(Arc<str>, Value)]| {
            let found =
                |(key, value): &(Arc<str>, Value)| metadata.find(MATCH, [&**key]) == Some(value);
            wanted.iter().all(found)
        };
        let said = if endpoint.metadata.filter(MATCH).is_some() {
            &endpoint.metadata
        } else {
            &locality.metadata
        };
        let mut matches = self.config.transport_matches.iter();
        matches.position(|one| has(said, &one.wanted)).map_or(0, |at| at + 1)
    }

    pub(super) fn options(&self, speaks: pool::Speaks) -> pool::Options {
        let http = &self.config.http;
        let common = &http.common;
        let headers = usize::try_from(common.max_headers).unwrap_or(usize::MAX);
        let kib = http.max_headers_kb.unwrap_or(60);
        let bytes = kib.saturating_mul(1024);
        let limits = h1::Limits {
            headers,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            chunks_with_length: http.http1.allow_chunked_length,
            ..h1::Limits::default()
        };
        let settings = h2::Settings {
            stream_window: http.http2.stream_window,
            connection_window: http.http2.connection_window,
            headers: bytes,
            header_table: http.http2.hpack_table,
            ..h2::Settings::default()
        };
        let keepalive = http.http2.keepalive.and_then(|keepalive| {
            Some(h2::Keepalive { interval: keepalive.interval?, timeout: keepalive.timeout })
        });
        let first = usize::try_from(http.http2.max_streams).unwrap_or(usize::MAX);
        let by_default = h2::ClientOptions::default();
        let most = self.config.breakers.max_connections_per_host;
        let first_streams = by_default.first_streams.min(first);
        pool::Options {
            protocol: speaks,
            connect: self.config.connect_timeout,
            idle: common.idle_timeout,
            age: common.max_connection_duration,
            ahead: self.config.preconnect.per_upstream,
            most: most.and_then(|most| usize::try_from(most).ok()),
            requests: common.max_requests_per_connection.map(|most| most.get().into()),
            h1: h1::ClientOptions {
                limits,
                trailers: http.http1.trailers,
                names: http.http1.header_format,
                whole_url: http.http1.send_fully_qualified_url,
            },
            h2: h2::ClientOptions { settings, keepalive, first_streams },
        }
    }

    /// What a cluster is spoken to in, by what its request came in.
    pub(super) fn speaks(&self, two: bool) -> pool::Speaks {
        match (self.config.http.version, two) {
            (UpstreamVersion::Http1, _) | (UpstreamVersion::AsDownstream, false) => {
                pool::Speaks::Http1
            }
            (UpstreamVersion::Http2, _) | (UpstreamVersion::AsDownstream, true) => {
                pool::Speaks::Http2
            }
            (UpstreamVersion::Auto, _) => pool::Speaks::Negotiated,
        }
    }
}

impl Way {
    /// With `by_sni`, a server's certificate must be for the name that it is asked by.
    fn of(transport: &UpstreamTransport, by_sni: bool) -> Self {
        match transport {
            UpstreamTransport::Plain => Self { tls: None, greeting: None },
            UpstreamTransport::Tls(tls) => {
                let mut tls = Arc::clone(tls);
                if by_sni && !tls.validate_sni {
                    Arc::make_mut(&mut tls).validate_sni = true;
                }
                Self { tls: Some(tls), greeting: None }
            }
            UpstreamTransport::ProxyProtocol { version, inner } => {
                Self { greeting: Some(*version), ..Self::of(inner, by_sni) }
            }
        }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("ways", &self.ways).finish_non_exhaustive()
    }
}
