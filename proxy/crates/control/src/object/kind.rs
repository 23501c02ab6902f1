//! Which kinds there are, and what this version does with them.

/// What becomes of an object of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Namespace,
    Pod,
    Service,
    EndpointSlice,
    ServiceEntry,
    WorkloadEntry,
    PeerAuthentication,
    AuthorizationPolicy,
    ConfigMap,
    Node,
    /// Holds objects.
    List,
    /// Known, and not used by this version.
    Later,
    /// Not known.
    Unknown,
    /// A kind that is used, in a version that does not exist: skipping it would let a slip of the
    /// keyboard take pods out of the mesh.
    WrongVersion {
        want: &'static str,
    },
}

/// Kinds of one API group that are read by a later version.
struct Group {
    name: &'static str,
    kinds: &'static [&'static str],
}

/// Core kinds that are read now.
pub(super) const USED: [&str; 6] = ["Namespace", "Pod", "Service", "ConfigMap", "Node", "List"];

/// A kind that is read now.
struct Used {
    group: &'static str,
    kind: &'static str,
    versions: &'static [&'static str],
    reading: Reading,
}

const READ: &[Used] = &[
    used("", "Namespace", &["v1"], Reading::Namespace),
    used("", "Pod", &["v1"], Reading::Pod),
    used("", "Service", &["v1"], Reading::Service),
    used("", "ConfigMap", &["v1"], Reading::ConfigMap),
    used("", "Node", &["v1"], Reading::Node),
    used("discovery.k8s.io", "EndpointSlice", &["v1"], Reading::EndpointSlice),
    used(NETWORKING, "ServiceEntry", &["v1", "v1beta1", "v1alpha3"], Reading::ServiceEntry),
    used(NETWORKING, "WorkloadEntry", &["v1", "v1beta1", "v1alpha3"], Reading::WorkloadEntry),
    used(SECURITY, "PeerAuthentication", &["v1", "v1beta1"], Reading::PeerAuthentication),
    used(SECURITY, "AuthorizationPolicy", &["v1", "v1beta1"], Reading::AuthorizationPolicy),
];

const NETWORKING: &str = "networking.istio.io";

const SECURITY: &str = "security.istio.io";

const fn used(
    group: &'static str,
    kind: &'static str,
    versions: &'static [&'static str],
    reading: Reading,
) -> Used {
    Used { group, kind, versions, reading }
}

const LATER: &[Group] = &[
    Group { name: "", kinds: &["Endpoints", "ServiceAccount", "Secret"] },
    Group { name: "apps", kinds: &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] },
    Group { name: "batch", kinds: &["Job", "CronJob"] },
    Group {
        name: "networking.istio.io",
        kinds: &["Gateway", "VirtualService", "DestinationRule", "WorkloadGroup"],
    },
    Group { name: "security.istio.io", kinds: &["RequestAuthentication"] },
    Group { name: "telemetry.istio.io", kinds: &["Telemetry"] },
    Group {
        name: "gateway.networking.k8s.io",
        kinds: &[
            "GatewayClass",
            "Gateway",
            "HTTPRoute",
            "GRPCRoute",
            "TLSRoute",
            "TCPRoute",
            "ReferenceGrant",
            "BackendTLSPolicy",
        ],
    },
];

/// What to do with an object that says it is `kind` of `api_version`.
pub(crate) fn reading(api_version: &str, kind: &str) -> Reading {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let known = |kind: &str| READ.iter().find(|used| (used.group, used.kind) == (group, kind));
    if let Some(used) = known(kind) {
        return match (used.versions.contains(&version), used.versions) {
            (false, [want, ..]) => Reading::WrongVersion { want },
            (_, _) => used.reading,
        };
    }
    let item = kind.strip_suffix("List");
    match item {
        Some("") if group.is_empty() && version == "v1" => Reading::List,
        Some("") if group.is_empty() => Reading::WrongVersion { want: "v1" },
        _ if is_later(group, kind) => Reading::Later,
        Some(item) if is_later(group, item) => Reading::List,
        Some(item) => known(item).map_or(Reading::Unknown, |used| match used.versions {
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
            ("v1", "Pod", Reading::Pod),
            ("v2", "Pod", Reading::WrongVersion { want: "v1" }),
            ("example.org/v1", "Pod", Reading::Unknown),
            ("v1", "PodList", Reading::List),
            ("networking.istio.io/v1alpha3", "Gateway", Reading::Later),
            ("gateway.networking.k8s.io/v1", "HTTPRouteList", Reading::List),
            ("networking.k8s.io/v1", "Gateway", Reading::Unknown),
            ("networking.istio.io/v1alpha3", "ServiceEntry", Reading::ServiceEntry),
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
