//! Which clusters have the endpoints of an EDS service that is not called as they are.
//!
//! There are ten thousand clusters, and one service changes: nobody looks through all of them.
use culvert_model::http::cluster::{Cluster, Discovery};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// Clusters by their service; those that are called as it is are found by its name.
#[derive(Debug, Default)]
pub(super) struct Followers(HashMap<Arc<str>, BTreeSet<Arc<str>>>);

impl Followers {
    pub(super) fn insert(&mut self, cluster: &Cluster) {
        if let Some(service) = other_name(cluster) {
            self.0.entry(Arc::clone(service)).or_default().insert(Arc::clone(&cluster.name));
        }
    }

    pub(super) fn remove(&mut self, cluster: &Cluster) {
        let Some(service) = other_name(cluster) else { return };
        if let Some(names) = self.0.get_mut(service) {
            names.remove(&cluster.name);
            if names.is_empty() {
                self.0.remove(service);
            }
        }
    }

    /// The clusters whose endpoints `service` has.
    pub(super) fn of<'a>(&'a self, service: &'a Arc<str>) -> impl Iterator<Item = &'a Arc<str>> {
        std::iter::once(service).chain(self.0.get(service).into_iter().flatten())
    }
}

fn other_name(cluster: &Cluster) -> Option<&Arc<str>> {
    if let Discovery::Eds { service, .. } = &cluster.discovery {
        return Some(service).filter(|service| ***service != *cluster.name);
    }
    None
}
