//! What is told of a connection when it is over.
use crate::{
    connection::Connection,
    link::Link,
    log::{self, Logs},
    manager::own,
    shared::Shared,
    upstream::{Facts, Host},
};
use culvert_model::http::{
    cluster::Cluster,
    endpoint::Endpoint,
    format::{Address, Amount, Attempted, Clock, Close, MetadataOf},
    value::Metadata,
};
use culvert_policy::http::{
    facts::Tls,
    flags::Flags,
    format::{Known, Scene},
    log::Around,
};
use culvert_runtime::dice::dice;
use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) flags: Flags,
    pub(crate) details: Option<&'static str>,
    pub(crate) termination: Option<Cow<'static, str>>,
    /// Why we ended it.
    pub(crate) closed: Option<Cow<'static, str>>,
    /// How the client's connection was seen to end.
    pub(crate) seen: Seen,
    pub(crate) downstream_failure: Option<String>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) upstream: Upstreamed,
}

/// Where its bytes went.
#[derive(Debug, Default)]
pub(crate) struct Upstreamed {
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) endpoint: Option<(Arc<Host>, Arc<Endpoint>)>,
    /// Every endpoint that was tried.
    pub(crate) tried: Vec<Arc<Host>>,
    pub(crate) attempts: u32,
    pub(crate) failure: Option<String>,
    /// What there is to say of the connection to it.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) remote: Option<SocketAddr>,
    /// Since the connection began.
    pub(crate) ready: Option<Duration>,
    /// How the endpoint's connection was seen to end; `None`: there was to be none.
    pub(crate) seen: Option<Seen>,
}

/// How a connection was seen to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seen {
    #[default]
    Normal,
    RemoteReset,
    /// By us, for what the other side did.
    LocalReset,
}

impl Record {
    /// The connection was denied on its way: that is why it ended.
    pub(super) fn deny(&mut self, why: Self) {
        self.termination = why.termination;
        self.closed = why.closed;
    }
}

impl Seen {
    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::RemoteReset => "RemoteReset",
            Self::LocalReset => "LocalReset",
        }
    }
}

impl Upstreamed {
    /// One more endpoint is tried.
    pub(crate) fn attempt(&mut self, facts: &Facts<'_>) {
        self.attempts += 1;
        self.cluster = Some(Arc::clone(facts.cluster));
        self.endpoint = Some((Arc::clone(facts.host), Arc::clone(facts.endpoint)));
        self.tried.push(Arc::clone(facts.host));
        self.remote = facts.host.destination();
    }
}

/// A line of a log, or a template, about a connection.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    connection: &'a Connection,
    record: &'a Record,
    shared: &'a Shared,
    kind: &'static str,
    now: SystemTime,
    elapsed: Duration,
}

impl<'a> Line<'a> {
    /// What is known at this moment; `kind` is Envoy's type of the log.
    pub(crate) fn new(
        connection: &'a Connection,
        record: &'a Record,
        shared: &'a Shared,
        kind: &'static str,
    ) -> Self {
        let elapsed = connection.began.elapsed();
        Self { connection, record, shared, kind, now: connection.started + elapsed, elapsed }
    }

    const fn upstream(&self) -> &'a Upstreamed {
        &self.record.upstream
    }
}

/// Writes down what is known at this moment.
pub(crate) fn write(logs: &Logs, line: &Line<'_>) {
    if logs.is_empty() {
        return;
    }
    let runtime = line.shared.runtime();
    let around = Around {
        runtime: &runtime,
        dice: [dice(), dice()],
        health_check: false,
        traced: false,
        metadata: &line.connection.metadata,
    };
    logs.write(&log::Seen { scene: Scene::new(line), around });
}

