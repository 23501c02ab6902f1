//! A server of discovery over gRPC: one stream, opened again whenever it ends.
use super::Source;
use crate::{
    envoy::{
        kind::Kind,
        stream::{Protocol, Received, Request, Response, Stream, Wanted},
    },
    transport::{
        LARGEST,
        upstream::{Upstream, UpstreamError},
    },
};
use culvert_model::http::source::{Grpc, GrpcServer};
use culvert_proto::api::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use culvert_runtime::{backoff::Backoff, dice::dice};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::mpsc, task, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

/// After the first failure, and however often it failed.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Requests on their way out.
const OUTGOING: usize = 64;

const AGGREGATED: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const AGGREGATED_DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Nothing is wanted any more.
    #[error("nothing is wanted of it")]
    Unwanted,
    #[error("{0}")]
    Unreachable(String),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the server ended the stream: {}", .0.message())]
    Status(Box<tonic::Status>),
    #[error("the server closed the stream")]
    Closed,
}

/// Follows one server: all types, or one.
pub(super) async fn follow(mut source: Source, server: Grpc, only: Option<Kind>) {
    let protocol = if server.delta { Protocol::Delta } else { Protocol::StateOfTheWorld };
    let mut stream = Stream::new(
        protocol,
        source.asked.clone(),
        source.node.clone(),
        server.node_on_first_only || only.is_none(),
    );
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let mut servers = server.servers.iter().cycle();
    while wait_for_wants(&mut source, only).await {
        let Some(server) = servers.next() else { return };
        let before = source.shared.status.lock().get(&source.asked).map_or(0, |of| of.failures);
        let ended = session(&mut source, server, &mut stream, only).await;
        stream.disconnect();
        if matches!(ended, Ended::Unwanted) {
            return;
        }
        source.shared.failed(&source.asked, &chain(&ended));
        let now = source.shared.status.lock().get(&source.asked).map_or(0, |of| of.failures);
        if now <= before {
            // It had answered: the failure is a new one.
            backoff.reset();
        }
        time::sleep(backoff.next(dice())).await;
    }
}

