//! What is held and what has become of it, in the shapes of Envoy's admin interface.
use super::{
    assemble::{Assembler, Held, Key, Refused, State},
    bootstrap::Bootstrap,
    kind::Kind,
    wanted::Asked,
};
use culvert_proto::{
    Timestamp,
    api::{
        envoy::{
            admin::v3::{ClientResourceStatus, UpdateFailureState},
            config::core::v3::Node,
            service::status::v3::{
                ClientConfig, ClientStatusResponse, ConfigStatus, client_config::GenericXdsConfig,
            },
        },
        google::protobuf as well_known,
    },
    json,
};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::SystemTime};

const ADMIN: &str = "type.googleapis.com/envoy.admin.v3.";

/// `/config_dump`; endpoints only when they are asked for, as Envoy has it.
#[must_use]
pub fn config_dump(
    bootstrap: &Bootstrap,
    started: SystemTime,
    assembler: &Assembler,
    include_endpoints: bool,
) -> Value {
    let mut configs = vec![
        json!({
            "@type": format!("{ADMIN}BootstrapConfigDump"),
            "bootstrap": json::write(&bootstrap.message),
            "last_updated": time(started),
        }),
        clusters(assembler),
    ];
    if include_endpoints {
        configs.push(listed(assembler, Kind::Endpoint, &ENDPOINTS));
    }
    configs.push(listeners(assembler));
    configs.push(listed(assembler, Kind::Route, &ROUTES));
    configs.push(secrets(assembler));
    configs.push(listed(assembler, Kind::Extension, &EXTENSIONS));
    json!({ "configs": configs })
}

/// What one of the dumps calls its parts.
struct Names {
    dump: &'static str,
    fixed: &'static str,
    dynamic: &'static str,
    resource: &'static str,
}

const ENDPOINTS: Names = Names {
    dump: "EndpointsConfigDump",
    fixed: "static_endpoint_configs",
    dynamic: "dynamic_endpoint_configs",
    resource: "endpoint_config",
};

const ROUTES: Names = Names {
    dump: "RoutesConfigDump",
    fixed: "static_route_configs",
    dynamic: "dynamic_route_configs",
    resource: "route_config",
};

const EXTENSIONS: Names = Names {
    dump: "EcdsConfigDump",
    fixed: "static_ecds_filters",
    dynamic: "ecds_filters",
    resource: "ecds_filter",
};

/// One resource, as it is known.
struct One<'a> {
    key: &'a Key,
    held: Option<&'a Held>,
    refused: Option<&'a Refused>,
    state: State,
}

/// Everything of a type, in the order of names.
fn all<'a>(assembler: &'a Assembler, kind: Kind, states: &'a States) -> Vec<One<'a>> {
    let of_kind = states.iter().filter(|((of, _), _)| *of == kind);
    of_kind
        .map(|(key, state)| One {
            key,
            held: assembler.held_as(key),
            refused: assembler.refused_as(key),
            state: *state,
        })
        .collect()
}

type States = std::collections::BTreeMap<Key, State>;

impl One<'_> {
    fn is_static(&self) -> bool {
        self.held.is_some_and(|held| held.from == Asked::Static)
    }

    /// The resource and when it came, under the dump's name for it.
    fn config(&self, name: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        if let Some(held) = self.held {
            if !held.version.is_empty() {
                fields.insert("version_info".to_owned(), json!(&*held.version));
            }
            if !held.made.any.type_url.is_empty() {
                fields.insert(name.to_owned(), json::write(&held.made.any));
            }
            fields.insert("last_updated".to_owned(), time(held.at));
        }
        fields
    }

    fn status(&self, fields: &mut Map<String, Value>) {
        fields.insert("client_status".to_owned(), json!(self.state.as_str()));
        if let Some(refused) = self.refused {
            fields.insert(
                "error_state".to_owned(),
                json!({
                    "failed_configuration": json::write(&refused.any),
                    "last_update_attempt": time(refused.at),
                    "details": refused.error.to_string(),
                    "version_info": &*refused.version,
                }),
            );
        }
    }
}

