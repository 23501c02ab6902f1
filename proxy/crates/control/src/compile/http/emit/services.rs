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
use crate::compile::http::plan::traffic::{Balancer, Subset, Tls, Traffic, TrafficPolicy};
use culvert_model::{name::ServiceName, service::Port};
use culvert_proto::api::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment,
};
use std::sync::Arc;

/// One cluster: a port of a service, or of a subset.
struct One<'a> {
    name: String,
    facts: &'a ServiceFacts,
    port: &'a Port,
    subset: Option<&'a Subset>,
    policy: TrafficPolicy,
    traffic: Option<&'a Traffic>,
}

pub(super) fn clusters(name: &ServiceName, scope: &Scope, reader: &Reader<'_>) -> Vec<Cluster> {
    let here = here(scope);
    let one = |one: One<'_>| {
        let finding = match one.facts.resolution {
            Resolution::Known => Finding::Endpoints,
            Resolution::Names => Finding::Names(one.assignment(&here, reader)),
            Resolution::OneName => Finding::OneName(one.assignment(&here, reader)),
            Resolution::Original => Finding::Original,
        };
        let service = &one.facts.service;
        cluster::cluster(Wanted {
            host: &service.host.hostname,
            namespace: &service.host.namespace,
            short_name: &service.name,
            protocol: one.port.protocol,
            policy: &one.policy,
            finding,
            metadata: one.traffic.map(|traffic| origin(&traffic.at)),
            name: one.name,
        })
    };
    all(name, scope, reader).into_iter().map(one).collect()
}

/// The endpoints of those clusters that ask for them.
pub(super) fn assignments(
    name: &ServiceName,
    scope: &Scope,
    reader: &Reader<'_>,
) -> Vec<ClusterLoadAssignment> {
    let here = here(scope);
    let all = all(name, scope, reader).into_iter().filter(|one| {
        one.facts.resolution == Resolution::Known
            && one.policy.balancer != Some(Balancer::Passthrough)
    });
    all.map(|one| one.assignment(&here, reader)).collect()
}

fn here(scope: &Scope) -> Here {
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
    for port in &facts.service.ports {
        let subsets = traffic.iter().flat_map(|traffic| &traffic.subsets);
        let subsets = subsets.map(|(name, subset)| (Some(&**name), Some(subset)));
        for (called, subset) in [(None, None)].into_iter().chain(subsets) {
            let policy = match traffic {
                Some(traffic) => traffic.of(called, port.port).cloned().unwrap_or_default(),
                None => TrafficPolicy::default(),
            };
            let name = names::outbound(name, port.port, called, shared);
            let name = names::of_clients(name, traffic);
            if tls::is_twofold(&policy, port.protocol) {
                let (name, policy) =
                    (names::passed(&name), TrafficPolicy { tls: Tls::Off, ..policy.clone() });
                all.push(One { name, facts, port, subset, policy, traffic });
            }
            all.push(One { name, facts, port, subset, policy, traffic });
        }
    }
    all
}

impl One<'_> {
    fn assignment(&self, here: &Here, reader: &Reader<'_>) -> ClusterLoadAssignment {
        let chosen = Chosen {
            facts: self.facts,
            port: self.port.port,
            labels: self.subset.map(|subset| &subset.labels),
            policy: &self.policy,
        };
        assignment::assignment(&self.name, &chosen, here, reader)
    }
}
