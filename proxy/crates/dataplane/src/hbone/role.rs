//! In what the two ends of a link differ.
use super::{
    http2::{
        block::Block,
        code::{Code, Fault},
        hpack::Decoder,
        message::{self, BlockError},
    },
    stream::Stream,
    wire::Wire,
};
use std::sync::Arc;

/// Whether something that came was of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Some,
    None,
}

pub(super) trait Role {
    /// Whether it is we who ask, and the peer who answers before it sends anything.
    const ASKS: bool;

    /// How many bytes of headers are taken.
    const HEADERS: usize;

    /// What a second block that does not end its stream is.
    const SECOND: &'static str;

    /// A block of headers is there.
    fn block(
        &mut self,
        wire: &Arc<Wire>,
        decoder: &mut Decoder,
        block: &Block<'_>,
    ) -> Result<Use, Fault>;

    /// Whether there has been no such stream yet.
    fn is_idle(&self, wire: &Wire, id: u32) -> bool;

    /// A stream was broken off by what the peer did, which was answered before or not.
    fn broken_off(&mut self, wire: &Wire, answered: bool) -> Result<(), Fault>;

    /// The peer takes no more streams, and none of those after `last`.
    fn go_away(&mut self, wire: &Wire, last: u32, code: Code);
}

/// A block of a stream that nobody wants: the decoder has to see it, and that is all.
pub(super) fn skip(decoder: &mut Decoder, block: &Block<'_>) -> Result<Use, Fault> {
    let skipped = decoder.skip(block.bytes.as_ref());
    skipped.map_err(|error| BlockError::from(error).fault(block.stream))?;
    Ok(Use::None)
}

/// A second block of a stream: it ends it, or is a second one of what there is one of.
pub(super) fn trailers<R: Role>(
    wire: &Wire,
    decoder: &mut Decoder,
    block: &Block<'_>,
    stream: &Stream,
) -> Result<Use, Fault> {
    let (id, bytes) = (block.stream, block.bytes.as_ref());
    message::trailers(decoder, bytes, R::HEADERS).map_err(|error| error.fault(id))?;
    if !block.end_stream {
        return Err(Fault::stream(id, Code::PROTOCOL_ERROR, R::SECOND));
    }
    wire.end(stream)?;
    Ok(Use::None)
}
