//! Clients of the control plane that are none of ours: they ask as any node or engine would, and
//! read the messages of the wire as they are.
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

/// What an engine asks for of L7.
const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// A stream of discovery.
#[derive(Debug)]
struct Stream {
    runtime: runtime::Runtime,
    requests: mpsc::Sender<Request>,
    responses: Streaming<Response>,
}

/// Is told what a node is told of workloads, services and policies.
#[derive(Debug)]
pub(crate) struct Follower(Stream);

/// Is told what the engine of a namespace is told.
#[derive(Debug)]
pub(crate) struct Engine(Stream);

impl Engine {
    /// Connects in plain text, and asks for all clusters and for these routes.
    pub(crate) fn connect(at: SocketAddr, namespace: &str, routes: Vec<String>) -> Result<Self> {
        let id = format!("sidecar~127.0.0.1~bench.{namespace}~{namespace}.svc.cluster.local");
        Stream::open(at, id, &[(CLUSTERS, Vec::new()), (ROUTES, routes)]).map(Self)
    }

    /// Waits until so many different clusters and routes have been told.
    pub(crate) fn await_all(&mut self, clusters: usize, routes: usize) -> Result<()> {
        let mut told = [HashSet::new(), HashSet::new()];
        while told[0].len() < clusters || told[1].len() < routes {
            let Response { type_url, resources, .. } = self.0.next()?;
            let at = usize::from(type_url == ROUTES);
            told[at].extend(resources.into_iter().map(|resource| resource.name));
        }
        Ok(())
    }

    /// Waits until a route of this name is told in which `word` occurs.
    pub(crate) fn await_route(&mut self, name: &str, word: &str) -> Result<()> {
        loop {
            let Response { resources, .. } = self.0.next()?;
            let told = resources.into_iter().filter(|resource| resource.name == name);
            let mut bodies = told.filter_map(|resource| resource.resource);
            let has =
                |body: Any| body.value.windows(word.len()).any(|part| part == word.as_bytes());
            if bodies.any(has) {
                return Ok(());
            }
        }
    }
}

impl Follower {
    /// Connects in plain text, as the network namespace of this thread sees `at`, and asks for
    /// everything.
    pub(crate) fn connect(at: SocketAddr) -> Result<Self> {
        let wanted = [(ADDRESSES, Vec::new()), (POLICIES, Vec::new())];
        Stream::open(at, "bench".to_owned(), &wanted).map(Self)
    }

    /// Waits until so many different workloads and services have been told, and policies spoken of.
    pub(crate) fn await_all(&mut self, count: usize) -> Result<()> {
        let (mut names, mut has_policies) = (HashSet::new(), false);
        while names.len() < count || !has_policies {
            let Response { type_url, resources, .. } = self.0.next()?;
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
            let Response { type_url, resources, .. } = self.0.next()?;
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
}

impl Stream {
    /// Connects as `id`, and asks for resources of these types: the named ones, or all.
    fn open(at: SocketAddr, id: String, wanted: &[(&str, Vec<String>)]) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (requests, outgoing) = mpsc::channel(8);
        let responses = runtime.block_on(async {
            let endpoint = Endpoint::from_shared(format!("http://{at}"))?
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW);
            let mut client =
                Client::new(endpoint.connect().await?).max_decoding_message_size(LARGEST);
            let mut node = Some(Node { id, ..Node::default() });
            for (type_url, names) in wanted {
                let (type_url, node) = ((*type_url).to_owned(), node.take());
                let resource_names_subscribe = names.clone();
                let request =
                    Request { type_url, node, resource_names_subscribe, ..Request::default() };
                requests.send(request).await?;
            }
            let stream = client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await?;
            anyhow::Ok(stream.into_inner())
        })?;
        Ok(Self { runtime, requests, responses })
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
