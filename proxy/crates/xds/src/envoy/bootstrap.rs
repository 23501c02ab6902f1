//! What a process starts with: a file of Envoy's, in YAML or JSON.
#![expect(deprecated, reason = "deprecated forms are still written")]

use super::decode::{self, Around, Bootstrapped, Got, Nothing, Path, Wrong, node::node};
use culvert_model::http::{
    address::Address,
    runtime::RuntimeLayer,
    source::{ConfigSource, From, Node},
};
use culvert_proto::{
    Message as _, Name as _,
    api::{
        envoy::{
            config::{
                bootstrap::v3::{self as pb, Bootstrap as Message, runtime_layer::LayerSpecifier},
                cluster::v3::Cluster,
                core::v3 as core,
                listener::v3::Listener,
            },
            extensions::transport_sockets::tls::v3::Secret,
        },
        google::protobuf::Any,
    },
    json,
};
use std::{path::PathBuf, sync::Arc};

/// Everything that is wrong with a bootstrap file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}", .problems.to_string().replace('\n', &format!("\n{file}: ")))]
pub struct BadBootstrap {
    /// As the user named it.
    pub file: String,
    pub problems: json::Problems,
}

/// A bootstrap, taken apart.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// As it is told to servers of discovery.
    pub node: core::Node,
    /// The same, in words of the model.
    pub node_facts: Node,
    /// Resources that are always there, each as it would come by discovery.
    pub listeners: Vec<Any>,
    pub clusters: Vec<Any>,
    pub secrets: Vec<Any>,
    pub dynamic: Dynamic,
    pub admin: Option<Admin>,
    pub runtime: Vec<Layer>,
    /// Of the cluster manager: the cluster that this proxy belongs to itself.
    pub local_cluster: Option<Arc<str>>,
    /// What is in force, for those who ask.
    pub message: Message,
    /// What is given and means nothing here, with the reason.
    pub ignored: Vec<json::Problem>,
}

/// Where resources come from.
#[derive(Clone, Debug, Default)]
pub struct Dynamic {
    pub listeners: Option<ConfigSource>,
    pub clusters: Option<ConfigSource>,
    /// The aggregated stream.
    pub ads: Option<From>,
}

/// The admin interface.
#[derive(Clone, Debug)]
pub struct Admin {
    pub address: Option<Address>,
}

/// A layer of the runtime; later ones count.
#[derive(Clone, Debug)]
pub enum Layer {
    Static(RuntimeLayer),
    Disk { name: Arc<str>, root: PathBuf },
    Admin { name: Arc<str> },
    Discovered { name: Arc<str>, resource: Arc<str>, source: ConfigSource },
}

/// Reads a bootstrap; `file` is how the user calls it.
///
/// # Errors
///
/// All that is wrong with its form; resources are decoded by who needs them.
pub fn read(file: &str, text: &str) -> Result<Bootstrap, BadBootstrap> {
    let bad = |problems| BadBootstrap { file: file.to_owned(), problems };
    let value =
        json::yaml::read(text).map_err(|error| bad(json::Problems::whole(error.to_string())))?;
    let value =
        if value.is_null() { serde_json::Value::Object(serde_json::Map::new()) } else { value };
    let message: Message = json::read(&value).map_err(bad)?;
    let problems = culvert_proto::rules::check(&Message::full_name(), &message.encode_to_vec());
    if !problems.is_empty() {
        return Err(bad(json::Problems(problems)));
    }
    decode_message(message).map_err(|wrong| {
        bad(json::Problems(vec![json::Problem { path: wrong.path, what: wrong.what }]))
    })
}

/// Reads one resource of a file, in YAML or JSON: whatever its `@type` says.
///
/// # Errors
///
/// All that is wrong with it.
pub fn read_any(text: &str) -> Result<Any, json::Problems> {
    let value = json::yaml::read(text).map_err(|error| json::Problems::whole(error.to_string()))?;
    json::read(&value)
}

