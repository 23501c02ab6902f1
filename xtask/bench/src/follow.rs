//! A client of the control plane that is none of ours: it asks as any node would, and reads the
//! messages of the wire as they are.
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result};
use culvert_proto::{
    Any, Message as _,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Client,
        },
    },
    istio::workload::{Address, Workload, address::Type},
};
use tokio::{runtime, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

/// What a node asks for: whatever stands behind addresses, and policies.
const ADDRESSES: &str = "type.googleapis.com/istio.workload.Address";
const POLICIES: &str = "type.googleapis.com/istio.security.Authorization";

/// Everything there is comes in one message.
const LARGEST: usize = 256 << 20;

/// Windows that hold as much as a stream of ours takes at a time.
const WINDOW: u32 = 4 << 20;

/// A stream of discovery.
#[derive(Debug)]
pub(crate) struct Follower {
    runtime: runtime::Runtime,
    requests: mpsc::Sender<Request>,
    responses: Streaming<Response>,
}

impl Follower {
    /// Connects in plain text, as the network namespace of this thread sees `at`, and asks for
    /// everything.
    pub(crate) fn connect(at: SocketAddr) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (requests, outgoing) = mpsc::channel(8);
        let responses = runtime.block_on(async {
            let endpoint = Endpoint::from_shared(format!("http://{at}"))?
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW);
            let mut client =
                Client::new(endpoint.connect().await?).max_decoding_message_size(LARGEST);
            let node = Node { id: "bench".to_owned(), ..Node::default() };
            for (type_url, node) in [(ADDRESSES, Some(node)), (POLICIES, None)] {
                let type_url = type_url.to_owned();
                requests.send(Request { type_url, node, ..Request::default() }).await?;
            }
            let stream = client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await?;
            anyhow::Ok(stream.into_inner())
        })?;
        Ok(Self { runtime, requests, responses })
    }

    /// Waits until so many different workloads and services have been told, and policies spoken of.
    pub(crate) fn await_all(&mut self, count: usize) -> Result<()> {
        let (mut names, mut has_policies) = (HashSet::new(), false);
        while names.len() < count || !has_policies {
            let Response { type_url, resources, .. } = self.next()?;
            has_policies |= type_url == POLICIES;
            for resource in resources {
                if type_url == ADDRESSES {
                    read(&resource.resource.unwrap_or_default())?;
                    names.insert(resource.name);
                }
            }
        }
        Ok(())
    }

    /// Waits until the workload of this name is told to be at `ip`.
    pub(crate) fn await_workload(&mut self, name: &str, ip: IpAddr) -> Result<()> {
        let octets = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        loop {
            let Response { type_url, resources, .. } = self.next()?;
            for resource in resources.into_iter().filter(|_| type_url == ADDRESSES) {
                let Some(Workload { name: told, addresses, .. }) =
                    read(&resource.resource.unwrap_or_default())?
                else {
                    continue;
                };
                if told == name && addresses.iter().any(|address| *address == octets) {
                    return Ok(());
                }
            }
        }
    }

    /// The next response, which is said to be well.
    fn next(&mut self) -> Result<Response> {
        self.runtime.block_on(async {
            let response = self.responses.message().await?;
            let response = response.context("the control plane ended the stream")?;
            let (type_url, response_nonce) = (response.type_url.clone(), response.nonce.clone());
            self.requests.send(Request { type_url, response_nonce, ..Request::default() }).await?;
            Ok(response)
        })
    }
}

/// Takes a resource apart down to its last field, as whoever uses it would.
fn read(resource: &Any) -> Result<Option<Workload>> {
    Ok(match Address::decode(&*resource.value)?.r#type {
        Some(Type::Workload(workload)) => Some(workload),
        Some(Type::Service(_)) | None => None,
    })
}
