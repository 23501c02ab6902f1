//! The control plane's end of the report: what every node says comes out in one order.
use super::{
    discovery::{Caller, Gate, bearer},
    door::Peer,
};
use crate::report::Order;
use culvert_proto::culvert::node::v1 as pb;
use culvert_runtime::drain::Worker;
use pb::{
    node_report::Report,
    node_service_server::{NodeService, NodeServiceServer as Stub},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, async_trait};

/// Events that were not yet looked at.
const EVENTS: usize = 256;

/// Orders on their way to one node.
const ORDERS: usize = 16;

/// Within which a node must say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// Something a node did; a stream's events come in order, the first is [`What::Came`], the last
/// [`What::Left`].
#[derive(Debug)]
pub struct Event {
    /// Tells the streams of one node apart: a new one may come before the old one has left.
    pub stream: u64,
    pub node: Arc<str>,
    pub what: What,
}

/// What a node did.
#[derive(Debug)]
pub enum What {
    Came {
        hello: pb::Hello,
        peer: Peer,
        orders: Orders,
    },
    /// For the node's [`Sheet`](crate::report::Sheet).
    Said(pb::NodeReport),
    Left,
}

/// The way to one node; of no use when it has left.
#[derive(Clone, Debug)]
pub struct Orders {
    sent: mpsc::Sender<Result<pb::NodeOrder, Status>>,
    /// Why the stream is to end; beside the orders, of which there may be too many.
    end: watch::Sender<Option<String>>,
}

/// The service.
#[derive(Clone)]
pub struct Reports {
    gate: Arc<dyn Gate>,
    events: mpsc::Sender<Event>,
    streams: Arc<AtomicU64>,
    worker: Worker,
}

/// One node's stream.
struct Stream {
    service: Reports,
    peer: Peer,
    bearer: Option<String>,
    incoming: Streaming<pb::NodeReport>,
    orders: Orders,
}

impl Orders {
    /// `false` when the node has left, or does not listen.
    pub fn send(&self, order: Order) -> bool {
        self.sent.try_send(Ok(order.encode())).is_ok()
    }

    /// Ends the stream, for what makes no sense; also that of a node that does not listen.
    pub fn end(&self, why: impl fmt::Display) {
        self.end.send_replace(Some(why.to_string()));
    }

    /// Resolves when the stream is to end.
    async fn ended(&self) -> Status {
        let mut end = self.end.subscribe();
        // The sender lives in `self`, so this ends only with the answer.
        let why = end.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        Status::invalid_argument(why.unwrap_or_default())
    }
}

impl Reports {
    /// The service, and what the nodes do.
    ///
    /// Nodes wait when nobody takes the events.
    pub fn new(gate: Arc<dyn Gate>, worker: Worker) -> (Self, mpsc::Receiver<Event>) {
        let (events, taken) = mpsc::channel(EVENTS);
        (Self { gate, events, streams: Arc::default(), worker }, taken)
    }

    /// As a route of a [`Door`](super::door::Door).
    #[must_use]
    pub fn into_route(self) -> Stub<Self> {
        Stub::new(self)
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").field("gate", &self.gate).finish_non_exhaustive()
    }
}

#[async_trait]
impl NodeService for Reports {
    type ReportStream = ReceiverStream<Result<pb::NodeOrder, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<pb::NodeReport>>,
    ) -> Result<tonic::Response<Self::ReportStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let bearer = bearer(&request);
        self.gate.knock(&peer, bearer.as_deref()).await?;
        let (outgoing, orders) = mpsc::channel(ORDERS);
        let stream = Stream {
            service: self.clone(),
            peer,
            bearer,
            incoming: request.into_inner(),
            orders: Orders { sent: outgoing, end: watch::Sender::new(None) },
        };
        self.worker.spawn(stream.run());
        Ok(tonic::Response::new(ReceiverStream::new(orders)))
    }
}

impl Stream {
    async fn run(mut self) {
        if let Err(status) = self.serve().await {
            // Nobody listens any more: it does not matter.
            drop(self.orders.sent.send(Err(status)).await);
        }
    }

    async fn serve(&mut self) -> Result<(), Status> {
        let first = time::timeout(HELLO, self.incoming.message()).await;
        let first = first.map_err(|_late| Status::deadline_exceeded("no hello came"))??;
        let Some(Report::Hello(hello)) = first.and_then(|first| first.report) else {
            return Err(Status::invalid_argument("the first report is no hello"));
        };
        let (bearer, node) = (self.bearer.as_deref(), Arc::<str>::from(&*hello.node));
        let caller = Caller { peer: &self.peer, bearer, node: &node };
        let pass = self.service.gate.admit(&caller).await?;
        self.peer.standing.admit();
        let stream = self.service.streams.fetch_add(1, Ordering::Relaxed);
        let (peer, orders) = (self.peer.clone(), self.orders.clone());
        let event = |what| Event { stream, node: Arc::clone(&node), what };
        self.tell(event(What::Came { hello, peer, orders })).await?;
        let standing = self.peer.standing.clone();
        let served = tokio::select! {
            served = self.hear(&event) => served,
            why = pass.lapsed => {
                standing.lapse();
                Err(why)
            }
        };
        self.tell(event(What::Left)).await?;
        served
    }

    async fn hear(&mut self, event: &impl Fn(What) -> Event) -> Result<(), Status> {
        let (worker, orders) = (self.service.worker.clone(), self.orders.clone());
        loop {
            tokio::select! {
                () = worker.finishing() => {
                    return Err(Status::unavailable("the control plane is being stopped"));
                }
                () = orders.sent.closed() => return Ok(()),
                why = orders.ended() => return Err(why),
                said = self.incoming.message() => match said? {
                    Some(said) => self.tell(event(What::Said(said))).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Status> {
        let told = self.service.events.send(event).await;
        told.map_err(|_gone| Status::unavailable("nobody listens to reports"))
    }
}