fn decode_message(message: Message) -> Got<Bootstrap> {
    let root = Path::root();
    let statics = message.static_resources.clone().unwrap_or_default();
    let dynamic = match &message.dynamic_resources {
        Some(value) => dynamic(value, &root.field("dynamic_resources"))?,
        None => Dynamic::default(),
    };
    let admin = match &message.admin {
        Some(value) => {
            let path = root.field("admin");
            let address = match &value.address {
                Some(value) => Some(decode::address(value, &path.field("address"))?),
                None => None,
            };
            Some(Admin { address })
        }
        None => None,
    };
    let layers = message.layered_runtime.as_ref().map_or(&[][..], |runtime| &runtime.layers);
    let path = root.field("layered_runtime");
    let path = path.field("layers");
    let around = Bootstrapped::of(Arc::new(Nothing), dynamic.ads.is_some(), &[]);
    let mut runtime = Vec::new();
    for (i, value) in layers.iter().enumerate() {
        runtime.push(layer(value, message.node.as_ref(), &path.index(i), &around)?);
    }
    if !matches!(&*message.header_prefix, "" | "x-envoy") {
        let what = "headers of ours begin with x-envoy; leave it out".to_owned();
        return Err(Wrong { path: root.field("header_prefix").to_string(), what });
    }
    let local = message.cluster_manager.as_ref().map(|manager| manager.local_cluster_name.as_str());
    let sent = message.node.clone().unwrap_or_default();
    Ok(Bootstrap {
        node_facts: node(&sent),
        node: sent,
        listeners: statics.listeners.iter().map(pack::<Listener>).collect(),
        clusters: statics.clusters.iter().map(pack::<Cluster>).collect(),
        secrets: statics.secrets.iter().map(pack::<Secret>).collect(),
        dynamic,
        admin,
        runtime,
        local_cluster: local.filter(|name| !name.is_empty()).map(Into::into),
        ignored: ignored(&message),
        message,
    })
}

fn pack<M: culvert_proto::Message + culvert_proto::Name>(message: &M) -> Any {
    let type_url = format!("type.googleapis.com/{}", M::full_name());
    Any { type_url, value: message.encode_to_vec() }
}

fn dynamic(value: &pb::bootstrap::DynamicResources, path: &Path<'_>) -> Got<Dynamic> {
    let source = |value: &Option<core::ConfigSource>, name: &str| match value {
        Some(value) => decode::source(value, &path.field(name), &Nothing).map(Some),
        None => Ok(None),
    };
    let not = |text: &str, name: &str| match text {
        "" => Ok(()),
        _ => Err(Wrong {
            path: path.field(name).to_string(),
            what: "collections are not supported".to_owned(),
        }),
    };
    not(&value.lds_resources_locator, "lds_resources_locator")?;
    not(&value.cds_resources_locator, "cds_resources_locator")?;
    let ads = match &value.ads_config {
        Some(value) => Some(decode::ads(value, &path.field("ads_config"))?),
        None => None,
    };
    let dynamic = Dynamic {
        listeners: source(&value.lds_config, "lds_config")?,
        clusters: source(&value.cds_config, "cds_config")?,
        ads,
    };
    let wants_ads = |source: &Option<ConfigSource>| {
        source.as_ref().is_some_and(|source| source.from == From::Ads)
    };
    if dynamic.ads.is_none() && (wants_ads(&dynamic.listeners) || wants_ads(&dynamic.clusters)) {
        return Err(Wrong {
            path: path.field("ads_config").to_string(),
            what: "not set, though lds_config or cds_config says ads".to_owned(),
        });
    }
    Ok(dynamic)
}

