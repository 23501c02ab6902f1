//! HTTP/2 as bytes and values, as much of it as tunnels need (RFC 9113, RFC 7541); pure.
//!
//! What a frame or a block of headers is by itself, and what is wrong with it by itself, is
//! decided here. What it means for a stream, and whether it may come now, is its caller's to know.
//!
//! Reading order: [`code`], [`frame`], [`settings`], [`block`], [`hpack`], [`message`],
//! [`request`], [`response`].
pub mod code;

pub mod frame;

pub mod settings;

pub mod block;

pub mod hpack;

pub mod message;

pub mod request;

pub mod response;

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
