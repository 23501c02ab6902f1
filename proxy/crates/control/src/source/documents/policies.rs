//! How policies stand, for their status; and who objects are that are told what became of them.
use super::{Document, Documents, Followed, gateways};
use crate::{
    compile::{effect::Effect, incremental::Compiler},
    problem::Problem,
    standing::Standing,
};
use culvert_kubernetes::{kind::Kind, trim::Key};
use culvert_model::name::ObjectName;
use serde::Deserialize;
use std::sync::Arc;

/// What the API server says of an object, beside what it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Header {
    pub(super) api_version: String,
    pub(super) metadata: Stamp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stamp {
    pub(super) uid: String,
    pub(super) generation: u64,
}

impl Header {
    /// Of an object of a kind that is told what becomes of it.
    pub(super) fn of(kind: &Kind, json: &str) -> Option<Box<Self>> {
        let is_told = is_policy(kind) || gateways::is_told(kind);
        is_told.then(|| Box::new(serde_json::from_str(json).unwrap_or_default()))
    }
}

impl Documents {
    /// Whether policies may stand otherwise than at the last call, for what was told since.
    pub(crate) fn take_policies_changed(&mut self) -> bool {
        std::mem::take(&mut self.policies_changed)
    }

    /// How every policy stands, as `compiler` understands them.
    pub(crate) fn standings(&self, compiler: &Compiler) -> Arc<[Standing]> {
        let policies = self.kinds.iter().filter(|followed| is_policy(&followed.kind));
        let all = policies.flat_map(|Followed { kind, documents, .. }| {
            documents.iter().filter_map(|(key, document)| standing(kind, key, document, compiler))
        });
        all.collect()
    }

    /// How the API server calls a pod that is there now, whatever is called like it later.
    pub(crate) fn uid_of_pod(&self, name: &ObjectName) -> Option<String> {
        let pods = self.kinds.iter().find(|followed| followed.kind.kind == "Pod")?;
        let (namespace, name) = (Arc::clone(&name.namespace), Arc::clone(&name.name));
        let pod = pods.documents.get(&Key { namespace, name })?.objects.pods.first()?;
        let header: Header = serde_json::from_str(pod.meta.origin.text()).ok()?;
        Some(header.metadata.uid).filter(|uid| !uid.is_empty())
    }
}

pub(super) fn is_policy(kind: &Kind) -> bool {
    matches!(kind.kind, "AuthorizationPolicy" | "PeerAuthentication")
}

fn standing(kind: &Kind, key: &Key, document: &Document, compiler: &Compiler) -> Option<Standing> {
    let Header { api_version, metadata: Stamp { uid, generation } } =
        &**document.header.as_ref()?;
    let name = ObjectName::new(Arc::clone(&key.namespace), Arc::clone(&key.name));
    let refused = document.invalid.as_ref().map(|(instead, problems)| {
        let problems: Vec<_> = problems.iter().map(Problem::without_place).collect();
        format!("{}; {}", problems.join("; "), instead.as_str())
    });
    let effect = match (&refused, kind.kind) {
        (Some(_), _) => Effect::Whole,
        (None, "AuthorizationPolicy") => compiler.authorization_effect(&name),
        (None, _) => compiler.peer_effect(&name),
    };
    Some(Standing {
        kind: kind.kind,
        plural: kind.plural,
        api_version: api_version.clone(),
        key: key.clone(),
        uid: uid.clone(),
        generation: *generation,
        refused,
        effect,
    })
}
