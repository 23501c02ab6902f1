//! One pod's questions: which are answered here, and which are passed on.
use crate::dns::{
    answer::{Answer, Asker, Domains, Records, answer},
    forward::{Forwarder, Request},
    message::{
        Rcode,
        name::Name,
        query::{Asked, NotAsked, Query, parse},
        reply,
        write::{Reply, bare, unreadable},
    },
    node::{Member, Node},
    upstream::{Sockets, UpstreamError},
};
use culvert_model::{name::WorkloadUid, snapshot::Snapshot, workload::Workload};
use culvert_runtime::{dice::dice, drain::Worker, publish::View};
use culvert_telemetry::{
    chain::Chain,
    metrics::{
        Metrics,
        dns::{DnsSeries, Protocol},
    },
};
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::BorrowedFd,
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

/// The largest datagram we answer with, whatever the asker takes: it does not leave the machine.
const DATAGRAM_MAX: u16 = 4096;

/// Why a question was not answered (RFC 8914): no resolver could be reached, or something else.
const NO_RESOLVER: u16 = 22;
const OTHER: u16 = 0;

/// A pod whose questions come here.
#[derive(Clone, Debug)]
pub struct Client {
    /// The pod as it was when it was enrolled; what the snapshot says of it goes before.
    pub own: Arc<Workload>,
    pub snapshot: View<Snapshot>,
    pub metrics: Arc<Metrics>,
    pub sockets: Arc<dyn Sockets>,
}

/// What answers one pod.
#[derive(Debug)]
pub(crate) struct Responder {
    own: Arc<Workload>,
    snapshot: View<Snapshot>,
    metrics: Arc<Metrics>,
    domains: Domains,
    forwarder: Arc<Forwarder>,
    node: Arc<Node>,
    waiting: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    _member: Member,
}

/// What becomes of a message.
#[derive(Debug)]
pub(crate) enum Next {
    Answer(Vec<u8>),
    /// It takes a while.
    Ask(Box<Waiting>),
    /// It is no request.
    Ignore,
}

/// What the mesh answered.
struct Answered(Vec<u8>);

/// A question that a resolver is to be asked.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: Request,
    /// The mesh knows the name.
    known: bool,
    _permit: OwnedSemaphorePermit,
}

impl Responder {
    pub(crate) fn new(node: &Arc<Node>, client: Client, worker: Worker) -> Self {
        let Client { own, snapshot, metrics, sockets } = client;
        let settings = node.settings();
        Self {
            own,
            snapshot,
            metrics,
            domains: Domains::new(&settings.cluster_domain),
            forwarder: Arc::new(Forwarder::new(node, sockets, worker)),
            waiting: Arc::new(Semaphore::new(settings.waiting_per_pod)),
            connections: Arc::new(Semaphore::new(settings.connections_per_pod)),
            _member: node.enter(),
            node: Arc::clone(node),
        }
    }

    /// Looks at a message that was meant for `resolver`.
    pub(crate) fn receive(&self, bytes: &[u8], resolver: SocketAddr, by: Protocol) -> Next {
        let query = match parse(bytes) {
            Ok(Asked::Query(query)) => Some(query),
            Ok(Asked::Other) => None,
            Err(NotAsked::Malformed(_)) => return Next::Answer(unreadable(bytes)),
            Err(NotAsked::NoRequest) => return Next::Ignore,
        };
        let pinned = self.snapshot.pin();
        let own = pinned.value.workload(&self.own.uid).unwrap_or(&self.own);
        let kind = query.as_ref().map_or(0, |query| query.question.kind);
        let series = self.metrics.dns(own, kind, by);
        series.requested();
        let known = query.as_ref().map(|query| {
            let asker = Asker {
                namespace: &own.name.namespace,
                domains: &self.domains,
                snapshot: &pinned.value,
            };
            self.answer(asker, query, by)
        });
        let name = query.as_ref().map(|query| &query.question.name);
        let known = match known.transpose() {
            Ok(known) => known.unwrap_or(false),
            Err(Answered(answer)) => {
                debug!(pod = %self.own.uid, %resolver, ?name, kind, "question answered");
                return Next::Answer(answer);
            }
        };
        debug!(pod = %self.own.uid, %resolver, ?name, kind, known, "question passed on");
        let request = Request { bytes: bytes.to_vec(), query, resolver, by, series };
        self.pass_on(request, known)
    }

