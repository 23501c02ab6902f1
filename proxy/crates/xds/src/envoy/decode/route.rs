//! Route tables.
use super::{
    Around, Got, Path, Wrong,
    basic::{each, flag, fraction, known, some},
    filter::{overrides, route_cors},
    header::{header, name},
    mutation::both_ways,
    ratelimit::limits,
    value::metadata,
};
use culvert_model::http::{
    manager::Sampling,
    matcher::Fraction,
    route::{Domain, RequireTls, Route, RouteTable, Traced, VirtualCluster, VirtualHost},
};
use culvert_proto::api::envoy::{
    config::route::v3::{self as pb, virtual_host::TlsRequirementType},
    r#type::v3::FractionalPercent,
};
use std::{collections::HashMap, sync::Arc};

mod action;

pub(super) mod again;

mod forward;

mod matching;

mod redirect;

mod retry;

use forward::mirrors;

/// `validate_clusters`: what holds where the table says nothing of it.
pub(super) fn decode(
    value: &pb::RouteConfiguration,
    path: &Path<'_>,
    around: &dyn Around,
    validate_clusters: bool,
) -> Got<RouteTable> {
    if value.vhds.is_some() {
        return Err(Wrong::at(&path.field("vhds"), "virtual hosts on demand are not supported"));
    }
    let plugins = value.cluster_specifier_plugins.iter().enumerate();
    for (i, plugin) in plugins {
        if !plugin.is_optional {
            let path = path.field("cluster_specifier_plugins");
            return Err(Wrong::at(&path.index(i), "cluster specifier plugins are not supported"));
        }
    }
    let at = path.field("virtual_hosts");
    let hosts: Box<[Arc<VirtualHost>]> =
        each(&value.virtual_hosts, &at, |host, path| self::host(host, path, around).map(Arc::new))?;
    no_domain_twice(&hosts, &at)?;
    let (request, response) = both_ways(value, path)?;
    Ok(RouteTable {
        name: value.name.as_str().into(),
        hosts,
        ignore_port: value.ignore_port_in_host_matching,
        host_header: match some(&value.vhost_header) {
            Some(header) => Some(name(&header, &path.field("vhost_header"))?),
            None => None,
        },
        request,
        response,
        internal_only: each(
            &value.internal_only_headers,
            &path.field("internal_only_headers"),
            |header, path| name(header, path),
        )?,
        validate_clusters: flag(&value.validate_clusters, validate_clusters),
        most_specific_wins: value.most_specific_header_mutations_wins,
        ignore_path_parameters: value.ignore_path_parameters_in_path_matching,
        mirrors: mirrors(&value.request_mirror_policies, &path.field("request_mirror_policies"))?,
        per_filter: overrides(&value.typed_per_filter_config, path, around)?,
        metadata: metadata(&value.metadata),
    })
}

fn no_domain_twice(hosts: &[Arc<VirtualHost>], path: &Path<'_>) -> Got<()> {
    let mut seen: HashMap<&Domain, &str> = HashMap::new();
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (i, host) in hosts.iter().enumerate() {
        let path = path.index(i);
        if names.insert(&host.name, i).is_some() {
            let what = format!("there is another virtual host {:?}", host.name);
            return Err(Wrong::at(&path.field("name"), what));
        }
        for (j, domain) in host.domains.iter().enumerate() {
            if let Some(other) = seen.insert(domain, &host.name) {
                let path = path.field("domains");
                let what = format!("virtual host {other:?} has the domain {domain} already");
                return Err(Wrong::at(&path.index(j), what));
            }
        }
    }
    Ok(())
}

