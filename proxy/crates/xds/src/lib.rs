//! Discovery: how what the control plane knows comes to every node, and what the node says back.
//!
//! Reading order: [`resource`] (what travels), [`decode`] and [`encode`], [`client`] and [`server`]
//! (who knows what: pure), [`report`] (what nodes say back), [`transport`] (what
//! carries it);
//! beside them [`envoy`] (what Envoy's control planes tell the HTTP engine).

pub mod resource;

pub mod decode;

pub mod encode;

mod origin;

pub mod client;

pub mod server;

pub mod report;

pub mod transport;

pub mod envoy;
