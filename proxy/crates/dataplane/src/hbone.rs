//! HBONE: connections carried in HTTP/2 CONNECT streams over mutual TLS.
//!
//! One *link* is a TLS connection between two pods' proxies, one `Tunnel` a
//! CONNECT stream in it. What HTTP/2 is made with shows nowhere but in `tunnel`, `link`,
//! `client` and `server`.
//!
//! Reading order: [`headers`], [`http2`], `settings`, `chunk`, `tunnel` (the seam), `relay`, `io`, `link`,
//! `window`, `server`, `client`, `pool`.
pub mod headers;

pub mod http2;

mod settings;

mod chunk;

pub(crate) mod tunnel;

pub(crate) mod relay;

mod io;

mod link;

mod window;

pub(crate) mod server;

pub(crate) mod client;

pub(crate) mod pool;

#[doc(hidden)]
pub mod door;

#[cfg(test)]
mod tests;
