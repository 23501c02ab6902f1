//! A request as it comes: whether it is one, whose it is, and what of it is believed.
use crate::{
    manager::{
        Manager,
        answer::{Local, Refused},
        own,
        record::Record,
    },
    message::{RequestHead, Scheme},
    outcome::Flag,
};
use bytes::Bytes;
use culvert_model::http::{manager as model, protocol::Underscores};
use culvert_policy::http::{
    client::{self, Came, Client},
    facts, host,
    mutate::{self, Message},
    path::{Normalized, normalize},
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode, Version, header,
    uri::{Authority, PathAndQuery},
};
use std::{borrow::Cow, net::IpAddr};

/// Checks and cleans the head of `record`, in Envoy's order.
///
/// # Errors
///
/// The answer, where it goes no further.
pub(super) fn arrive(record: &mut Record) -> Result<(), Refused> {
    let manager = std::sync::Arc::clone(&record.manager);
    let config = manager.config();
    check(&manager, record)?;
    normalize_path(&manager, record)?;
    normalize_host(config, record);
    if !config.early_mutations.is_empty() {
        early(config, record);
    }
    believe(&manager, record)
}

/// What no filter is to see.
fn check(manager: &Manager, record: &mut Record) -> Result<(), Refused> {
    let config = manager.config();
    if manager.shared().budgets.streams.limit() < manager.shared().budgets.streams.used() {
        manager.tally().rq_overload_close.inc();
        let local = Local::new(StatusCode::SERVICE_UNAVAILABLE, "envoy overloaded", "overload");
        return Err(local.flag(Flag::OverloadManager).close().boxed());
    }
    let head = &mut record.head;
    let old = head.version == Version::HTTP_10;
    if old && !config.http1.accept_http_10 {
        let status = StatusCode::UPGRADE_REQUIRED;
        let local = Local::new(status, "Upgrade Required", "low_version");
        return Err(local.flag(Flag::DownstreamProtocolError).close().boxed());
    }
    if old
        && head.authority.is_none()
        && let Some(host) = &config.http1.default_host
    {
        head.authority = Authority::try_from(&**host).ok();
    }
    underscores(config, head)?;
    if head.authority.as_ref().is_none_or(|host| host.as_str().is_empty()) {
        let local = Local::new(StatusCode::BAD_REQUEST, "", "missing_host_header");
        return Err(local.boxed());
    }
    if usize::try_from(config.common.max_headers).is_ok_and(|most| most < head.headers.len()) {
        // Those of HTTP/1 were counted when they came.
        manager.tally().rq_too_large.inc();
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Local::new(status, "", "http2.too_many_headers").boxed());
    }
    let connect = head.method == Method::CONNECT;
    let path = head.path.as_ref().map_or("", PathAndQuery::as_str);
    if !path.starts_with('/') && !connect {
        manager.tally().rq_non_relative_path.inc();
        let details =
            if path.is_empty() { "missing_path_rejected" } else { "absolute_path_rejected" };
        return Err(Local::new(StatusCode::NOT_FOUND, "", details).boxed());
    }
    Ok(())
}

fn underscores(config: &model::Manager, head: &mut RequestHead) -> Result<(), Refused> {
    if config.common.underscores == Underscores::Allow {
        return Ok(());
    }
    let bad = |name: &&HeaderName| name.as_str().contains('_');
    let names: Vec<HeaderName> = head.headers.keys().filter(bad).cloned().collect();
    if names.is_empty() {
        return Ok(());
    }
    if config.common.underscores == Underscores::RejectRequest {
        let details = if head.version == Version::HTTP_2 {
            "http2.unexpected_underscore"
        } else {
            "http1.unexpected_underscore"
        };
        let local = Local::new(StatusCode::BAD_REQUEST, "Bad Request", details);
        return Err(local.flag(Flag::DownstreamProtocolError).close().boxed());
    }
    for name in names {
        head.headers.remove(name);
    }
    Ok(())
}

fn normalize_path(manager: &Manager, record: &mut Record) -> Result<(), Refused> {
    let Some(path) = &record.head.path else { return Ok(()) };
    match normalize(path.as_str(), manager.config().path) {
        Normalized::Kept => {}
        Normalized::Changed(new) => match PathAndQuery::from_maybe_shared(Bytes::from(new)) {
            Ok(new) => record.head.path = Some(new),
            Err(_malformed) => return Err(no_path(manager, "path_normalization_failed")),
        },
        Normalized::Refused(details) => return Err(no_path(manager, details)),
        Normalized::Redirect(to) => {
            manager.tally().rq_redirected_with_normalized_path.inc();
            let mut local =
                Local::new(StatusCode::TEMPORARY_REDIRECT, "", "path_normalization_failed");
            if facts::is_grpc(&record.head.headers) {
                local.grpc = Some(culvert_policy::http::grpc::INTERNAL);
            } else if let Ok(to) = HeaderValue::try_from(to) {
                local.headers.insert(header::LOCATION, to);
            }
            return Err(local.boxed());
        }
    }
    Ok(())
}

fn no_path(manager: &Manager, details: &'static str) -> Refused {
    manager.tally().rq_failed_path_normalization.inc();
    Local::new(StatusCode::BAD_REQUEST, "", details).boxed()
}

fn normalize_host(config: &model::Manager, record: &mut Record) {
    let port = record.connection.facts.local.map(|local| local.port());
    let Some(before) = &record.head.authority else { return };
    // Of a CONNECT the port is where it goes, not how it came.
    if record.head.method == Method::CONNECT {
        return;
    }
    if let Cow::Owned(new) = host::normalize(before.as_str(), config.host, port)
        && let Ok(new) = Authority::from_maybe_shared(Bytes::from(new))
    {
        record.head.authority = Some(new);
    }
}

fn early(config: &model::Manager, record: &mut Record) {
    let mut headers = std::mem::take(&mut record.head.headers);
    let seeing = record.seeing("NotSet");
    let scene = seeing.scene();
    mutate::filter_headers(&config.early_mutations, Message::Request, &mut headers, &scene);
    record.head.headers = headers;
}

/// Who the client is; what of its headers is believed, and what is added for the upstream.
fn believe(manager: &Manager, record: &mut Record) -> Result<(), Refused> {
    let config = manager.config();
    let connection = std::sync::Arc::clone(&record.connection);
    let facts = &connection.facts;
    let is_here = client::is_loopback(client::peer(facts).ip());
    let own = if is_here { own::address() } else { IpAddr::from([0; 4]) };
    let random = if config.request_id.generate {
        u128::from(culvert_runtime::dice::dice()) << 64 | u128::from(record.dice)
    } else {
        0
    };
    let now = std::sync::Arc::clone(&record.now);
    let internal_only = now.table.as_ref().map_or(&[][..], |table| &table.table().internal_only);
    let node = &manager.shared().node;
    let came = Came { facts, own, internal_only, node: (&node.cluster, &node.id), random };
    let head = &mut record.head;
    let found = client::believe(config, came, &mut head.headers);
    let Client { address, internal: _, edge: _ } = found.map_err(|status| {
        manager.tally().rq_rejected_via_ip_detection.inc();
        Local::new(status, "", "rejecting_because_detection_failed").boxed()
    })?;
    let one = head.version != Version::HTTP_2;
    if let Some(scheme) = client::scheme(config.scheme, one, &mut head.headers) {
        head.scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    }
    if facts.remote != Some(address) {
        let client = facts::Connection { remote: Some(address), ..facts.clone() };
        record.client = Some(Box::new(client));
    }
    Ok(())
}