fn clusters(assembler: &Assembler) -> Value {
    let states = assembler.states();
    let (mut fixed, mut active, mut warming) = (Vec::new(), Vec::new(), Vec::new());
    for one in all(assembler, Kind::Cluster, &states) {
        let mut config = one.config("cluster");
        if one.is_static() {
            fixed.push(Value::Object(config));
            continue;
        }
        one.status(&mut config);
        match one.state {
            State::Warming => warming.push(Value::Object(config)),
            State::Requested | State::DoesNotExist | State::Acked | State::Nacked => {
                active.push(Value::Object(config));
            }
        }
    }
    let mut dump = json!({
        "@type": format!("{ADMIN}ClustersConfigDump"),
        "static_clusters": fixed,
        "dynamic_active_clusters": active,
        "dynamic_warming_clusters": warming,
    });
    version(assembler, Kind::Cluster, &mut dump);
    dump
}

/// What came last of a type says the version of all of it.
fn version(assembler: &Assembler, kind: Kind, dump: &mut Value) {
    let of_kind = assembler.held().filter(|((of, _), held)| {
        *of == kind && held.from != Asked::Static && !held.version.is_empty()
    });
    if let Some((_, last)) = of_kind.max_by_key(|(_, held)| held.at) {
        dump["version_info"] = json!(&*last.version);
    }
}

fn listeners(assembler: &Assembler) -> Value {
    let states = assembler.states();
    let (mut fixed, mut dynamic) = (Vec::new(), Vec::new());
    for one in all(assembler, Kind::Listener, &states) {
        let config = Value::Object(one.config("listener"));
        if one.is_static() {
            fixed.push(config);
            continue;
        }
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(&*one.key.1));
        let state = match one.state {
            State::Warming => "warming_state",
            State::Requested | State::DoesNotExist | State::Acked | State::Nacked => "active_state",
        };
        if one.held.is_some() {
            fields.insert(state.to_owned(), config);
        }
        one.status(&mut fields);
        dynamic.push(Value::Object(fields));
    }
    let mut dump = json!({
        "@type": format!("{ADMIN}ListenersConfigDump"),
        "static_listeners": fixed,
        "dynamic_listeners": dynamic,
    });
    version(assembler, Kind::Listener, &mut dump);
    dump
}

fn secrets(assembler: &Assembler) -> Value {
    let states = assembler.states();
    let (mut fixed, mut active, mut warming) = (Vec::new(), Vec::new(), Vec::new());
    for one in all(assembler, Kind::Secret, &states) {
        let mut config = one.config("secret");
        config.insert("name".to_owned(), json!(&*one.key.1));
        if one.is_static() {
            fixed.push(Value::Object(config));
            continue;
        }
        one.status(&mut config);
        let list = if one.held.is_some() { &mut active } else { &mut warming };
        list.push(Value::Object(config));
    }
    json!({
        "@type": format!("{ADMIN}SecretsConfigDump"),
        "static_secrets": fixed,
        "dynamic_active_secrets": active,
        "dynamic_warming_secrets": warming,
    })
}

fn listed(assembler: &Assembler, kind: Kind, names: &Names) -> Value {
    let states = assembler.states();
    let (mut fixed, mut dynamic) = (Vec::new(), Vec::new());
    for one in all(assembler, kind, &states) {
        let mut config = one.config(names.resource);
        if one.is_static() {
            fixed.push(Value::Object(config));
        } else {
            one.status(&mut config);
            dynamic.push(Value::Object(config));
        }
    }
    if kind == Kind::Route {
        for (_, held) in assembler.held().filter(|((of, _), _)| *of == Kind::Listener) {
            inline_routes(&json::write(&held.made.any), held.at, &mut fixed);
        }
    }
    if kind == Kind::Endpoint {
        let clusters = assembler.held().filter(|((of, _), _)| *of == Kind::Cluster);
        fixed.extend(clusters.filter_map(|(_, held)| own_endpoints(json::write(&held.made.any))));
    }
    let mut fields = Map::new();
    fields.insert("@type".to_owned(), json!(format!("{ADMIN}{}", names.dump)));
    fields.insert(names.fixed.to_owned(), json!(fixed));
    fields.insert(names.dynamic.to_owned(), json!(dynamic));
    Value::Object(fields)
}

