//! How much there may be of a thing, as the definitions of Istio's kinds have it.
use super::{
    kind::Kind,
    node::{Node, Value},
};
use crate::problem::{Origin, Problem, Source};
use std::sync::Arc;

/// The most items of a list, entries of a mapping, or characters of a text.
#[derive(Clone, Copy)]
enum Most {
    Items(usize),
    Entries(usize),
    Characters(usize),
}

use Most::{Characters, Entries, Items};

/// Of everything that has an endpoint: below it.
const ENDPOINT: [(&str, Most); 6] = [
    ("address", Characters(256)),
    ("labels", Entries(256)),
    ("locality", Characters(2048)),
    ("network", Characters(2048)),
    ("ports", Entries(128)),
    ("serviceAccount", Characters(253)),
];

/// Of everything that selects workloads.
const LABELS: [(&str, Most); 2] = [("", Entries(4096)), ("{}", Characters(63))];

const SERVICE_ENTRY: [(&str, Most); 9] = [
    ("spec.hosts", Items(256)),
    ("spec.addresses", Items(256)),
    ("spec.addresses.[]", Characters(64)),
    ("spec.endpoints", Items(4096)),
    ("spec.ports", Items(256)),
    ("spec.ports.[].name", Characters(256)),
    ("spec.ports.[].protocol", Characters(256)),
    ("spec.workloadSelector.labels", Entries(256)),
    ("spec.workloadSelector.labels.{}", Characters(63)),
];

const AUTHORIZATION: [(&str, Most); 6] = [
    ("spec.rules", Items(512)),
    ("spec.rules.[].from", Items(512)),
    ("spec.rules.[].from.[].source.serviceAccounts", Items(16)),
    ("spec.rules.[].from.[].source.serviceAccounts.[]", Characters(320)),
    ("spec.rules.[].from.[].source.notServiceAccounts", Items(16)),
    ("spec.rules.[].from.[].source.notServiceAccounts.[]", Characters(320)),
];

const DESTINATION_RULE: [(&str, Most); 2] = [
    ("spec.trafficPolicy.portLevelSettings", Items(4096)),
    ("spec.subsets.[].trafficPolicy.portLevelSettings", Items(4096)),
];

const GROUP: [(&str, Most); 2] =
    [("spec.metadata.labels", Entries(256)), ("spec.metadata.annotations", Entries(256))];

/// Limits below a path.
type Below = (&'static str, &'static [(&'static str, Most)]);

const LIMITS: &[(Kind, &[Below])] = &[
    (Kind::ServiceEntry, &[("", &SERVICE_ENTRY), ("spec.endpoints.[]", &ENDPOINT)]),
    (Kind::WorkloadEntry, &[("spec", &ENDPOINT)]),
    (Kind::WorkloadGroup, &[("", &GROUP), ("spec.template", &ENDPOINT)]),
    (Kind::AuthorizationPolicy, &[("", &AUTHORIZATION), ("spec.selector.matchLabels", &LABELS)]),
    (Kind::PeerAuthentication, &[("spec.selector.matchLabels", &LABELS)]),
    (Kind::RequestAuthentication, &[("spec.selector.matchLabels", &LABELS)]),
    (Kind::Telemetry, &[("spec.selector.matchLabels", &LABELS)]),
    (
        Kind::DestinationRule,
        &[("", &DESTINATION_RULE), ("spec.workloadSelector.matchLabels", &LABELS)],
    ),
];

/// What is too much in an object of `kind`.
pub(super) fn problems(kind: Kind, root: &Node, source: &Arc<Source>) -> Vec<Problem> {
    let groups = LIMITS.iter().filter(|(of, _)| *of == kind).flat_map(|(_, groups)| *groups);
    let mut problems = Vec::new();
    for (above, rows) in groups {
        for (path, most) in *rows {
            let path: Vec<&str> =
                above.split('.').chain(path.split('.')).filter(|step| !step.is_empty()).collect();
            visit(root, &path, &mut |node| {
                if let Some(told) = most.exceeded(node) {
                    problems.push(Origin::new(source, node.at).error(told));
                }
            });
        }
    }
    problems
}

/// Shows every node at `path`: fields, `[]` items, `{}` values of any key.
fn visit(node: &Node, path: &[&str], see: &mut impl FnMut(&Node)) {
    let Some((step, path)) = path.split_first() else { return see(node) };
    match (&node.value, *step) {
        (Value::Seq(items), "[]") => items.iter().for_each(|item| visit(item, path, see)),
        (Value::Map(entries), "{}") => {
            entries.iter().for_each(|entry| visit(&entry.node, path, see));
        }
        (Value::Map(_), step) => {
            if let Some(field) = node.get(step) {
                visit(field, path, see);
            }
        }
        (_, _) => {}
    }
}

impl Most {
    fn exceeded(self, node: &Node) -> Option<String> {
        let (is, most, of) = match (self, &node.value) {
            (Self::Items(most), Value::Seq(items)) => (items.len(), most, "items"),
            (Self::Entries(most), Value::Map(entries)) => (entries.len(), most, "entries"),
            (Self::Characters(most), Value::Text(text)) => {
                (text.chars().count(), most, "characters")
            }
            (_, _) => return None,
        };
        (is > most).then(|| format!("{is} {of} are too many: want at most {most}"))
    }
}
