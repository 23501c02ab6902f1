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
#[derive(Clone, Debug)]
pub struct ClientStatus {
    discovery: Discovery,
    node: Node,
}

impl ClientStatus {
    /// As a router of gRPC takes it.
    pub fn service(discovery: Discovery, node: Node) -> ClientStatusDiscoveryServiceServer<Self> {
        ClientStatusDiscoveryServiceServer::new(Self { discovery, node })
    }

    fn answer(&self, request: &ClientStatusRequest) -> Result<ClientStatusResponse, Status> {
        if !request.node_matchers.is_empty() {
            let what = "node_matchers: there is one node here, this process; leave them out";
            return Err(Status::invalid_argument(what));
        }
        let mut answer = self.discovery.inspect(|all| dump::client_status(&self.node, all));
        if request.exclude_resource_contents {
            let configs = answer.config.iter_mut().flat_map(|one| &mut one.generic_xds_configs);
            configs.for_each(|one| one.xds_config = None);
        }
        Ok(answer)
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
        let own = self.clone();
        let answers = request.into_inner().map(move |request| own.answer(&request?));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_client_status(
        &self,
        request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        self.answer(request.get_ref()).map(Response::new)
    }
}
