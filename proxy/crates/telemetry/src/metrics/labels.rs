//! The labels of Istio's TCP metrics.
use crate::path::Path;
use culvert_model::{
    facts::{ConnFacts, Direction},
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

/// What the series of a connection is told by: two workloads and how they talk.
///
/// Bounded by the workloads there are; nothing in it is a client's choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TcpLabels {
    pub(super) direction: Direction,
    path: Path,
    source: End,
    destination: End,
}

/// A workload as far as metrics tell workloads apart: two pods of one Deployment are one end.
#[derive(Clone, Debug)]
struct End(Option<Arc<Workload>>);

/// One series' labels, in ztunnel's order.
#[derive(Debug)]
pub(super) struct Labelled<'a> {
    pub(super) labels: &'a TcpLabels,
    pub(super) response_flags: &'static str,
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
}

impl TcpLabels {
    pub(super) fn of(facts: &ConnFacts, path: Path) -> Self {
        let end = |workload: &Option<Arc<Workload>>| End(workload.as_ref().map(Arc::clone));
        Self {
            direction: facts.direction,
            path,
            source: end(&facts.source_workload),
            destination: end(&facts.destination_workload),
        }
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
        let Some(workload) = &self.0 else {
            return Shown {
                workload: UNKNOWN,
                canonical_service: UNKNOWN,
                canonical_revision: UNKNOWN,
                namespace: UNKNOWN,
                app: UNKNOWN,
                version: UNKNOWN,
                cluster: UNKNOWN,
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

impl EncodeLabelSet for Labelled<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let TcpLabels { direction, path, source, destination } = self.labels;
        let (source, destination) = (source.shown(), destination.shown());
        // Principals are those a handshake proved, and services those that were asked for by
        // name: of a plain connection between two addresses neither is known.
        [
            ("reporter", reporter(*direction)),
            ("source_workload", source.workload),
            ("source_canonical_service", source.canonical_service),
            ("source_canonical_revision", source.canonical_revision),
            ("source_workload_namespace", source.namespace),
            ("source_principal", UNKNOWN),
            ("source_app", source.app),
            ("source_version", source.version),
            ("source_cluster", source.cluster),
            ("destination_service", UNKNOWN),
            ("destination_service_namespace", UNKNOWN),
            ("destination_service_name", UNKNOWN),
            ("destination_workload", destination.workload),
            ("destination_canonical_service", destination.canonical_service),
            ("destination_canonical_revision", destination.canonical_revision),
            ("destination_workload_namespace", destination.namespace),
            ("destination_principal", UNKNOWN),
            ("destination_app", destination.app),
            ("destination_version", destination.version),
            ("destination_cluster", destination.cluster),
            ("request_protocol", "tcp"),
            ("response_flags", self.response_flags),
            ("connection_security_policy", path.security_policy()),
        ]
        .encode(encoder)
    }
}

fn known(name: &str) -> &str {
    if name.is_empty() { UNKNOWN } else { name }
}
