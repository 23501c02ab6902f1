//! The labels of Istio's metrics of traffic: who talks to whom, and how.
use culvert_model::{
    facts::{ConnFacts, Direction},
    identity::Identity,
    service::Service,
    workload::Workload,
};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// What is not known.
const UNKNOWN: &str = "unknown";

/// What the series of a connection, or of a request, is told by: two workloads, a service, and how
/// they talk.
///
/// Bounded by the workloads and services there are; nothing in it is a client's choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Flow {
    pub(super) direction: Direction,
    security_policy: &'static str,
    source: End,
    destination: End,
    service: Addressed,
}

/// A workload as far as metrics tell workloads apart: two pods of one Deployment are one end.
#[derive(Clone, Debug)]
struct End {
    workload: Option<Arc<Workload>>,
    principal: Option<Identity>,
}

/// A service as far as metrics tell services apart.
#[derive(Clone, Debug)]
struct Addressed(Option<Arc<Service>>);

/// One series' labels, in ztunnel's order.
#[derive(Debug)]
pub(super) struct Labelled<'a> {
    pub(super) flow: &'a Flow,
    pub(super) protocol: &'static str,
    pub(super) response: Response<'a>,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Response<'a> {
    /// A connection.
    Connection { flags: &'static str },
    /// A request.
    Request { code: &'a str, grpc_status: &'a str, flags: &'a str },
}

/// What [`End`] shows.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Shown<'a> {
    workload: &'a str,
    canonical_service: &'a str,
    canonical_revision: &'a str,
    namespace: &'a str,
    app: &'a str,
    version: &'a str,
    cluster: &'a str,
    principal: Option<&'a Identity>,
}

impl Flow {
    pub(super) fn of(facts: &ConnFacts) -> Self {
        let end = |workload: &Option<Arc<Workload>>, principal: &Option<Identity>| End {
            workload: workload.as_ref().map(Arc::clone),
            principal: principal.clone(),
        };
        Self {
            direction: facts.direction,
            security_policy: facts.path.security_policy(),
            source: end(&facts.source_workload, &facts.source_identity),
            destination: end(&facts.destination_workload, &facts.destination_identity),
            service: Addressed(facts.service.as_ref().map(Arc::clone)),
        }
    }

    /// That of one of the ends with whomever.
    pub(super) fn rest(&self) -> Self {
        let nobody = || End { workload: None, principal: None };
        let (source, destination) = match self.direction {
            Direction::Outbound => (self.source.clone(), nobody()),
            Direction::Inbound => (nobody(), self.destination.clone()),
        };
        let service = Addressed(None);
        Self { source, destination, service, ..*self }
    }
}

impl EncodeLabelSet for Flow {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { direction, security_policy: _, source, destination, service } = self;
        let (source, destination) = (source.shown(), destination.shown());
        let [service, service_namespace, service_name] = service.shown();
        // Those a handshake proved, or that are known because both ends are on this node.
        let principal = |end: &Shown<'_>| end.principal.map(Identity::to_string);
        let (source_principal, destination_principal) =
            (principal(&source), principal(&destination));
        let (source_principal, destination_principal) = (
            source_principal.as_deref().unwrap_or(UNKNOWN),
            destination_principal.as_deref().unwrap_or(UNKNOWN),
        );
        // A service that nobody answered for is looked for where its client is: Kiali takes none
        // of which the cluster is unknown.
        let nobody = destination.cluster == UNKNOWN && service != UNKNOWN;
        let destination_cluster = if nobody { source.cluster } else { destination.cluster };
        [
            ("reporter", reporter(*direction)),
            ("source_workload", source.workload),
            ("source_canonical_service", source.canonical_service),
            ("source_canonical_revision", source.canonical_revision),
            ("source_workload_namespace", source.namespace),
            ("source_principal", source_principal),
            ("source_app", source.app),
            ("source_version", source.version),
            ("source_cluster", source.cluster),
            ("destination_service", service),
            ("destination_service_namespace", service_namespace),
            ("destination_service_name", service_name),
            ("destination_workload", destination.workload),
            ("destination_canonical_service", destination.canonical_service),
            ("destination_canonical_revision", destination.canonical_revision),
            ("destination_workload_namespace", destination.namespace),
            ("destination_principal", destination_principal),
            ("destination_app", destination.app),
            ("destination_version", destination.version),
            ("destination_cluster", destination_cluster),
        ]
        .encode(encoder)
    }
}

/// `reporter`: the side of the connection whose proxy says it.
pub(super) const fn reporter(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "source",
        Direction::Inbound => "destination",
    }
}

impl End {
    fn shown(&self) -> Shown<'_> {
        let principal = self.principal.as_ref();
        let Some(workload) = &self.workload else {
            return Shown {
                workload: UNKNOWN,
                canonical_service: UNKNOWN,
                canonical_revision: UNKNOWN,
                namespace: UNKNOWN,
                app: UNKNOWN,
                version: UNKNOWN,
                cluster: UNKNOWN,
                principal,
            };
        };
        Shown {
            workload: known(&workload.owner),
            canonical_service: known(&workload.canonical_name),
            canonical_revision: known(&workload.canonical_revision),
            namespace: known(&workload.name.namespace),
            app: known(&workload.app),
            version: known(&workload.version),
            cluster: known(&workload.cluster),
            principal,
        }
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> Ordering {
        self.shown().cmp(&other.shown())
    }
}

impl Hash for End {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shown().hash(state);
    }
}

impl Addressed {
    /// Host name, namespace and name.
    fn shown(&self) -> [&str; 3] {
        let Some(service) = &self.0 else { return [UNKNOWN; 3] };
        let Service { host, name, .. } = &**service;
        [&host.hostname, &host.namespace, name].map(|part| known(part))
    }
}

impl PartialEq for Addressed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Addressed {}

impl PartialOrd for Addressed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Addressed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.shown().cmp(&other.shown())
    }
}

impl Hash for Addressed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shown().hash(state);
    }
}

impl EncodeLabelSet for Labelled<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { flow, protocol, response } = self;
        flow.encode(encoder)?;
        [("request_protocol", *protocol)].encode(encoder)?;
        let flags = match *response {
            Response::Connection { flags } => flags,
            Response::Request { code, grpc_status, flags } => {
                [("response_code", code), ("grpc_response_status", grpc_status)].encode(encoder)?;
                flags
            }
        };
        [("response_flags", flags), ("connection_security_policy", flow.security_policy)]
            .encode(encoder)
    }
}

fn known(name: &str) -> &str {
    if name.is_empty() { UNKNOWN } else { name }
}
