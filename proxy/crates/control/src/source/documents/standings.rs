//! How objects of Istio stand, for their status; and who objects are that are told what became of
//! them.
use super::{Document, Documents, Followed, called, gateways};
use crate::{
    compile::{effect::Effect, incremental::Compiler},
    problem::Problem,
    source::kinds::{NETWORKING, SECURITY},
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
        let is_told = stands(kind) || gateways::is_told(kind);
        is_told.then(|| Box::new(serde_json::from_str(json).unwrap_or_default()))
    }
}

impl Documents {
    /// Whether objects may stand otherwise than at the last call, for what was told since.
    pub(crate) fn take_standings_changed(&mut self) -> bool {
        std::mem::take(&mut self.standings_changed)
    }

    /// How every object of Istio stands, as `compiler` understands them: policies first, for they
    /// are what somebody waits for.
    pub(crate) fn standings(&self, compiler: &Compiler) -> Arc<[Standing]> {
        let mut told: Vec<_> =
            self.kinds.iter().filter(|followed| stands(&followed.kind)).collect();
        told.sort_by_key(|followed| followed.kind.group != SECURITY);
        let all = told.into_iter().flat_map(|Followed { kind, documents, .. }| {
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

/// Whether objects of a kind are told how they stand.
pub(super) fn stands(kind: &Kind) -> bool {
    [NETWORKING, SECURITY].contains(&kind.group)
}

fn standing(kind: &Kind, key: &Key, document: &Document, compiler: &Compiler) -> Option<Standing> {
    let Header { api_version, metadata: Stamp { uid, generation } } =
        &**document.header.as_ref()?;
    let name = || ObjectName::new(Arc::clone(&key.namespace), Arc::clone(&key.name));
    let refused = document.invalid.as_ref().map(|(instead, problems)| {
        let problems: Vec<_> = problems.iter().map(Problem::without_place).collect();
        format!("{}; {}", problems.join("; "), instead.as_str())
    });
    let effect = match (&refused, kind.kind) {
        (Some(_), _) => Effect::Whole,
        (None, "AuthorizationPolicy") => compiler.authorization_effect(&name()),
        (None, "PeerAuthentication") => compiler.peer_effect(&name()),
        (None, other) => compiler.effect(other, &called(kind, key)),
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
