//! From Envoy's messages to words of the model.
//!
//! A resource that is not understood is refused as a whole, with the place and the way out. First
//! the rules of the .proto files are checked ([`culvert_proto::rules`]), so that what is decoded has
//! what it needs; then each part is turned into what it means.
#![expect(deprecated, reason = "deprecated forms are still sent, and mean something")]

use culvert_proto::{
    added::Named,
    api::{
        envoy::{
            config::{
                cluster::v3 as cluster_pb, endpoint::v3 as endpoint_pb,
                listener::v3 as listener_pb, route::v3 as route_pb,
            },
            extensions::transport_sockets::tls::v3 as tls_pb,
        },
        google::protobuf::Any,
    },
    rules,
};
use std::{fmt, sync::Arc};

pub mod around;

mod basic;

mod value;

mod text;

mod header;

mod mutation;

mod tree;

mod source;

mod access_log;

mod protocol;

mod ratelimit;

mod rbac;

mod filter;

mod route;

mod manager;

mod tls;

mod secret;

mod network;

mod listener;

mod endpoint;

mod health;

mod balance;

mod cluster;

pub mod node;

#[cfg(test)]
mod tests;

pub use around::{Around, Asking, Bootstrapped, Nothing};
pub use basic::{address, span};
pub use culvert_proto::json::path::Path;
pub use route::again::Before;
pub use secret::{certificates, revocation_lists};
pub use source::{NO_ADS, source};
pub use value::structure;

use culvert_model::http::{
    cluster::Cluster, endpoint::Assignment, filter::HttpFilter, listener::Listener,
    route::RouteTable, runtime::RuntimeLayer, secret::Secret, source::From as Server, value::Value,
};

/// Why a resource is refused: where, then what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The field; empty when the resource as a whole is meant.
    pub path: String,
    pub what: String,
}

/// What is decoded, or why not.
pub type Got<T> = Result<T, Wrong>;

impl Wrong {
    /// With the resource as a whole.
    pub fn whole(what: impl Into<String>) -> Self {
        Self { path: String::new(), what: what.into() }
    }

    pub(crate) fn at(path: &Path<'_>, what: impl Into<String>) -> Self {
        Self { path: path.to_string(), what: what.into() }
    }
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

/// Decodes the server of the aggregated stream.
///
/// # Errors
///
/// On anything but gRPC.
pub fn ads(
    value: &culvert_proto::api::envoy::config::core::v3::ApiConfigSource,
    path: &Path<'_>,
) -> Got<Server> {
    match source::api_source(value, path)? {
        Server::Rest(_) => {
            Err(Wrong::at(&path.field("api_type"), "an aggregated stream needs gRPC"))
        }
        server @ (Server::Ads | Server::SameSource | Server::File(_) | Server::Grpc(_)) => {
            Ok(server)
        }
    }
}

/// Decodes a listener.
///
/// # Errors
///
/// On anything not understood.
pub fn listener(bytes: &[u8], around: &dyn Around) -> Got<Listener> {
    let message: listener_pb::Listener = read(bytes)?;
    listener::decode(&message, &Path::root(), around)
}

/// Decodes a route table.
///
/// # Errors
///
/// On anything not understood.
pub fn routes(bytes: &[u8], around: &dyn Around) -> Got<RouteTable> {
    let message: route_pb::RouteConfiguration = read(bytes)?;
    route::decode(&message, &Path::root(), around, false)
}

/// Decodes a route table that was another before; what of it did not change is taken over.
///
/// # Errors
///
/// On anything not understood.
pub fn changed_routes(bytes: &[u8], before: Before<'_>, around: &dyn Around) -> Got<RouteTable> {
    let changed = route::again::changed(bytes, before, around, read);
    changed.map_or_else(|| routes(bytes, around), Ok)
}

/// Decodes a cluster.
///
/// # Errors
///
/// On anything not understood.
pub fn cluster(bytes: &[u8], around: &dyn Around) -> Got<Cluster> {
    let message: cluster_pb::Cluster = read(bytes)?;
    cluster::decode(&message, &Path::root(), around)
}

/// Decodes the endpoints of a cluster.
///
/// # Errors
///
/// On anything not understood.
pub fn assignment(bytes: &[u8]) -> Got<Assignment> {
    let message: endpoint_pb::ClusterLoadAssignment = read(bytes)?;
    endpoint::decode(&message, &Path::root(), endpoint::Names::Refused)
}

/// Decodes a secret, and its name.
///
/// # Errors
///
/// On anything not understood.
pub fn secret(bytes: &[u8], around: &dyn Around) -> Got<(Arc<str>, Secret)> {
    let message: tls_pb::Secret = read(bytes)?;
    let decoded = secret::decode(&message, &Path::root(), around)?;
    Ok((message.name.as_str().into(), decoded))
}

/// Decodes an HTTP filter that is a resource of its own, and its name.
///
/// # Errors
///
/// On anything not understood.
pub fn extension(bytes: &[u8], around: &dyn Around) -> Got<(Arc<str>, HttpFilter)> {
    use culvert_proto::api::envoy::config::core::v3::TypedExtensionConfig;
    let message: TypedExtensionConfig = read(bytes)?;
    let path = Path::root();
    let path = path.field("typed_config");
    let any = message.typed_config.as_ref().ok_or_else(|| Wrong::at(&path, "not set"))?;
    let decoded = filter::http(any, &path, around)?;
    Ok((message.name.as_str().into(), decoded))
}

/// Decodes a layer of the runtime.
///
/// # Errors
///
/// On anything not understood.
pub fn runtime(bytes: &[u8]) -> Got<RuntimeLayer> {
    use culvert_proto::api::envoy::service::runtime::v3::Runtime;
    let message: Runtime = read(bytes)?;
    let layer = message.layer.as_ref().map_or(Value::Null, structure);
    Ok(RuntimeLayer::new(message.name.as_str().into(), &layer))
}

/// The name that a resource gives itself; `None` when it cannot be read.
#[must_use]
pub fn name(any: &Any) -> Option<String> {
    use culvert_proto::Message as _;
    Named::decode(&*any.value).ok().map(|named| named.name)
}

fn read<M: culvert_proto::Message + culvert_proto::Name + Default>(bytes: &[u8]) -> Got<M> {
    let message =
        M::decode(bytes).map_err(|error| Wrong::whole(format!("cannot be read: {error}")))?;
    let mut problems = rules::check(&M::full_name(), bytes).into_iter();
    match problems.next() {
        None => Ok(message),
        Some(first) => {
            let more: String = problems.map(|problem| format!("; {problem}")).collect();
            Err(Wrong { path: first.path, what: first.what + &more })
        }
    }
}
