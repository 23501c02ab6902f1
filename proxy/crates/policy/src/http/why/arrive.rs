//! A request as it comes: what is made of it before it is routed, and its route.
use super::{Course, Looked, Outcome, Passage, Request, filters, router};
use crate::http::{
    client::{Came, believe, scheme},
    facts::{Asking, Connection, FilterState},
    host,
    path::{Normalized, normalize},
    route::{Explanation, Table},
    routed::Routed,
};
use culvert_model::http::{manager::Manager, route::RouteTable, value::Metadata};
use http::{Method, StatusCode};
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The number by which everything is chosen that goes by chance: the first of all is an example.
pub(super) const DICE: u64 = 0;

/// The way of a request through a manager.
pub(super) fn passage(course: &Course<'_>, facts: &Connection, asked: &Request) -> Passage {
    let table = course.table;
    let mut passage = Passage {
        table: table.cloned(),
        host: None,
        routes: Vec::new(),
        filters: Vec::new(),
        outcome: Outcome::Refused { status: StatusCode::NOT_FOUND, because: "".into() },
    };
    let (request, connection) = match arrived(course.manager, table, facts, asked) {
        Ok(arrived) => arrived,
        Err(outcome) => return Passage { outcome, ..passage },
    };
    let (metadata, state) = (Metadata::default(), FilterState::default());
    let asking = Asking {
        head: request.head(),
        connection: &connection,
        metadata: &metadata,
        state: &state,
        runtime: course.engine.snapshot.runtime(),
        dice: DICE,
    };
    let table = table.map(|table| Table::new(Arc::clone(table)));
    let routed = Routed::find(table.as_ref(), &asking);
    passage.host.clone_from(&routed.host);
    if let Some(Explanation::Routes { steps, .. }) =
        table.as_ref().map(|table| table.explain(&asking))
    {
        passage.routes = (steps.iter())
            .map(|step| Looked {
                route: Arc::clone(step.route),
                at: step.at,
                because: step.reason(),
            })
            .collect();
    }
    let (said, stopped) = filters::ask(course, &routed, &asking);
    passage.filters = said;
    passage.outcome = match stopped {
        Some(status) => Outcome::Stopped { status },
        None => router::route(course, &routed, &asking, &request),
    };
    passage
}

/// The request as it is routed, and whose it is.
fn arrived<'a>(
    manager: &Manager,
    table: Option<&Arc<RouteTable>>,
    facts: &'a Connection,
    asked: &Request,
) -> Result<(Request, Cow<'a, Connection>), Outcome> {
    let refused =
        |status, because: &'static str| Outcome::Refused { status, because: because.into() };
    let mut request = asked.clone();
    if request.authority.is_empty() {
        return Err(refused(StatusCode::BAD_REQUEST, "it names no host"));
    }
    let connects = request.method == Method::CONNECT;
    if !connects && !request.path.starts_with('/') {
        return Err(refused(StatusCode::NOT_FOUND, "its path does not begin with /"));
    }
    match normalize(&request.path, manager.path) {
        Normalized::Kept => {}
        Normalized::Changed(path) => request.path = path,
        Normalized::Redirect(to) => {
            let status = StatusCode::TEMPORARY_REDIRECT;
            return Err(Outcome::Answered { status, location: Some(to) });
        }
        Normalized::Refused(_) => {
            return Err(refused(StatusCode::BAD_REQUEST, "its path cannot be normalized"));
        }
    }
    if !connects {
        let port = facts.local.map(|local| local.port());
        if let Cow::Owned(host) = host::normalize(&request.authority, manager.host, port) {
            request.authority = host;
        }
    }
    let came = Came {
        facts,
        own: IpAddr::from(Ipv4Addr::UNSPECIFIED),
        internal_only: table.map_or(&[][..], |table| &table.internal_only),
        node: ("", ""),
        random: 0,
    };
    let client = believe(manager, came, &mut request.headers)
        .map_err(|status| refused(status, "it does not say whose it is"))?;
    if let Some(scheme) = scheme(manager.scheme, true, &mut request.headers) {
        request.scheme = scheme;
    }
    let connection = if facts.remote == Some(client.address) {
        Cow::Borrowed(facts)
    } else {
        Cow::Owned(Connection { remote: Some(client.address), ..facts.clone() })
    };
    Ok((request, connection))
}
