//! `/listeners`.
use super::{Admin, Answer, query::Query};
use culvert_l7::engine::view::ListenerView;
use culvert_model::http::address::Address;
use serde_json::{Value, json};

pub(super) fn answer(admin: &Admin, query: &Query) -> Answer {
    let all = admin.around.serving.listeners();
    // What never took a connection is none yet.
    let all = all.into_iter().filter(|one| one.config.is_some());
    if query.get("format") == Some("json") {
        let statuses: Vec<_> = all.map(|one| status(&one)).collect();
        return Answer::json(&json!({ "listener_statuses": statuses }));
    }
    let lines = all.flat_map(|ListenerView { name, addresses, .. }| {
        addresses.into_iter().map(move |address| format!("{name}::{address}\n")).collect::<Vec<_>>()
    });
    Answer::ok(lines.collect::<String>())
}

fn status(one: &ListenerView) -> Value {
    let mut addresses = one.addresses.iter().map(written);
    let mut status = json!({ "name": &*one.name, "local_address": addresses.next() });
    let more: Vec<_> = addresses.collect();
    if !more.is_empty() {
        status["additional_local_addresses"] = json!(more);
    }
    if let Some(error) = &one.error {
        status["error"] = json!(error);
    }
    status
}

/// As `envoy.config.core.v3.Address`.
pub(super) fn written(address: &Address) -> Value {
    let socket = |host: String, port: u16| json!({ "socket_address": { "address": host, "port_value": port } });
    match address {
        Address::Socket(at) => socket(at.ip().to_string(), at.port()),
        Address::Name { host, port } => socket(host.to_string(), *port),
        Address::Pipe(path) => json!({ "pipe": { "path": &**path } }),
    }
}
