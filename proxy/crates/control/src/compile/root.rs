//! What holds for the whole mesh, and where policies for all of it are.
use super::{
    Settings,
    mesh::{MeshConfig, ROOT_NAMESPACE},
    store::Store,
};
use crate::{
    object::{config_map::MeshSettings, meta::Meta},
    problem::Problem,
};
use culvert_model::snapshot::OutboundPolicy;
use std::sync::Arc;

/// Names the network that this control plane speaks of, on the root namespace.
const NETWORK: &str = "topology.istio.io/network";

/// Where Istio has what is for the whole mesh.
const ISTIO: &str = "istio-system";

/// What `store` says of the whole mesh, and what a person has to know of it.
pub(super) fn config(store: &Store, settings: &Settings) -> (MeshConfig, Vec<Problem>) {
    let written: Option<&MeshSettings> =
        (store.settings.all()).min_by_key(|one| &one.meta.origin).map(AsRef::as_ref);
    let named = written.and_then(|written| written.root_namespace.as_ref());
    let root_namespace = match (named, written) {
        (Some(named), _) => named.value.as_str(),
        (None, Some(written)) => &*written.meta.name.namespace,
        (None, None) if is_there(store, ROOT_NAMESPACE) => ROOT_NAMESPACE,
        (None, None) if is_there(store, ISTIO) => ISTIO,
        (None, None) => ROOT_NAMESPACE,
    };
    let trust_domain = written.and_then(|written| written.trust_domain.as_ref());
    let network = store.namespace(root_namespace).and_then(|root| root.meta.label(NETWORK));
    let config = MeshConfig {
        root_namespace: root_namespace.into(),
        trust_domain: trust_domain
            .map_or_else(|| Arc::clone(&settings.trust_domain), |td| td.value.as_str().into()),
        network: network.unwrap_or_default().into(),
        outbound: match written.is_some_and(|written| written.registry_only) {
            true => OutboundPolicy::RegistryOnly,
            false => OutboundPolicy::AllowAny,
        },
        certificates: written.map(|written| written.certificates).unwrap_or_default(),
    };
    let mut notes = Vec::new();
    for one in store.settings.all() {
        notes.extend(one.notes.iter().cloned());
        let is_used = written.is_some_and(|written| written.meta.origin == one.meta.origin);
        if !is_used {
            notes.push(one.meta.named().warning("other settings of the mesh are there: ignored"));
        }
    }
    (config, notes)
}

/// Whether somebody has written a namespace, or a policy into it.
fn is_there(store: &Store, namespace: &str) -> bool {
    let within = |meta: &Meta| &*meta.name.namespace == namespace;
    store.namespace(namespace).is_some()
        || store.authorization_policies.of(namespace).any(|one| within(&one.meta))
        || store.peer_authentications.of(namespace).any(|one| within(&one.meta))
}
