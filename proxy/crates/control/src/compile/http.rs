//! HTTP in the mesh: from manifests to what Envoy understands.
//!
//! Objects become a [`plan`] in words of neither Istio nor the Gateway API ([`istio`] and
//! [`gateway_api`] say theirs so); [`emit`] turns a plan, with the services and workloads there are (`facts`), into
//! Envoy's messages.
//!
//! Reading order: [`plan`], [`istio`], [`gateway_api`], `join` (both as one plan), [`emit`], `facts`,
//! [`credentials`] (which Secrets all of this names), [`steps`] (what of it is done anew when something changes), `told` (what people are told of it).

pub mod plan;

pub mod istio;

pub mod gateway_api;

pub mod credentials;

mod join;

pub mod emit;

mod facts;

pub mod steps;

mod told;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod meant;
