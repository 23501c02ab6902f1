//! The node follows the control plane: one stream for both types, opened again whenever it ends.
//!
//! While there is none, everything stays as it is.
use super::{
    LARGEST,
    upstream::{Upstream, UpstreamError},
};
use crate::{
    client::{Change, Client, Mode},
    resource::{Address, Name, Resource},
};
use culvert_model::authz::Authorization;
use culvert_proto::{
    Message as _, Struct, Value,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest as Outgoing, DeltaDiscoveryResponse as Response,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Stub,
        },
    },
    google::rpc::Status as Refusal,
    value::Kind,
};
use culvert_runtime::{backoff::Backoff, dice::dice, drain::Worker};
use std::{convert::Infallible, error::Error as _, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

/// After the first failure.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// However often it failed.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Requests on their way out.
const OUTGOING: usize = 64;

/// Names that were asked for and not yet looked at.
const ASKED: usize = 1024;

/// gRPC's `INVALID_ARGUMENT`.
const INVALID: i32 = 3;

/// Both types on the node's side.
#[derive(Debug)]
pub struct Holdings {
    pub addresses: Client<Address>,
    pub policies: Client<Arc<Authorization>>,
}

/// What a response changed, and the control plane's number of the state it is of.
#[derive(Debug)]
pub enum Changed {
    Addresses(Vec<Change<Address>>, String),
    Policies(Vec<Change<Arc<Authorization>>>, String),
}

/// Makes what is held what decisions are made with.
pub trait Apply: Send + 'static {
    /// The response is accepted when this returns.
    ///
    /// Until [`Holdings::is_ready`] a workload may name policies that are only about to come.
    fn apply(&mut self, holdings: &Holdings, changed: Changed);

    /// A response of so many bytes came.
    fn received(&mut self, _type_url: &str, _bytes: usize) {}

    /// A stream ended, or could not be opened.
    fn ended(&mut self, _how: Ended) {}
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There was no connection, or it broke.
    Connection,
    /// The control plane refused it, or ended it with an error.
    Refused,
    /// The control plane closed it.
    Closed,
}

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// There is a stream on which the control plane has answered.
    pub connected: bool,
    /// Both types have come at least once.
    pub ready: bool,
    /// Streams that failed since the last that did not.
    pub failures: u32,
    /// Why the last one failed, with its causes.
    pub error: Option<Arc<str>>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Who {
    pub node: String,
    pub cluster: String,
    /// Of the node.
    pub ip: String,
    /// The pod that the node proxy runs in, or whatever it is called.
    pub name: String,
    pub namespace: String,
    /// Of the program.
    pub version: String,
}

/// The node's end of the stream.
#[derive(Clone, Debug)]
pub struct Follower {
    asked: mpsc::Sender<Asked>,
    status: watch::Receiver<Status>,
}

#[derive(Debug)]
enum Asked {
    Want(Name),
    Forget(Name),
}

/// What runs.
struct Following<A> {
    upstream: Upstream,
    node: Node,
    holdings: Holdings,
    apply: A,
    asked: mpsc::Receiver<Asked>,
    status: watch::Sender<Status>,
    backoff: Backoff,
}

impl Holdings {
    /// `mode` is that of addresses; policies are always followed whole.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { addresses: Client::new(mode), policies: Client::new(Mode::Everything) }
    }

    /// Whether both types have come at least once.
    pub fn is_ready(&self) -> bool {
        self.addresses.is_ready() && self.policies.is_ready()
    }
}

impl Who {
    /// As an Istio control plane wants to be asked.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let Self { node, cluster, ip, name, namespace, version } = self;
        let fields = [
            ("NAME", name),
            ("NAMESPACE", namespace),
            ("INSTANCE_IPS", ip),
            ("NODE_NAME", node),
            ("CLUSTER_ID", cluster),
        ];
        let value = |s: &String| Value { kind: Some(Kind::StringValue(s.clone())) };
        let fields = fields.map(|(key, field)| (key.to_owned(), value(field)));
        Node {
            id: format!("ztunnel~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            cluster: cluster.clone(),
            metadata: Some(Struct { fields: fields.into() }),
            user_agent_name: "culvert".to_owned(),
            user_agent_version: version.clone(),
            ..Node::default()
        }
    }
}

impl Follower {
    /// Follows until the worker finishes.
    pub fn start(
        upstream: Upstream,
        who: &Who,
        mode: Mode,
        apply: impl Apply,
        worker: &Worker,
    ) -> Self {
        let (asked, to_look_at) = mpsc::channel(ASKED);
        let (status, shown) = watch::channel(Status::default());
        let following = Following {
            upstream,
            node: who.to_node(),
            holdings: Holdings::new(mode),
            apply,
            asked: to_look_at,
            status,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        };
        let finishing = worker.clone();
        worker.spawn(async move {
            tokio::select! {
                () = finishing.finishing() => {}
                () = following.run(&finishing) => {}
            }
        });
        Self { asked, status: shown }
    }