/// Whether there is something to ask for; false when there never will be.
async fn wait_for_wants(source: &mut Source, only: Option<Kind>) -> bool {
    let is_ours =
        |wants: &super::Wants| wants.keys().any(|kind| only.is_none_or(|only| only == *kind));
    source.wants.wait_for(is_ours).await.is_ok()
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn session(
    source: &mut Source,
    server: &GrpcServer,
    stream: &mut Stream,
    only: Option<Kind>,
) -> Ended {
    let way = match source.reach.reach(&server.to) {
        Ok(way) => way,
        Err(what) => return Ended::Unreachable(what),
    };
    let authority = server.authority.as_deref().unwrap_or(&way.authority);
    let upstream = Upstream::try_new(&format!("http://{authority}"), way.connect);
    let upstream = upstream.map(|upstream| {
        let upstream = match way.bearer {
            Some(bearer) => upstream.with_bearer(bearer),
            None => upstream,
        };
        server
            .headers
            .iter()
            .fold(upstream, |upstream, (key, value)| upstream.with_metadata(key, value))
    });
    let upstream = match upstream {
        Ok(upstream) => upstream,
        Err(error) => return error.into(),
    };
    let is_delta = matches!(stream.protocol(), Protocol::Delta);
    let path = match (only, is_delta) {
        (Some(kind), delta) => kind.grpc_path(delta),
        (None, false) => AGGREGATED,
        (None, true) => AGGREGATED_DELTA,
    };
    let path = PathAndQuery::from_static(path);
    if is_delta {
        let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
        let unwrap = |request| match request {
            Request::Delta(request) => Some(request),
            Request::StateOfTheWorld(_) => None,
        };
        let call = Call { path, codec, wrap: Response::Delta, unwrap };
        talk(source, &upstream, stream, only, call).await
    } else {
        let codec = ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default();
        let unwrap = |request| match request {
            Request::StateOfTheWorld(request) => Some(request),
            Request::Delta(_) => None,
        };
        let call = Call { path, codec, wrap: Response::StateOfTheWorld, unwrap };
        talk(source, &upstream, stream, only, call).await
    }
}

/// One of the two protocols, as the library wants it.
struct Call<Out, In> {
    path: PathAndQuery,
    codec: ProstCodec<Out, In>,
    wrap: fn(In) -> Response,
    unwrap: fn(Request) -> Option<Out>,
}

async fn talk<Out, In>(
    source: &mut Source,
    upstream: &Upstream,
    stream: &mut Stream,
    only: Option<Kind>,
    call: Call<Out, In>,
) -> Ended
where
    Out: culvert_proto::Message + Send + 'static,
    In: culvert_proto::Message + Default + Send + 'static,
{
    let channel = match upstream.channel().await {
        Ok(channel) => channel,
        Err(error) => return error.into(),
    };
    let (tx, rx) = mpsc::channel(OUTGOING);
    let request = match upstream.request(ReceiverStream::new(rx)) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let held = versions(source);
    for request in stream.connect(&held) {
        send(&tx, (call.unwrap)(request)).await;
    }
    ask(source, stream, only, &tx, call.unwrap).await;
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(LARGEST);
    if let Err(error) = grpc.ready().await {
        return Ended::Unreachable(error.to_string());
    }
    let mut responses = match grpc.streaming(request, call.path, call.codec).await {
        Ok(responses) => responses.into_inner(),
        Err(status) => return Ended::Status(Box::new(status)),
    };
    loop {
        tokio::select! {
            changed = source.wants.changed() => {
                if changed.is_err() {
                    return Ended::Unwanted;
                }
                ask(source, stream, only, &tx, call.unwrap).await;
            }
            response = responses.message() => {
                let response = match response {
                    Ok(Some(response)) => (call.wrap)(response),
                    Ok(None) => return Ended::Closed,
                    Err(status) => return Ended::Status(Box::new(status)),
                };
                source.shared.connected(&source.asked);
                let Some(Received { update, receipt }) = stream.receive(response) else { continue };
                let kind = update.kind.as_str();
                let errors = source.shared.apply(update, receipt.version());
                for (name, wrong) in receipt.malformed.iter().chain(&errors) {
                    tracing::warn!(
                        kind, %name, %wrong,
                        "configuration refused; what was there before stays",
                    );
                }
                // It comes into force before it is answered: an answer may be long.
                task::yield_now().await;
                let answer = stream.answer(receipt, &errors);
                send(&tx, (call.unwrap)(answer)).await;
            }
        }
    }
}

/// Says what is wanted now; in the order in which types need each other.
async fn ask<Out>(
    source: &mut Source,
    stream: &mut Stream,
    only: Option<Kind>,
    tx: &mpsc::Sender<Out>,
    unwrap: fn(Request) -> Option<Out>,
) {
    let wants = source.wants.borrow_and_update().clone();
    let held = versions(source);
    for kind in Kind::ALL.into_iter().filter(|kind| only.is_none_or(|only| only == *kind)) {
        let wanted = wants.get(&kind).cloned().unwrap_or(Wanted::Names(Default::default()));
        let asked = stream.want(kind, wanted, &held);
        for request in asked.into_iter().chain(stream.recall(kind, &held)) {
            send(tx, unwrap(request)).await;
        }
    }
}

fn versions(source: &Source) -> impl Fn(Kind) -> BTreeMap<String, String> + use<> {
    let (shared, asked) = (std::sync::Arc::clone(&source.shared), source.asked.clone());
    move |kind| shared.assembler.lock().versions(kind, &asked)
}

/// A stream that is gone says so where responses are read.
async fn send<Out>(tx: &mpsc::Sender<Out>, request: Option<Out>) {
    if let Some(request) = request
        && tx.send(request).await.is_err()
    {
        tracing::debug!("a request of discovery was not sent: the stream is gone");
    }
}
