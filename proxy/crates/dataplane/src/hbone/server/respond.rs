//! Answering a request.
use super::super::{
    chunk::Chunk,
    headers::{Baggage, Request},
    link::Place,
    tunnel::{Tunnel, TunnelError},
};
use h2::{RecvStream, server::SendResponse};
use http::{Response, StatusCode};
use std::{future::poll_fn, task::ready};

/// A client asks for a tunnel.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) request: Request,
    pub(crate) respond: Respond,
}

/// The right to answer, once; dropped it says that the service is not available.
#[derive(Debug)]
pub(crate) struct Respond {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    respond: SendResponse<Chunk>,
    body: RecvStream,
    place: Place,
}

impl Respond {
    pub(super) fn new(respond: SendResponse<Chunk>, body: RecvStream, place: Place) -> Self {
        Self { open: Some(Open { respond, body, place }) }
    }

    /// Says that the application is connected, and who answers.
    ///
    /// # Errors
    ///
    /// When the client no longer wants it.
    pub(crate) fn accept(mut self, who: &Baggage) -> Result<Tunnel, TunnelError> {
        let Some(Open { mut respond, body, place }) = self.open.take() else {
            return Err(TunnelError::Reset);
        };
        let mut response = Response::new(());
        who.write(response.headers_mut());
        match respond.send_response(response, false) {
            Ok(send) => Ok(Tunnel::new(send, body, place)),
            Err(_gone) => {
                place.link().abandon();
                Err(TunnelError::Reset)
            }
        }
    }

    /// Says why not; the stream ends with it.
    pub(crate) fn refuse(mut self, status: StatusCode) {
        if let Some(open) = self.open.take() {
            open.refuse(status);
        }
    }

    /// Resolves when the client no longer wants an answer.
    ///
    /// Cancel safe.
    pub(crate) async fn abandoned(&mut self) {
        poll_fn(|cx| {
            let Some(open) = &mut self.open else { return std::task::Poll::Ready(()) };
            // An error says that the whole link is gone.
            drop(ready!(open.respond.poll_reset(cx)));
            std::task::Poll::Ready(())
        })
        .await;
    }
}

impl Drop for Respond {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.refuse(StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}

impl Open {
    fn refuse(self, status: StatusCode) {
        let Self { mut respond, body, place } = self;
        let mut response = Response::new(());
        *response.status_mut() = status;
        if respond.send_response(response, true).is_err() {
            place.link().abandon();
        }
        // Dropped with the answer complete, the library resets the stream with NO_ERROR: what the
        // client still sends is not wanted.
        drop(body);
    }
}
