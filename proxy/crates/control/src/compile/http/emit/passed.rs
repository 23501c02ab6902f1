//! TLS that proxies of Istio elsewhere speak with those of this mesh, as a gateway between them passes
//! it on (`AUTO_PASSTHROUGH`): by the name that it asks for, which is that of a cluster.
//!
//! Nothing of it is read here: who comes is left to whoever ends the TLS. So those alone are led to
//! who end it as members of a mesh do, and of clients only those who offer what they would be asked
//! for then: all others might be taken for clients of the application there.
use super::{
    Scope, clients, names,
    outbound::View,
    reader::Reader,
    scene::{Resolution, ServiceFacts},
    services::{self, One, Part},
};
use crate::compile::http::plan::traffic::{Balancer, Tls, TrafficPolicy};
use culvert_model::name::ServiceName;
use culvert_proto::api::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment,
};
use std::{borrow::Cow, sync::Arc};

/// What such proxies offer in TLS: whichever they are, they know each other by it.
pub(super) const PROTOCOLS: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// By which label Istio says of a workload that it ends TLS as a member of the mesh.
const ENDS_TLS: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// The names by which a service can be asked for where a view is, each that of a cluster.
pub(super) fn asked_for(name: &ServiceName, view: View<'_>) -> Vec<String> {
    let all: Vec<String> =
        all(name, view.namespace, view.reader).into_iter().map(|one| one.name).collect();
    if !all.is_empty() {
        view.needs.borrow_mut().passed.insert(name.clone());
    }
    all
}

/// Those clusters, and the endpoints of those that ask for them.
pub(super) fn clusters(
    name: &ServiceName,
    scope: &Scope,
    reader: &Reader<'_>,
) -> Vec<(Cluster, Option<ClusterLoadAssignment>)> {
    let here = services::here(scope);
    let made = |one: One<'_>| {
        let assignment = one.is_asked_for().then(|| one.assignment(&here, reader));
        (one.cluster(&here, reader), assignment)
    };
    all(name, &scope.namespace, reader).into_iter().map(made).collect()
}

fn all<'a>(name: &ServiceName, namespace: &Arc<str>, reader: &Reader<'a>) -> Vec<One<'a>> {
    let is_led_to = |facts: &&Arc<ServiceFacts>| {
        facts.service.is_visible_from(namespace)
            // Nobody knows where connections from elsewhere were meant to go.
            && facts.resolution != Resolution::Original
            // A name says nothing of namespaces.
            && !reader.is_shared(name, namespace)
    };
    let Some(facts) = reader.service(name).filter(is_led_to) else { return Vec::new() };
    let (_, traffic) = clients::ways(reader.service_plan(name), namespace);
    let one = |Part { port, subset, policy }: Part<'a>| {
        let mut labels = subset.map(|(_, subset)| subset.labels.clone()).unwrap_or_default();
        labels.insert(ENDS_TLS.0.to_owned(), ENDS_TLS.1.to_owned());
        let balancer = policy.balancer.clone().filter(|one| *one != Balancer::Passthrough);
        One {
            name: names::asked(name, port.port, subset.map(|(called, _)| called)),
            facts,
            port,
            labels: Cow::Owned(labels),
            policy: TrafficPolicy { tls: Tls::Off, balancer, ..policy },
            traffic,
        }
    };
    services::parts(facts, traffic).map(one).collect()
}
