//! What a server makes of what a client asks for.
use super::{
    super::{
        headers,
        http2::{
            block::Block,
            code::{Code, Fault},
            hpack::Decoder,
            request::Request,
        },
        inlet::Phase,
        role::{self, Role, Use},
        settings::{SERVER_HEADERS, SERVER_STREAMS},
        stream::Stream,
        wire::Wire,
    },
    ABANDONED_MAX, Incoming, Respond,
};
use http::StatusCode;
use std::sync::Arc;
use tracing::debug;

/// The end of a link that answers.
#[derive(Debug)]
pub(super) struct Server<'a, F> {
    on_request: &'a F,
    /// The last stream there was, looked at or not.
    seen: u32,
    /// No new streams are looked at.
    pub(super) closed: bool,
}

impl<'a, F> Server<'a, F> {
    /// Whether there was a stream.
    pub(super) const fn was_asked(&self) -> bool {
        self.seen != 0
    }

    pub(super) fn new(on_request: &'a F) -> Self {
        Self { on_request, seen: 0, closed: false }
    }
}

impl<F: Fn(Incoming)> Role for Server<'_, F> {
    const ASKS: bool = false;
    const HEADERS: usize = SERVER_HEADERS as usize;
    const SECOND: &'static str = "a second request";

    fn block(
        &mut self,
        wire: &Arc<Wire>,
        decoder: &mut Decoder,
        block: &Block<'_>,
    ) -> Result<Use, Fault> {
        let (id, bytes, limit) = (block.stream, block.bytes.as_ref(), Self::HEADERS);
        if id.is_multiple_of(2) {
            return Err(Fault::link(
                Code::PROTOCOL_ERROR,
                "a stream with a number of the server's",
            ));
        }
        if !self.is_idle(wire, id) {
            let Some(stream) = wire.find(id) else { return role::skip(decoder, block) };
            return role::trailers::<Self>(wire, decoder, block, &stream);
        }
        self.seen = id;
        if self.closed {
            // It was told; nothing that it still asks for was looked at.
            return role::skip(decoder, block);
        }
        wire.link.opened(id);
        if SERVER_STREAMS as usize <= wire.streams() {
            role::skip(decoder, block)?;
            self.broken_off(wire, false)?;
            return Err(Fault::stream(id, Code::REFUSED_STREAM, "too many streams"));
        }
        let request = Request::decode(decoder, bytes, limit).map_err(|error| error.fault(id))?;
        self.take(wire, id, &request, block.end_stream);
        Ok(Use::Some)
    }

    fn is_idle(&self, _: &Wire, id: u32) -> bool {
        // Streams of ours there are none.
        id.is_multiple_of(2) || self.seen < id
    }

    fn broken_off(&mut self, wire: &Wire, answered: bool) -> Result<(), Fault> {
        if !answered && ABANDONED_MAX < wire.link.abandon() {
            let why = "the client takes back what it asks for";
            return Err(Fault::link(Code::ENHANCE_YOUR_CALM, why));
        }
        Ok(())
    }

    /// The client opens no streams that we open.
    fn go_away(&mut self, _: &Wire, _: u32, _: Code) {}
}

impl<F: Fn(Incoming)> Server<'_, F> {
    fn take(&self, wire: &Arc<Wire>, id: u32, request: &Request, ends: bool) {
        let stream = wire.line(|line| {
            let stream = Arc::new(Stream::new(id, line.stream_window()));
            wire.add(Arc::clone(&stream));
            stream
        });
        if ends {
            stream.inlet.lock().end(Phase::Ended);
        }
        let respond = Respond::new(Arc::clone(wire), stream, wire.link.enter());
        match headers::Request::read(request) {
            Ok(request) => (self.on_request)(Incoming { request, respond }),
            Err(error) => {
                debug!(%error, "bad request");
                respond.refuse(StatusCode::BAD_REQUEST);
            }
        }
    }
}
