//! What a route does.
use super::{
    super::{
        Around, Got, Path, Wrong,
        access_log::log_format,
        basic::{data, must, status},
    },
    forward, redirect,
};
use culvert_model::http::route::{Action, Direct, RouteMatch};
use culvert_proto::api::envoy::config::route::v3::{self as pb, route};

pub(super) fn decode(
    value: &Option<route::Action>,
    when: &RouteMatch,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Action> {
    let what = "one of route, redirect, direct_response must be set";
    match value.as_ref().ok_or_else(|| Wrong::at(path, what))? {
        route::Action::Route(value) => {
            let path = path.field("route");
            Ok(Action::Forward(Box::new(forward::decode(value, when, &path, around)?)))
        }
        route::Action::Redirect(value) => {
            let path = path.field("redirect");
            Ok(Action::Redirect(Box::new(redirect::decode(value, when, &path)?)))
        }
        route::Action::DirectResponse(value) => {
            direct(value, &path.field("direct_response"), around)
        }
        route::Action::NonForwardingAction(_) => Ok(Action::NonForwarding),
        route::Action::FilterAction(_) => {
            Err(Wrong::at(&path.field("filter_action"), "is not supported"))
        }
    }
}

fn direct(value: &pb::DirectResponseAction, path: &Path<'_>, around: &dyn Around) -> Got<Action> {
    let body = match &value.body {
        Some(source) => data(source, &path.field("body"), around)?,
        None => Vec::new(),
    };
    let format = match &value.body_format {
        Some(value) => {
            let path = path.field("body_format");
            must(&value.format, &path)?;
            Some((*log_format(value, &path, around)?.format).clone())
        }
        None => None,
    };
    Ok(Action::Direct(Box::new(Direct {
        status: status(value.status, &path.field("status"))?,
        body: body.into(),
        format,
    })))
}
