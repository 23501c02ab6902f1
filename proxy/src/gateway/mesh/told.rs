//! How a gateway presents itself to its control plane, and what it asks for there: by aggregated
//! discovery, as a router of Istio does.
use crate::{
    failure::{Exit, Failure},
    gateway::{
        bootstrap::rename,
        options::{Of, Options},
    },
    node::l7::subscription::{following, own_ip},
};
use culvert_control::gateways::GATEWAY_NAME;
use culvert_xds::envoy::{
    bootstrap::{self, Bootstrap},
    discover::Way,
};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What it begins with, and its address as the control plane sees it.
///
/// # Errors
///
/// When that is no bootstrap, which nobody can have brought about.
pub(super) fn bootstrap(
    options: &Options,
    of: &Of,
    way: &Way,
) -> Result<(Bootstrap, String), Failure> {
    let ip = own_ip(way).to_string();
    let said = said(of, &ip, of.config.doors.admin).to_string();
    let mut bootstrap = bootstrap::read(&options.source(), &said)
        .map_err(|bad| Failure::new(Exit::Usage, bad, "give the gateway as NAMESPACE/NAME"))?;
    rename(&mut bootstrap, &options.node);
    Ok((bootstrap, ip))
}

fn said(of: &Of, ip: &str, admin: Option<SocketAddr>) -> Value {
    let (namespace, name) = (&*of.name.namespace, &*of.name.name);
    // Nobody is served before it is known what.
    let ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    let mut labels = of.config.gateways.labels.clone();
    labels.insert(GATEWAY_NAME.to_owned(), name.to_owned());
    let own = json!({
        "id": format!("router~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        "cluster": format!("{name}.{namespace}"),
        "metadata": {
            "NAMESPACE": namespace,
            "CLUSTER_ID": of.config.cluster,
            "INSTANCE_IPS": ip,
            "LABELS": labels,
        },
    });
    let mut said = following(&own, &ads);
    if let (Some(admin), Some(fields)) = (admin, said.as_object_mut()) {
        let at = json!({"address": admin.ip().to_string(), "port_value": admin.port()});
        fields.insert("admin".to_owned(), json!({"address": {"socket_address": at}}));
    }
    said
}
