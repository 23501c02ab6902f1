//! The server's side: what engines of nodes, gateways and Envoys are told.
//!
//! Pure: requests go in, responses come out, whoever holds the stream carries them.
//!
//! Reading order: [`offer`] (what there is for one of them), [`channel`] (one type on one stream, in
//! either protocol), [`session`] (all types of a stream, in the order in which they must arrive).

pub mod offer;

pub mod channel;

pub mod session;
