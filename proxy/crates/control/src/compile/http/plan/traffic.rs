//! How a service is talked to.
use super::{At, Clients, Fraction, Labels};
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc, time::Duration};

/// For some clients of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub at: At,
    pub clients: Clients,
    pub policy: TrafficPolicy,
    /// In place of `policy`.
    pub ports: BTreeMap<NonZeroU16, TrafficPolicy>,
    pub subsets: BTreeMap<Arc<str>, Subset>,
}

/// Some endpoints of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    /// Those with all of them.
    pub labels: Labels,
    pub policy: TrafficPolicy,
    /// In place of `policy`.
    pub ports: BTreeMap<NonZeroU16, TrafficPolicy>,
}

/// Whatever is `None` is as Istio has it when nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    pub balancer: Option<Balancer>,
    pub pool: Pool,
    pub outlier: Option<Outlier>,
    pub tls: Tls,
    pub locality: LocalityPolicy,
    /// In the place of [`Pool::max_retries`].
    pub retry_budget: Option<RetryBudget>,
    /// A PROXY header first.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Bytes go there within a request.
    pub tunnel: Option<Tunnel>,
}

/// Who is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balancer {
    RoundRobin(Option<Warmup>),
    LeastRequest(Option<Warmup>),
    Random,
    /// Wherever the connection was meant to go.
    Passthrough,
    Hash {
        keys: Vec<HashKey>,
        table: HashTable,
    },
}

/// New endpoints get little at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warmup {
    pub duration: Duration,
    /// In per cent of the weight.
    pub minimum_percent: Option<u32>,
    /// In thousandths.
    pub aggression: Option<u32>,
}

/// What requests that belong together have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(Arc<str>),
    /// With `ttl`, one is made where there is none.
    Cookie {
        name: Arc<str>,
        path: Option<Arc<str>>,
        ttl: Option<Duration>,
        /// What else is said of it.
        attributes: Vec<(Arc<str>, Arc<str>)>,
    },
    SourceIp,
    Query(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    Ring { minimum: Option<u64> },
    Maglev { size: Option<u64> },
}

/// Connections, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    pub connect_timeout: Option<Duration>,
    pub max_connections: Option<u32>,
    pub max_connection_duration: Option<Duration>,
    pub tcp_idle: Option<Duration>,
    pub keepalive: Option<Keepalive>,
    pub max_pending: Option<u32>,
    pub max_requests: Option<u32>,
    pub max_requests_per_connection: Option<u32>,
    pub max_retries: Option<u32>,
    pub http_idle: Option<Duration>,
    pub max_streams: Option<u32>,
    /// How often HTTP/2 is asked whether it is still there, and for how long an answer is waited.
    pub pings: Option<(Duration, Duration)>,
    pub version: Version,
}

/// How many of the requests of a moment may be tries again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryBudget {
    pub share: Option<Fraction>,
    /// So many may be in any case.
    pub least: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// Which HTTP is spoken to endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What the port says.
    #[default]
    AsDeclared,
    Http2,
    Http1,
    /// Whatever the client speaks.
    AsClient,
}

/// When an endpoint is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    pub consecutive_5xx: Option<u32>,
    pub consecutive_gateway: Option<u32>,
    /// `Some`: failures to connect are counted by themselves.
    pub consecutive_local: Option<u32>,
    pub split_local: bool,
    pub interval: Option<Duration>,
    pub base_ejection: Option<Duration>,
    /// 10 unless told otherwise.
    pub max_percent: Option<u32>,
    /// Below so many per cent, health is not looked at.
    pub min_health_percent: Option<u32>,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// As the mesh has it, which is none of L7's business.
    #[default]
    Mesh,
    /// None but the mesh's own.
    Off,
    Originate(Box<Originate>),
}

/// TLS that is spoken for a client that does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Originate {
    pub trust: Trust,
    /// A file of lists of what those revoked.
    pub revoked: Option<Arc<str>>,
    /// Whom the client is.
    pub client: Option<Credential>,
    /// `None`: the host that was asked for.
    pub sni: Option<Arc<str>>,
    /// Any of them; empty: the name that is asked for, unless nothing is verified.
    pub names: Vec<Name>,
    /// Nothing is verified.
    pub insecure: bool,
}

/// A name that a certificate must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Dns(Arc<str>),
    Uri(Arc<str>),
    /// Whatever it is.
    Any(Arc<str>),
}

/// Whom certificates must be from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Whom the operating system trusts.
    #[default]
    System,
    /// Only those of a secret, or of a file.
    Only(Credential),
}

/// Certificates, never their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// A `Secret`; as trust, its `ca.crt`.
    Secret { namespace: Arc<str>, name: Arc<str> },
    /// A `ConfigMap` with a `ca.crt`.
    ConfigMap { namespace: Arc<str>, name: Arc<str> },
    /// Below the folder of credentials.
    Files { certificate: Arc<str>, key: Option<Arc<str>> },
    /// Of whoever speaks, as a member of the mesh; as trust, what the mesh trusts.
    Own,
}

/// Which endpoints are preferred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalityPolicy {
    /// Near ones first where failures are noticed (with [`Outlier`]), else all are alike.
    #[default]
    Automatic,
    Off,
    /// Near ones first; from a region to another, in this order.
    Failover(Vec<(Arc<str>, Arc<str>)>),
    /// Those that have more of these labels in common with the client's node.
    Labels(Vec<Arc<str>>),
    /// From a place (`region/zone/*`) to places, with weights whose sum is 100.
    Distribute(Vec<(Arc<str>, Shares)>),
}

/// Weights of places.
pub type Shares = BTreeMap<Arc<str>, u32>;

/// A request whose body, and whose answer's, are a connection's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// `host:port`, where whoever takes the request is to lead them.
    pub to: Arc<str>,
    /// POST, and not CONNECT.
    pub is_post: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    V1,
    V2,
}

impl TrafficPolicy {
    /// Whether it asks for anything that only L7 does.
    #[must_use]
    pub fn asks(&self) -> bool {
        let tls = if self.tls == Tls::Off { Tls::Mesh } else { self.tls.clone() };
        Self { tls, ..self.clone() } != Self::default()
    }
}

impl Traffic {
    /// What holds for a port of the service, or of a subset; `None`: there is no such subset.
    #[must_use]
    pub fn of(&self, subset: Option<&str>, port: NonZeroU16) -> Option<&TrafficPolicy> {
        let (policy, ports) = match subset {
            None => (&self.policy, &self.ports),
            Some(subset) => {
                let subset = self.subsets.get(subset)?;
                (&subset.policy, &subset.ports)
            }
        };
        Some(ports.get(&port).unwrap_or(policy))
    }
}
