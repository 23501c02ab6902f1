//! The head of a request as its cluster gets it.
use super::{ATTEMPTS, Plan};
use crate::{manager::record::Record, message::RequestHead};
use bytes::Bytes;
use culvert_model::http::route::HostRewrite;
use culvert_policy::http::{
    host::{Replaced, tell_replaced},
    mutate::{self, Message},
    retry,
    route::{rewritten_host, rewritten_path},
    timeout::{self, tell_stream},
};
use http::{
    HeaderName, HeaderValue, header,
    uri::{Authority, PathAndQuery},
};
use std::time::Duration;

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// Changes the head, in Envoy's order: timeouts, headers, host, path.
pub(super) fn dress(record: &mut Record, plan: &Plan<'_>) {
    strip(&mut record.head);
    let expected = !plan.config.suppress_envoy_headers;
    // The time begins with what is sent.
    plan.limits.tell(Duration::ZERO, expected, &mut record.head.headers);
    tell_stream(&plan.forward.timeouts, &mut record.head.headers);
    if plan.host.attempts_in_request {
        record.head.headers.insert(ATTEMPTS, HeaderValue::from(1));
    }
    headers(record, plan);
    host(record, plan);
    path(record, plan);
}

fn strip(head: &mut RequestHead) {
    let headers = &mut head.headers;
    if headers.keys().any(|name| name.as_str().starts_with("x-envoy-")) {
        for name in retry::HEADERS.iter().chain(&timeout::HEADERS) {
            headers.remove(*name);
        }
    }
    if head.upgrade.is_some() {
        headers.remove(header::UPGRADE);
        headers.remove(header::CONNECTION);
    }
}

fn headers(record: &mut Record, plan: &Plan<'_>) {
    let Some(table) = record.now.table.clone() else { return };
    let levels = [&plan.route.request, &plan.host.request, &table.table().request];
    let weighted = record.routed.weighted().is_some_and(|one| !one.request.is_empty());
    if !weighted && levels.iter().all(|level| level.is_empty()) {
        return;
    }
    let mut headers = std::mem::take(&mut record.head.headers);
    let seeing = record.seeing("NotSet");
    let scene = seeing.scene();
    let weighted = record.routed.weighted();
    for level in mutate::request_levels(table.table(), plan.host, plan.route, weighted) {
        mutate::route_headers(level, Message::Request, &mut headers, &scene);
    }
    record.head.headers = headers;
}

fn host(record: &mut Record, plan: &Plan<'_>) {
    let weighted = record.routed.weighted();
    let keeps =
        plan.forward.host == HostRewrite::Keep && weighted.is_none_or(|one| one.host.is_none());
    if keeps || plan.forward.host == HostRewrite::Auto {
        return;
    }
    let new = rewritten_host(plan.forward, weighted, &record.request(), None);
    let own = weighted.is_some_and(|one| one.host.is_some());
    if let Some(new) = new {
        // A weighted cluster's name leaves no trace.
        let original = !own && !plan.config.suppress_envoy_headers;
        let replaced = Replaced { forwarded: plan.forward.append_forwarded_host, original };
        set_host(&mut record.head, &new, replaced);
    }
}

/// Changes the host, and says what it was.
pub(super) fn set_host(head: &mut RequestHead, new: &str, replaced: Replaced) {
    let Ok(new) = Authority::try_from(new) else { return };
    let Some(old) = head.authority.replace(new) else { return };
    tell_replaced(old.as_str(), replaced, &mut head.headers);
}

fn path(record: &mut Record, plan: &Plan<'_>) {
    let Some(before) = &record.head.path else { return };
    let new = rewritten_path(plan.forward, &plan.route.when.path, before.as_str());
    let Some(new) = new.and_then(|new| PathAndQuery::from_maybe_shared(Bytes::from(new)).ok())
    else {
        return;
    };
    if !plan.config.suppress_envoy_headers
        && let Ok(before) = HeaderValue::from_str(before.as_str())
    {
        record.head.headers.insert(ORIGINAL_PATH, before);
    }
    record.head.path = Some(new);
}
