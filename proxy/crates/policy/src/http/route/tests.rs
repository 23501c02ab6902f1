use std::sync::Arc;

use culvert_model::http::{
    filter::PerFilter,
    matcher::{
        Fraction, HeaderCondition, HeaderMatch, QueryCondition, QueryMatch, Regex, StringMatch,
    },
    mutation::HeaderMutations,
    route::{
        Action, PathMatch, PathText, RequireTls, Route, RouteMatch, RouteTable, TlsMatch,
        VirtualHost,
    },
    runtime::RuntimeValues,
    value::Metadata,
};
use http::{HeaderMap, Method};

use super::{Found, Table, Target};
use crate::http::facts::{Asking, Certificate, Connection, FilterState, Head, Tls};

mod choice;
mod index;
mod places;

/// A request with everything that can be asked of it.
#[derive(Clone)]
struct Req {
    method: Method,
    scheme: &'static str,
    authority: String,
    path: String,
    headers: HeaderMap,
    connection: Connection,
    dice: u64,
}

impl Req {
    fn get(authority: &str, path: &str) -> Self {
        Self {
            method: Method::GET,
            scheme: "http",
            authority: authority.into(),
            path: path.into(),
            headers: HeaderMap::new(),
            connection: Connection::default(),
            dice: 0,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            path: &self.path,
            authority: &self.authority,
            scheme: self.scheme,
            protocol: None,
            headers: &self.headers,
        }
    }

    fn ask<T>(&self, f: impl FnOnce(&Asking<'_>) -> T) -> T {
        let (metadata, state) = (Metadata::default(), FilterState::default());
        f(&Asking {
            head: self.head(),
            connection: &self.connection,
            metadata: &metadata,
            state: &state,
            runtime: &RuntimeValues::default(),
            dice: self.dice,
        })
    }
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(PathText::new(path, false))
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(PathText::new(path, false))
}

fn separated(path: &str) -> PathMatch {
    PathMatch::Separated(PathText::new(path, false))
}

fn route(name: &str, when: RouteMatch) -> Arc<Route> {
    Arc::new(Route {
        name: name.into(),
        when,
        action: Action::NonForwarding,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        traced: None,
        stat_prefix: None,
        per_filter: PerFilter::default(),
        metadata: Metadata::default(),
    })
}

fn host(name: &str, domains: &[&str], routes: Vec<Arc<Route>>) -> VirtualHost {
    VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
        routes: routes.into(),
        require_tls: RequireTls::None,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        attempts_in_request: false,
        attempts_in_response: false,
        retry: None,
        mirrors: Box::default(),
        clusters: Box::default(),
        rate_limits: Box::default(),
        cors: None,
        per_filter: PerFilter::default(),
        metadata: Metadata::default(),
    }
}

fn table(hosts: Vec<VirtualHost>) -> RouteTable {
    RouteTable {
        name: "t".into(),
        hosts: hosts.into_iter().map(Arc::new).collect(),
        ignore_port: false,
        host_header: None,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        internal_only: Box::default(),
        validate_clusters: false,
        most_specific_wins: false,
        ignore_path_parameters: false,
        mirrors: Box::default(),
        per_filter: PerFilter::default(),
        metadata: Metadata::default(),
    }
}

/// A table of one host for everything.
fn routes(routes: Vec<Arc<Route>>) -> Table {
    Table::new(Arc::new(table(vec![host("all", &["*"], routes)])))
}

fn name_of(table: &Table, request: &Req) -> String {
    request.ask(|asking| match table.find(asking) {
        None => "no host".into(),
        Some(Found { to: Target::Route(route), .. }) => route.name.to_string(),
        Some(Found { to: Target::Tls, .. }) => "tls".into(),
        Some(Found { to: Target::Nowhere, .. }) => "nowhere".into(),
    })
}

fn tls(validated: bool) -> Arc<Tls> {
    let peer = Some(Arc::new(Certificate::default()));
    Arc::new(Tls { peer, validated, ..Tls::default() })
}

fn header(name: &str, value: &str) -> HeaderMatch {
    HeaderMatch::value(name.parse().unwrap(), StringMatch::exact(value))
}
