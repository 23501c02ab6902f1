//! Which identities each node may have certificates for.
use culvert_model::identity::Identity;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The identities of the workloads of each node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosted(BTreeMap<Arc<str>, BTreeSet<Identity>>);

impl Hosted {
    /// Whether a workload of `identity` is on `node`.
    pub fn is_on(&self, node: &str, identity: &Identity) -> bool {
        self.0.get(node).is_some_and(|identities| identities.contains(identity))
    }
}

impl<'a> FromIterator<(&'a Arc<str>, &'a Identity)> for Hosted {
    fn from_iter<I: IntoIterator<Item = (&'a Arc<str>, &'a Identity)>>(all: I) -> Self {
        let mut hosted = Self::default();
        for (node, identity) in all.into_iter().filter(|(node, _)| !node.is_empty()) {
            hosted.0.entry(Arc::clone(node)).or_default().insert(identity.clone());
        }
        hosted
    }
}
