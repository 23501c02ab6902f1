//! Clusters of a service, as a scope sees it, and their endpoints.
use super::{
    Scope,
    assignment::{self, Chosen, Here},
    clients,
    cluster::{self, Finding, Wanted},
    names,
    reader::Reader,
    scene::{Resolution, ServiceFacts},
    tls,
    words::origin,
};
use crate::compile::http::plan::{
    Labels,
    traffic::{Balancer, Subset, Tls, Traffic, TrafficPolicy},
};
use culvert_model::{name::ServiceName, service::Port};
use culvert_proto::api::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment,
};
use std::{borrow::Cow, sync::Arc};

/// One cluster: a port of a service, or of a subset.
pub(super) struct One<'a> {
    pub(super) name: String,
    pub(super) facts: &'a ServiceFacts,
    pub(super) port: &'a Port,
    /// Only endpoints with all of them.
    pub(super) labels: Cow<'a, Labels>,
    pub(super) policy: TrafficPolicy,
    pub(super) traffic: Option<&'a Traffic>,
}

/// A port of a service, or of a subset.
pub(super) struct Part<'a> {
    pub(super) port: &'a Port,
    pub(super) subset: Option<(&'a str, &'a Subset)>,
    pub(super) policy: TrafficPolicy,
}

pub(super) fn clusters(name: &ServiceName, scope: &Scope, reader: &Reader<'_>) -> Vec<Cluster> {
    let here = here(scope);
    all(name, scope, reader).into_iter().map(|one| one.cluster(&here, reader)).collect()
}

/// The endpoints of those clusters that ask for them.
pub(super) fn assignments(
    name: &ServiceName,
    scope: &Scope,
    reader: &Reader<'_>,
) -> Vec<ClusterLoadAssignment> {
    let here = here(scope);
    let all = all(name, scope, reader).into_iter().filter(One::is_asked_for);
    all.map(|one| one.assignment(&here, reader)).collect()
}

pub(super) fn here(scope: &Scope) -> Here {
    Here { node: Arc::clone(&scope.node), locality: scope.locality.clone() }
}

fn all<'a>(name: &ServiceName, scope: &Scope, reader: &Reader<'a>) -> Vec<One<'a>> {
    let Some(facts) = reader.service(name) else { return Vec::new() };
    let (some, rest) = clients::ways(reader.service_plan(name), &scope.namespace);
    let shared = reader.is_shared(name, &scope.namespace);
    // Nobody knows the labels of a gateway's clients, nor of those without a proxy.
    let some = if scope.gateway.is_some() || scope.api { Vec::new() } else { some };
    let ways = some.into_iter().map(Some).chain([rest]);
    ways.flat_map(|traffic| of_way(name, facts, shared, traffic)).collect()
}

/// Those of clients who talk to it so.
fn of_way<'a>(
    name: &ServiceName,
    facts: &'a ServiceFacts,
    shared: bool,
    traffic: Option<&'a Traffic>,
) -> Vec<One<'a>> {
    let mut all = Vec::new();
    for Part { port, subset, policy } in parts(facts, traffic) {
        let called = subset.map(|(called, _)| called);
        let name = names::of_clients(names::outbound(name, port.port, called, shared), traffic);
        let labels = subset.map_or_else(Cow::default, |(_, subset)| Cow::Borrowed(&subset.labels));
        if tls::is_twofold(&policy, port.protocol) {
            let (name, labels) = (names::passed(&name), labels.clone());
            let policy = TrafficPolicy { tls: Tls::Off, ..policy.clone() };
            all.push(One { name, facts, port, labels, policy, traffic });
        }
        all.push(One { name, facts, port, labels, policy, traffic });
    }
    all
}

/// Every port, of all endpoints and of each subset, and how it is talked to.
pub(super) fn parts<'a>(
    facts: &'a ServiceFacts,
    traffic: Option<&'a Traffic>,
) -> impl Iterator<Item = Part<'a>> {
    facts.service.ports.iter().flat_map(move |port| {
        let subsets = traffic.into_iter().flat_map(|traffic| &traffic.subsets);
        let subsets = subsets.map(|(called, subset)| Some((&**called, subset)));
        [None].into_iter().chain(subsets).map(move |subset| {
            let called = subset.map(|(called, _)| called);
            let policy = traffic.and_then(|traffic| traffic.of(called, port.port));
            Part { port, subset, policy: policy.cloned().unwrap_or_default() }
        })
    })
}

impl One<'_> {
    /// Whether its endpoints come by themselves.
    pub(super) fn is_asked_for(&self) -> bool {
        self.facts.resolution == Resolution::Known
            && self.policy.balancer != Some(Balancer::Passthrough)
    }

    pub(super) fn cluster(self, here: &Here, reader: &Reader<'_>) -> Cluster {
        let finding = match self.facts.resolution {
            Resolution::Known => Finding::Endpoints,
            Resolution::Names => Finding::Names(self.assignment(here, reader)),
            Resolution::OneName => Finding::OneName(self.assignment(here, reader)),
            Resolution::Original => Finding::Original,
        };
        let service = &self.facts.service;
        cluster::cluster(Wanted {
            host: &service.host.hostname,
            namespace: &service.host.namespace,
            short_name: &service.name,
            protocol: self.port.protocol,
            policy: &self.policy,
            finding,
            metadata: self.traffic.map(|traffic| origin(&traffic.at)),
            name: self.name,
        })
    }

    pub(super) fn assignment(&self, here: &Here, reader: &Reader<'_>) -> ClusterLoadAssignment {
        let chosen = Chosen {
            facts: self.facts,
            port: self.port.port,
            labels: &self.labels,
            policy: &self.policy,
        };
        assignment::assignment(&self.name, &chosen, here, reader)
    }
}
