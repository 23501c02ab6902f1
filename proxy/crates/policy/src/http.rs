//! What an HTTP engine decides, as pure functions of [`culvert_model::http`].
//!
//! No clock and no dice inside: who asks brings the time and a random number. Where Envoy documents
//! how something is decided, it is decided so, bit by bit where others compute the same (hashes,
//! rings, tables).
//!
//! Reading order: [`facts`] (what may be asked about), [`field`] (headers compared), [`query`],
//! [`chance`]; [`route`]; [`format`](mod@format), [`mutate`], [`flags`]; [`path`], [`client`].

pub mod facts;

pub mod field;

pub mod query;

pub mod chance;

pub mod route;
