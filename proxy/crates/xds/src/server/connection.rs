//! Both types of resource of one connected node, in the order in which they must arrive.
//!
//! A workload that names a policy which is not known lets nothing pass. So policies come before
//! the workloads that name them, and go after.
use super::{Manner, Removals, Subscriber, World};
use crate::resource::{Address, Resource as _};
use culvert_model::authz::Authorization;
use culvert_proto::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
};
use std::sync::Arc;

/// Everything there is.
#[derive(Clone, Debug)]
pub struct Worlds {
    pub addresses: World,
    pub policies: World,
}

/// What one connected node was told.
#[derive(Debug)]
pub struct Connection {
    addresses: Subscriber,
    policies: Subscriber,
}

/// A node asks for resources of a type that there is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resources of type \"{0}\" are not served here")]
pub struct UnknownType(pub String);

impl Default for Worlds {
    fn default() -> Self {
        Self {
            addresses: World::empty::<Address>(),
            policies: World::empty::<Arc<Authorization>>(),
        }
    }
}

impl Default for Connection {
    fn default() -> Self {
        let late = Manner { removals: Removals::Late, ..Manner::default() };
        Self { addresses: Subscriber::default(), policies: Subscriber::new(late) }
    }
}

impl Connection {
    /// Takes a request in; a [`push`](Self::push) may follow.
    ///
    /// # Errors
    ///
    /// When it is of a type that there is not.
    pub fn request(
        &mut self,
        request: &Request,
        worlds: &Worlds,
    ) -> Result<Option<Response>, UnknownType> {
        match &*request.type_url {
            Address::TYPE_URL => Ok(self.addresses.request(request, &worlds.addresses)),
            <Arc<Authorization>>::TYPE_URL => Ok(self.policies.request(request, &worlds.policies)),
            other => Err(UnknownType(other.to_owned())),
        }
    }

    /// What can be sent now of what changed; the rest when what was sent is answered.
    pub fn push(&mut self, worlds: &Worlds) -> Vec<Response> {
        let Self { addresses, policies } = self;
        let mut responses = Vec::new();
        if policies.is_behind(&worlds.policies) {
            if policies.is_waiting() {
                return responses;
            }
            responses.extend(policies.push_sets(&worlds.policies));
        }
        if addresses.is_behind(&worlds.addresses) {
            if addresses.is_waiting() {
                return responses;
            }
            responses.extend(addresses.push(&worlds.addresses));
        }
        responses.extend(policies.push(&worlds.policies));
        responses
    }

    pub fn addresses(&self) -> &Subscriber {
        &self.addresses
    }

    pub fn policies(&self) -> &Subscriber {
        &self.policies
    }
}
