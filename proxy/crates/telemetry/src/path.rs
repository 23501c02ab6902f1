//! The way a connection took.
pub use culvert_model::path::Path;