/// The endpoints that a cluster has itself.
fn own_endpoints(mut cluster: Value) -> Option<Value> {
    let mut own = cluster.get_mut("load_assignment")?.take();
    own.as_object_mut()?.insert("@type".to_owned(), json!(Kind::Endpoint.type_url()));
    Some(json!({ "endpoint_config": own }))
}

/// The route tables inside of a listener, as the bootstrap's own are shown.
fn inline_routes(value: &Value, at: SystemTime, into: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("route_config", Value::Object(table)) => {
                        let mut table = table.clone();
                        table.insert("@type".to_owned(), json!(Kind::Route.type_url()));
                        into.push(json!({ "route_config": table, "last_updated": time(at) }));
                    }
                    (_, value) => inline_routes(value, at, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| inline_routes(item, at, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the service of client status (CSDS) answers.
#[must_use]
pub fn client_status(node: &Node, assembler: &Assembler) -> ClientStatusResponse {
    let configs = assembler.states().into_iter().map(|(key, state)| {
        generic(&key, state, assembler.held_as(&key), assembler.refused_as(&key))
    });
    let config = ClientConfig {
        node: Some(node.clone()),
        generic_xds_configs: configs.collect(),
        ..ClientConfig::default()
    };
    ClientStatusResponse { config: vec![config] }
}

fn generic(
    (kind, name): &Key,
    state: State,
    held: Option<&Held>,
    refused: Option<&Refused>,
) -> GenericXdsConfig {
    let client_status = match state {
        State::Requested => ClientResourceStatus::Requested,
        State::DoesNotExist => ClientResourceStatus::DoesNotExist,
        State::Acked | State::Warming => ClientResourceStatus::Acked,
        State::Nacked => ClientResourceStatus::Nacked,
    };
    GenericXdsConfig {
        type_url: kind.type_url().to_owned(),
        name: (**name).to_owned(),
        version_info: held.map(|held| (*held.version).to_owned()).unwrap_or_default(),
        // Secrets are nobody's business.
        xds_config: held.filter(|_| *kind != Kind::Secret).map(|held| held.made.any.clone()),
        last_updated: held.map(|held| timestamp(held.at)),
        config_status: ConfigStatus::Unknown.into(),
        client_status: client_status.into(),
        error_state: refused.map(|refused| UpdateFailureState {
            failed_configuration: None,
            last_update_attempt: Some(timestamp(refused.at)),
            details: refused.error.to_string(),
            version_info: (*refused.version).to_owned(),
        }),
        is_static_resource: held.is_some_and(|held| held.from == Asked::Static),
    }
}

fn timestamp(at: SystemTime) -> well_known::Timestamp {
    let at = Timestamp::from(at);
    well_known::Timestamp { seconds: at.seconds, nanos: at.nanos }
}

fn time(at: SystemTime) -> Value {
    Value::String(Timestamp::from(at).to_string())
}

/// A version that all resources of a type have; nothing when they differ.
#[must_use]
pub fn common_version(assembler: &Assembler, kind: Kind) -> Option<Arc<str>> {
    let held = assembler.held().filter(|((of, _), held)| *of == kind && held.from != Asked::Static);
    let mut versions = held.map(|(_, held)| &held.version);
    let first = versions.next()?;
    versions.all(|version| version == first).then(|| Arc::clone(first))
}
