//! Who may be told what of L7: a node of the namespaces whose pods it has, a workload of its own,
//! and whoever is on this machine of all.
use super::{Hub, scope};
use crate::{
    ca::hosted::Hosted,
    compile::http::emit::Scope,
    serve::gate::{Doorkeeper, Proofs},
};
use culvert_model::identity::Identity;
use culvert_runtime::publish::View;
use culvert_xds::transport::{
    discovery::{Caller, Pass},
    engines::{Client, Desk, Seat},
    followers::Whose,
};
use std::sync::Arc;
use tonic::{Status, async_trait};

/// Lets engines and gateways in, and gives them what is theirs.
#[derive(Debug)]
pub(crate) struct L7Desk {
    pub(crate) hub: Hub,
    pub(crate) doorkeeper: Arc<Doorkeeper>,
    /// Which pods are where.
    pub(crate) hosted: View<Arc<Hosted>>,
}

#[async_trait]
impl Desk for L7Desk {
    async fn admit(&self, client: &Client<'_>) -> Result<Seat, Status> {
        let Client { peer, bearer, node } = client;
        let scope = scope::of(node).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let proofs = self.doorkeeper.proofs(peer, *bearer).await;
        let caller = Caller { peer, bearer: *bearer, node: &scope.node };
        let admitted = self.may(proofs, &scope, &caller);
        let Pass { proven, lapsed } = admitted.inspect_err(|status| {
            self.doorkeeper.told("discovery for L7", peer, &node.id, status);
        })?;
        let whose = Whose {
            id: (*node.id).into(),
            node: Arc::clone(&scope.node),
            scope: scope.to_string().into(),
            proven,
        };
        let (offer, lease) = self.hub.subscribe(scope);
        Ok(Seat { whose, offer, lapsed, hold: Box::new(lease) })
    }
}

impl L7Desk {
    /// What the caller is let in with, should it be told of `scope`.
    fn may(&self, proofs: Proofs, scope: &Scope, caller: &Caller<'_>) -> Result<Pass, Status> {
        let who = proofs.who(self.doorkeeper.identity(caller.peer));
        may(&who, scope, &self.hosted.pin().value)?;
        match who {
            Who::Anybody => Ok(Pass::guest()),
            Who::Workload(_) => Ok(self.doorkeeper.pass_of_gateway(proofs, caller.bearer)),
            Who::Node(_) => Ok(self.doorkeeper.pass(proofs, caller)),
            Who::Nobody(why) => Err(why),
        }
    }
}

/// Who somebody proved to be.
#[derive(Debug)]
pub(crate) enum Who {
    /// On this machine, where everybody may listen.
    Anybody,
    /// All of these.
    Node(Vec<String>),
    Workload(Identity),
    Nobody(Status),
}

/// A gateway's keys are for the gateway alone: it goes by its service account.
fn may(who: &Who, scope: &Scope, hosted: &Hosted) -> Result<(), Status> {
    let Scope { namespace, node, gateway, .. } = scope;
    let denied = |why: String| Err(Status::permission_denied(why));
    match (who, gateway) {
        (Who::Anybody, _) => Ok(()),
        (Who::Node(names), _) if !names.iter().any(|name| *name == **node) => {
            denied(format!("the caller is node {}, not {node}", names.join(" and ")))
        }
        (Who::Node(_), Some(gateway)) => denied(format!("node {node} is not gateway {gateway}")),
        (Who::Node(_), None) if hosted.has_any_of(namespace, node) => Ok(()),
        (Who::Node(_), None) => {
            denied(format!("node {node} has no pod in the mesh of the namespace {namespace}"))
        }
        (Who::Workload(identity), _) if identity.namespace() != &**namespace => {
            denied(format!("{identity} is of another namespace than {namespace}"))
        }
        (Who::Workload(identity), Some(gateway))
            if identity.service_account() != &*gateway.name =>
        {
            denied(format!(
                "{identity} is not gateway {gateway}: its service account has another name"
            ))
        }
        (Who::Workload(_), _) => Ok(()),
        (Who::Nobody(why), _) => Err(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_model::{identity::Identity, name::ObjectName};
    use tonic::Code;

    fn identity(namespace: &str) -> Identity {
        Identity::try_new("cluster.local", namespace, "web").unwrap()
    }

    #[test]
    fn a_node_is_told_of_namespaces_whose_pods_it_has() {
        let hosted = Hosted::of([("n1", identity("shop"), ObjectName::new("shop", "web"))]);
        let n1 = Who::Node(vec!["n1".into()]);
        assert!(may(&n1, &Scope::of_engine("shop", "n1"), &hosted).is_ok());
        let of_gateway = Scope {
            gateway: Some(ObjectName::new("shop", "edge")),
            ..Scope::of_engine("shop", "n1")
        };
        let others = [("bank", "n1"), ("shop", "n2"), ("shop", "")];
        let others = others.map(|(namespace, node)| Scope::of_engine(namespace, node));
        for scope in others.into_iter().chain([of_gateway]) {
            let status = may(&n1, &scope, &hosted).unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        }
    }

    #[test]
    fn a_workload_is_told_of_its_own_namespace_and_of_the_gateway_that_it_is() {
        let hosted = Hosted::default();
        let web = Who::Workload(identity("shop"));
        let gateway = |namespace: &str, name: &str| Scope {
            gateway: Some(ObjectName::new(namespace, name)),
            ..Scope::of_engine(namespace, "")
        };
        for fine in [Scope::of_engine("shop", ""), gateway("shop", "web")] {
            assert!(may(&web, &fine, &hosted).is_ok());
        }
        for other in [Scope::of_engine("bank", ""), gateway("bank", "web"), gateway("shop", "edge")]
        {
            let status = may(&web, &other, &hosted).unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        }
    }

    #[test]
    fn who_proved_nothing_is_told_only_on_this_machine() {
        let hosted = Hosted::default();
        assert!(may(&Who::Anybody, &Scope::of_engine("shop", "n1"), &hosted).is_ok());
        let nobody = Who::Nobody(Status::unauthenticated("nothing"));
        let status = may(&nobody, &Scope::of_engine("shop", "n1"), &hosted).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
}
