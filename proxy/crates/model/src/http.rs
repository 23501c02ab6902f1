//! The HTTP engine's configuration: what Envoy's xDS says, parsed and checked once.
//!
//! Pure. Each type says what Envoy's defaults are; whoever decodes puts them in, so that no reader
//! of a value asks what an absent field means.
//!
//! Reading order: [`metadata`].

pub mod metadata;
