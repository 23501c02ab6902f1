//! Why a request takes the route it takes.
use std::{fmt, sync::Arc};

use culvert_model::http::route::{PathMatch, Route, RouteMatch, VirtualHost};

use super::{Miss, matching};
use crate::http::facts::Asking;

/// Which route, and why not those before it.
#[derive(Clone, Debug)]
pub enum Explanation<'a> {
    /// No virtual host is for the request's host.
    NoHost,
    /// The virtual host wants TLS.
    Tls { host: &'a Arc<VirtualHost> },
    /// The routes that were looked at; the last one, if it has no miss, is taken.
    Routes { host: &'a Arc<VirtualHost>, steps: Vec<Step<'a>> },
}

/// A route that was looked at.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Its place in the virtual host.
    pub at: usize,
    pub route: &'a Arc<Route>,
    pub miss: Option<Miss>,
}

/// Walks the routes in order, to the first that matches.
pub(super) fn walk<'a>(
    host: &'a Arc<VirtualHost>,
    asking: &Asking<'_>,
    path: &str,
    wants_tls: bool,
) -> Explanation<'a> {
    if wants_tls {
        return Explanation::Tls { host };
    }
    let mut steps = Vec::new();
    for (at, route) in host.routes.iter().enumerate() {
        let miss = matching::check(&route.when, asking, path).err();
        steps.push(Step { at, route, miss });
        if miss.is_none() {
            break;
        }
    }
    Explanation::Routes { host, steps }
}

impl<'a> Explanation<'a> {
    /// The route that is taken.
    #[must_use]
    pub fn route(&self) -> Option<&'a Arc<Route>> {
        let Self::Routes { steps, .. } = self else { return None };
        steps.last().filter(|step| step.miss.is_none()).map(|step| step.route)
    }
}

impl Step<'_> {
    /// Why it was passed over.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.miss.map(|miss| Reason { miss, when: &self.route.when }.to_string())
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("no virtual host is for this host"),
            Self::Tls { host } => {
                write!(f, "virtual host {} sends requests without TLS to https", host.name)
            }
            Self::Routes { host, steps } => {
                write!(f, "virtual host {}", host.name)?;
                if steps.last().is_none_or(|step| step.miss.is_some()) {
                    f.write_str(": no route matches")?;
                }
                steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
            }
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}", self.at)?;
        if !self.route.name.is_empty() {
            write!(f, " ({})", self.route.name)?;
        }
        match self.miss {
            None => f.write_str(": matches"),
            Some(miss) => write!(f, ": {}", Reason { miss, when: &self.route.when }),
        }
    }
}

struct Reason<'a> {
    miss: Miss,
    when: &'a RouteMatch,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = self.when;
        match self.miss {
            Miss::Path => match &when.path {
                PathMatch::Exact(path) => write!(f, "the path is not {}", path.as_str()),
                PathMatch::Prefix(path) | PathMatch::Separated(path) => {
                    write!(f, "the path does not begin with {}", path.as_str())
                }
                PathMatch::Regex(regex) => write!(f, "the path does not match {}", regex.as_str()),
                PathMatch::Connect => f.write_str("the method is not CONNECT"),
            },
            Miss::Header(at) => {
                let name = when.headers.get(at).map_or("?", |wanted| wanted.name.as_str());
                write!(f, "header {name} is not as it must be")
            }
            Miss::Query(at) => {
                let name = when.query.get(at).map_or("?", |wanted| &wanted.name);
                write!(f, "query parameter {name} is not as it must be")
            }
            Miss::Grpc => f.write_str("the request is not of gRPC"),
            Miss::Tls => f.write_str("the client's certificate is not as it must be"),
            Miss::Metadata(at) => {
                let filter = when.metadata.get(at).map_or("?", |wanted| &wanted.filter);
                write!(f, "metadata of {filter} is not as it must be")
            }
            Miss::FilterState(at) => {
                let key = when.filter_state.get(at).map_or("?", |wanted| &wanted.key);
                write!(f, "filter state {key} is not as it must be")
            }
            Miss::Fraction => f.write_str("not in the share of requests that it takes"),
        }
    }
}
