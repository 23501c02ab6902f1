//! What a route answers itself.
use crate::{
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    outcome::Flag,
};
use culvert_model::http::{
    filter::Router,
    route::{Action, Direct},
};
use culvert_policy::http::{
    format::{Missing, Scene, line},
    route::{https_location, location},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{borrow::Cow, sync::Arc};

/// What is answered to requests that go no further.
///
/// # Errors
///
/// The answer.
pub(super) fn answer(record: &Record, config: &Router) -> Result<(), Refused> {
    if let Some(local) = strict(config, &record.head.headers) {
        return Err(local);
    }
    let tally = record.manager.tally();
    if record.routed.to_tls {
        tally.redirect.inc();
        let to = https_location(&record.request());
        return Err(redirect(StatusCode::MOVED_PERMANENTLY, to).boxed());
    }
    let Some(route) = &record.routed.route else { return Err(nowhere(record)) };
    match &route.action {
        Action::Forward(_) => Ok(()),
        Action::NonForwarding => Err(nowhere(record)),
        Action::Redirect(to) => {
            tally.redirect.inc();
            let place = location(to, &route.when.path, &record.request());
            let mut local = redirect(to.code.status(), place);
            local.of_route = true;
            Err(local.boxed())
        }
        Action::Direct(direct) => {
            tally.direct_response.inc();
            Err(said(record, direct).boxed())
        }
    }
}

/// No route is for it.
pub(super) fn nowhere(record: &Record) -> Refused {
    record.manager.tally().no_route.inc();
    let local = Local::new(StatusCode::NOT_FOUND, "", "route_not_found");
    local.flag(Flag::NoRouteFound).boxed()
}

fn redirect(status: StatusCode, to: String) -> Local {
    let mut local = Local::new(status, "", "direct_response");
    if let Ok(to) = HeaderValue::try_from(to) {
        local.headers.insert(header::LOCATION, to);
    }
    local
}

fn said(record: &Record, direct: &Direct) -> Local {
    let mut local = Local::new(direct.status, "", "direct_response");
    local.of_route = true;
    // What was made or has moved is where the request went, as Envoy says.
    if direct.status == StatusCode::CREATED || direct.status.is_redirection() {
        let head = record.request();
        let to = format!("{}://{}{}", head.scheme, head.authority, head.path);
        if let Ok(to) = HeaderValue::try_from(to) {
            local.headers.insert(header::LOCATION, to);
        }
    }
    local.body = Cow::Owned(match &direct.format {
        None => direct.body.to_vec(),
        Some(format) => {
            let seeing = record.seeing("NotSet");
            let scene = Scene { local_reply: &direct.body, ..seeing.scene() };
            let mut out = Vec::new();
            line(format, &scene, Missing::Dash, &mut out);
            out
        }
    });
    local
}

/// Headers for us that must be such as we understand.
fn strict(config: &Router, headers: &HeaderMap) -> Option<Refused> {
    let bad = config.strict_headers.iter().find_map(|name| {
        let value = headers.get(&**name)?;
        let text = value.to_str().unwrap_or_default();
        let fine = match &**name {
            "x-envoy-retry-on" | "x-envoy-retry-grpc-on" => {
                text.split(',').all(|word| known(name, word.trim()))
            }
            _ => text.trim().parse::<u64>().is_ok(),
        };
        (!fine).then(|| (Arc::clone(name), text.to_owned()))
    });
    let (name, value) = bad?;
    let text = format!("invalid header '{name}' with value '{value}'");
    let details = format!("request_headers_failed_strict_check{{{name}}}");
    let local = Local::new(StatusCode::BAD_REQUEST, text, details);
    Some(local.flag(Flag::InvalidEnvoyRequestHeaders).boxed())
}

fn known(header: &str, word: &str) -> bool {
    use culvert_model::http::retry::Conditions;

    let found = if header == "x-envoy-retry-on" {
        Conditions::parse_http(word)
    } else {
        Conditions::parse_grpc(word)
    };
    !found.is_empty()
}
