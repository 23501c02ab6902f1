//! What becomes of an object of Istio, for whoever wrote it.
use super::{authorization, incremental::Compiler, mesh::Closing, peer};
use crate::{
    object::{
        Objects, authorization_policy::Selects, meta::Meta, peer_authentication::PeerAuthentication,
    },
    problem::{Problem, Severity},
};
use culvert_model::name::ObjectName;
use std::collections::BTreeMap;

/// Kinds that mean nothing where nobody serves L7.
const BY_L7: [&str; 3] = ["VirtualService", "DestinationRule", "Gateway"];

/// What an object does, other than what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It does what it says.
    #[default]
    Whole,
    /// It closes more than it says: why.
    Closes(String),
    /// It does less than it says: what not.
    Less(String),
    /// It does nothing: why.
    Nothing(String),
}

impl Compiler {
    /// What the `AuthorizationPolicy` of a name does.
    pub(crate) fn authorization_effect(&self, name: &ObjectName) -> Effect {
        let Some(policy) = self.store.authorization_policies.get(name) else {
            return Effect::default();
        };
        let (root, l7) = (&self.mesh().config.root_namespace, self.settings.l7);
        let translated = authorization::translate(policy, root, l7);
        match (translated.policy, translated.closing) {
            (_, Some(Closing { because, .. })) => Effect::Closes(because.to_string()),
            (Some(_), None) => Effect::Whole,
            // L7 alone sees to it.
            (None, None) if l7 => match self.plan_notes_of(name) {
                [] => Effect::Whole,
                notes => Effect::Nothing(in_words(notes)),
            },
            (None, None) => Effect::Nothing(in_words(&translated.notes)),
        }
    }

    /// What the `PeerAuthentication` of a name does.
    pub(crate) fn peer_effect(&self, name: &ObjectName) -> Effect {
        let Some(policy) = self.store.peer_authentications.get(name) else {
            return Effect::default();
        };
        let notes = self.peer_notes(policy);
        match notes.is_empty() {
            true => Effect::Whole,
            false => Effect::Nothing(in_words(&notes)),
        }
    }

    /// What an object does that is no policy: of this kind, and read from this `file`.
    pub(crate) fn effect(&self, kind: &str, file: &str) -> Effect {
        if !self.settings.l7 && BY_L7.contains(&kind) {
            return Effect::Nothing("nobody serves L7 here".to_owned());
        }
        // Sorted by their places.
        let notes = &self.mesh().notes;
        let first = notes.partition_point(|note| *note.file < *file);
        let here = notes.iter().skip(first).take_while(|note| note.file == file);
        let lacks = in_words(here.filter(|note| note.severity != Severity::Info));
        if lacks.is_empty() { Effect::Whole } else { Effect::Less(lacks) }
    }

    /// What a person should know of policies that may come, as things are now.
    pub(crate) fn advice(&self, coming: &Objects) -> Vec<Problem> {
        let root = &self.mesh().config.root_namespace;
        let mut advice = Vec::new();
        for policy in &coming.authorization_policies {
            advice.extend(authorization::translate(policy, root, self.settings.l7).notes);
            if let Selects::Labels(labels) = &policy.selects {
                advice.extend(self.chooses_nothing(&policy.meta, labels));
            }
        }
        for policy in &coming.peer_authentications {
            advice.extend(self.peer_notes(policy));
            if !policy.selector.is_empty() && *policy.meta.name.namespace != **root {
                advice.extend(self.chooses_nothing(&policy.meta, &policy.selector));
            }
        }
        advice
    }

    fn peer_notes(&self, policy: &PeerAuthentication) -> Vec<Problem> {
        let Meta { name, .. } = &policy.meta;
        let all = self.store.peer_authentications.of(&name.namespace);
        // In the place of the version before, if there is one.
        let others = all.map(AsRef::as_ref).filter(|other| other.meta.name != *name);
        let root = &self.mesh().config.root_namespace;
        peer::notes(policy, others.chain([policy]), root)
    }

    /// A warning when a selector chooses no workload that is there now.
    fn chooses_nothing(&self, meta: &Meta, selector: &BTreeMap<String, String>) -> Option<Problem> {
        let namespace = &meta.name.namespace;
        let is_everywhere = *namespace == self.mesh().config.root_namespace;
        let is_here = |other: &Meta| is_everywhere || other.name.namespace == *namespace;
        let pods = self.store.pods.all().filter(|pod| is_here(&pod.meta));
        let entries = self.store.workload_entries.all().filter(|entry| is_here(&entry.meta));
        let mut pods = pods.map(|pod| chooses(selector, |key| pod.meta.label(key)));
        let mut entries = entries.map(|entry| chooses(selector, |key| entry.label(key)));
        let is_there = pods.any(|is_chosen| is_chosen) || entries.any(|is_chosen| is_chosen);
        let warning = || meta.named().warning("its selector chooses no workload that is there now");
        (!is_there).then(warning)
    }
}

fn chooses<'a>(
    selector: &BTreeMap<String, String>,
    label: impl Fn(&str) -> Option<&'a str>,
) -> bool {
    selector.iter().all(|(key, value)| label(key) == Some(value))
}

/// Several in one line.
fn in_words<'a>(notes: impl IntoIterator<Item = &'a Problem>) -> String {
    let mut all: Vec<_> = notes.into_iter().map(Problem::without_place).collect();
    all.dedup();
    all.join("; ")
}
