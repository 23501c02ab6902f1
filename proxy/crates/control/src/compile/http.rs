//! HTTP in the mesh: from manifests to what Envoy understands.
//!
//! Objects become a [`plan`] in words of neither Istio nor the Gateway API.

pub mod plan;
