//! Protocol types: what is on the wire of discovery, of Istio's workload API, of its CA, and of
//! the node's report.
//!
//! Modules stand where the packages of `protos/` say; all but this file is written by
//! `cargo xtask codegen`. Messages are public as they come off the wire, unchecked: `culvert-xds`
//! turns them into words of the model. Envoy's whole API is behind [`api`], which `culvert-xds`, the
//! compiler and the gateway open; [`descriptors`] says what it looks like, [`fields`] takes a message
//! apart, [`json`] how people write it, [`rules`] what its fields may hold, and [`canonical`] writes
//! it always the same way.
#![expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::doc_markdown,
    clippy::excessive_nesting,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    reason = "nearly all of it is generated"
)]

pub use prost::{DecodeError, Message, Name};
pub use prost_types::{Any, Duration, ListValue, Struct, Timestamp, Value, value};

/// Envoy's API as a whole.
pub mod api {
    pub use envoy_types::pb::{envoy, google, udpa, xds};
}

pub mod added;

pub mod descriptors;

pub mod fields;

pub mod json;

pub mod rules;

pub mod canonical;

/// Whoever drives the L4 side: Istio's workload API and CA.
pub mod istio {
    pub mod security;
    pub mod workload;
    pub mod v1 {
        pub mod auth;
    }
}

/// Envoy's discovery.
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3;
        }
    }
    pub mod service {
        pub mod discovery {
            pub mod v3;
        }
    }
}

pub mod google {
    pub mod rpc;
}

/// Our own.
pub mod culvert {
    pub mod l7 {
        pub mod v1;
    }
    pub mod node {
        pub mod v1;
    }
}
