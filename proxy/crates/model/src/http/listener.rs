//! Listeners: where connections come from, and who gets them.
use super::{
    access_log::AccessLog,
    address::{Address, SocketOption},
    format::Template,
    manager::Manager,
    matcher::RuntimeFlag,
    ratelimit::{Bucket, ConnectionRateLimit},
    rbac::Rbac,
    tls::DownstreamTransport,
    value::Metadata,
};
use ipnet::IpNet;
use std::{collections::BTreeSet, num::NonZeroU32, ops::Range, sync::Arc, time::Duration};

/// One listener.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct Listener {
    pub name: Arc<str>,
    /// At least one; more for dual stack.
    pub addresses: Arc<[ListenAddress]>,
    /// Without, others hand connections over. Envoy: true.
    pub bind: bool,
    /// Connections go to the listener of the address they meant.
    pub use_original_dst: bool,
    pub direction: Direction,
    /// `None`: the address.
    pub stat_prefix: Option<Arc<str>>,
    /// In this order.
    pub filters: Arc<[ListenerFilter]>,
    /// `None`: listener filters have all the time they want. Envoy: 15 s.
    pub filters_timeout: Option<Duration>,
    /// After that time the connection goes on.
    pub continue_on_filters_timeout: bool,
    pub chains: Arc<[Arc<FilterChain>]>,
    /// For what no chain matches.
    pub default_chain: Option<Arc<FilterChain>>,
    pub access_logs: Arc<[AccessLog]>,
    /// Bytes in each direction. Envoy: 1 MiB.
    pub buffer_limit: u32,
    /// Envoy: true.
    pub reuse_port: bool,
    pub backlog: Option<u32>,
    pub transparent: bool,
    pub freebind: bool,
    pub metadata: Metadata,
}

/// One address of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenAddress {
    pub address: Address,
    /// IPv4 also, on an address of IPv6.
    pub v4_compatible: bool,
    pub options: Arc<[SocketOption]>,
}

/// Which way connections go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Unspecified,
    Inbound,
    Outbound,
}

/// What looks at a connection before anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerFilter {
    pub name: Arc<str>,
    pub kind: ListenerFilterKind,
    /// Where this holds, the filter does nothing.
    pub disabled: Option<ListenerMatch>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ListenerFilterKind {
    TlsInspector,
    HttpInspector,
    ProxyProtocol(ProxyProtocol),
    OriginalDst,
    OriginalSrc { mark: u32 },
    LocalRateLimit { stat_prefix: Arc<str>, bucket: Bucket, enabled: RuntimeFlag },
}

/// The PROXY protocol, from the one that connects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyProtocol {
    /// TLVs that are kept: their type, and under which key and namespace of the metadata.
    pub rules: Arc<[TlvRule]>,
    /// Connections without the header are let through.
    pub allow_without: bool,
    pub refuse_v1: bool,
    pub refuse_v2: bool,
    pub stat_prefix: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlvRule {
    pub kind: u8,
    pub namespace: Arc<str>,
    pub key: Arc<str>,
}

/// A condition on a connection of which only addresses are known.
#[derive(Clone, Debug, PartialEq)]
pub enum ListenerMatch {
    Any,
    DestinationPort(Range<u32>),
    Or(Box<[Self]>),
    And(Box<[Self]>),
    Not(Box<Self>),
}

/// What happens to the connections that match.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterChain {
    pub name: Arc<str>,
    pub matches: ChainMatch,
    pub transport: DownstreamTransport,
    /// Envoy: `None`, no limit.
    pub transport_timeout: Option<Duration>,
    /// The last one takes the connection; never empty, unless nothing is to happen but closing.
    pub filters: Arc<[NetworkFilter]>,
    pub metadata: Metadata,
}

/// All that is given must hold; in the order of the fields, the most specific counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainMatch {
    pub destination_port: Option<u16>,
    pub destination: Arc<[IpNet]>,
    /// Lower case; `*.example.com` for every name below.
    pub server_names: BTreeSet<Arc<str>>,
    /// `raw_buffer`, `tls`; `None`: any.
    pub transport_protocol: Option<Arc<str>>,
    pub application_protocols: BTreeSet<Arc<str>>,
    pub direct_source: Arc<[IpNet]>,
    pub source_type: SourceType,
    pub source: Arc<[IpNet]>,
    pub source_ports: BTreeSet<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceType {
    #[default]
    Any,
    /// The same address as the destination, or loopback.
    SameIpOrLoopback,
    External,
}

/// A filter of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkFilter {
    pub name: Arc<str>,
    pub kind: NetworkFilterKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NetworkFilterKind {
    HttpManager(Arc<Manager>),
    TcpProxy(Arc<TcpProxy>),
    Rbac(Arc<NetworkRbac>),
    LocalRateLimit(Arc<ConnectionRateLimit>),
    ConnectionLimit(Arc<ConnectionLimit>),
    SetFilterState(Arc<[FilterStateValue]>),
    /// Answers everything it gets.
    Echo,
    /// Says something and closes.
    DirectResponse(Arc<[u8]>),
    /// The SNI is the cluster's name.
    SniCluster,
    /// It may be passed by, and is.
    Ignored,
}

/// Bytes to a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpProxy {
    pub stat_prefix: Arc<str>,
    pub clusters: TcpClusters,
    /// `None`: for ever. Envoy: 1 h.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    pub access_logs: Arc<[AccessLog]>,
    /// Envoy: 1.
    pub max_connect_attempts: NonZeroU32,
    /// The address is hashed by ring hash and Maglev.
    pub hash_source_ip: bool,
    /// What endpoints' metadata must have, for subsets.
    pub metadata_match: Metadata,
    pub tunnel: Option<Arc<Tunnel>>,
    /// Logged so often while the connection lives.
    pub log_interval: Option<Duration>,
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq)]
pub enum TcpClusters {
    One(Arc<str>),
    /// Weight and subset of each; the weights' sum is not 0.
    Weighted(Arc<[WeightedCluster]>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct WeightedCluster {
    pub name: Arc<str>,
    pub weight: u32,
    pub metadata_match: Metadata,
}

/// TCP inside of an HTTP CONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Tunnel {
    pub hostname: Template,
    pub use_post: bool,
    pub post_path: Arc<str>,
    pub headers: super::mutation::HeaderMutations,
}

/// RBAC of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkRbac {
    pub stat_prefix: Arc<str>,
    pub rbac: Arc<Rbac>,
    /// Asked at each piece of data, not only at the first.
    pub continuous: bool,
    /// A connection that is denied is held so long before it is closed.
    pub delay: Option<Duration>,
}

/// So many connections at once.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionLimit {
    pub stat_prefix: Arc<str>,
    pub max: u64,
    /// How long a refused connection is held before it is closed.
    pub delay: Option<Duration>,
    pub enabled: RuntimeFlag,
}

/// A value that filters and logs can see.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterStateValue {
    pub key: Arc<str>,
    /// What kind of object the value becomes.
    pub factory: Arc<str>,
    pub value: Template,
    pub read_only: bool,
    pub shared: SharedWith,
    pub skip_if_empty: bool,
}

/// Whether upstream connections get the value too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharedWith {
    #[default]
    Nobody,
    Once,
    Transitive,
}
