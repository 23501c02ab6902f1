//! Virtual hosts and their routes.
use super::{
    super::plan::{
        matching::{HttpMatch, PathMatch},
        rule::{Abort, Action as RuleAction, Cors, Fault, HttpRule},
    },
    action::{self, Clusters, LARGEST_BODY, called},
    matching,
    rewrite::{additions, removals},
    words::{any, duration, flag, fraction, is_value, number, origin, runtime_fraction, text},
};
use crate::compile::http::plan::{Fraction, forward::Retry};
use culvert_model::http::route::Domain;
use culvert_proto::api::{
    envoy::{
        config::route::v3::{
            Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
            route::Action,
            route_action::{ClusterSpecifier, HashPolicy},
            virtual_host::TlsRequirementType,
        },
        extensions::filters::{
            common::fault::v3::{FaultDelay, fault_delay::FaultDelaySecifier},
            http::{
                cors::v3::CorsPolicy,
                fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType},
            },
        },
    },
    google::protobuf::Any,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

pub(super) const CORS: &str = "envoy.filters.http.cors";
pub(super) const FAULT: &str = "envoy.filters.http.fault";

/// Envoy: faults of `grpc_status` are one of these.
const LAST_GRPC_STATUS: u32 = 16;

/// Hosts of a table, each domain in one of them only.
#[derive(Default)]
pub(super) struct Hosts {
    hosts: Vec<VirtualHost>,
    domains: BTreeSet<Domain>,
    names: BTreeSet<String>,
}

impl Hosts {
    /// Adds what is for some domains; those that somebody has already stay theirs.
    pub(super) fn add<'a>(
        &mut self,
        name: &str,
        domains: impl IntoIterator<Item = &'a str>,
        routes: Vec<Route>,
        require_tls: bool,
    ) {
        // A star inside is a letter for Envoy, and matches nothing.
        let is_meant = |domain: &&str| {
            domain.starts_with('*') || domain.ends_with('*') || !domain.contains('*')
        };
        let free = domains.into_iter().filter(is_meant).filter(|domain| {
            domain.parse().is_ok_and(|domain: Domain| self.domains.insert(domain))
        });
        let domains: Vec<String> = free.map(str::to_owned).collect();
        if domains.is_empty() {
            return;
        }
        let mut unique = name.to_owned();
        while !self.names.insert(unique.clone()) {
            unique.push('+');
        }
        let require_tls = match require_tls {
            true => TlsRequirementType::All,
            false => TlsRequirementType::None,
        };
        self.hosts.push(VirtualHost {
            name: unique,
            domains,
            routes,
            require_tls: require_tls.into(),
            include_request_attempt_count: true,
            ..VirtualHost::default()
        });
    }

    pub(super) fn table(self, name: &str) -> RouteConfiguration {
        let bodies = self.hosts.iter().flat_map(|host| &host.routes).filter_map(body);
        let largest = bodies.max().unwrap_or(0).min(LARGEST_BODY);
        RouteConfiguration {
            name: name.to_owned(),
            virtual_hosts: self.hosts,
            // Routes may name what does not exist: it is answered so.
            validate_clusters: Some(flag(false)),
            ignore_port_in_host_matching: true,
            // Envoy: 4 KiB.
            max_direct_response_body_size_bytes: (largest > 4096)
                .then(|| number(u32::try_from(largest).unwrap_or(u32::MAX))),
            ..RouteConfiguration::default()
        }
    }
}

/// How long the body is that a route answers with.
fn body(route: &Route) -> Option<usize> {
    use culvert_proto::api::envoy::config::core::v3::data_source::Specifier;
    let Some(Action::DirectResponse(direct)) = &route.action else { return None };
    let Specifier::InlineBytes(bytes) = direct.body.as_ref()?.specifier.as_ref()? else {
        return None;
    };
    Some(bytes.len())
}