fn layer(
    value: &pb::RuntimeLayer,
    node: Option<&core::Node>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<Layer> {
    let name: Arc<str> = value.name.as_str().into();
    let specifier = value.layer_specifier.as_ref().ok_or_else(|| Wrong {
        path: path.to_string(),
        what: "one of static_layer, disk_layer, admin_layer, rtds_layer must be set".to_owned(),
    })?;
    Ok(match specifier {
        LayerSpecifier::StaticLayer(value) => {
            Layer::Static(RuntimeLayer::new(name, &decode::structure(value)))
        }
        LayerSpecifier::DiskLayer(disk) => {
            let mut root = PathBuf::from(&disk.symlink_root);
            if !disk.subdirectory.is_empty() {
                root.push(&disk.subdirectory);
            }
            if let Some(node) = node.filter(|_| disk.append_service_cluster) {
                root.push(&node.cluster);
            }
            Layer::Disk { name, root }
        }
        LayerSpecifier::AdminLayer(_) => Layer::Admin { name },
        LayerSpecifier::RtdsLayer(rtds) => {
            let path = path.field("rtds_layer");
            let path = path.field("rtds_config");
            let source = rtds
                .rtds_config
                .as_ref()
                .ok_or_else(|| Wrong { path: path.to_string(), what: "not set".to_owned() })?;
            let resource = if rtds.name.is_empty() { &value.name } else { &rtds.name };
            Layer::Discovered {
                name,
                resource: resource.as_str().into(),
                source: decode::source(source, &path, around)?,
            }
        }
    })
}

/// What changes nothing for requests, and is left out.
fn ignored(message: &Message) -> Vec<json::Problem> {
    let mut ignored = ignored_of_process(message);
    let mut say = |is_set: bool, path: &str, what: &str| {
        if is_set {
            ignored.push(json::Problem { path: path.to_owned(), what: what.to_owned() });
        }
    };
    say(
        !message.stats_sinks.is_empty(),
        "stats_sinks",
        "statistics are at /stats of the admin interface",
    );
    say(message.hds_config.is_some(), "hds_config", "health is not reported");
    say(
        message.overload_manager.is_some(),
        "overload_manager",
        "of it hold the monitors global_downstream_max_connections and fixed_heap, and of its actions those that refuse requests and connections",
    );
    say(message.tracing.is_some(), "tracing", "exporters of traces come later");
    say(
        !message.bootstrap_extensions.is_empty(),
        "bootstrap_extensions",
        "no extension of the process is known",
    );
    say(!message.config_sources.is_empty(), "config_sources", "only resources by plain names");
    say(
        message.typed_dns_resolver_config.is_some() || message.dns_resolution_config.is_some(),
        "typed_dns_resolver_config",
        "the system's resolvers are asked",
    );
    ignored
}

/// Of these what concerns the process as a whole.
fn ignored_of_process(message: &Message) -> Vec<json::Problem> {
    let manager = message.cluster_manager.as_ref();
    let admin = message.admin.as_ref();
    let all = [
        (
            message.stats_config.is_some(),
            "stats_config",
            "statistics have Envoy's names and labels",
        ),
        (
            message.application_log_config.is_some(),
            "application_log_config",
            "the log has one format; how much is said is set by flags and /logging",
        ),
        (message.default_regex_engine.is_some(), "default_regex_engine", "there is one engine"),
        (
            !message.certificate_provider_instances.is_empty(),
            "certificate_provider_instances",
            "certificates come inline, from files or by SDS",
        ),
        (!message.fatal_actions.is_empty(), "fatal_actions", "there is no such thing here"),
        (
            manager.is_some_and(|manager| manager.load_stats_config.is_some()),
            "cluster_manager.load_stats_config",
            "load is not reported",
        ),
        (
            manager.is_some_and(|manager| manager.outlier_detection.is_some()),
            "cluster_manager.outlier_detection",
            "ejections are counted, not written down",
        ),
        (
            admin.is_some_and(|of| !of.access_log.is_empty() || !of.access_log_path.is_empty()),
            "admin.access_log",
            "questions to the admin interface are not logged",
        ),
    ];
    let set = all.into_iter().filter(|(is_set, ..)| *is_set);
    set.map(|(_, path, what)| json::Problem { path: path.to_owned(), what: what.to_owned() })
        .collect()
}
