//! HTTP/2, and so gRPC.
use super::{Place, Stream, pause};
use crate::{
    case::Answer,
    client::h2::{headers, pairs},
};
use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Serves one connection to its end.
pub(crate) async fn serve(stream: impl Stream, place: &Place) {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let place = place.clone();
        streams.spawn(async move { exchange(request, respond, &place).await });
        while streams.try_join_next().is_some() {}
    }
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    place: &Place,
) -> Option<()> {
    let answer = place.answer();
    let (head, mut body) = request.into_parts();
    let mut saw = json!({
        "line": format!("{} {} {}", head.method, head.uri, "HTTP/2"),
        "headers": pairs(&head.headers),
    });
    if answer.early {
        place.saw(saw);
        write(&mut respond, &answer).await?;
        while body.data().await.is_some() {}
        return Some(());
    }
    let (data, trailers) = read(&mut body).await;
    saw["body"] = json!(crate::plain::text(&data));
    saw["trailers"] = trailers;
    place.saw(saw);
    pause(answer.delay_ms).await;
    if answer.reset || answer.code.is_some() {
        respond.send_reset(answer.code.map_or(Reason::INTERNAL_ERROR, Reason::from));
        return None;
    }
    write(&mut respond, &answer).await
}

/// The body until its end, and its trailers or why there was none.
async fn read(body: &mut RecvStream) -> (Vec<u8>, Value) {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                drop(body.flow_control().release_capacity(data.len()));
                all.extend_from_slice(&data);
            }
            Err(error) => return (all, json!(format!("reset {:?}", error.reason()))),
        }
    }
    let trailers = body.trailers().await.ok().flatten();
    (all, json!(trailers.map(|trailers| pairs(&trailers)).unwrap_or_default()))
}

async fn write(respond: &mut SendResponse<Bytes>, answer: &Answer) -> Option<()> {
    for status in &answer.interim {
        let mut interim = Response::builder().status(*status).body(()).unwrap();
        interim.headers_mut().insert("link", "</style.css>".parse().unwrap());
        respond.send_informational(interim).ok()?;
    }
    let mut head = Response::builder().status(answer.status).body(()).unwrap();
    *head.headers_mut() = headers(&answer.headers.pairs());
    let (body, trailers) = (answer.content(), answer.trailers.pairs());
    let is_last = body.is_empty() && trailers.is_empty() && !answer.cut;
    let mut stream = respond.send_response(head, is_last).ok()?;
    pause(answer.body_delay_ms).await;
    if is_last {
        return Some(());
    }
    if answer.cut {
        stream.send_data(Bytes::from(body[..body.len() / 2].to_vec()), false).ok()?;
        pause(50).await;
        stream.send_reset(Reason::INTERNAL_ERROR);
        return None;
    }
    if !body.is_empty() {
        stream.send_data(Bytes::from(body), trailers.is_empty()).ok()?;
    }
    if !trailers.is_empty() {
        stream.send_trailers(headers(&trailers)).ok()?;
    }
    Some(())
}
