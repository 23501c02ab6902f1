//! Where a resource comes from that another one names.
use super::value::Metadata;
use std::{sync::Arc, time::Duration};

/// Where to ask for a resource, and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigSource {
    pub from: From,
    /// Whoever waits for the resource goes on without it after this; `None`: never. Envoy: 15 s.
    pub patience: Option<Duration>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum From {
    /// The aggregated stream of the bootstrap.
    Ads,
    /// Whoever sent the resource that names this one.
    SameSource,
    File(WatchedFile),
    Grpc(Grpc),
    Rest(Rest),
}

/// A file that holds a discovery response.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchedFile {
    pub path: Arc<str>,
    /// Read again when something is renamed in this directory; `None`: when a file is renamed to the
    /// path itself.
    pub directory: Option<Arc<str>>,
}

/// A discovery server of gRPC: one cluster after the other is tried.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grpc {
    pub servers: Arc<[GrpcServer]>,
    pub delta: bool,
    /// The node is said in the first request of a stream only.
    pub node_on_first_only: bool,
}

/// Where a gRPC service is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrpcServer {
    pub to: GrpcTarget,
    pub authority: Option<Arc<str>>,
    pub timeout: Option<Duration>,
    /// Headers of each call.
    pub headers: Arc<[(Arc<str>, Arc<str>)]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrpcTarget {
    /// A cluster of the bootstrap.
    Cluster(Arc<str>),
    /// `host:port` in plain text, as Google's client takes it.
    Uri(Arc<str>),
}

/// A discovery server that is polled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rest {
    /// Clusters of the bootstrap.
    pub clusters: Arc<[Arc<str>]>,
    pub refresh: Duration,
    /// Envoy: 1 s.
    pub timeout: Duration,
}

/// Who we say we are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub id: Arc<str>,
    pub cluster: Arc<str>,
    pub locality: crate::locality::Locality,
    pub metadata: Metadata,
}
