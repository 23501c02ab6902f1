//! What a client makes of what a server says.
use super::super::{
    http2::{
        block::Block,
        code::{Code, Fault},
        hpack::Decoder,
        response::Response,
    },
    inlet::Phase,
    role::{self, Role, Use},
    settings::CLIENT_HEADERS,
    stream::Stream,
    wire::Wire,
};
use std::{future::poll_fn, sync::Arc, task::Poll};

/// The end of a link that asks.
#[derive(Debug)]
pub(super) struct Client;

/// A request under way; dropped before there is an answer, it is taken back.
#[derive(Debug)]
pub(super) struct Asked<'w> {
    wire: &'w Arc<Wire>,
    stream: Arc<Stream>,
    granted: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Box<Response>),
    Reset(Code),
    /// The link ended.
    Ended,
}

impl Role for Client {
    const ASKS: bool = true;
    const HEADERS: usize = CLIENT_HEADERS as usize;
    const SECOND: &'static str = "a second answer";

    fn block(
        &mut self,
        wire: &Arc<Wire>,
        decoder: &mut Decoder,
        block: &Block<'_>,
    ) -> Result<Use, Fault> {
        let (id, bytes, limit) = (block.stream, block.bytes.as_ref(), Self::HEADERS);
        let Some(stream) = wire.find(id) else {
            let skipped = role::skip(decoder, block)?;
            return match self.is_idle(wire, id) {
                true => Err(Fault::link(Code::PROTOCOL_ERROR, "an answer that nobody asked for")),
                false => Ok(skipped),
            };
        };
        let answered = stream.inlet.lock().answered;
        if answered {
            return role::trailers::<Self>(wire, decoder, block, &stream);
        }
        let response = Response::decode(decoder, bytes, limit);
        let response = response.map_err(|error| error.fault(id))?;
        if response.is_interim() {
            return match block.end_stream {
                true => Err(Fault::stream(id, Code::PROTOCOL_ERROR, "an end without an answer")),
                false => Ok(Use::None),
            };
        }
        let mut inlet = stream.inlet.lock();
        inlet.answered = true;
        inlet.answer = Some(Box::new(response));
        inlet.wake();
        drop(inlet);
        if block.end_stream {
            wire.end(&stream)?;
        }
        Ok(Use::Some)
    }

    fn is_idle(&self, wire: &Wire, id: u32) -> bool {
        // Streams of the server's there are none.
        id.is_multiple_of(2) || wire.line(|line| line.is_idle(id))
    }

    fn broken_off(&mut self, _: &Wire, _: bool) -> Result<(), Fault> {
        Ok(())
    }

    fn go_away(&mut self, wire: &Wire, last: u32, _: Code) {
        wire.line(|line| line.retired = true);
        wire.link.tell_unused();
        for stream in wire.select(|id| last < id) {
            wire.remove(stream.id);
            stream.break_off();
            stream.inlet.lock().end(Phase::Reset(Code::REFUSED_STREAM));
        }
    }
}

impl<'w> Asked<'w> {
    pub(super) fn new(wire: &'w Arc<Wire>, stream: Arc<Stream>) -> Self {
        Self { wire, stream, granted: false }
    }

    /// Waits for the answer.
    pub(super) async fn answer(&self) -> Answer {
        poll_fn(|cx| {
            let mut inlet = self.stream.inlet.lock();
            inlet.listen(cx.waker());
            let (answer, phase) = (inlet.answer.take(), inlet.phase());
            drop(inlet);
            match (answer, phase) {
                (Some(response), _) => Poll::Ready(Answer::Response(response)),
                (None, Phase::Reset(code)) => Poll::Ready(Answer::Reset(code)),
                (None, Phase::Open) if self.wire.link.end().is_none() => Poll::Pending,
                (None, Phase::Open | Phase::Ended | Phase::Deaf) => Poll::Ready(Answer::Ended),
            }
        })
        .await
    }

    /// The stream, for a tunnel.
    pub(super) fn granted(mut self) -> Arc<Stream> {
        self.granted = true;
        Arc::clone(&self.stream)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.granted {
            return;
        }
        let Self { wire, stream, .. } = self;
        let finished = stream.send.lock().finished;
        let mut inlet = stream.inlet.lock();
        let open = inlet.phase() == Phase::Open || !finished;
        let waits = inlet.deafen();
        drop(inlet);
        wire.thrown_away(stream, waits);
        if open {
            wire.reset(stream, Code::CANCEL);
        }
    }
}
