//! How a request would fare.
use super::{Unanswered, arrival, way};
use crate::admin::view;
use axum::http::{HeaderName, HeaderValue};
use culvert_model::{
    http::{origin, rbac::Action},
    snapshot::Snapshot,
};
use culvert_policy::{
    http::why::{
        Asked, Does, Filtered, Looked, Outcome, Passage, Request, Sent, Share, Side, Takes,
    },
    why::{Engines, Leg, NotAParty, Party, Passing, Question, Server, Through},
};
use serde::Deserialize;
use std::time::Duration;

/// What is asked beside the connection, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    /// Else the destination, as a client that dials it would say it.
    pub(crate) host: Option<String>,
    /// `NAME:VALUE`, each on a line of its own.
    pub(crate) headers: Option<String>,
}

impl Wanted {
    /// Whether a request is asked about, and not only a connection.
    pub(crate) fn is_some(&self) -> bool {
        *self != Self::default()
    }

    /// The same by whatever address it is sent: its host is said.
    ///
    /// # Errors
    ///
    /// What is no destination.
    pub(crate) fn to_whom(&self, from: &str, to: &str) -> Result<Self, NotAParty> {
        let host = match &self.host {
            Some(host) => host.clone(),
            None => called(&Question::parse(from, to)?),
        };
        Ok(Self { host: Some(host), ..self.clone() })
    }

    /// # Errors
    ///
    /// What cannot be part of a request.
    fn request(&self, question: &Question) -> Result<Request, Unanswered> {
        let Self { method, path, host, headers } = self;
        let method = method.as_deref().unwrap_or("GET");
        let path = path.as_deref().unwrap_or("/");
        let host = host.clone().unwrap_or_else(|| called(question));
        let headers = headers.as_deref().unwrap_or_default().lines();
        Ok(Request::parse(method, path, &host, headers)?)
    }
}

/// The destination as the host of a request.
fn called(question: &Question) -> String {
    let host = match &question.destination {
        Party::Host(host) => host.to_string(),
        Party::Ip(ip) if ip.is_ipv6() => format!("[{ip}]"),
        Party::Ip(ip) => ip.to_string(),
        Party::Pod(name) | Party::Account(name) => name.name.to_string(),
    };
    match question.port {
        Some(port) if port != 80 => format!("{host}:{port}"),
        Some(_) | None => host,
    }
}

/// What becomes of a request of `from` to `to`?
///
/// # Errors
///
/// When the question has no form, or names what is not there.
pub(crate) fn ask_for(
    wanted: &Wanted,
    (from, to): (&str, &str),
    snapshot: &Snapshot,
    engines: &dyn Engines,
) -> Result<(view::Why, Through), Unanswered> {
    let question = Question::parse(from, to)?;
    let request = wanted.request(&question)?;
    let through = question.ask_for(&request, snapshot, engines)?;
    let document = view::Why {
        answer: through.answer().to_string(),
        source: through.source.to_string(),
        ways: through.ways.iter().map(passing).collect(),
        text: through.to_string(),
    };
    Ok((document, through))
}

fn passing(passing: &Passing) -> view::Way {
    let mut said = way(&passing.way);
    passing.answer().to_string().clone_into(&mut said.answer);
    if let Some((_, leg)) = &passing.client {
        said.client = Some(side(leg));
        let (namespace, node) = (&leg.namespace, &leg.node);
        said.route = Some(format!("by L7 of {namespace} on node {node}"));
        said.refused = None;
    }
    said.arrivals = passing.servers.iter().map(server).collect();
    said
}

fn server(server: &Server) -> view::Arrival {
    let answer = server.answer().to_string();
    view::Arrival { server: server.leg.as_ref().map(side), answer, ..arrival(&server.arrival) }
}

fn side(leg: &Leg) -> view::Side {
    let found = leg.side.as_ref().ok();
    let passage = found.and_then(Side::passage);
    let routes = passage.map_or(&[][..], |passage| &passage.routes);
    let connection = found.map_or(&[][..], |side| &side.connection);
    let filters = connection.iter().chain(passage.map_or(&[][..], |passage| &passage.filters));
    let (location, because) = ended(found, passage);
    view::Side {
        namespace: leg.namespace.to_string(),
        node: leg.node.to_string(),
        answer: leg.answer().to_string(),
        unknown: leg.side.as_ref().err().map(ToString::to_string),
        listener: found.and_then(|side| Some(side.listener.as_ref()?.name.to_string())),
        chain: found.and_then(|side| Some(side.chain.as_ref()?.name.to_string())),
        routes: passage.and_then(|passage| Some(passage.table.as_ref()?.name.to_string())),
        virtual_host: passage.and_then(|passage| Some(passage.host.as_ref()?.name.to_string())),
        route: passage.and_then(Passage::taken).map(route),
        passed_over: routes.iter().filter(|one| one.because.is_some()).map(route).collect(),
        filters: filters.map(filter).collect(),
        status: passage.and_then(Passage::status).map(|status| status.as_u16()),
        location,
        because,
        sent: found.and_then(Side::sent).map(sent),
    }
}

