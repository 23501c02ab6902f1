//! A server of gRPC, as little of one as can be: every message is its own answer.
use std::net::SocketAddr;

use anyhow::Result;
use bytes::BytesMut;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use tokio::{net::TcpListener, runtime, task};

/// Serves until the process ends.
pub(crate) fn serve(at: SocketAddr) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(at).await?;
        crate::role::say("ready")?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            task::spawn_local(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    task::spawn_local(answer(request.into_body(), respond));
                }
            });
        }
    })
}

/// A client that goes away ends its own stream only.
async fn answer(body: RecvStream, respond: SendResponse<bytes::Bytes>) {
    drop(answered(body, respond).await);
}

async fn answered(
    mut body: RecvStream,
    mut respond: SendResponse<bytes::Bytes>,
) -> Result<(), h2::Error> {
    let mut message = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    let mut head = Response::new(());
    let kind = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    let mut sending = respond.send_response(head, false)?;
    sending.send_data(message.freeze(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    sending.send_trailers(trailers)
}
