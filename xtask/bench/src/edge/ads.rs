//! A server of discovery with thousands of resources, which says at once what changes.
use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use culvert_proto::{
    Message as _,
    api::{
        envoy::service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_server::{
                AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
            },
        },
        google::protobuf::Any,
    },
    json,
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    runtime,
    sync::{broadcast, mpsc},
};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{TcpListenerStream, UnboundedReceiverStream},
};
use tonic::{Request, Response, Status, Streaming};

/// Types of resources, by the last part of their names.
pub(super) const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub(super) const ENDPOINTS: &str =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub(super) const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// What there is at the beginning: by type, name and message.
pub(super) type World = HashMap<&'static str, Vec<(String, Any)>>;

/// How soon it is looked again whether everything was answered.
const PAUSE: Duration = Duration::from_micros(200);

/// A server, until the process ends.
#[derive(Debug, Clone)]
pub(super) struct Ads {
    world: Arc<World>,
    last: Arc<Last>,
    changes: broadcast::Sender<(String, Any)>,
}

/// The versions told and answered last, by whoever is there.
#[derive(Debug, Default)]
struct Last {
    told: AtomicU64,
    answered: AtomicU64,
}

/// A resource as it is on the wire.
pub(super) fn resource(type_url: &str, value: &Value) -> Result<Any> {
    let message =
        json::read_dynamic(type_url, value).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Any { type_url: type_url.to_owned(), value: message.encode_to_vec() })
}

impl Ads {
    /// Serves on a thread of its own.
    pub(super) fn start(at: SocketAddr, world: World) -> Result<Self> {
        let changes = broadcast::channel(64).0;
        let server = Self { world: Arc::new(world), last: Arc::default(), changes };
        let service = AggregatedDiscoveryServiceServer::new(server.clone());
        let service = service.max_decoding_message_size(64 << 20);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(at)).context("discovery")?;
        // As servers of gRPC do: a small response else waits for the peer's delayed acknowledgement.
        let incoming = TcpListenerStream::new(listener).map(|stream| {
            let stream = stream?;
            stream.set_nodelay(true)?;
            std::io::Result::Ok(stream)
        });
        thread::spawn(move || {
            runtime.block_on(
                tonic::transport::Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming),
            )
        });
        Ok(server)
    }

    /// Waits until what was told last is answered.
    ///
    /// An answer names all ten thousand resources: what is told meanwhile waits for this server to
    /// have read them.
    pub(super) fn settle(&self) {
        while self.last.told.load(SeqCst) != self.last.answered.load(SeqCst) {
            thread::sleep(PAUSE);
        }
    }

    /// Tells everybody; only what changed is sent.
    pub(super) fn tell(&self, type_url: &str, changed: Any) {
        // Nobody may be there.
        drop(self.changes.send((type_url.to_owned(), changed)));
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    #[expect(clippy::disallowed_methods, reason = "it ends with its stream, or with the process")]
    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let mut requests = request.into_inner();
        let (tx, rx) = mpsc::unbounded_channel();
        let (world, mut changes) = (Arc::clone(&self.world), self.changes.subscribe());
        let last = Arc::clone(&self.last);
        last.told.store(0, SeqCst);
        last.answered.store(0, SeqCst);
        tokio::spawn(async move {
            let mut asked: HashMap<String, Vec<String>> = HashMap::new();
            let mut version = 0_u64;
            loop {
                let (type_url, resources) = tokio::select! {
                    request = requests.next() => {
                        let Some(Ok(request)) = request else { return };
                        if let Ok(version) = request.response_nonce.parse() {
                            last.answered.fetch_max(version, SeqCst);
                        }
                        let before = asked.insert(request.type_url.clone(), request.resource_names.clone());
                        if before.as_ref() == Some(&request.resource_names) {
                            continue;
                        }
                        let all = world.get(&*request.type_url).map(Vec::as_slice).unwrap_or_default();
                        (request.type_url, wanted(all, &request.resource_names))
                    }
                    change = changes.recv() => {
                        let Ok((type_url, resource)) = change else { return };
                        (type_url, vec![resource])
                    }
                };
                version += 1;
                last.told.store(version, SeqCst);
                let response = DiscoveryResponse {
                    version_info: version.to_string(),
                    nonce: version.to_string(),
                    type_url,
                    resources,
                    ..Default::default()
                };
                if tx.send(Ok(response)).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(rx))))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }
}

fn wanted(all: &[(String, Any)], names: &[String]) -> Vec<Any> {
    if names.is_empty() {
        return all.iter().map(|(_, any)| any.clone()).collect();
    }
    let names: std::collections::HashSet<_> = names.iter().collect();
    all.iter().filter(|(name, _)| names.contains(name)).map(|(_, any)| any.clone()).collect()
}