/// Where a redirect leads to, and why there is no way.
fn ended(side: Option<&Side>, passage: Option<&Passage>) -> (Option<String>, Option<String>) {
    let words = |words: &str| (None, Some(words.to_owned()));
    match passage.map(|passage| &passage.outcome) {
        Some(Outcome::Refused { because, .. }) => words(because),
        Some(Outcome::Answered { location, .. }) => (location.clone(), None),
        Some(Outcome::Stopped { .. } | Outcome::Sent(_)) => (None, None),
        None => match side.map(|side| &side.takes) {
            Some(Takes::Nobody) => words("no listener or filter chain takes its connection"),
            Some(Takes::Bytes) => words("its connection is passed on unread"),
            Some(Takes::Requests(_)) | None => (None, None),
        },
    }
}

fn route(looked: &Looked) -> view::Route {
    let origin = origin::of(&looked.route.metadata);
    view::Route {
        name: looked.route.name.to_string(),
        place: looked.at,
        object: origin.as_ref().map(|origin| origin.object.to_string()),
        index: origin.as_ref().and_then(|origin| origin.rule),
        origin: origin.map(|origin| origin.at.to_string()),
        because: looked.because.clone(),
    }
}

fn filter(filter: &Filtered) -> view::Filter {
    let (dry_run, action, asked) = match &filter.does {
        Does::Rules { action, dry_run, asked, .. } => {
            let action = match action {
                Action::Allow => "ALLOW",
                Action::Deny => "DENY",
                Action::Log => "LOG",
            };
            (*dry_run, Some(action.to_owned()), &asked[..])
        }
        Does::Tree { dry_run, .. } => (*dry_run, None, &[][..]),
        Does::Faults { .. } | Does::Preflight | Does::Untold(_) => (false, None, &[][..]),
    };
    view::Filter {
        name: filter.name.to_string(),
        answer: filter.answer().to_string(),
        dry_run,
        action,
        rule: filter.decided().map(rule),
        passed_over: asked.iter().filter(|one| !one.held).map(rule).collect(),
        says: says(filter),
    }
}

/// The first line of what is told for people.
fn says(filter: &Filtered) -> String {
    let all = filter.to_string();
    let first = all.lines().next().unwrap_or_default();
    first.trim_start_matches(['+', '-', '?', ' ']).to_owned()
}

fn rule(asked: &Asked) -> view::Rule {
    let (policy, index) = asked.rule.clone().unwrap_or_else(|| (asked.name.to_string(), 0));
    view::Rule { policy, index, origin: asked.origin.as_ref().map(ToString::to_string) }
}

fn sent(sent: &Sent) -> view::Sent {
    let seconds = |time: Duration| time.as_secs_f64();
    view::Sent {
        clusters: sent.shares.iter().map(cluster).collect(),
        timeout: sent.timeout.map(seconds),
        retries: sent.tries.as_ref().map(|tries| view::Retries {
            most: tries.most,
            on: tries.on.to_string(),
            each: tries.each.map(seconds),
        }),
        mirrors: (sent.mirrors.iter())
            .map(|(cluster, fraction)| view::Mirror {
                cluster: cluster.to_string(),
                percent: fraction.share() * 100.0,
            })
            .collect(),
    }
}

fn header((name, value): (&HeaderName, &HeaderValue)) -> String {
    format!("{name}:{}", String::from_utf8_lossy(value.as_bytes()))
}

fn cluster(share: &Share) -> view::Cluster {
    let origin = share.config.as_ref().and_then(|config| origin::of(&config.metadata));
    #[expect(clippy::cast_precision_loss, reason = "a sum of weights, shown as a share")]
    let percent = share.weight.map_or(100.0, |(weight, of)| f64::from(weight) / of as f64 * 100.0);
    let endpoint = |one: &culvert_policy::http::why::Endpoint| view::Endpoint {
        address: one.name.to_string(),
        eligible: one.may,
        health: one.health.clone(),
        priority: one.priority,
    };
    view::Cluster {
        name: share.cluster.to_string(),
        percent,
        exists: share.config.is_some(),
        object: origin.as_ref().map(|origin| origin.object.to_string()),
        origin: origin.map(|origin| origin.at.to_string()),
        path: share.request.path.clone(),
        host: share.request.authority.clone(),
        headers: Some(share.request.headers.iter().map(header).collect()),
        endpoints: share.endpoints.iter().map(endpoint).collect(),
    }
}
