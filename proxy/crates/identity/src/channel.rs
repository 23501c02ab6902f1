//! TLS for tunnels, with the records in the caller's memory.
//!
//! The handshake is [`tls`](crate::tls)'s: the same certificates, the same checks, the same errors.
//! What comes after it is two halves that know nothing of sockets: an [`Opener`] decrypts records
//! where they were read to, a [`Sealer`] encrypts them where they will be written from. Bytes are
//! copied nowhere on the way, and as many records go with one system call as the caller likes.
//!
//! The library of the handshake keeps the secrets that keys are renewed with; keys of the moment are
//! in the halves, and nothing of either can be had from outside.
mod keys;
mod open;
mod record;
mod seal;
mod shake;

pub use open::{Opener, Record};
pub use record::{HEADER, PLAIN_MAX, RECORD_MAX, TRAILER};
pub use seal::Sealer;
pub use shake::{accept, connect};

use crate::verify::Peer;
use tokio::net::TcpStream;

/// A connection after the handshake.
#[derive(Debug)]
pub struct Channel {
    pub tcp: TcpStream,
    /// Who is at the other end.
    pub peer: Peer,
    pub opener: Opener,
    pub sealer: Sealer,
    /// Records that came with the last of the handshake.
    pub early: Vec<u8>,
}
