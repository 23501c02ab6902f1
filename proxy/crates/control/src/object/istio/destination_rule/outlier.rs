//! When an endpoint is left out.
use crate::object::istio::time::Time;
use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_5xx: Option<u32>,
    pub consecutive_gateway_errors: Option<u32>,
    pub consecutive_local_origin_failures: Option<u32>,
    /// What `consecutiveGatewayErrors` was once called.
    pub consecutive_errors: Option<u32>,
    pub split_external_local_origin_errors: bool,
    pub interval: Option<Time>,
    pub base_ejection_time: Option<Time>,
    pub max_ejection_percent: Option<Whole>,
    pub min_health_percent: Option<Whole>,
    pub outlier_detection_http_error_codes: Vec<Status>,
}

/// Per cent, without fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Whole(pub u32);

/// A status of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Status(pub u16);

impl TryFrom<u32> for Whole {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        let fits = percent <= 100;
        fits.then_some(Self(percent)).ok_or_else(|| "want a percentage from 0 to 100".into())
    }
}

impl TryFrom<u32> for Status {
    type Error = String;

    fn try_from(status: u32) -> Result<Self, String> {
        let status = u16::try_from(status).ok().filter(|status| (100..=599).contains(status));
        status.map(Self).ok_or_else(|| "want a status from 100 to 599".into())
    }
}