    /// The answer to what was passed on.
    pub(crate) async fn ask(&self, waiting: Waiting) -> Vec<u8> {
        let Waiting { request, known, _permit } = waiting;
        let answered = self.forwarder.ask(&request).await;
        match answered {
            Ok(answer) => self.tell(&request, known, answer),
            Err(error) => {
                let name = request.query.as_ref().map(|query| query.question.name.to_string());
                let (pod, resolver) = (&self.own.uid, request.resolver);
                debug!(%pod, %resolver, name, error = %Chain(&error), "question not answered");
                failed(&request, &error)
            }
        }
    }

    /// The mesh's own answer, or whether it knows the name at least.
    fn answer(&self, asker: Asker<'_>, query: &Query, by: Protocol) -> Result<bool, Answered> {
        match answer(asker, &query.question, dice) {
            Answer::Forward { known } => Ok(known),
            Answer::Empty => Err(self.told(query, by, None, &[])),
            Answer::Records(Records { canonical, ips }) => {
                Err(self.told(query, by, canonical.as_ref(), &ips))
            }
        }
    }

    fn told(
        &self,
        query: &Query,
        by: Protocol,
        canonical: Option<&Name>,
        ips: &[IpAddr],
    ) -> Answered {
        let ttl = self.node.settings().ttl;
        let addresses = Reply { authoritative: true, canonical, ips, ttl, ..Reply::default() };
        let other_version = Reply { rcode: Rcode::BAD_VERS, ..Reply::default() };
        let is_other = query.edns.is_some_and(|edns| edns.version != 0);
        let reply = if is_other { other_version } else { addresses };
        Answered(reply.write(query, limit(query, by).min(own_limit(by))))
    }

    fn pass_on(&self, request: Request, known: bool) -> Next {
        if let Some(answer) = self.forwarder.remembered(&request) {
            return Next::Answer(self.tell(&request, known, answer));
        }
        match Arc::clone(&self.waiting).try_acquire_owned() {
            Ok(permit) => Next::Ask(Box::new(Waiting { request, known, _permit: permit })),
            Err(_) => Next::Answer(failed(&request, &UpstreamError::Busy)),
        }
    }

    /// A resolver's answer as it goes to the pod.
    fn tell(&self, request: &Request, known: bool, answer: Vec<u8>) -> Vec<u8> {
        let Request { query: Some(query), by, .. } = request else { return answer };
        if known && reply::rcode(&answer) == Ok(Rcode::NX_DOMAIN) {
            // That the name does not exist would be believed of all types.
            let Answered(answer) = self.told(query, *by, None, &[]);
            return answer;
        }
        reply::fitted(answer, limit(query, *by))
    }

    /// The right to one more connection of the pod, if it was meant for a resolver.
    pub(crate) fn admit(&self, accepted: BorrowedFd<'_>) -> Option<OwnedSemaphorePermit> {
        let is_captured = self.forwarder.sockets().is_captured(accepted);
        is_captured.then(|| Arc::clone(&self.connections).try_acquire_owned().ok()).flatten()
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn forwarder(&self) -> &Arc<Forwarder> {
        &self.forwarder
    }

    /// Where a question of the pod is counted.
    pub(crate) fn series(&self, kind: u16, by: Protocol) -> Arc<DnsSeries> {
        let pinned = self.snapshot.pin();
        let own = pinned.value.workload(&self.own.uid).unwrap_or(&self.own);
        self.metrics.dns(own, kind, by)
    }

    pub(crate) fn pod(&self) -> &WorkloadUid {
        &self.own.uid
    }
}

/// The largest answer that reaches who asks.
fn limit(query: &Query, by: Protocol) -> u16 {
    match by {
        Protocol::Udp => query.datagram(),
        Protocol::Tcp => u16::MAX,
    }
}

const fn own_limit(by: Protocol) -> u16 {
    match by {
        Protocol::Udp => DATAGRAM_MAX,
        Protocol::Tcp => u16::MAX,
    }
}

/// That there is no answer; the pod's resolver then asks the next server, or again.
fn failed(request: &Request, error: &UpstreamError) -> Vec<u8> {
    let Some(query) = &request.query else { return bare(&request.bytes, Rcode::SERV_FAIL) };
    let because = match error {
        UpstreamError::Busy | UpstreamError::Cut => (OTHER, "too many questions at once"),
        UpstreamError::Open { .. }
        | UpstreamError::Refused { .. }
        | UpstreamError::Lost { .. }
        | UpstreamError::Timeout { .. }
        | UpstreamError::Down { .. } => (NO_RESOLVER, "no answer from the pod's resolver"),
    };
    let reply = Reply { rcode: Rcode::SERV_FAIL, because: Some(because), ..Reply::default() };
    reply.write(query, limit(query, request.by))
}
