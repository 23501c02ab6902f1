//! HTTP: from the bytes of a connection to requests, and on to wherever they are answered.
//!
//! Knows nothing of where routes and endpoints come from, and nothing of keys: it is handed
//! connections, and opens others through a door that is passed in.
//!
//! Reading order: [`io`] (the bytes), [`message`] and [`body`] (what a request is, whatever the
//! version), [`outcome`] (how it can end), [`stats`] (what is counted), [`log`] (what is written
//! down of a request), [`ledger`] (who is told of it beside that), [`h1`] and [`h2`] (the two codecs), [`dial`] (the door out), [`link`] (what is
//! known of what it opened), [`pool`]
//! (connections kept for the next request), [`upstream`] (clusters, and which of their endpoints a
//! request goes to), [`forward`] (the way of a request), [`connection`] (a connection downstream,
//! as requests see it), [`shared`] (what all parts of one engine share), `filter` (HTTP filters),
//! [`manager`] (the way of a request from a connection to its cluster), [`listener`], `chain` and
//! [`network`] (a connection's way to what takes it), [`engine`] (all of it running).

pub mod io;

pub mod message;

pub mod body;

pub mod outcome;

pub mod alarm;

pub mod share;

pub mod service;

pub mod stats;

pub mod log;

pub mod ledger;

pub mod forward;

pub mod sniff;

mod handshakes;

mod secured;

pub mod link;

pub mod h1;

pub mod h2;

pub mod dial;

pub mod pool;

pub mod upstream;

pub mod connection;

pub mod shared;

pub(crate) mod filter;

pub mod manager;

mod guarded;

mod chain;

pub mod listener;

pub mod network;

pub mod engine;

#[cfg(test)]
mod testing;
