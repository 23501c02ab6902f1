//! A gateway that follows the control plane, as far as it is told of certificates.
use crate::plane::{PATIENCE, Plane};
use culvert_proto::{
    Message as _,
    api::envoy::extensions::transport_sockets::tls::v3::Secret,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Stub,
        },
    },
};
use culvert_xds::{
    envoy::kind::Kind,
    transport::upstream::{Upstream, plain},
};
use std::collections::BTreeMap;
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Follows clusters, listeners and some secrets, and accepts everything.
pub(crate) struct Follower {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    /// By `namespace/name`, roots by all of their names: everything that is in them.
    secrets: BTreeMap<String, Secret>,
}

impl Follower {
    pub(crate) async fn start(
        plane: &Plane,
        namespace: &str,
        name: &str,
        secrets: &[&str],
    ) -> Self {
        let id = format!("router~10.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local");
        let node = Node { id, ..Node::default() };
        let (requests, outgoing) = mpsc::channel(64);
        for kind in [Kind::Cluster, Kind::Listener, Kind::Secret] {
            let (node, type_url) = (Some(node.clone()), kind.type_url().to_owned());
            let named = secrets.iter().filter(|_| kind == Kind::Secret);
            let resource_names_subscribe = named
                .map(|name| {
                    if name.contains("://") {
                        (*name).to_owned()
                    } else {
                        format!("kubernetes://{name}")
                    }
                })
                .collect();
            let request = DeltaDiscoveryRequest {
                node,
                type_url,
                resource_names_subscribe,
                ..Default::default()
            };
            requests.send(request).await.unwrap();
        }
        let upstream = Upstream::try_new("http://control", plain(&plane.at.to_string())).unwrap();
        let mut stub = Stub::new(upstream.channel().await.unwrap());
        let call = upstream.request(ReceiverStream::new(outgoing)).unwrap();
        let responses = stub.delta_aggregated_resources(call).await.unwrap().into_inner();
        Self { requests, responses, secrets: BTreeMap::new() }
    }

    /// Waits until this is in a secret.
    #[track_caller]
    pub(crate) fn is_told(&mut self, secret: &str, content: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let waiting = async {
                while !self.secrets.get(secret).is_some_and(|one| holds(one, content)) {
                    self.take().await;
                }
            };
            let late = time::timeout(PATIENCE, waiting).await.is_err();
            assert!(!late, "{place}: {content} is not told: {:?}", self.secrets.keys());
        }
    }

    async fn take(&mut self) {
        let response = self.responses.message().await.unwrap().expect("the stream goes on");
        for resource in response.resources {
            let Some(any) = resource.resource.filter(|any| any.type_url == Kind::Secret.type_url())
            else {
                continue;
            };
            let name = resource.name.trim_start_matches("kubernetes://").to_owned();
            self.secrets.insert(name, Secret::decode(&*any.value).unwrap());
        }
        for gone in response.removed_resources {
            self.secrets.remove(gone.trim_start_matches("kubernetes://"));
        }
        let answer = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..Default::default()
        };
        self.requests.send(answer).await.unwrap();
    }
}

fn holds(secret: &Secret, content: &str) -> bool {
    let bytes = secret.encode_to_vec();
    bytes.windows(content.len()).any(|part| part == content.as_bytes())
}
