//! In what the two ends of a link differ.
use super::{
    http2::{
        block::Block,
        code::{Code, Fault},
        hpack::Decoder,
    },
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
