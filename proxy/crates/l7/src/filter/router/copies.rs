//! Copies of a request to other clusters: `request_mirror_policies`.
use super::{Plan, way::downstream};
use crate::{
    body::Body,
    forward::mirror,
    manager::{own, record::Record},
    message::RequestHead,
    upstream::{Ask, Chosen},
};
use culvert_model::http::route::Mirror;
use culvert_policy::http::{
    chance, client,
    mutate::{Message, route_headers},
    route::{mirror_cluster, port_start},
};
use culvert_runtime::dice::dice;
use http::{HeaderValue, uri::Authority};

/// Sends copies while `body` is sent; what the request itself sends from now on.
pub(super) fn start(record: &Record, plan: &Plan<'_>, body: Body) -> Body {
    let table = record.now.table.as_ref().map_or(&[][..], |table| &table.table().mirrors);
    let levels = [&plan.forward.mirrors[..], &plan.host.mirrors[..], table];
    let Some(mirrors) = levels.into_iter().find(|level| !level.is_empty()) else { return body };
    let copies: Vec<_> = mirrors.iter().filter_map(|mirror| copy(record, plan, mirror)).collect();
    if copies.is_empty() {
        return body;
    }
    mirror::start(copies, body, &record.manager.shared().worker)
}

fn copy(record: &Record, plan: &Plan<'_>, mirror: &Mirror) -> Option<mirror::Mirror<Chosen>> {
    if !chance::hits(&mirror.fraction, &record.now.runtime, dice()) {
        return None;
    }
    let cluster = mirror_cluster(mirror, &record.request())?;
    let upstream = record.manager.shared().upstreams.find(&cluster)?;
    let downstream = downstream(record, &upstream);
    let ask = Ask { hash: record.routed.hashed.hash, downstream, attempts: 1, ..Ask::default() };
    let chosen = upstream.choose(&ask).ok()?;
    upstream.traffic().shadow.inc();
    let mut head: RequestHead = record.head.clone();
    // From now on it is a request of ours.
    head.headers.insert(client::INTERNAL, HeaderValue::from_static("true"));
    client::append_forwarded(&mut head.headers, own::address());
    if let Some(host) = &mirror.host {
        head.authority = Authority::try_from(&**host).ok();
    } else if mirror.shadow_host
        && let Some(host) = &head.authority
    {
        head.authority = Authority::try_from(shadow(host.as_str())).ok();
    }
    if !mirror.request.is_empty() {
        let mut headers = std::mem::take(&mut head.headers);
        let seeing = record.seeing("NotSet");
        route_headers(&mirror.request, Message::Request, &mut headers, &seeing.scene());
        head.headers = headers;
    }
    Some(mirror::Mirror { head, chosen, limit: plan.limits.request })
}

/// `name-shadow`, before the port.
fn shadow(host: &str) -> String {
    let split = port_start(host).and_then(|colon| host.split_at_checked(colon));
    let (name, port) = split.unwrap_or((host, ""));
    format!("{name}-shadow{port}")
}
