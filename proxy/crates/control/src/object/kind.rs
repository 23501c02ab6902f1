//! Which kinds there are, and what this version does with them.

/// One row for each kind that is read, in the order that decides between objects: what it is
/// called here, the field of `Objects`, its type, its group, name and versions, and whether this
/// version uses it or a `later` one does. Of one that has several meanings the first is what it is
/// read as, unless it is told from what it holds (`read`).
///
/// A further kind is a row here, and a module with its type: `meta: Meta` and `read`.
macro_rules! for_each_kind {
    ($with:ident) => {
        $with! {
            Settings settings $crate::object::config_map::MeshSettings,
                "" "ConfigMap" ["v1"] used;
            Roots roots $crate::object::roots::Roots,
                "" "ConfigMap" ["v1"] used;
            Namespace namespaces $crate::object::namespace::Namespace,
                "" "Namespace" ["v1"] used;
            Host hosts $crate::object::host::Host,
                "" "Node" ["v1"] used;
            Service services $crate::object::service::Service,
                "" "Service" ["v1"] used;
            ServiceEntry service_entries $crate::object::service_entry::ServiceEntry,
                "networking.istio.io" "ServiceEntry" ["v1", "v1beta1", "v1alpha3"] used;
            EndpointSlice slices $crate::object::slice::EndpointSlice,
                "discovery.k8s.io" "EndpointSlice" ["v1"] used;
            Pod pods $crate::object::pod::Pod,
                "" "Pod" ["v1"] used;
            WorkloadEntry workload_entries $crate::object::workload_entry::WorkloadEntry,
                "networking.istio.io" "WorkloadEntry" ["v1", "v1beta1", "v1alpha3"] used;
            PeerAuthentication peer_authentications
                $crate::object::peer_authentication::PeerAuthentication,
                "security.istio.io" "PeerAuthentication" ["v1", "v1beta1"] used;
            AuthorizationPolicy authorization_policies
                $crate::object::authorization_policy::AuthorizationPolicy,
                "security.istio.io" "AuthorizationPolicy" ["v1", "v1beta1"] used;
            GatewayClass gateway_classes $crate::object::gateway_api::gateway_class::GatewayClass,
                "gateway.networking.k8s.io" "GatewayClass" ["v1", "v1beta1"] used;
            KubernetesGateway kubernetes_gateways $crate::object::gateway_api::gateway::Gateway,
                "gateway.networking.k8s.io" "Gateway" ["v1", "v1beta1"] used;
            HttpRoute http_routes $crate::object::gateway_api::http_route::HttpRoute,
                "gateway.networking.k8s.io" "HTTPRoute" ["v1", "v1beta1"] used;
            GrpcRoute grpc_routes $crate::object::gateway_api::grpc_route::GrpcRoute,
                "gateway.networking.k8s.io" "GRPCRoute" ["v1", "v1alpha2"] used;
            TlsRoute tls_routes $crate::object::gateway_api::stream_route::TlsRoute,
                "gateway.networking.k8s.io" "TLSRoute" ["v1", "v1alpha3", "v1alpha2"] used;
            TcpRoute tcp_routes $crate::object::gateway_api::stream_route::TcpRoute,
                "gateway.networking.k8s.io" "TCPRoute" ["v1", "v1alpha2"] used;
            ReferenceGrant reference_grants
                $crate::object::gateway_api::reference_grant::ReferenceGrant,
                "gateway.networking.k8s.io" "ReferenceGrant" ["v1", "v1beta1"] used;
            BackendTlsPolicy backend_tls_policies
                $crate::object::gateway_api::backend_tls_policy::BackendTlsPolicy,
                "gateway.networking.k8s.io" "BackendTLSPolicy" ["v1", "v1alpha3"] used;
            Secret secrets $crate::object::secret::Secret,
                "" "Secret" ["v1"] used;
            ServiceAccount service_accounts $crate::object::service_account::ServiceAccount,
                "" "ServiceAccount" ["v1"] later;
            Deployment deployments $crate::object::workload::kinds::Deployment,
                "apps" "Deployment" ["v1"] later;
            ReplicaSet replica_sets $crate::object::workload::kinds::ReplicaSet,
                "apps" "ReplicaSet" ["v1"] later;
            StatefulSet stateful_sets $crate::object::workload::kinds::StatefulSet,
                "apps" "StatefulSet" ["v1"] later;
            DaemonSet daemon_sets $crate::object::workload::kinds::DaemonSet,
                "apps" "DaemonSet" ["v1"] later;
            Job jobs $crate::object::workload::kinds::Job,
                "batch" "Job" ["v1"] later;
            VirtualService virtual_services
                $crate::object::istio::virtual_service::VirtualService,
                "networking.istio.io" "VirtualService" ["v1", "v1beta1", "v1alpha3"] used;
            DestinationRule destination_rules
                $crate::object::istio::destination_rule::DestinationRule,
                "networking.istio.io" "DestinationRule" ["v1", "v1beta1", "v1alpha3"] used;
            IstioGateway istio_gateways $crate::object::istio::gateway::Gateway,
                "networking.istio.io" "Gateway" ["v1", "v1beta1", "v1alpha3"] used;
            WorkloadGroup workload_groups $crate::object::istio::workload_group::WorkloadGroup,
                "networking.istio.io" "WorkloadGroup" ["v1", "v1beta1", "v1alpha3"] later;
            RequestAuthentication request_authentications
                $crate::object::istio::request_authentication::RequestAuthentication,
                "security.istio.io" "RequestAuthentication" ["v1", "v1beta1"] later;
            Telemetry telemetries $crate::object::istio::telemetry::Telemetry,
                "telemetry.istio.io" "Telemetry" ["v1", "v1alpha1"] later;
        }
    };
}

