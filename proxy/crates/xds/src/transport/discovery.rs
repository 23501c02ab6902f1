//! The control plane serves discovery: one task for each node's stream.
//!
//! Who asks first for a type of Envoy's is an engine, a gateway or an Envoy ([`engines`](super::engines)).
use super::{
    Answer, LARGEST_REQUEST,
    door::Peer,
    engines::Engines,
    line::{self, Line},
    nodes::{Listed, Nodes},
};
use crate::{
    envoy::{
        kind::Kind,
        serve::channel::{Delta, Whole},
    },
    server::{Connection, Worlds},
};
use culvert_proto::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest as Incoming, DeltaDiscoveryResponse as Response,
            DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_server::{
                AggregatedDiscoveryService, AggregatedDiscoveryServiceServer as Stub,
            },
        },
    },
    value,
};
use culvert_runtime::{drain::Worker, publish::View};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, async_trait};

/// Responses on their way out of one stream.
const OUTGOING: usize = 4;

/// Decides who may know what there is.
#[async_trait]
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// Before anything that a caller sends is read: whether it can have a proof of anything.
    ///
    /// # Errors
    ///
    /// When it has none; the status says why.
    async fn knock(&self, _: &Peer, _bearer: Option<&str>) -> Result<(), Status> {
        Ok(())
    }

    /// # Errors
    ///
    /// When the caller may not; the status says why.
    async fn admit(&self, caller: &Caller<'_>) -> Result<Pass, Status>;
}

/// What a caller is let in with.
pub struct Pass {
    /// It proved to be the node that it calls itself; else it may listen, and what it says counts
    /// for nobody.
    pub proven: bool,
    /// Resolves when the proof is good no longer, and says why: then the stream ends.
    pub lapsed: Answer<'static, Status>,
}

/// Who asks.
#[derive(Debug)]
pub struct Caller<'a> {
    pub peer: &'a Peer,
    /// Of the call's metadata.
    pub bearer: Option<&'a str>,
    /// What it calls itself.
    pub node: &'a str,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Discovery {
    worlds: View<Worlds>,
    nodes: Nodes,
    gate: Arc<dyn Gate>,
    engines: Option<Engines>,
    worker: Worker,
}

/// One node's stream.
struct Stream {
    service: Discovery,
    line: Line<Delta>,
    connection: Arc<Mutex<Connection>>,
}

impl Pass {
    /// Of a node, good until the connection ends.
    pub fn lasting() -> Self {
        Self { proven: true, lapsed: Box::pin(std::future::pending()) }
    }

    /// Of somebody who may listen, whoever it is.
    pub fn guest() -> Self {
        Self { proven: false, ..Self::lasting() }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("proven", &self.proven).finish_non_exhaustive()
    }
}

impl Discovery {
    /// Serves what `worlds` shows.
    pub fn new(worlds: View<Worlds>, nodes: Nodes, gate: Arc<dyn Gate>, worker: Worker) -> Self {
        Self { worlds, nodes, gate, engines: None, worker }
    }

    /// And those who ask for Envoy's resources.
    #[must_use]
    pub fn with_engines(self, engines: Engines) -> Self {
        Self { engines: Some(engines), ..self }
    }

    /// As a route of a [`Door`](super::door::Door).
    #[must_use]
    pub fn into_route(self) -> Stub<Self> {
        Stub::new(self).max_decoding_message_size(LARGEST_REQUEST)
    }

    async fn knock<T>(&self, request: &Request<T>) -> Result<(Peer, Option<String>), Status> {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let bearer = bearer(request);
        self.gate.knock(&peer, bearer.as_deref()).await?;
        Ok((peer, bearer))
    }
}

#[async_trait]
impl AggregatedDiscoveryService for Discovery {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<tonic::Response<Self::StreamAggregatedResourcesStream>, Status> {
        let Some(engines) = self.engines.clone() else {
            return Err(Status::unimplemented("only delta discovery is served here"));
        };
        let (peer, bearer) = self.knock(&request).await?;
        let (outgoing, responses) = mpsc::channel(OUTGOING);
        let line: Line<Whole> = Line { peer, bearer, incoming: request.into_inner(), outgoing };
        self.worker.spawn(async move { engines.serve(line).await });
        Ok(tonic::Response::new(ReceiverStream::new(responses)))
    }

