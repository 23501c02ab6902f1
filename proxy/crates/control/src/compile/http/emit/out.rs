//! Messages as resources: bytes that are the same each time, and a version of the content.
use super::{
    Key, Resource,
    secrets::{self, Names},
    words::ORIGIN,
};
use culvert_proto::{
    Message, Name,
    api::{
        envoy::{
            config::{
                cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
                route::v3::RouteConfiguration,
            },
            extensions::transport_sockets::tls::v3::Secret,
        },
        google::protobuf::Any,
    },
    canonical::canonical,
};
use culvert_xds::envoy::kind::Kind;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Resources, as they are made.
#[derive(Default)]
pub(super) struct Out {
    pub(super) resources: BTreeMap<Key, Arc<Resource>>,
    /// What they name.
    pub(super) secrets: Names,
}

impl Out {
    pub(super) fn cluster(&mut self, cluster: &Cluster) {
        secrets::of_cluster(cluster, &mut self.secrets);
        self.add(Kind::Cluster, cluster.name.clone(), cluster);
    }

    pub(super) fn assignment(&mut self, assignment: &ClusterLoadAssignment) {
        self.add(Kind::Endpoint, assignment.cluster_name.clone(), assignment);
    }

    pub(super) fn listener(&mut self, listener: &Listener) {
        secrets::of_listener(listener, &mut self.secrets);
        self.add(Kind::Listener, listener.name.clone(), listener);
    }

    pub(super) fn table(&mut self, table: &RouteConfiguration) {
        self.add(Kind::Route, table.name.clone(), table);
    }

    pub(super) fn secret(&mut self, secret: &Secret) {
        self.add(Kind::Secret, secret.name.clone(), secret);
    }

    fn add<M: Message + Name>(&mut self, kind: Kind, name: String, message: &M) {
        let (bytes, full) = (message.encode_to_vec(), M::full_name());
        let content = Sha256::digest(canonical(&full, &bytes, Some(ORIGIN)));
        let version: String = content.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let any = Any { type_url: M::type_url(), value: canonical(&full, &bytes, None) };
        let name: Arc<str> = name.into();
        let resource = Resource { kind, name: Arc::clone(&name), version: version.into(), any };
        self.resources.insert((kind, name), Arc::new(resource));
    }
}
