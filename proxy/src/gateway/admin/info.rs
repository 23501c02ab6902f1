//! `/ready`, `/server_info`, `/memory`, `/init_dump`.
use super::{Admin, Answer, query::Query};
use crate::gateway::{
    life::State,
    numbers::Memory,
    options::{Mode, Options},
};
use axum::http::StatusCode;
use culvert_proto::json;
use culvert_xds::envoy::kind::Kind;
use serde_json::{Value, json};

/// `/ready`.
pub(super) fn ready(admin: &Admin) -> Answer {
    let state = admin.state();
    let status =
        if state == State::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer::text(status, format!("{}\n", state.as_str()))
}

/// `/server_info`.
pub(super) fn server_info(admin: &Admin) -> Answer {
    let around = &admin.around;
    let uptime = format!("{}s", around.shared.began.elapsed().as_secs());
    Answer::json(&json!({
        "version": concat!("culvert/", env!("CARGO_PKG_VERSION")),
        "state": admin.state().as_str(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": options(&around.options),
        "node": json::write(&around.bootstrap.node),
    }))
}

fn options(of: &Options) -> Value {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    };
    json!({
        "concurrency": of.workers(),
        "config_path": path(&of.path),
        "config_yaml": text(of.yaml.as_deref()),
        "admin_address_path": path(&of.admin_address),
        "log_level": of.log.level.to_string(),
        "component_log_level": text(of.log.components.as_deref()),
        "log_path": path(&of.log.path),
        "service_cluster": text(of.node.cluster.as_deref()),
        "service_node": text(of.node.id.as_deref()),
        "service_zone": text(of.node.zone.as_deref()),
        "drain_time": format!("{}s", of.drain().as_secs()),
        "mode": match of.mode {
            Mode::Serve => "Serve",
            Mode::Validate => "Validate",
            Mode::InitOnly => "InitOnly",
        },
        "disable_hot_restart": true,
        "restart_epoch": 0,
    })
}

/// `/memory`: what the kernel says, since the allocator keeps no such numbers.
pub(super) fn memory() -> Answer {
    let Memory { resident, anonymous } = Memory::now();
    Answer::json(&json!({
        "allocated": anonymous.to_string(),
        "heap_size": anonymous.to_string(),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": resident.to_string(),
    }))
}

/// `/init_dump`: who waits for what.
pub(super) fn init_dump(admin: &Admin, query: &Query) -> Answer {
    let wanted = |kind: Kind| match (kind, query.some("mask")) {
        (_, None) => true,
        (Kind::Listener, Some(mask)) => mask == "listener",
        (Kind::Cluster, Some(mask)) => mask == "cluster",
        _ => false,
    };
    let dumps = admin.around.discovery.inspect(|all| {
        let waiting = all.waiting().filter(|((kind, _), _)| wanted(*kind));
        waiting
            .map(|((kind, name), needs)| {
                let needs = needs.iter().map(|(kind, name)| format!("{} {name}", kind.as_str()));
                json!({
                    "name": format!("init manager {} {name}", kind.as_str()),
                    "target_names": needs.collect::<Vec<_>>(),
                })
            })
            .collect::<Vec<_>>()
    });
    if dumps.is_empty() {
        return Answer::json(&json!({}));
    }
    Answer::json(&json!({ "unready_targets_dumps": dumps }))
}
