//! Envoy, the peer, with configurations as bare as they can be.
pub(crate) mod hbone;
pub(crate) mod plain;
