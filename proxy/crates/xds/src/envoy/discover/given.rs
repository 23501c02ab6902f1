//! What a bootstrap says, in the words of those who follow it.
use super::{
    super::{
        assemble::{self, Layer},
        bootstrap::{self, Bootstrap},
        kind::Kind,
        stream::Wanted,
        wanted::{Asked, Need},
    },
    Wants,
};
use culvert_model::http::{
    runtime::RuntimeLayer,
    source::{ConfigSource, From, GrpcTarget},
};
use culvert_proto::api::envoy::config::core::v3::Node;
use std::{collections::BTreeMap, sync::Arc};

/// How a source is called in logs.
pub(super) fn name(asked: &Asked) -> String {
    match asked {
        Asked::Static => "bootstrap".to_owned(),
        Asked::Files(_) => "files".to_owned(),
        Asked::Source(From::Ads) => "ads".to_owned(),
        Asked::Source(From::SameSource) => "self".to_owned(),
        Asked::Source(From::File(file)) => file.path.to_string(),
        Asked::Source(From::Grpc(grpc)) => {
            let targets = grpc.servers.iter().map(|server| match &server.to {
                GrpcTarget::Cluster(name) | GrpcTarget::Uri(name) => &**name,
            });
            targets.collect::<Vec<_>>().join(", ")
        }
        Asked::Source(From::Rest(rest)) => rest.clusters.join(", "),
    }
}

/// A layer of runtime as it is assembled.
pub(super) fn layer(layer: &bootstrap::Layer) -> Layer {
    let empty = |name: &Arc<str>| {
        Layer::Fixed(RuntimeLayer { name: Arc::clone(name), values: Arc::default() })
    };
    match layer {
        bootstrap::Layer::Static(layer) => Layer::Fixed(layer.clone()),
        bootstrap::Layer::Disk { name, .. } | bootstrap::Layer::Admin { name } => empty(name),
        bootstrap::Layer::Discovered { name, resource, source } => Layer::Discovered {
            name: Arc::clone(name),
            resource: Arc::clone(resource),
            need: Need { from: Asked::Source(source.from.clone()), patience: source.patience },
        },
    }
}

/// What everybody is asked for: what the bootstrap follows whole, and what is needed by name.
pub(super) fn wants(bootstrap: &Bootstrap, named: assemble::Wants) -> BTreeMap<Asked, Wants> {
    let mut all: BTreeMap<Asked, Wants> = named
        .into_iter()
        .map(|(asked, kinds)| {
            let kinds = kinds.into_iter().map(|(kind, names)| (kind, Wanted::Names(names)));
            (asked, kinds.collect())
        })
        .collect();
    let mut whole = |source: &Option<ConfigSource>, kind: Kind| {
        if let Some(source) = source {
            let asked = Asked::Source(source.from.clone());
            all.entry(asked).or_default().insert(kind, Wanted::All);
        }
    };
    whole(&bootstrap.dynamic.clusters, Kind::Cluster);
    whole(&bootstrap.dynamic.listeners, Kind::Listener);
    all
}

/// How we present ourselves.
pub(super) fn node(given: &Node) -> Node {
    let mut node = given.clone();
    if node.user_agent_name.is_empty() {
        node.user_agent_name = "culvert".to_owned();
    }
    let features = ["xds.config.supports-resource-ttl", "xds.config.supports-resource-ttl-in-sotw"];
    for feature in features {
        if !node.client_features.iter().any(|given| given == feature) {
            node.client_features.push(feature.to_owned());
        }
    }
    node
}
