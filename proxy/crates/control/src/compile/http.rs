//! HTTP in the mesh: from manifests to what Envoy understands.
//!
//! Objects become a [`plan`] in words of neither Istio nor the Gateway API ([`istio`] says those of
//! Istio so); [`emit`] turns a plan, with the services and workloads there are (`facts`), into
//! Envoy's messages.
//!
//! Reading order: [`plan`], [`istio`], [`emit`], `facts`.

pub mod plan;

pub mod istio;

pub mod emit;

mod facts;
