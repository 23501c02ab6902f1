//! A request as lines and headers print it.
use crate::manager::{
    own,
    record::{Record, Went},
};
use culvert_model::http::{
    format::{Address, Amount, Attempted, Clock, MetadataOf, Moment},
    value::Metadata,
};
use culvert_policy::http::{
    facts::Tls,
    flags::{Flag, Flags},
    format::{Known, Scene},
    route::without_port,
};
use http::{StatusCode, Version};
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// What there is to print, for a line of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeing<'a> {
    pub(super) record: &'a Record,
    pub(super) kind: &'static str,
}

impl<'a> Seeing<'a> {
    /// With the request; responses are added by whoever has them.
    pub(crate) fn scene(&'a self) -> Scene<'a> {
        Scene { request: Some(self.record.request()), ..Scene::new(self) }
    }
}

pub(super) const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What is said of one try.
fn attempted(went: &Went, what: Attempted) -> Option<String> {
    let host = &went.host;
    let name = || match &*went.endpoint.hostname {
        "" => host.name.to_string(),
        name => name.to_owned(),
    };
    Some(match what {
        Attempted::Hosts => host.name.to_string(),
        Attempted::HostsWithoutPort => {
            host.address.as_socket().map_or_else(|| host.name.to_string(), |at| at.ip().to_string())
        }
        Attempted::Names => name(),
        Attempted::NamesWithoutPort => without_port(&name()).to_owned(),
        Attempted::ConnectionIds => went.link.as_ref()?.link()?.id.to_string(),
    })
}

impl Known for Seeing<'_> {
    fn protocol(&self) -> Option<&str> {
        Some(version(self.record.head.version))
    }

    fn upstream_protocol(&self) -> Option<&str> {
        use culvert_model::http::cluster::UpstreamVersion;

        if let Some(answered) = self.record.upstream_version {
            return Some(version(answered));
        }
        // Without an answer: what was spoken to who got the request.
        let went = self.record.went.as_ref()?;
        if self.record.flags.has(Flag::UpstreamConnectionFailure) {
            return None;
        }
        match went.cluster.http.version {
            UpstreamVersion::Http1 => Some("HTTP/1.1"),
            UpstreamVersion::Http2 => Some("HTTP/2"),
            UpstreamVersion::Auto | UpstreamVersion::AsDownstream => None,
        }
    }

    fn status(&self) -> u16 {
        self.record.status.as_ref().map_or(0, StatusCode::as_u16)
    }

    fn details(&self) -> Option<&str> {
        some(&self.record.details)
    }

    fn flags(&self) -> Flags {
        self.record.flags
    }

    fn bytes(&self, of: Amount) -> u64 {
        let exchanged = self.record.exchanged();
        #[expect(clippy::wildcard_enum_match_arm, reason = "what codecs do not count")]
        match of {
            Amount::Received => exchanged.map_or(0, |exchanged| exchanged.received),
            Amount::Sent => exchanged.map_or(0, |exchanged| exchanged.sent),
            _ => 0,
        }
    }

