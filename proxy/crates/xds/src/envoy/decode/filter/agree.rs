//! Whether routes say to each filter what that filter understands.
use super::super::{Got, Path, Wrong};
use culvert_model::http::{
    filter::{Filter, FilterConfig, HttpFilter, OverrideConfig, PerFilter},
    route::{Action, ClusterChoice, Route, RouteTable, VirtualHost},
};

/// Refuses what a table says to a filter of the chain and is meant for a filter of another type: it
/// would go unheard. Nothing is said of names that no filter of the chain has.
pub(in super::super) fn agree(filters: &[Filter], table: &RouteTable, path: &Path<'_>) -> Got<()> {
    heard(filters, &table.per_filter, path)?;
    let hosts = path.field("virtual_hosts");
    for (i, host) in table.hosts.iter().enumerate() {
        of_host(filters, host, &hosts.index(i))?;
    }
    Ok(())
}

fn of_host(filters: &[Filter], host: &VirtualHost, path: &Path<'_>) -> Got<()> {
    heard(filters, &host.per_filter, path)?;
    let routes = path.field("routes");
    for (i, route) in host.routes.iter().enumerate() {
        of_route(filters, route, &routes.index(i))?;
    }
    Ok(())
}

fn of_route(filters: &[Filter], route: &Route, path: &Path<'_>) -> Got<()> {
    heard(filters, &route.per_filter, path)?;
    let Action::Forward(forward) = &route.action else { return Ok(()) };
    let ClusterChoice::Weighted(weighted) = &forward.cluster else { return Ok(()) };
    let path = path.field("route");
    let path = path.field("weighted_clusters");
    let clusters = path.field("clusters");
    for (i, cluster) in weighted.clusters.iter().enumerate() {
        heard(filters, &cluster.per_filter, &clusters.index(i))?;
    }
    Ok(())
}

fn heard(filters: &[Filter], said: &PerFilter, path: &Path<'_>) -> Got<()> {
    if said.is_empty() {
        return Ok(());
    }
    let path = path.field("typed_per_filter_config");
    for filter in filters {
        let said = said.get(&filter.name).and_then(|said| said.config.as_ref());
        let (Some(said), FilterConfig::Here(filter_config)) = (said, &filter.config) else {
            continue;
        };
        if !understands(filter_config, said) {
            let what = "is for a filter of another type than the one of this name in http_filters";
            return Err(Wrong::at(&path.key(&filter.name), what));
        }
    }
    Ok(())
}

const fn understands(filter: &HttpFilter, said: &OverrideConfig) -> bool {
    match said {
        OverrideConfig::Rbac(_) => matches!(filter, HttpFilter::Rbac(_) | HttpFilter::Ignored),
        OverrideConfig::Fault(_) => matches!(filter, HttpFilter::Fault(_) | HttpFilter::Ignored),
        OverrideConfig::LocalRateLimit(_) => {
            matches!(filter, HttpFilter::LocalRateLimit(_) | HttpFilter::Ignored)
        }
        OverrideConfig::Cors(_) => matches!(filter, HttpFilter::Cors | HttpFilter::Ignored),
        OverrideConfig::HeaderMutation(_) => {
            matches!(filter, HttpFilter::HeaderMutation(_) | HttpFilter::Ignored)
        }
        OverrideConfig::SetFilterState(_) => {
            matches!(filter, HttpFilter::SetFilterState(_) | HttpFilter::Ignored)
        }
        OverrideConfig::Buffer(_) => {
            matches!(filter, HttpFilter::Buffer { .. } | HttpFilter::Ignored)
        }
        OverrideConfig::Ignored => true,
    }
}