/// The routes that `rules` are, for whom `is_for` says yes.
pub(super) fn routes(
    rules: &[HttpRule],
    is_for: &dyn Fn(&HttpMatch) -> bool,
    clusters: &dyn Clusters,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for rule in rules {
        let anything = HttpMatch::default();
        let matches: Vec<&HttpMatch> = match rule.matches.is_empty() {
            true => vec![&anything],
            false => rule.matches.iter().filter(|one| is_for(one)).collect(),
        };
        for one in matches {
            let Some(when) = matching::http(one) else { continue };
            routes.push(route(rule, one, when, clusters));
        }
    }
    routes
}

fn route(rule: &HttpRule, of: &HttpMatch, when: RouteMatch, clusters: &dyn Clusters) -> Route {
    let HttpRule { at, name, matches: _, action, request, response, fault, cors } = rule;
    let name = called(at, name.as_deref());
    let name = match &of.name {
        Some(of) => format!("{name}.{of}"),
        None => name,
    };
    let mut filters: HashMap<String, Any> = HashMap::new();
    filters.extend(fault.as_ref().and_then(self::fault).map(|one| (FAULT.to_owned(), one)));
    filters.extend(cors.as_ref().map(|one| (CORS.to_owned(), self::cors(one))));
    Route {
        name,
        metadata: Some(origin(at)),
        action: Some(self::action(action, &of.path, clusters)),
        r#match: Some(when),
        typed_per_filter_config: filters,
        request_headers_to_add: additions(request),
        request_headers_to_remove: removals(request),
        response_headers_to_add: additions(response),
        response_headers_to_remove: removals(response),
        stat_prefix: of.counted.as_deref().unwrap_or_default().to_owned(),
        ..Route::default()
    }
}

fn action(of: &RuleAction, path: &PathMatch, clusters: &dyn Clusters) -> Action {
    match of {
        RuleAction::Forward(forward) => action::forward(forward, path, clusters),
        RuleAction::Redirect(redirect) => action::redirect(redirect, path),
        RuleAction::Direct(direct) => action::direct(direct),
    }
}

/// Everything to one cluster, as Istio does where no rule is.
pub(super) fn to(cluster: &str, retries: bool, hash: Vec<HashPolicy>) -> Route {
    Route {
        name: "default".into(),
        r#match: Some(matching::everything()),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
            timeout: Some(duration(Duration::ZERO)),
            hash_policy: hash,
            retry_policy: retries.then(Retry::standard).as_ref().and_then(action::retry),
            ..RouteAction::default()
        })),
        ..Route::default()
    }
}

fn fault(Fault { delay, abort }: &Fault) -> Option<Any> {
    let delay = delay.filter(|(time, share)| !time.is_zero() && *share != Fraction::NONE);
    let abort = abort.filter(|(_, share)| *share != Fraction::NONE);
    let abort = abort.and_then(|(how, share)| {
        let how = match how {
            Abort::Http(status) if (200..600).contains(&status) => {
                ErrorType::HttpStatus(status.into())
            }
            Abort::Grpc(status) if status <= LAST_GRPC_STATUS => ErrorType::GrpcStatus(status),
            Abort::Http(_) | Abort::Grpc(_) => return None,
        };
        Some(FaultAbort {
            percentage: Some(fraction(share)),
            error_type: Some(how),
            ..FaultAbort::default()
        })
    });
    let delay = delay.map(|(time, share)| FaultDelay {
        percentage: Some(fraction(share)),
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(super::words::some_time(time))),
    });
    (delay.is_some() || abort.is_some())
        .then(|| any(&HttpFault { delay, abort, ..HttpFault::default() }))
}

fn cors(of: &Cors) -> Any {
    let Cors { origins, methods, headers, expose, max_age, credentials, forward_others } = of;
    let list = |all: &[std::sync::Arc<str>]| {
        let fine: Vec<&str> = all.iter().map(AsRef::as_ref).filter(|one| is_value(one)).collect();
        fine.join(",")
    };
    any(&CorsPolicy {
        allow_origin_string_match: origins.iter().filter_map(text).collect(),
        allow_methods: list(methods),
        allow_headers: list(headers),
        expose_headers: list(expose),
        max_age: max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: credentials.then(|| flag(true)),
        filter_enabled: Some(runtime_fraction(Fraction::ALL)),
        forward_not_matching_preflights: Some(flag(*forward_others)),
        ..CorsPolicy::default()
    })
}
