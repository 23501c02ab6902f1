//! What an engine runs with: whole, immutable; a new generation shares what did not change.
use super::{
    cluster::Cluster, endpoint::Assignment, filter::HttpFilter, listener::Listener,
    route::RouteTable, runtime::RuntimeValues, secret::Secret,
};
use crate::shards::Shards;
use std::sync::Arc;

/// Everything of one generation; a clone costs some counters.
///
/// Only what is ready is here: a cluster is when its endpoints and secrets are (or were waited for
/// long enough), a listener when its routes, filters and secrets are.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with each change; 0: nothing has come yet.
    pub generation: u64,
    /// What the control plane calls the whole of it, of which the newest change is; empty: it has
    /// not said. What is newest may be warming still.
    pub version: Arc<str>,
    listeners: Table<Listener>,
    routes: Table<RouteTable>,
    clusters: Table<Cluster>,
    assignments: Table<Assignment>,
    secrets: Table<Secret>,
    filters: Table<HttpFilter>,
    runtime: Arc<RuntimeValues>,
}

/// A resource, and which one it is.
#[derive(Debug)]
pub struct Resource<T> {
    /// As its source says; empty of what is static.
    pub version: Arc<str>,
    pub value: Arc<T>,
}

/// Resources of one type by name, a changed copy of which shares what did not change.
#[derive(Debug)]
pub struct Table<T>(Shards<Arc<str>, Resource<T>>);

impl<T> Table<T> {
    pub fn get(&self, name: &str) -> Option<&Resource<T>> {
        self.0.get(name)
    }

    /// The resource itself.
    pub fn value(&self, name: &str) -> Option<&Arc<T>> {
        self.get(name).map(|resource| &resource.value)
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Resource<T>)> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Whether both are one and the same: nothing in them differs.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }

    /// The names of what is not one and the same resource in both, and of what one has alone.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a Arc<str>> {
        self.0.differences(&other.0, |ours, theirs| Arc::ptr_eq(&ours.value, &theirs.value))
    }

    pub fn insert(&mut self, name: Arc<str>, resource: Resource<T>) {
        self.0.insert(name, resource);
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Snapshot {
    pub fn listeners(&self) -> &Table<Listener> {
        &self.listeners
    }

    /// Those that come by RDS; others are in their listeners.
    pub fn routes(&self) -> &Table<RouteTable> {
        &self.routes
    }

    pub fn clusters(&self) -> &Table<Cluster> {
        &self.clusters
    }

    /// By the name of the EDS service.
    pub fn assignments(&self) -> &Table<Assignment> {
        &self.assignments
    }

    /// By [`SecretRef::name`](super::secret::SecretRef::name).
    pub fn secrets(&self) -> &Table<Secret> {
        &self.secrets
    }

    /// HTTP filters that come by ECDS.
    pub fn filters(&self) -> &Table<HttpFilter> {
        &self.filters
    }

    pub fn runtime(&self) -> &Arc<RuntimeValues> {
        &self.runtime
    }

    pub fn listeners_mut(&mut self) -> &mut Table<Listener> {
        &mut self.listeners
    }

    pub fn routes_mut(&mut self) -> &mut Table<RouteTable> {
        &mut self.routes
    }

    pub fn clusters_mut(&mut self) -> &mut Table<Cluster> {
        &mut self.clusters
    }

    pub fn assignments_mut(&mut self) -> &mut Table<Assignment> {
        &mut self.assignments
    }

    pub fn secrets_mut(&mut self) -> &mut Table<Secret> {
        &mut self.secrets
    }

    pub fn filters_mut(&mut self) -> &mut Table<HttpFilter> {
        &mut self.filters
    }

    pub fn set_runtime(&mut self, runtime: Arc<RuntimeValues>) {
        self.runtime = runtime;
    }
}

impl<T> Clone for Resource<T> {
    fn clone(&self) -> Self {
        Self { version: Arc::clone(&self.version), value: Arc::clone(&self.value) }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Shards::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_one_resource_shares_all_others() {
        let of = |name: &str| Resource {
            version: "1".into(),
            value: Arc::new(Assignment::empty(name.into())),
        };
        let mut first = Snapshot::default();
        for name in ["a", "b"] {
            first.assignments_mut().insert(name.into(), of(name));
        }
        let mut second = first.clone();
        assert!(second.assignments().is_same(first.assignments()));
        second.assignments_mut().insert("b".into(), of("b"));
        assert!(!second.assignments().is_same(first.assignments()));
        assert!(second.clusters().is_same(first.clusters()));
        let get =
            |snapshot: &Snapshot, name| Arc::clone(snapshot.assignments().value(name).unwrap());
        assert!(Arc::ptr_eq(&get(&first, "a"), &get(&second, "a")));
        assert!(!Arc::ptr_eq(&get(&first, "b"), &get(&second, "b")));
    }
}
