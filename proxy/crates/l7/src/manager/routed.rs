//! Where a request was found to go: decided in `culvert_policy`.
pub(crate) use culvert_policy::http::routed::{Routed, config, is_on, overrides};
