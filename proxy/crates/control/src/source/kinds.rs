//! Which kinds of the Kubernetes API are followed, and what of their objects is read.
//!
//! What is not named here never takes memory. Of kinds that other people define the whole `spec`
//! is kept, so that a field that is not understood is seen, and closes.
use culvert_kubernetes::kind::Kind;

/// Groups of Istio's kinds.
pub(crate) const NETWORKING: &str = "networking.istio.io";
pub(crate) const SECURITY: &str = "security.istio.io";

/// The place of each in the list that is followed.
pub(crate) fn followed() -> Vec<Kind> {
    let core = |kind, plural, fields| Kind::built_in("", &["v1"], kind, plural, fields);
    let settings = |name: &'static str| {
        let kind = core("ConfigMap", "configmaps", &["data.mesh"]);
        kind.with_selector(format!("metadata.name={name}"))
    };
    let networking = |kind, plural| {
        let versions = &["v1", "v1beta1", "v1alpha3"];
        Kind::custom(NETWORKING, versions, kind, plural, TOLD)
    };
    let security = |kind, plural| Kind::custom(SECURITY, &["v1", "v1beta1"], kind, plural, TOLD);
    let gateway_api = |versions: &'static [&'static str], kind, plural| {
        Kind::custom("gateway.networking.k8s.io", versions, kind, plural, TOLD)
    };
    let all = [
        core("Namespace", "namespaces", NAMED),
        core("Node", "nodes", &["metadata.labels"]),
        settings("mesh"),
        settings("istio"),
        core("Service", "services", SERVICE),
        Kind::built_in("discovery.k8s.io", &["v1"], "EndpointSlice", "endpointslices", SLICE),
        core("Pod", "pods", POD),
        networking("ServiceEntry", "serviceentries"),
        networking("WorkloadEntry", "workloadentries"),
        security("PeerAuthentication", "peerauthentications"),
        security("AuthorizationPolicy", "authorizationpolicies"),
        networking("VirtualService", "virtualservices"),
        networking("DestinationRule", "destinationrules"),
        networking("Gateway", "gateways"),
        gateway_api(&["v1", "v1beta1"], "GatewayClass", "gatewayclasses"),
        gateway_api(&["v1", "v1beta1"], "Gateway", "gateways"),
        gateway_api(&["v1", "v1beta1"], "HTTPRoute", "httproutes"),
        gateway_api(&["v1", "v1alpha2"], "GRPCRoute", "grpcroutes"),
        gateway_api(&["v1", "v1alpha3", "v1alpha2"], "TLSRoute", "tlsroutes"),
        gateway_api(&["v1", "v1alpha2"], "TCPRoute", "tcproutes"),
        gateway_api(&["v1", "v1beta1"], "ReferenceGrant", "referencegrants"),
        gateway_api(&["v1", "v1alpha3"], "BackendTLSPolicy", "backendtlspolicies"),
    ];
    all.into_iter().map(|kind| kind.with_annotations(is_read)).collect()
}

/// And of these those that something names.
pub(crate) fn named() -> [Kind; 2] {
    let core = |kind, plural, fields| {
        Kind::built_in("", &["v1"], kind, plural, fields).with_annotations(|_| false)
    };
    [core("ConfigMap", "configmaps", &["data"]), core("Secret", "secrets", &["type", "data"])]
}

/// Annotations that mean something here; others can be long: `kubectl` writes whole objects into
/// one.
fn is_read(annotation: &str) -> bool {
    let of = annotation.split('/').next().unwrap_or_default();
    of == "culvert.dev" || of == "istio.io" || of.ends_with(".istio.io")
}

const NAMED: &[&str] = &["metadata.labels", "metadata.annotations", "metadata.creationTimestamp"];

/// They are told of themselves what became of them, in their status: which is not read.
const TOLD: &[&str] = &[
    "metadata.labels",
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.generation",
    "metadata.uid",
    "spec",
];

const SERVICE: &[&str] = &[
    "metadata.labels",
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "spec.clusterIP",
    "spec.clusterIPs",
    "spec.internalTrafficPolicy",
    "spec.ipFamilies",
    "spec.ports.appProtocol",
    "spec.ports.name",
    "spec.ports.port",
    "spec.ports.protocol",
    "spec.ports.targetPort",
    "spec.publishNotReadyAddresses",
    "spec.selector",
    "spec.trafficDistribution",
    "spec.type",
    "status.loadBalancer.ingress.hostname",
    "status.loadBalancer.ingress.ip",
];

const SLICE: &[&str] = &[
    "metadata.labels",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "addressType",
    "endpoints.addresses",
    "endpoints.conditions.ready",
    "endpoints.nodeName",
    "endpoints.targetRef.kind",
    "endpoints.targetRef.name",
    "endpoints.targetRef.namespace",
    "endpoints.zone",
    "ports.name",
    "ports.port",
    "ports.protocol",
];

const POD: &[&str] = &[
    "metadata.labels",
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "metadata.ownerReferences.controller",
    "metadata.ownerReferences.kind",
    "metadata.ownerReferences.name",
    "metadata.uid",
    "spec.containers.ports.containerPort",
    "spec.containers.ports.name",
    "spec.containers.ports.protocol",
    "spec.dnsConfig.nameservers",
    "spec.ephemeralContainers.ports.containerPort",
    "spec.ephemeralContainers.ports.name",
    "spec.ephemeralContainers.ports.protocol",
    "spec.hostNetwork",
    "spec.initContainers.ports.containerPort",
    "spec.initContainers.ports.name",
    "spec.initContainers.ports.protocol",
    "spec.nodeName",
    "spec.serviceAccount",
    "spec.serviceAccountName",
    "status.conditions.status",
    "status.conditions.type",
    "status.phase",
    "status.podIP",
    "status.podIPs.ip",
];
