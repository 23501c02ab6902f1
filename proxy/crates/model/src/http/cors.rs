//! `CorsPolicy`: what browsers are told of other sites.
use std::sync::Arc;

use super::matcher::{RuntimeFraction, StringMatch};

/// What is answered to requests with an `origin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cors {
    /// Any of them.
    pub origins: Box<[StringMatch]>,
    pub methods: Option<Arc<str>>,
    pub headers: Option<Arc<str>>,
    pub expose: Option<Arc<str>>,
    pub max_age: Option<Arc<str>>,
    pub credentials: bool,
    /// `allow_private_network_access`.
    pub private_network: bool,
    /// How many requests it is enforced for; all.
    pub enabled: RuntimeFraction,
    /// Evaluated and counted only, where it is not enforced.
    pub shadow: Option<RuntimeFraction>,
    /// `forward_not_matching_preflights`: those that match no origin go upstream; `true`.
    pub forward_other_preflights: bool,
}