impl Known for Line<'_> {
    fn details(&self) -> Option<&str> {
        self.record.details
    }

    fn termination(&self) -> Option<&str> {
        self.record.termination.as_deref()
    }

    fn flags(&self) -> Flags {
        self.record.flags
    }

    fn bytes(&self, of: Amount) -> u64 {
        let Record { received, sent, .. } = *self.record;
        #[expect(clippy::wildcard_enum_match_arm, reason = "there are no headers, and no TLS")]
        match of {
            Amount::Received | Amount::DownstreamWireReceived | Amount::UpstreamWireSent => {
                received
            }
            Amount::Sent | Amount::DownstreamWireSent | Amount::UpstreamWireReceived => sent,
            _ => 0,
        }
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.elapsed)
    }

    fn handshake(&self) -> Option<Duration> {
        self.connection.handshake
    }

    fn pool_ready(&self) -> Option<Duration> {
        self.upstream().ready
    }

    fn clock(&self, clock: Clock) -> Option<SystemTime> {
        match clock {
            Clock::Start | Clock::StartLocal => Some(self.connection.started),
            Clock::Emit | Clock::EmitLocal => Some(self.now),
            Clock::CertificateStart { .. } | Clock::CertificateEnd { .. } => None,
        }
    }

    fn address(&self, of: Address) -> Option<SocketAddr> {
        let facts = &self.connection.facts;
        match of {
            Address::UpstreamRemote => self.upstream().remote,
            Address::UpstreamLocal => self.upstream().link.as_ref()?.local,
            Address::DownstreamRemote => facts.remote,
            Address::DownstreamDirectRemote => facts.direct_remote,
            Address::DownstreamLocal => facts.local,
            Address::DownstreamDirectLocal => facts.direct_local,
        }
    }

    fn tls(&self, upstream: bool) -> Option<&Tls> {
        if upstream {
            self.upstream().link.as_ref()?.tls()
        } else {
            self.connection.facts.tls.as_deref()
        }
    }

    fn validity(&self, upstream: bool) -> Option<(SystemTime, SystemTime)> {
        self.tls(upstream)?.peer.as_ref()?.validity
    }

    fn upstream_host(&self) -> Option<String> {
        self.upstream().endpoint.as_ref().map(|(host, _)| host.name.to_string())
    }

    fn upstream_name(&self) -> Option<&str> {
        let (_, endpoint) = self.upstream().endpoint.as_ref()?;
        Some(&endpoint.hostname)
    }

    fn cluster(&self) -> Option<&str> {
        Some(&self.upstream().cluster.as_ref()?.name)
    }

    fn cluster_alias(&self) -> Option<&str> {
        Some(&self.upstream().cluster.as_ref()?.stat_name)
    }

    fn attempts(&self) -> u32 {
        self.upstream().attempts
    }

    fn attempted(&self, what: Attempted) -> Option<String> {
        let name = |host: &Arc<Host>| match what {
            Attempted::HostsWithoutPort | Attempted::NamesWithoutPort => host
                .address
                .as_socket()
                .map_or_else(|| host.name.to_string(), |at| at.ip().to_string()),
            Attempted::Hosts | Attempted::Names | Attempted::ConnectionIds => host.name.to_string(),
        };
        let all: Vec<_> = self.upstream().tried.iter().map(name).collect();
        (what != Attempted::ConnectionIds).then(|| all.join(","))
    }

    fn closed(&self, upstream: bool, how: Close) -> Option<&str> {
        match how {
            Close::Detected if upstream => self.upstream().seen.map(Seen::name),
            Close::Detected => Some(self.record.seen.name()),
            Close::LocalReason if upstream && self.upstream().link.is_none() => None,
            Close::LocalReason => self.record.closed.as_deref(),
        }
    }

    fn upstream_failure(&self) -> Option<&str> {
        self.upstream().failure.as_deref()
    }

    fn downstream_failure(&self) -> Option<&str> {
        self.record.downstream_failure.as_deref()
    }

    fn connection(&self) -> u64 {
        self.connection.id
    }

    fn upstream_connection(&self) -> u64 {
        self.upstream().link.as_ref().map_or(0, |link| link.id)
    }

    fn upstream_server_name(&self) -> Option<&str> {
        self.upstream().link.as_ref()?.server_name()
    }

    fn hostname(&self) -> Option<&str> {
        Some(own::hostname())
    }

    fn environment(&self, name: &str) -> Option<&str> {
        own::environment(name)
    }

    fn server_name(&self) -> Option<&str> {
        Some(&self.connection.facts.server_name)
    }

    fn filter_chain(&self) -> Option<&str> {
        Some(&self.connection.chain.name)
    }

    fn log_type(&self) -> &str {
        self.kind
    }

    fn metadata(&self, of: MetadataOf) -> Option<&Metadata> {
        match of {
            MetadataOf::Dynamic => Some(&self.connection.metadata),
            MetadataOf::Listener => Some(&self.connection.listener.metadata),
            MetadataOf::FilterChain => Some(&self.connection.chain.metadata),
            MetadataOf::Cluster => Some(&self.upstream().cluster.as_ref()?.metadata),
            MetadataOf::Upstream => Some(&self.upstream().endpoint.as_ref()?.1.metadata),
            MetadataOf::Route | MetadataOf::VirtualHost => None,
        }
    }

    fn state(&self, upstream: bool, key: &str) -> Option<&str> {
        self.connection.state.0.get(key).map(|value| &**value).filter(|_| !upstream)
    }
}