pub(crate) use for_each_kind;

/// What becomes of an object of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is read.
    Object(Kind),
    /// Holds objects.
    List,
    /// Known, and not used by this version.
    Later,
    /// Not known.
    Unknown,
    /// A kind that is used, in a version that does not exist: skipping it would let a slip of the
    /// keyboard take pods out of the mesh.
    WrongVersion { want: &'static str },
}

/// Kinds of one API group that are read by a later version.
struct Group {
    name: &'static str,
    kinds: &'static [&'static str],
}

/// A kind as manifests write it.
struct Row {
    kind: Kind,
    group: &'static str,
    name: &'static str,
    versions: &'static [&'static str],
    used: bool,
}

macro_rules! rows {
    ($($kind:ident $field:ident $type:ty,
        $group:literal $name:literal [$($version:literal),*] $when:ident;)*) => {
        /// Kinds that are read, in the order that decides between their objects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        const ROWS: &[Row] = &[$(Row {
            kind: Kind::$kind,
            group: $group,
            name: $name,
            versions: &[$($version),*],
            used: rows!(@ $when),
        },)*];
    };
    (@ used) => { true };
    (@ later) => { false };
}

for_each_kind!(rows);

impl Kind {
    /// Whether this version does something with it.
    pub(crate) fn is_used(self) -> bool {
        ROWS.iter().any(|row| row.kind == self && row.used)
    }
}

/// Core kinds that are used.
pub(super) fn core() -> Vec<&'static str> {
    let used = ROWS.iter().filter(|row| row.group.is_empty() && row.used).map(|row| row.name);
    used.chain(["List"]).collect()
}

const LATER: &[Group] = &[
    Group { name: "", kinds: &["Endpoints"] },
    Group { name: "batch", kinds: &["CronJob"] },
    Group { name: "networking.istio.io", kinds: &["Sidecar", "ProxyConfig", "EnvoyFilter"] },
    Group { name: "extensions.istio.io", kinds: &["WasmPlugin", "TrafficExtension"] },
    Group { name: "gateway.networking.k8s.io", kinds: &["ListenerSet", "UDPRoute"] },
];

/// What to do with an object that says it is `kind` of `api_version`.
pub(crate) fn reading(api_version: &str, kind: &str) -> Reading {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let known = |kind: &str| ROWS.iter().find(|row| (row.group, row.name) == (group, kind));
    if let Some(row) = known(kind) {
        return match (row.versions.contains(&version), row.versions) {
            (false, [want, ..]) => Reading::WrongVersion { want },
            (_, _) => Reading::Object(row.kind),
        };
    }
    let item = kind.strip_suffix("List");
    match item {
        Some("") if group.is_empty() && version == "v1" => Reading::List,
        Some("") if group.is_empty() => Reading::WrongVersion { want: "v1" },
        _ if is_later(group, kind) => Reading::Later,
        Some(item) if is_later(group, item) => Reading::List,
        Some(item) => known(item).map_or(Reading::Unknown, |row| match row.versions {
            versions if versions.contains(&version) => Reading::List,
            [want, ..] => Reading::WrongVersion { want },
            [] => Reading::Unknown,
        }),
        None => Reading::Unknown,
    }
}

fn is_later(group: &str, kind: &str) -> bool {
    LATER.iter().any(|known| known.name == group && known.kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_kinds_by_group_and_version() {
        for (api_version, kind, expect) in [
            ("v1", "Pod", Reading::Object(Kind::Pod)),
            ("v2", "Pod", Reading::WrongVersion { want: "v1" }),
            ("example.org/v1", "Pod", Reading::Unknown),
            ("v1", "PodList", Reading::List),
            ("apps/v1", "Deployment", Reading::Object(Kind::Deployment)),
            ("batch/v1", "CronJob", Reading::Later),
            ("gateway.networking.k8s.io/v1", "HTTPRouteList", Reading::List),
            ("networking.k8s.io/v1", "Gateway", Reading::Unknown),
            ("networking.istio.io/v1alpha3", "ServiceEntry", Reading::Object(Kind::ServiceEntry)),
            ("security.istio.io/v1", "AuthorizationPolicyList", Reading::List),
            (
                "security.istio.io/v1alpha3",
                "PeerAuthentication",
                Reading::WrongVersion { want: "v1" },
            ),
            ("v1", "ServiceEntry", Reading::Unknown),
            ("v1", "List", Reading::List),
        ] {
            assert_eq!(reading(api_version, kind), expect, "{api_version} {kind}");
        }
    }
}
