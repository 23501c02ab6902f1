//! HTTP/1: heads by `httparse`, everything else here.
//!
//! Strict where two readers of the same bytes could come to different ends: what is not said in one
//! way only is refused, and the connection closed.
//!
//! Reading order: [`Limits`]; `head` (what both kinds of heads have in common), `request`,
//! `response`, `target`; `chunked`, `inbox` and `reader` (bodies coming in); `encode`, `outbox` and `outgoing`
//! (everything going out; `names`:
//! how headers are spelled); `line` and `server` (a connection that is served), `client` and
//! `exchange` (one that is used).
mod chunked;
mod client;
mod encode;
mod exchange;
mod head;
mod inbox;
mod line;
mod names;
mod outbox;
mod outgoing;
mod reader;
mod request;
mod response;
mod server;
mod target;

pub use client::{Client, ClientOptions, Home, Lease};
pub use exchange::Exchange;
pub use line::Incoming;
pub use names::Spelling;
pub use server::{Closed, Options, serve};

/// How much a head may be, and what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many headers.
    pub headers: usize,
    /// How many bytes all together.
    pub bytes: usize,
    /// A request may name its whole URL, as to a proxy; otherwise that is a path like none.
    pub whole_url: bool,
    /// Chunks may come with a length beside them, which does not count.
    pub chunks_with_length: bool,
}

impl Default for Limits {
    /// Envoy's.
    fn default() -> Self {
        Self { headers: 100, bytes: 60 << 10, whole_url: true, chunks_with_length: false }
    }
}

/// What of a message's bytes is its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Exactly(u64),
    Chunked,
    /// Until the connection is closed.
    Rest,
    /// Everything from here on, both ways, once the other side has agreed.
    Tunnel,
}
