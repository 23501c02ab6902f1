//! What resources name must be there, where they ask for that.
use super::decode::Wrong;
use culvert_model::http::{
    listener::{FilterChain, Listener, NetworkFilterKind},
    manager::Routes,
    route::{Action, ClusterChoice, Forward, Mirror, MirrorCluster, RouteTable, WeightedName},
};

/// The first cluster that a table names and that is not there, if the table says that it must be.
pub(super) fn of_table(table: &RouteTable, is_there: impl Fn(&str) -> bool) -> Option<Wrong> {
    if !table.validate_clusters {
        return None;
    }
    let unknown = |path: String, name: &str| {
        let what = format!("no cluster {name:?} is known");
        (!is_there(name)).then_some(Wrong { path, what })
    };
    let mirrors = |path: &str, mirrors: &[Mirror]| {
        mirrors.iter().enumerate().find_map(|(i, mirror)| match &mirror.cluster {
            MirrorCluster::Named(name) => {
                unknown(format!("{path}request_mirror_policies[{i}].cluster"), name)
            }
            MirrorCluster::Header(_) => None,
        })
    };
    let of_forward = |path: &str, forward: &Forward| {
        let of_cluster = match &forward.cluster {
            ClusterChoice::Named(name) => unknown(format!("{path}cluster"), name),
            ClusterChoice::Header(_) => None,
            ClusterChoice::Weighted(weighted) => {
                let mut names = weighted.clusters.iter().enumerate().filter_map(|(i, one)| {
                    let WeightedName::Named(name) = &one.cluster else { return None };
                    unknown(format!("{path}weighted_clusters.clusters[{i}].name"), name)
                });
                names.next()
            }
        };
        of_cluster.or_else(|| mirrors(path, &forward.mirrors))
    };
    table.hosts.iter().enumerate().find_map(|(i, host)| {
        let of_routes = || {
            host.routes.iter().enumerate().find_map(|(j, route)| {
                let Action::Forward(forward) = &route.action else { return None };
                of_forward(&format!("virtual_hosts[{i}].routes[{j}].route."), forward)
            })
        };
        mirrors(&format!("virtual_hosts[{i}]."), &host.mirrors).or_else(of_routes)
    })
}

/// The same of the tables inside of a listener.
pub(super) fn of_listener(listener: &Listener, is_there: impl Fn(&str) -> bool) -> Option<Wrong> {
    let of_chain = |path: &str, chain: &FilterChain| {
        chain.filters.iter().enumerate().find_map(|(i, filter)| {
            let NetworkFilterKind::HttpManager(manager) = &filter.kind else { return None };
            let Routes::Here(table) = &manager.routes else { return None };
            let wrong = of_table(table, &is_there)?;
            let path = format!("{path}.filters[{i}].typed_config.route_config.{}", wrong.path);
            Some(Wrong { path, ..wrong })
        })
    };
    let chains = listener.chains.iter().enumerate();
    chains
        .into_iter()
        .find_map(|(i, chain)| of_chain(&format!("filter_chains[{i}]"), chain))
        .or_else(|| {
            let chain = listener.default_chain.as_ref()?;
            of_chain("default_filter_chain", chain)
        })
}