    fn moment(&self, moment: &Moment) -> Option<Duration> {
        let times = self.record.times;
        match moment {
            Moment::DownstreamReceiveBegin => Some(Duration::ZERO),
            Moment::DownstreamReceiveEnd => times.received,
            Moment::UpstreamConnectBegin | Moment::UpstreamSendBegin => times.sent,
            Moment::UpstreamSendEnd => {
                times.sent.map(|sent| sent.max(times.received.unwrap_or(sent)))
            }
            Moment::UpstreamReceiveBegin => times.answered,
            Moment::DownstreamSendBegin => times.answered,
            Moment::UpstreamReceiveEnd => times.answered.and(self.record.ended()),
            Moment::DownstreamSendEnd => self.record.ended(),
            Moment::UpstreamConnectEnd
            | Moment::UpstreamHandshakeEnd
            | Moment::UpstreamReceiveBodyBegin
            | Moment::Named(_) => None,
        }
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.record.elapsed())
    }

    fn handshake(&self) -> Option<Duration> {
        self.record.connection.handshake
    }

    fn clock(&self, clock: Clock) -> Option<SystemTime> {
        let connection = &self.record.connection;
        match clock {
            Clock::Start | Clock::StartLocal => {
                let since = self.record.began.saturating_duration_since(connection.began);
                connection.started.checked_add(since)
            }
            Clock::Emit | Clock::EmitLocal => Some(SystemTime::now()),
            Clock::CertificateStart { .. } | Clock::CertificateEnd { .. } => None,
        }
    }

    fn address(&self, of: Address) -> Option<SocketAddr> {
        let facts = self.record.facts();
        match of {
            Address::DownstreamRemote => facts.remote,
            Address::DownstreamDirectRemote => facts.direct_remote,
            Address::DownstreamLocal => facts.local,
            Address::DownstreamDirectLocal => facts.direct_local,
            Address::UpstreamRemote if self.record.flags.has(Flag::UpstreamConnectionFailure) => {
                None
            }
            Address::UpstreamRemote => self.record.went.as_ref()?.host.destination(),
            Address::UpstreamLocal => self.record.link()?.local,
        }
    }

    fn tls(&self, upstream: bool) -> Option<&Tls> {
        if upstream { self.record.link()?.tls() } else { self.record.facts().tls.as_deref() }
    }

    fn validity(&self, upstream: bool) -> Option<(SystemTime, SystemTime)> {
        self.tls(upstream)?.peer.as_ref()?.validity
    }

    fn upstream_host(&self) -> Option<String> {
        let host = &self.record.went.as_ref()?.host;
        Some(host.destination().map_or_else(|| host.name.to_string(), |to| to.to_string()))
    }

    fn upstream_name(&self) -> Option<&str> {
        some(&self.record.went.as_ref()?.endpoint.hostname)
    }

    fn cluster(&self) -> Option<&str> {
        self.record.routed.cluster.as_deref()
    }

    fn cluster_alias(&self) -> Option<&str> {
        let alias = self.record.went.as_ref().map(|went| &*went.cluster.stat_name);
        alias.or_else(|| self.cluster())
    }

    fn attempts(&self) -> u32 {
        self.record.attempts
    }

    fn attempted(&self, what: Attempted) -> Option<String> {
        let record = self.record;
        let all = record.attempted.iter().chain(&record.went);
        let reached = all.filter(|went| went.reached);
        let all: Vec<String> = reached.filter_map(|went| attempted(went, what)).collect();
        Some(all.join(","))
    }

    fn upstream_connection(&self) -> u64 {
        self.record.link().map_or(0, |link| link.id)
    }

    fn upstream_server_name(&self) -> Option<&str> {
        self.record.link()?.server_name()
    }

    fn pool_ready(&self) -> Option<Duration> {
        let ready = self.record.went.as_ref()?.link.as_ref()?.ready()?;
        Some(ready.saturating_duration_since(self.record.began))
    }

    fn environment(&self, name: &str) -> Option<&str> {
        own::environment(name)
    }

    fn upstream_failure(&self) -> Option<&str> {
        self.record.failure.as_deref()
    }

    fn connection(&self) -> u64 {
        self.record.connection.id
    }

    fn server_name(&self) -> Option<&str> {
        some(&self.record.connection.facts.server_name)
    }

    fn route(&self) -> Option<&str> {
        some(&self.record.routed.route.as_ref()?.name)
    }

    fn filter_chain(&self) -> Option<&str> {
        some(&self.record.connection.chain.name)
    }

    fn log_type(&self) -> &str {
        self.kind
    }

    fn hostname(&self) -> Option<&str> {
        some(own::hostname())
    }

    fn metadata(&self, of: MetadataOf) -> Option<&Metadata> {
        let record = self.record;
        let both = record.routed.both();
        match of {
            MetadataOf::Dynamic => Some(&record.metadata),
            MetadataOf::Route => both.map(|(_, route)| &route.metadata),
            MetadataOf::VirtualHost => both.map(|(host, _)| &host.metadata),
            MetadataOf::Cluster => record.went.as_ref().map(|went| &went.cluster.metadata),
            MetadataOf::Upstream => record.went.as_ref().map(|went| &went.endpoint.metadata),
            MetadataOf::Listener => Some(&record.connection.listener.metadata),
            MetadataOf::FilterChain => Some(&record.connection.chain.metadata),
        }
    }

    fn state(&self, upstream: bool, key: &str) -> Option<&str> {
        self.record.state.0.get(key).filter(|_| !upstream).map(|value| &**value)
    }
}
