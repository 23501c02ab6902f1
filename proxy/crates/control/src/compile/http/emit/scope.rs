//! Who is told.
use super::{super::plan::Labels, scene::Scene};
use culvert_model::{locality::Locality, name::ObjectName};
use std::{fmt, sync::Arc};

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub namespace: Arc<str>,
    /// Empty where it is not known.
    pub node: Arc<str>,
    /// Where the node is.
    pub locality: Locality,
    /// A gateway; without, the engine of the namespace on the node.
    pub gateway: Option<ObjectName>,
    /// Those that a gateway says it has.
    pub labels: Labels,
    /// A client without a proxy, which asks for listeners by host and port.
    pub api: bool,
}

impl Scope {
    /// The engine of a namespace on a node, of whose place nothing is known.
    #[cfg(test)]
    pub(crate) fn of_engine(namespace: &str, node: &str) -> Self {
        Self {
            namespace: namespace.into(),
            node: node.into(),
            locality: Locality::default(),
            gateway: None,
            labels: Labels::new(),
            api: false,
        }
    }

    /// With the place of its node, as the pods there have it, if it does not say one itself.
    pub(super) fn placed(self, scene: &Scene) -> Self {
        let place = (Arc::clone(&self.namespace), Arc::clone(&self.node));
        if self.locality != Locality::default() || self.node.is_empty() {
            return self;
        }
        let uids = scene.pods.get(&place).into_iter().flatten();
        let mut pods = uids.filter_map(|uid| scene.workloads.get(uid));
        let locality =
            pods.next().map(|pod| Locality::clone(&pod.member.locality)).unwrap_or_default();
        Self { locality, ..self }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, node, gateway, .. } = self;
        match gateway {
            _ if self.api => write!(f, "clients in namespace {namespace}"),
            Some(gateway) => write!(f, "gateway {gateway}"),
            None if node.is_empty() => write!(f, "namespace {namespace}"),
            None => write!(f, "namespace {namespace} on {node}"),
        }
    }
}
