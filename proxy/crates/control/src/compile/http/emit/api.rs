//! What clients are told that have no proxy: gRPC's own, which ask for a listener by host and port.
//!
//! They understand less than Envoy, and refuse the rest: so they get less.
use super::{
    action::Clusters as _,
    clients::Class,
    manager::http_filter,
    may_be_http, names,
    outbound::{Behind, View},
    route::{self, CORS, FAULT, Hosts},
    words::{ads, any, number},
};
use culvert_model::name::ServiceName;
use culvert_proto::api::envoy::{
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
        },
        endpoint::v3::ClusterLoadAssignment,
        listener::v3::{ApiListener, Listener},
        route::v3::RouteConfiguration,
    },
    extensions::filters::{
        http::{fault::v3::HttpFault, router::v3::Router},
        network::http_connection_manager::v3::{
            HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
        },
    },
};

/// A listener for each port of a service where HTTP may be spoken, called as Istio calls it:
/// `host:port`; and its routes.
pub(super) fn listeners(name: &ServiceName, view: View<'_>) -> Vec<(Listener, RouteConfiguration)> {
    let View { reader, namespace, .. } = view;
    let Some(facts) = reader.service(name) else { return Vec::new() };
    if !facts.service.is_visible_from(namespace) || reader.is_shared(name, namespace) {
        return Vec::new();
    }
    let (plan, class) = (reader.service_plan(name), Class::default());
    let ports = facts.service.ports.iter().filter(|port| may_be_http(port.protocol));
    let made = ports.map(|port| {
        let behind = Behind { facts, plan, protocol: port.protocol, port: port.port };
        let seen = behind.seen(view, &class);
        let mut routes = match behind.rules(&class, view).http {
            Some(rules) => {
                let is_for = |one: &_| class.asks(one, namespace, port.port);
                route::routes(rules, &is_for, &seen)
            }
            None => vec![route::to(&seen.cluster(&behind.backend()), true, Vec::new())],
        };
        for route in &mut routes {
            route.typed_per_filter_config.remove(CORS);
        }
        let called = names::routes(behind.host(), port.port, "");
        let mut hosts = Hosts::default();
        hosts.add(&called, ["*"], routes, false);
        (listener(&called), hosts.table(&called))
    });
    made.collect()
}

fn listener(name: &str) -> Listener {
    let rds = Rds { config_source: Some(ads()), route_config_name: name.to_owned() };
    let manager = HttpConnectionManager {
        stat_prefix: name.to_owned(),
        http_filters: vec![
            http_filter(FAULT, &HttpFault::default()),
            http_filter("envoy.filters.http.router", &Router::default()),
        ],
        route_specifier: Some(RouteSpecifier::Rds(rds)),
        ..HttpConnectionManager::default()
    };
    Listener {
        name: name.to_owned(),
        api_listener: Some(ApiListener { api_listener: Some(any(&manager)) }),
        ..Listener::default()
    }
}

/// As much of a cluster as is understood; `None`: it cannot be used.
pub(super) fn cluster(cluster: Cluster) -> Option<Cluster> {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    if cluster.cluster_discovery_type != Some(eds) {
        return None;
    }
    let (lb_policy, lb_config) = match cluster.lb_policy() {
        LbPolicy::RingHash => (LbPolicy::RingHash, cluster.lb_config),
        LbPolicy::RoundRobin
        | LbPolicy::LeastRequest
        | LbPolicy::Random
        | LbPolicy::Maglev
        | LbPolicy::ClusterProvided
        | LbPolicy::LoadBalancingPolicyConfig => (LbPolicy::RoundRobin, None),
    };
    Some(Cluster {
        lb_policy: lb_policy.into(),
        lb_config,
        common_lb_config: None,
        transport_socket: None,
        upstream_connection_options: None,
        ..cluster
    })
}

/// A place without a weight would not be used: each gets as much as it has endpoints.
pub(super) fn assignment(mut assignment: ClusterLoadAssignment) -> ClusterLoadAssignment {
    for place in &mut assignment.endpoints {
        let count = u32::try_from(place.lb_endpoints.len()).unwrap_or(u32::MAX);
        place.load_balancing_weight.get_or_insert_with(|| number(count));
    }
    assignment
}
