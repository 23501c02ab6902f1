//! Which kinds there are, and what this version does with them.

/// What becomes of an object of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Namespace,
    Pod,
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

/// Kinds that are read now; all of `v1`.
pub(super) const USED: [&str; 3] = ["Namespace", "Pod", "List"];

const LATER: &[Group] = &[
    Group {
        name: "",
        kinds: &["Service", "Endpoints", "ServiceAccount", "Node", "Secret", "ConfigMap"],
    },
    Group { name: "discovery.k8s.io", kinds: &["EndpointSlice"] },
    Group { name: "apps", kinds: &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] },
    Group { name: "batch", kinds: &["Job", "CronJob"] },
    Group {
        name: "networking.istio.io",
        kinds: &[
            "Gateway",
            "VirtualService",
            "DestinationRule",
            "ServiceEntry",
            "WorkloadEntry",
            "WorkloadGroup",
        ],
    },
    Group {
        name: "security.istio.io",
        kinds: &["PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"],
    },
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
    let core = |reading| match version {
        "v1" => reading,
        _ => Reading::WrongVersion { want: "v1" },
    };
    match (group, kind) {
        ("", "Namespace") => core(Reading::Namespace),
        ("", "Pod") => core(Reading::Pod),
        ("", "List" | "NamespaceList" | "PodList") => core(Reading::List),
        _ if is_later(group, kind) => Reading::Later,
        _ => match kind.strip_suffix("List") {
            Some(item) if is_later(group, item) => Reading::List,
            _ => Reading::Unknown,
        },
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
        ] {
            assert_eq!(reading(api_version, kind), expect, "{api_version} {kind}");
        }
    }
}
