//! The endpoints of clusters, and which of them a request may go to.
use super::Engine;
use crate::http::balance::{Health, Member, Setting, Subsetted};
use culvert_model::{
    http::{
        cluster::{Cluster, Discovery, OriginalDst},
        endpoint::Assignment,
        snapshot::Snapshot,
        value::Fields,
    },
    locality::Locality,
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// How deep clusters of clusters may be.
const DEPTH: u32 = 8;

/// An endpoint of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is, as Envoy writes it.
    pub name: Arc<str>,
    /// Where its name leads to, if that is known.
    pub at: Option<SocketAddr>,
    /// Whether requests like this may go there now.
    pub may: bool,
    /// `healthy`, or what is wrong with it.
    pub health: String,
    /// 0 goes first.
    pub priority: u32,
}

/// Who knows endpoints.
pub trait Endpoints: Send + Sync {
    /// Those of a cluster whose endpoints are said or found, for a request that asks for `subset`.
    fn of(&self, cluster: &Cluster, subset: Option<&Fields>) -> Vec<Endpoint>;
}

/// Endpoints as a snapshot has them, about which nothing was found out.
#[derive(Clone, Debug)]
pub struct Said(pub Snapshot);

impl Engine {
    /// The endpoints of a cluster, whatever its kind; `meant` is where the connection was bound.
    pub(super) fn reach(
        &self,
        config: &Cluster,
        subset: Option<&Fields>,
        meant: Option<SocketAddr>,
        depth: u32,
    ) -> Vec<Endpoint> {
        match &config.discovery {
            Discovery::OriginalDst(OriginalDst { port, .. }) => {
                let to = meant.map(|to| SocketAddr::new(to.ip(), port.unwrap_or(to.port())));
                to.map(Endpoint::meant).into_iter().collect()
            }
            Discovery::Aggregate(_) if DEPTH <= depth => Vec::new(),
            Discovery::Aggregate(names) => {
                let found = names.iter().filter_map(|name| self.snapshot.clusters().value(name));
                let mut all = found.map(|one| self.reach(one, subset, meant, depth + 1));
                all.find(|one| one.iter().any(|endpoint| endpoint.may)).unwrap_or_default()
            }
            Discovery::Static(_)
            | Discovery::Eds { .. }
            | Discovery::StrictDns { .. }
            | Discovery::LogicalDns { .. } => self.endpoints.of(config, subset),
        }
    }
}

impl Endpoint {
    /// The one that the client means itself.
    fn meant(at: SocketAddr) -> Self {
        let health = "meant by the client".to_owned();
        Self { name: at.to_string().into(), at: Some(at), may: true, health, priority: 0 }
    }
}

impl Endpoints for Said {
    fn of(&self, cluster: &Cluster, subset: Option<&Fields>) -> Vec<Endpoint> {
        let assignment: &Assignment = match &cluster.discovery {
            Discovery::Static(said) => said,
            Discovery::StrictDns { assignment, .. } | Discovery::LogicalDns { assignment, .. } => {
                assignment
            }
            Discovery::Eds { service, .. } => match self.0.assignments().value(service) {
                Some(said) => said,
                None => return Vec::new(),
            },
            Discovery::OriginalDst(_) | Discovery::Aggregate(_) => return Vec::new(),
        };
        let mut places: BTreeMap<&Locality, u32> = BTreeMap::new();
        let (mut members, mut all) = (Vec::new(), Vec::new());
        for of in assignment.localities.iter() {
            let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let place = *places.entry(&of.locality).or_insert(next);
            for endpoint in of.endpoints.iter() {
                let name: Arc<str> = endpoint.address.to_string().into();
                // An address is one endpoint; who says it twice means the first.
                if all.iter().any(|one: &Endpoint| one.name == name) {
                    continue;
                }
                let health = (Health::said(endpoint.health), Duration::ZERO);
                members.push(Member::new(endpoint, &name, (of, place), health));
                let says = match endpoint.health.is_usable() {
                    true => "healthy".to_owned(),
                    false => endpoint.health.as_str().to_ascii_lowercase(),
                };
                let at = endpoint.address.as_socket();
                all.push(Endpoint { name, at, may: false, health: says, priority: of.priority });
            }
        }
        let setting = Setting {
            runtime: self.0.runtime(),
            overprovisioning: assignment.overprovisioning,
            seed: 0,
            now: Duration::ZERO,
        };
        for at in Subsetted::new(&cluster.balance, &members, setting).reach(subset) {
            if let Some(endpoint) = all.get_mut(at) {
                endpoint.may = true;
            }
        }
        all
    }
}
