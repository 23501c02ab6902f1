//! HBONE: connections carried in HTTP/2 CONNECT streams over mutual TLS.
//!
//! One *link* is a TLS connection between two pods' proxies, one `Tunnel` a
//! CONNECT stream in it.
//!
//! Each link has one task that reads it, the *engine*; every connection has one that reads its
//! application, the *relay*. What comes is written where it goes by whoever read it: the engine
//! writes to the applications, the relays to the link, each as long as the other side takes it. So
//! a word passes a proxy in one task. What is not taken waits: for the application in the stream's
//! `inlet`, for the link in its `line`.
//!
//! Reading order: [`http2`] (bytes and frames), [`headers`], `settings`, `parcel` (what goes out),
//! `stream`, `queue`, `inlet` (what came in), `line`, `writer`, `credit`, `window`, `link`, `wire` (all
//! of it, as both tasks share it), `tunnel` (the seam to what tunnels are used for), `relay`, `bytes` (their other end a socket, or this process); `intake`,
//! `framer`, `turn`, `pinger`, `role`, `engine`; `server`, `client`, `pool`.
pub mod http2;

pub mod headers;

mod settings;

mod parcel;

mod stream;

mod queue;

mod inlet;

mod line;

mod writer;

mod credit;

mod window;

mod link;

mod wire;

pub(crate) mod tunnel;

pub(crate) mod relay;

pub(crate) mod bytes;

mod intake;

mod framer;

mod turn;

mod pinger;

mod role;

mod engine;

pub(crate) mod server;

pub(crate) mod client;

pub(crate) mod pool;

#[doc(hidden)]
pub mod door;

#[cfg(test)]
mod tests;
