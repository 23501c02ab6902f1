//! Envoy's discovery: what any Envoy control plane, or a file, tells the HTTP engine.
//!
//! Reading order: [`kind`] (types of resources), [`decode`] (messages to words of the model),
//! [`bootstrap`] (what a process starts with), [`wanted`] and [`assemble`] (what is made of it all), [`stream`]
//! (the two protocols), [`discover`] (who carries them), [`dump`] (what is
//! shown of it; [`csds`] over gRPC). And [`serve`]: the other end of it.

pub mod kind;

pub mod decode;

pub mod bootstrap;

pub mod wanted;

mod references;

pub mod assemble;

pub mod stream;

pub mod discover;

pub mod dump;

pub mod csds;

pub mod serve;