    type DeltaAggregatedResourcesStream = ReceiverStream<Result<Response, Status>>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<Incoming>>,
    ) -> Result<tonic::Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (peer, bearer) = self.knock(&request).await?;
        let (outgoing, responses) = mpsc::channel(OUTGOING);
        let line = Line { peer, bearer, incoming: request.into_inner(), outgoing };
        let stream = Stream { service: self.clone(), line, connection: Arc::default() };
        self.worker.spawn(stream.run());
        Ok(tonic::Response::new(ReceiverStream::new(responses)))
    }
}

impl Stream {
    async fn run(mut self) {
        let served = self.serve().await;
        self.line.end(served).await;
    }

    async fn serve(&mut self) -> Result<(), Status> {
        let Some(first) = self.line.first().await? else { return Ok(()) };
        if let Some(engines) = &self.service.engines
            && Kind::of(&first.type_url).is_some()
        {
            return engines.clone().follow(&mut self.line, first).await;
        }
        let (pass, _listed) = self.admit(first.node.as_ref()).await?;
        let standing = self.line.peer.standing.clone();
        tokio::select! {
            served = self.follow(&first) => served,
            why = pass.lapsed => {
                standing.lapse();
                Err(why)
            }
        }
    }

    /// Answers, and tells what is new, until the stream ends.
    async fn follow(&mut self, first: &Incoming) -> Result<(), Status> {
        let worker = self.service.worker.clone();
        let mut worlds = self.service.worlds.clone();
        let mut now = worlds.pin();
        self.take(first, &now.value).await?;
        loop {
            tokio::select! {
                () = worker.finishing() => {
                    return Err(Status::unavailable("the control plane is being stopped"));
                }
                request = self.line.incoming.message() => match request? {
                    Some(request) => self.take(&request, &now.value).await?,
                    None => return Ok(()),
                },
                Some(newer) = worlds.newer_than(now.generation) => {
                    now = newer;
                    self.push(&now.value).await?;
                }
            }
        }
    }

    async fn admit(&self, node: Option<&Node>) -> Result<(Pass, Listed), Status> {
        let node = line::named(node)?;
        let name = node_name(node);
        let Line { peer, bearer, .. } = &self.line;
        let caller = Caller { peer, bearer: bearer.as_deref(), node: name };
        let pass = self.service.gate.admit(&caller).await?;
        peer.standing.admit();
        let connection = Arc::clone(&self.connection);
        let (names, peer) = ((name.into(), (*node.id).into()), peer.clone());
        let listed = self.service.nodes.enter(names, peer, pass.proven, connection);
        Ok((pass, listed))
    }

    async fn take(&self, request: &Incoming, worlds: &Worlds) -> Result<(), Status> {
        let answer = self.connection.lock().request(request, worlds);
        let answer = answer.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if let Some(refusal) = &request.error_detail {
            tracing::warn!(reason = refusal.message, "discovery: a node refused");
        }
        self.line.send(answer).await?;
        self.push(worlds).await
    }

    async fn push(&self, worlds: &Worlds) -> Result<(), Status> {
        let responses = self.connection.lock().push(worlds);
        self.service.nodes.changed();
        self.line.send(responses).await
    }
}

/// `NODE_NAME` of the metadata, else the id.
fn node_name(node: &Node) -> &str {
    let name = node.metadata.as_ref().and_then(|metadata| metadata.fields.get("NODE_NAME"));
    match name.and_then(|value| value.kind.as_ref()) {
        Some(value::Kind::StringValue(name)) if !name.is_empty() => name,
        Some(_) | None => &node.id,
    }
}

/// The bearer token of a call.
pub fn bearer<T>(request: &Request<T>) -> Option<String> {
    let value = request.metadata().get("authorization")?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}
