//! Envoy's discovery: what any Envoy control plane, or a file, tells the HTTP engine.
//!
//! Reading order: [`decode`] (messages to words of the model), [`bootstrap`] (what a process starts
//! with).

pub mod decode;

pub mod bootstrap;