fn host(value: &pb::VirtualHost, path: &Path<'_>, around: &dyn Around) -> Got<VirtualHost> {
    if value.matcher.is_some() {
        let what = "a tree of routes is not supported; give routes";
        return Err(Wrong::at(&path.field("matcher"), what));
    }
    if value.retry_policy_typed_config.is_some() {
        let what = "not supported; give retry_policy";
        return Err(Wrong::at(&path.field("retry_policy_typed_config"), what));
    }
    if value.include_is_timeout_retry_header {
        let what = "not supported; give include_request_attempt_count";
        return Err(Wrong::at(&path.field("include_is_timeout_retry_header"), what));
    }
    let require_tls = match known(value.require_tls, &path.field("require_tls"))? {
        TlsRequirementType::None => RequireTls::None,
        TlsRequirementType::ExternalOnly => RequireTls::External,
        TlsRequirementType::All => RequireTls::All,
    };
    let routes = each(&value.routes, &path.field("routes"), |value, path| {
        route(value, path, around).map(Arc::new)
    })?;
    let (request, response) = both_ways(value, path)?;
    Ok(VirtualHost {
        name: value.name.as_str().into(),
        domains: each(&value.domains, &path.field("domains"), domain)?,
        routes,
        require_tls,
        request,
        response,
        attempts_in_request: value.include_request_attempt_count,
        attempts_in_response: value.include_attempt_count_in_response,
        retry: retry::policy(&value.retry_policy, &path.field("retry_policy"))?,
        mirrors: mirrors(&value.request_mirror_policies, &path.field("request_mirror_policies"))?,
        rate_limits: limits(&value.rate_limits, &path.field("rate_limits"))?,
        clusters: each(&value.virtual_clusters, &path.field("virtual_clusters"), counted)?,
        cors: match &value.cors {
            Some(value) => Some(Arc::new(route_cors(value, &path.field("cors"))?)),
            None => None,
        },
        per_filter: overrides(&value.typed_per_filter_config, path, around)?,
        metadata: metadata(&value.metadata),
    })
}

fn counted(value: &pb::VirtualCluster, path: &Path<'_>) -> Got<VirtualCluster> {
    let at = path.field("headers");
    if value.headers.is_empty() {
        return Err(Wrong::at(&at, "must say which requests are counted"));
    }
    let headers = each(&value.headers, &at, header)?;
    Ok(VirtualCluster { name: value.name.as_str().into(), headers })
}

/// For Envoy a star inside is a letter, so that nothing ever matches; whoever wrote it means more.
fn domain(text: &String, path: &Path<'_>) -> Got<Domain> {
    let is_whole = text.starts_with('*') || text.ends_with('*');
    if !is_whole && text.contains('*') {
        let what = format!(
            "{text:?}: a * is possible as the first or the last letter only (*.example.com, \
             example.*)"
        );
        return Err(Wrong::at(path, what));
    }
    text.parse().map_err(|error| Wrong::at(path, format!("{error}")))
}

fn route(value: &pb::Route, path: &Path<'_>, around: &dyn Around) -> Got<Route> {
    let at = path.field("match");
    let when = matching::decode(super::basic::must(&value.r#match, &at)?, &at)?;
    let (request, response) = both_ways(value, path)?;
    Ok(Route {
        name: value.name.as_str().into(),
        action: action::decode(&value.action, &when, path, around)?,
        when,
        request,
        response,
        traced: traced(value, path)?,
        stat_prefix: some(&value.stat_prefix),
        per_filter: overrides(&value.typed_per_filter_config, path, around)?,
        metadata: metadata(&value.metadata),
    })
}

fn traced(value: &pb::Route, path: &Path<'_>) -> Got<Option<Arc<Traced>>> {
    let decorator = value.decorator.as_ref();
    let sampling = value.tracing.as_ref().map(|of| sampling(of, &path.field("tracing")));
    let sampling = sampling.transpose()?;
    if decorator.is_none() && sampling.is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Traced {
        sampling,
        operation: decorator.and_then(|decorator| some(&decorator.operation)),
        propagate: decorator.is_none_or(|decorator| flag(&decorator.propagate, true)),
    })))
}

fn sampling(value: &pb::Tracing, path: &Path<'_>) -> Got<Sampling> {
    let share = |of: &Option<FractionalPercent>, name| match of {
        Some(of) => fraction(of, &path.field(name)),
        None => Ok(Fraction::ALWAYS),
    };
    Ok(Sampling {
        client: share(&value.client_sampling, "client_sampling")?,
        random: share(&value.random_sampling, "random_sampling")?,
        overall: share(&value.overall_sampling, "overall_sampling")?,
    })
}
