//! Who signs, and who asks a cluster whose tokens are whose.
use super::{Ca, Cluster};
use crate::{
    ca::{hosted::Agents, secret, trouble::Trouble},
    serve::accounts::{AUDIENCE, Accounts, Dead, Names},
};
use culvert_identity::{
    ca::{
        Authority,
        files::{FilesError, kept},
    },
    clock::Clock,
};
use culvert_kubernetes::token::{Account, Reviewer};
use culvert_runtime::{
    drain::Worker,
    publish::{self, View},
};
use std::{path::Path, sync::Arc};

impl Ca {
    pub(super) async fn open(
        self,
        trust_domain: &Arc<str>,
        clock: &Arc<dyn Clock>,
        (join_key, trouble): (&Path, &Trouble),
        worker: &Worker,
    ) -> Result<View<Arc<Authority>>, FilesError> {
        match self {
            Self::Kept(path) => {
                let authority = kept(&path, trust_domain, clock.now())?;
                let (_, view) = publish::channel(Arc::new(authority));
                Ok(view)
            }
            Self::Given(given) => given.follow(trust_domain, worker),
            Self::Secret(named) => {
                Ok(secret::open(named, trust_domain, clock, (join_key, trouble), worker).await)
            }
            Self::Authority(view) => Ok(view),
        }
    }
}

impl Cluster {
    pub(super) fn accounts(
        &self,
        agents: &View<Arc<Agents>>,
        gateways: &View<Arc<Names>>,
    ) -> Accounts {
        let (namespace, name) = (self.namespace.clone(), self.node_account.clone());
        Accounts {
            reviewer: Reviewer::new(&self.client, AUDIENCE),
            node: Account { namespace, name },
            gateways: gateways.clone(),
            agents: agents.clone(),
            dead: Dead::default(),
        }
    }
}