    /// Asks for what goes by a name, such as `network/ip`; what is known of it is then applied.
    pub async fn want(&self, name: Name) {
        // Gone: the process is about to end.
        drop(self.asked.send(Asked::Want(name)).await);
    }

    /// Nobody wants what goes by a name any more.
    pub async fn forget(&self, name: Name) {
        drop(self.asked.send(Asked::Forget(name)).await);
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until the status is as `wanted` says; `None` when nobody follows any more.
    ///
    /// Cancel safe.
    pub async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> Option<Status> {
        self.status.wait_for(wanted).await.ok().map(|status| status.clone())
    }
}

impl Ended {
    fn of(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Connect(..) => Self::Connection,
            // What the library says of a connection that broke.
            UpstreamError::Status(status) if status.code() == Code::Unknown => Self::Connection,
            UpstreamError::Status(_)
            | UpstreamError::Origin(_)
            | UpstreamError::Token(..)
            | UpstreamError::Metadata(_) => Self::Refused,
            UpstreamError::Closed => Self::Closed,
        }
    }
}

impl<A: Apply> Following<A> {
    async fn run(mut self, worker: &Worker) {
        while !worker.is_finishing() {
            let Err(error) = self.stream().await;
            self.holdings.addresses.disconnect();
            self.holdings.policies.disconnect();
            self.apply.ended(Ended::of(&error));
            let text = chain(&error);
            tracing::warn!("discovery: {text}");
            self.status.send_modify(|status| {
                status.connected = false;
                status.failures = status.failures.saturating_add(1);
                status.error = Some(text.into());
            });
            let wait = self.backoff.next(dice());
            self.idle(wait).await;
        }
    }

    /// One stream, until it ends.
    async fn stream(&mut self) -> Result<Infallible, UpstreamError> {
        let channel = self.upstream.channel().await?;
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        // Policies first: see the server's order.
        let first = [self.holdings.policies.connect(), self.holdings.addresses.connect()];
        for request in first {
            let request = Outgoing { node: Some(self.node.clone()), ..request };
            outgoing.send(request).await.map_err(|_gone| UpstreamError::Closed)?;
        }
        let request = self.upstream.request(ReceiverStream::new(requests))?;
        let mut stub = Stub::new(channel).max_decoding_message_size(LARGEST);
        let mut incoming = stub.delta_aggregated_resources(request).await?.into_inner();
        loop {
            let request = tokio::select! {
                response = incoming.message() => {
                    let response = response?.ok_or(UpstreamError::Closed)?;
                    self.backoff.reset();
                    Some(self.take(response))
                }
                Some(asked) = self.asked.recv() => self.ask(asked),
            };
            if let Some(request) = request {
                outgoing.send(request).await.map_err(|_gone| UpstreamError::Closed)?;
            }
        }
    }

    /// Notes what is asked for until it is time to try again.
    async fn idle(&mut self, wait: Duration) {
        let until = time::Instant::now() + wait;
        loop {
            tokio::select! {
                () = time::sleep_until(until) => return,
                Some(asked) = self.asked.recv() => drop(self.ask(asked)),
            }
        }
    }

    fn take(&mut self, response: Response) -> Outgoing {
        self.apply.received(&response.type_url, response.encoded_len());
        let version = response.system_version_info.clone();
        let reply = match &*response.type_url {
            Address::TYPE_URL => {
                let received = self.holdings.addresses.receive(response);
                self.apply.apply(&self.holdings, Changed::Addresses(received.changes, version));
                received.reply
            }
            <Arc<Authorization>>::TYPE_URL => {
                let received = self.holdings.policies.receive(response);
                self.apply.apply(&self.holdings, Changed::Policies(received.changes, version));
                received.reply
            }
            other => not_asked_for(other, response.nonce),
        };
        if let Some(refusal) = &reply.error_detail {
            tracing::warn!("discovery: refused: {}", refusal.message);
        }
        let ready = self.holdings.is_ready();
        self.status.send_if_modified(|status| {
            let now = Status { connected: true, ready, failures: 0, error: None };
            let changed = *status != now;
            *status = now;
            changed
        });
        reply
    }

    fn ask(&mut self, asked: Asked) -> Option<Outgoing> {
        match asked {
            Asked::Want(name) => self.holdings.addresses.want(&name),
            Asked::Forget(name) => {
                let (changes, request) = self.holdings.addresses.forget(&name);
                if !changes.is_empty() {
                    let changed = Changed::Addresses(changes, String::new());
                    self.apply.apply(&self.holdings, changed);
                }
                request
            }
        }
    }
}

fn not_asked_for(type_url: &str, nonce: String) -> Outgoing {
    let message = format!("resources of type \"{type_url}\" were not asked for");
    Outgoing {
        type_url: type_url.to_owned(),
        response_nonce: nonce,
        error_detail: Some(Refusal { code: INVALID, message, details: Vec::new() }),
        ..Outgoing::default()
    }
}

/// An error and its causes on one line.
fn chain(error: &UpstreamError) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
