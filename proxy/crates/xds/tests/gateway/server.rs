//! A server of discovery that says what it is told to, and remembers what it hears.
use culvert_model::http::source::GrpcTarget;
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
use culvert_xds::{
    envoy::{
        decode,
        discover::{Reach, Way},
        kind::Kind,
    },
    transport::upstream::plain,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// What there is, by type, each with a version.
type World = BTreeMap<Kind, (u64, Vec<Any>)>;

/// The server, and whoever tells it.
#[derive(Clone)]
pub(crate) struct Server {
    world: Arc<watch::Sender<World>>,
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            world: Arc::new(watch::channel(World::new()).0),
            heard: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let service = AggregatedDiscoveryServiceServer::new(server.clone());
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        server
    }

    /// Replaces all resources of a type.
    pub(crate) fn set(&self, kind: Kind, yaml: &[&str]) {
        let resources = yaml.iter().map(|yaml| any(kind, yaml)).collect();
        self.world.send_modify(|world| {
            let (version, held) = world.entry(kind).or_default();
            *version += 1;
            *held = resources;
        });
    }

    pub(crate) fn heard(&self, what: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|heard| heard.contains(what))
    }

    fn hear(&self, kind: Kind, error: Option<&culvert_proto::api::google::rpc::Status>) {
        let text = match error {
            Some(error) => format!("refused {}: {}", kind.as_str(), error.message),
            None => format!("asked {}", kind.as_str()),
        };
        self.heard.lock().unwrap().push(text);
    }
}

impl Reach for Server {
    fn reach(&self, target: &GrpcTarget) -> Result<Way, String> {
        let GrpcTarget::Cluster(name) = target else { return Err("no such server".to_owned()) };
        assert_eq!(&**name, "xds");
        let address = self.address.to_string();
        Ok(Way { connect: plain(&address), authority: address.into(), bearer: None })
    }
}

pub(crate) fn any(kind: Kind, yaml: &str) -> Any {
    let value = json::yaml::read(yaml).unwrap();
    let message = json::read_dynamic(kind.type_url(), &value);
    let message = message.unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
    Any { type_url: kind.type_url().to_owned(), value: message.encode_to_vec() }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What is asked for of a type: all, or some names.
fn is_asked(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|asked| asked == name || asked == "*")
}

#[expect(clippy::too_many_lines, reason = "the macro counts all methods as one")]
#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let mut requests = request.into_inner();
        let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
        let (server, mut world) = (self.clone(), self.world.subscribe());
        tokio::spawn(async move {
            let mut asked: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
            let mut sent: BTreeMap<Kind, (u64, Vec<String>)> = BTreeMap::new();
            loop {
                let now = world.borrow_and_update().clone();
                for (kind, names) in &asked {
                    let Some((version, resources)) = now.get(kind) else { continue };
                    if sent.get(kind) == Some(&(*version, names.clone())) {
                        continue;
                    }
                    sent.insert(*kind, (*version, names.clone()));
                    let is_ours = |any: &&Any| is_asked(names, &decode::name(any).unwrap());
                    let response = DiscoveryResponse {
                        version_info: version.to_string(),
                        nonce: format!("{version}-{}", names.len()),
                        type_url: kind.type_url().to_owned(),
                        resources: resources.iter().filter(is_ours).cloned().collect(),
                        ..Default::default()
                    };
                    if tx.send(Ok(response)).is_err() {
                        return;
                    }
                }
                tokio::select! {
                    request = requests.next() => {
                        let Some(Ok(request)) = request else { return };
                        let kind = Kind::of(&request.type_url).unwrap();
                        server.hear(kind, request.error_detail.as_ref());
                        asked.insert(kind, request.resource_names);
                    }
                    changed = world.changed() => if changed.is_err() { return },
                }
            }
        });
        let answers = tokio_stream::wrappers::UnboundedReceiverStream::new(rx);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let mut requests = request.into_inner();
        let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
        let (server, mut world) = (self.clone(), self.world.subscribe());
        tokio::spawn(async move {
            let mut asked: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
            let mut sent: BTreeMap<(Kind, String), Vec<u8>> = BTreeMap::new();
            loop {
                let now = world.borrow_and_update().clone();
                for (kind, names) in &asked {
                    let Some((version, all)) = now.get(kind) else { continue };
                    let mut resources = Vec::new();
                    let mut there = Vec::new();
                    for any in all {
                        let name = decode::name(any).unwrap();
                        there.push(name.clone());
                        let key = (*kind, name.clone());
                        let is_new = sent.get(&key) != Some(&any.value);
                        if !names.is_empty() && is_asked(names, &name) && is_new {
                            sent.insert(key, any.value.clone());
                            resources.push(Resource {
                                name,
                                version: version.to_string(),
                                resource: Some(any.clone()),
                                ..Default::default()
                            });
                        }
                    }
                    let gone = sent.keys().filter(|(of, name)| of == kind && !there.contains(name));
                    let removed: Vec<_> = gone.map(|(_, name)| name.clone()).collect();
                    for name in &removed {
                        sent.remove(&(*kind, name.clone()));
                    }
                    if resources.is_empty() && removed.is_empty() {
                        continue;
                    }
                    let response = DeltaDiscoveryResponse {
                        nonce: version.to_string(),
                        type_url: kind.type_url().to_owned(),
                        resources,
                        removed_resources: removed,
                        ..Default::default()
                    };
                    if tx.send(Ok(response)).is_err() {
                        return;
                    }
                }
                tokio::select! {
                    request = requests.next() => {
                        let Some(Ok(request)) = request else { return };
                        let kind = Kind::of(&request.type_url).unwrap();
                        server.hear(kind, request.error_detail.as_ref());
                        let names = asked.entry(kind).or_default();
                        names.extend(request.resource_names_subscribe);
                        names.retain(|name| !request.resource_names_unsubscribe.contains(name));
                    }
                    changed = world.changed() => if changed.is_err() { return },
                }
            }
        });
        let answers = tokio_stream::wrappers::UnboundedReceiverStream::new(rx);
        Ok(Response::new(Box::pin(answers)))
    }
}
