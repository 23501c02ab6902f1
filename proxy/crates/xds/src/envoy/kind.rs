//! The types of resources there are.

/// A type of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Cluster,
    Endpoint,
    Listener,
    Route,
    Secret,
    Extension,
    Runtime,
}

impl Kind {
    /// In the order in which they are asked for: what is needed by others later.
    pub const ALL: [Self; 7] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Listener,
        Self::Route,
        Self::Secret,
        Self::Extension,
        Self::Runtime,
    ];

    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            Self::Runtime => "type.googleapis.com/envoy.service.runtime.v3.Runtime",
        }
    }

    /// Where it is in [`ALL`](Self::ALL).
    pub const fn place(self) -> usize {
        self as usize
    }

    pub fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// How people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoint => "endpoints",
            Self::Listener => "listener",
            Self::Route => "route table",
            Self::Secret => "secret",
            Self::Extension => "filter",
            Self::Runtime => "runtime layer",
        }
    }

    /// Where REST has it.
    pub const fn rest_path(self) -> &'static str {
        match self {
            Self::Cluster => "/v3/discovery:clusters",
            Self::Endpoint => "/v3/discovery:endpoints",
            Self::Listener => "/v3/discovery:listeners",
            Self::Route => "/v3/discovery:routes",
            Self::Secret => "/v3/discovery:secrets",
            Self::Extension => "/v3/discovery:extension_configs",
            Self::Runtime => "/v3/discovery:runtime",
        }
    }

    /// Where gRPC has it, where it is not aggregated: all of it, and changes only.
    pub const fn grpc_path(self, delta: bool) -> &'static str {
        match (self, delta) {
            (Self::Cluster, false) => {
                "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters"
            }
            (Self::Cluster, true) => {
                "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"
            }
            (Self::Endpoint, false) => {
                "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints"
            }
            (Self::Endpoint, true) => {
                "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"
            }
            (Self::Listener, false) => {
                "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners"
            }
            (Self::Listener, true) => {
                "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners"
            }
            (Self::Route, false) => "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
            (Self::Route, true) => "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes",
            (Self::Secret, false) => {
                "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
            }
            (Self::Secret, true) => "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
            (Self::Extension, false) => {
                "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs"
            }
            (Self::Extension, true) => {
                "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/DeltaExtensionConfigs"
            }
            (Self::Runtime, false) => {
                "/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime"
            }
            (Self::Runtime, true) => {
                "/envoy.service.runtime.v3.RuntimeDiscoveryService/DeltaRuntime"
            }
        }
    }
}
