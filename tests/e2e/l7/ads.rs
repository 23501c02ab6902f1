//! A control plane for L7 that says what a test tells it to.
#![expect(clippy::disallowed_methods, reason = "its tasks end with its runtime")]

use culvert_proto::{
    Message as _,
    api::{
        envoy::service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            Resource,
            aggregated_discovery_service_server::{
                AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
            },
        },
        google::protobuf::Any,
    },
    json,
};
use e2e::Node;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{TcpListenerStream, UnboundedReceiverStream},
};
use tonic::{Request, Response, Status, Streaming};

/// Where it is, on each node.
pub(super) const PORT: u16 = 18_000;

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// Serves one node until it is dropped.
#[derive(Debug)]
pub(super) struct Ads {
    heard: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

/// What there is, by type, each with its name.
type World = BTreeMap<&'static str, Vec<(String, Any)>>;

#[derive(Clone)]
struct Told {
    world: Arc<World>,
    heard: Arc<Mutex<Vec<String>>>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Ads {
    /// Listeners and clusters in YAML, for the engines of a node.
    #[track_caller]
    pub(super) fn start(node: &Node, listeners: &[String], clusters: &[String]) -> Self {
        let at = (Ipv4Addr::LOCALHOST, PORT);
        let listener = node.ns.run(|| TcpListener::bind(at)).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let all = [(LISTENER, listeners), (CLUSTER, clusters)];
        let world = all.map(|(kind, texts)| {
            (kind, texts.iter().map(|text| resource(kind, text)).collect::<Vec<_>>())
        });
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let told = Told { world: Arc::new(world.into()), heard: Arc::clone(&heard) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let service = AggregatedDiscoveryServiceServer::new(told);
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { heard, _runtime: runtime }
    }

    /// Who asked, and what was refused.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn resource(kind: &str, yaml: &str) -> (String, Any) {
    let value = json::yaml::read(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let name = value["name"].as_str().unwrap().to_owned();
    let message = json::read_dynamic(kind, &value);
    let message = message.unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
    (name, Any { type_url: kind.to_owned(), value: message.encode_to_vec() })
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Told {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (told, mut requests) = (self.clone(), request.into_inner());
        let (tx, rx) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut answered = BTreeSet::new();
            while let Some(Ok(request)) = requests.next().await {
                let node = request.node.map(|node| node.id).unwrap_or_default();
                let error = request.error_detail.map(|error| error.message).unwrap_or_default();
                let kind = request.type_url;
                told.heard.lock().unwrap().push(format!("{kind} {node} {error}"));
                if !answered.insert(kind.clone()) {
                    continue;
                }
                let Some(all) = told.world.get(kind.as_str()) else { continue };
                let resources = all.iter().map(|(name, any)| Resource {
                    name: name.clone(),
                    version: "1".to_owned(),
                    resource: Some(any.clone()),
                    ..Resource::default()
                });
                let response = DeltaDiscoveryResponse {
                    nonce: "1".to_owned(),
                    type_url: kind,
                    resources: resources.collect(),
                    ..DeltaDiscoveryResponse::default()
                };
                if tx.send(Ok(response)).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(rx))))
    }
}
