//! A server of discovery that is polled.
use super::Source;
use crate::envoy::{
    kind::Kind,
    stream::{Protocol, Request, Response, Stream, Wanted},
};
use culvert_model::http::source::{GrpcTarget, Rest};
use culvert_proto::{
    api::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse},
    json,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use tokio::time;

/// The largest response that is taken.
const LARGEST: usize = 200 << 20;

/// Polls for one type.
pub(super) async fn follow(mut source: Source, server: Rest, kind: Kind) {
    let (asked, node) = (source.asked.clone(), source.node.clone());
    let new_stream = || Stream::new(Protocol::StateOfTheWorld, asked.clone(), node.clone(), false);
    let mut stream = new_stream();
    let mut clusters = server.clusters.iter().cycle();
    loop {
        if source.wants.wait_for(|wants| wants.contains_key(&kind)).await.is_err() {
            return;
        }
        let wanted = source.wants.borrow_and_update().get(&kind).cloned();
        if let (Some(wanted), Some(cluster)) = (wanted, clusters.next()) {
            if lacks(&source, kind, &wanted) {
                // A version would say that it is there.
                stream = new_stream();
            }
            let sent = stream.want(kind, wanted, |_| BTreeMap::new());
            debug_assert!(sent.is_none(), "nothing is connected");
            for request in stream.connect(|_| BTreeMap::new()) {
                let Request::StateOfTheWorld(request) = request else { continue };
                let polling = poll(&source, cluster, kind, &request);
                let polled = match time::timeout(server.timeout, polling).await {
                    Ok(polled) => polled,
                    Err(_elapsed) => Err(format!("no answer within {:?}", server.timeout)),
                };
                match polled {
                    Ok(response) => take(&source, &mut stream, kind, response),
                    Err(what) => source.shared.failed(&source.asked, &what),
                }
            }
            stream.disconnect();
        }
        tokio::select! {
            changed = source.wants.changed() => if changed.is_err() { return },
            () = time::sleep(server.refresh) => {}
        }
    }
}

/// Whether something is wanted by name that is not held.
fn lacks(source: &Source, kind: Kind, wanted: &Wanted) -> bool {
    let Wanted::Names(names) = wanted else { return false };
    let held = source.shared.assembler.lock().versions(kind, &source.asked);
    names.iter().any(|name| !held.contains_key(&**name))
}

fn take(source: &Source, stream: &mut Stream, kind: Kind, response: Option<DiscoveryResponse>) {
    source.shared.connected(&source.asked);
    // Nothing new.
    let Some(mut response) = response else { return };
    if response.type_url.is_empty() {
        // The path has said it.
        kind.type_url().clone_into(&mut response.type_url);
    }
    let Some(received) = stream.receive(Response::StateOfTheWorld(response)) else { return };
    let errors = source.shared.apply(received.update, received.receipt.version());
    for (name, wrong) in received.receipt.malformed.iter().chain(&errors) {
        source.shared.failed(&source.asked, &format!("{name}: {wrong}"));
    }
    // There is nobody to tell; the version accepted is said with the next poll.
    let _answer = stream.answer(received.receipt, &errors);
}

async fn poll(
    source: &Source,
    cluster: &std::sync::Arc<str>,
    kind: Kind,
    request: &DiscoveryRequest,
) -> Result<Option<DiscoveryResponse>, String> {
    let way = source.reach.reach(&GrpcTarget::Cluster(std::sync::Arc::clone(cluster)))?;
    let io = (way.connect)().await.map_err(|error| format!("cannot connect: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| error.to_string())?;
    let body = json::write(request).to_string();
    let request = hyper::Request::post(kind.rest_path())
        .header("host", &*way.authority)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if status == hyper::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if status != hyper::StatusCode::OK {
            return Err(format!("{} answers {status}", kind.rest_path()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        json::read(&value).map(Some).map_err(|problems| problems.to_string())
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        exchanged = &mut exchange => return exchanged,
        // It may be over before its response is.
        ended = connection => ended.map_err(|error| error.to_string())?,
    }
    exchange.await
}
