//! What is made in one go, and what it needs and looked at.
use super::{
    Key, Resource, api, cluster, gateway, inbound,
    out::Out,
    outbound::{self, Needs, View},
    passed,
    reader::Reader,
    scene::{Dep, Door, Scene},
    scope::Scope,
    secrets::{self, Names},
    services,
};
use culvert_model::name::ServiceName;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Something that is made in one go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// The clusters that are always there.
    Base,
    Door(Door),
    Routes(ServiceName),
    Clusters(ServiceName),
    Endpoints(ServiceName),
    /// Clusters for TLS that comes from elsewhere, and their endpoints.
    Passed(ServiceName),
    Inbound,
    Gateway,
    /// By the name that resources have for it.
    Secret(Arc<str>),
    /// For clients without a proxy.
    Api(ServiceName),
}

/// What a unit came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Built {
    pub(super) resources: BTreeMap<Key, Arc<Resource>>,
    /// Services whose clusters it names.
    pub(super) needs: BTreeSet<ServiceName>,
    /// Those of which it names the clusters for TLS that comes from elsewhere.
    pub(super) passed: BTreeSet<ServiceName>,
    /// Secrets that it names.
    pub(super) secrets: Names,
    pub(super) seen: BTreeSet<Dep>,
}

impl Built {
    /// Makes a unit for `scope`.
    #[expect(clippy::too_many_lines, reason = "one kind of unit after the other")]
    pub(super) fn of(unit: &Unit, scope: &Scope, scene: &Scene) -> Self {
        let reader = Reader::new(scene);
        let needs = RefCell::new(Needs::default());
        let view = View::new(scope, &reader, &needs);
        let mut out = Out::default();
        match unit {
            Unit::Base => {
                out.cluster(&cluster::passthrough());
                out.cluster(&cluster::black_hole());
            }
            Unit::Door(door) => {
                if let Some((listener, tables)) = outbound::listener(*door, view) {
                    out.listener(&listener);
                    tables.iter().for_each(|table| out.table(table));
                }
            }
            Unit::Routes(name) => {
                if let Some(facts) = reader.service(name) {
                    let tables = outbound::routes(facts, view);
                    tables.iter().for_each(|table| out.table(table));
                }
            }
            Unit::Clusters(name) => {
                let all = services::clusters(name, scope, &reader).into_iter();
                let all =
                    all.filter_map(|one| if scope.api { api::cluster(one) } else { Some(one) });
                all.for_each(|cluster| out.cluster(&cluster));
            }
            Unit::Endpoints(name) => {
                let all = services::assignments(name, scope, &reader).into_iter();
                let all = all.map(|one| if scope.api { api::assignment(one) } else { one });
                all.for_each(|assignment| out.assignment(&assignment));
            }
            Unit::Passed(name) => {
                for (cluster, assignment) in passed::clusters(name, scope, &reader) {
                    out.cluster(&cluster);
                    assignment.iter().for_each(|assignment| out.assignment(assignment));
                }
            }
            Unit::Inbound => {
                if let Some((listener, clusters)) = inbound::listener(scope, &reader) {
                    out.listener(&listener);
                    clusters.iter().for_each(|cluster| out.cluster(cluster));
                }
            }
            Unit::Gateway => {
                if let Some(name) = &scope.gateway {
                    let (listeners, tables) = gateway::listeners(name, &scope.labels, view);
                    listeners.iter().for_each(|listener| out.listener(listener));
                    tables.iter().for_each(|table| out.table(table));
                }
            }
            Unit::Api(name) => {
                for (listener, table) in api::listeners(name, view) {
                    out.listener(&listener);
                    out.table(&table);
                }
            }
            Unit::Secret(name) => {
                if let Some(secret) = secrets::secret(name, &reader) {
                    out.secret(&secret);
                }
            }
        }
        let Out { resources, mut secrets } = out;
        if scope.gateway.is_none() {
            // What is secret is told to gateways alone.
            secrets.retain(|name| secrets::is_public(name));
        }
        let Needs { usual: needs, passed } = needs.into_inner();
        Self { resources, needs, passed, secrets, seen: reader.into_seen() }
    }
}
