//! HTTP in the mesh: from manifests to what Envoy understands.
//!
//! Objects become a [`plan`] in words of neither Istio nor the Gateway API ([`istio`] and
//! [`gateway_api`] say theirs so); [`emit`] turns a plan, with the services and workloads there are (`facts`), into
//! Envoy's messages.
//!
//! Reading order: [`plan`], [`istio`], [`gateway_api`], [`emit`], `facts`.

pub mod plan;

pub mod istio;

pub mod gateway_api;

pub mod emit;

mod facts;
