//! How nodes and the control plane are called: identities that no workload can have.
//!
//! A service account of Kubernetes has no underscore in its name.
use culvert_model::identity::{Identity, NotAnIdentity};

/// The namespace of the mesh itself.
const NAMESPACE: &str = "culvert-system";

/// Before the node's name.
const NODE: &str = "node_";

/// Of the embedded control plane.
const CONTROL_PLANE: &str = "control_plane";

/// The identity of a node, which its client certificate shows to the control plane.
///
/// # Errors
///
/// When the name has no place in an identity.
pub fn identity(trust_domain: &str, node: &str) -> Result<Identity, NotAnIdentity> {
    if node.is_empty() {
        return Err(NotAnIdentity::Empty("node"));
    }
    Identity::try_new(trust_domain, NAMESPACE, &format!("{NODE}{node}"))
}

/// The node that `identity` is of; `None` when it is a workload's.
pub fn name_of(identity: &Identity) -> Option<&str> {
    (identity.namespace() == NAMESPACE).then_some(())?;
    identity.service_account().strip_prefix(NODE).filter(|name| !name.is_empty())
}

/// What the embedded control plane's own certificate says.
///
/// # Errors
///
/// When there is no such trust domain.
pub fn control_plane(trust_domain: &str) -> Result<Identity, NotAnIdentity> {
    Identity::try_new(trust_domain, NAMESPACE, CONTROL_PLANE)
}

/// Whether `identity` is of the mesh itself: no workload may have it.
pub fn is_reserved(identity: &Identity) -> bool {
    identity.namespace() == NAMESPACE && identity.service_account().contains('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_from_a_workload_and_from_the_control_plane() {
        let node = identity("td", "worker-1").unwrap();
        assert_eq!(node.to_string(), "spiffe://td/ns/culvert-system/sa/node_worker-1");
        assert_eq!(name_of(&node), Some("worker-1"));
        assert_eq!(name_of(&control_plane("td").unwrap()), None);
        for workload in ["spiffe://td/ns/shop/sa/node_a", "spiffe://td/ns/culvert-system/sa/node"] {
            let workload = workload.parse().unwrap();
            assert_eq!(name_of(&workload), None);
            assert!(!is_reserved(&workload));
        }
        assert!(is_reserved(&node) && is_reserved(&control_plane("td").unwrap()));
        assert!(identity("td", "").is_err() && identity("td", "a/b").is_err());
    }
}
