//! Answering a request.
use super::super::{
    headers::{Baggage, Request},
    http2::{code::Code, frame::write, response},
    inlet::Phase,
    link::Place,
    stream::Stream,
    tunnel::{Tunnel, TunnelError},
    wire::Wire,
};
use http::{HeaderMap, StatusCode};
use std::{future::poll_fn, sync::Arc, task::Poll};

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
    wire: Arc<Wire>,
    stream: Arc<Stream>,
    place: Place,
}

impl Respond {
    pub(super) fn new(wire: Arc<Wire>, stream: Arc<Stream>, place: Place) -> Self {
        Self { open: Some(Open { wire, stream, place }) }
    }

    /// Says that the application is connected, and who answers.
    ///
    /// # Errors
    ///
    /// When the client no longer wants it.
    pub(crate) fn accept(mut self, who: &Baggage) -> Result<Tunnel, TunnelError> {
        let open = self.open.take().ok_or(TunnelError::Reset)?;
        if open.is_over() {
            return Err(TunnelError::Reset);
        }
        let mut headers = HeaderMap::new();
        who.write(&mut headers);
        open.answer(StatusCode::OK, &headers, false);
        let Open { wire, stream, place } = open;
        Ok(Tunnel::new(wire, stream, place))
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
            let Some(open) = &self.open else { return Poll::Ready(()) };
            open.stream.inlet.lock().listen(cx.waker());
            if open.is_over() { Poll::Ready(()) } else { Poll::Pending }
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
    /// Whether the client has gone, or has taken its request back.
    fn is_over(&self) -> bool {
        self.wire.link.end().is_some()
            || matches!(self.stream.inlet.lock().phase(), Phase::Reset(_) | Phase::Deaf)
    }

    fn answer(&self, status: StatusCode, headers: &HeaderMap, ends: bool) {
        self.stream.inlet.lock().answered = true;
        let id = self.stream.id;
        self.wire.with_line(|line| {
            let mut block = Vec::with_capacity(128);
            response::write(&mut line.encoder, status, headers, &mut block);
            let most = line.frame_max();
            line.frames(|out| {
                write::headers(id, &block, ends, most, out);
                if ends {
                    // What the client still sends is not wanted.
                    write::reset(id, Code::NO_ERROR, out);
                }
            });
        });
    }

    fn refuse(self, status: StatusCode) {
        let over = self.is_over();
        let waits = self.stream.inlet.lock().deafen();
        self.wire.thrown_away(&self.stream, waits);
        if over {
            return;
        }
        self.stream.send.lock().finished = true;
        self.answer(status, &HeaderMap::new(), true);
        self.wire.remove(self.stream.id);
        drop(self.place);
    }
}
