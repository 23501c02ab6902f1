//! The service of client status: what is held and refused, for tools that ask over gRPC.
use super::{discover::Discovery, dump};
use culvert_proto::api::envoy::{
    config::core::v3::Node,
    service::status::v3::{
        ClientStatusRequest, ClientStatusResponse,
        client_status_discovery_service_server::{
            ClientStatusDiscoveryService, ClientStatusDiscoveryServiceServer,
        },
    },
};
use std::pin::Pin;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming, async_trait};

/// The service.
#[derive(Debug)]
pub struct ClientStatus {
    discovery: Discovery,
    node: Node,
}

impl ClientStatus {
    /// As a router of gRPC takes it.
    pub fn service(discovery: Discovery, node: Node) -> ClientStatusDiscoveryServiceServer<Self> {
        ClientStatusDiscoveryServiceServer::new(Self { discovery, node })
    }

    fn answer(&self) -> ClientStatusResponse {
        self.discovery.inspect(|all| dump::client_status(&self.node, all))
    }
}

#[async_trait]
impl ClientStatusDiscoveryService for ClientStatus {
    type StreamClientStatusStream =
        Pin<Box<dyn Stream<Item = Result<ClientStatusResponse, Status>> + Send>>;

    async fn stream_client_status(
        &self,
        request: Request<Streaming<ClientStatusRequest>>,
    ) -> Result<Response<Self::StreamClientStatusStream>, Status> {
        let (discovery, node) = (self.discovery.clone(), self.node.clone());
        let answers = request.into_inner().map(move |request| {
            let answer = discovery.inspect(|all| dump::client_status(&node, all));
            request.map(|_request| answer)
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_client_status(
        &self,
        _request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        Ok(Response::new(self.answer()))
    }
}
