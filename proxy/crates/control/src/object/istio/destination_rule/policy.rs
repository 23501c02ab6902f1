//! What holds for connections and requests to a service, a subset or a port.
use super::{
    balancer::LoadBalancer, outlier::OutlierDetection, pool::ConnectionPool, tls::ClientTls,
};
use crate::object::{
    fault::advice,
    istio::{destination::PortNumber, domain::HostName, percent::Percent, time::AnyTime},
    port::Port,
    spanned::Spanned,
};
use serde::Deserialize;
use std::num::NonZeroU16;

/// What holds for a service or a subset.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    pub load_balancer: Option<Spanned<LoadBalancer>>,
    pub connection_pool: Option<Spanned<ConnectionPool>>,
    pub outlier_detection: Option<Spanned<OutlierDetection>>,
    pub tls: Option<Spanned<ClientTls>>,
    pub port_level_settings: Vec<Spanned<PortPolicy>>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub retry_budget: Option<RetryBudget>,
    pub tunnel: Option<Spanned<Tunnel>>,
}

/// What holds for one port, in the place of all the rest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortPolicy {
    port: Spanned<PortNumber>,
    pub load_balancer: Option<Spanned<LoadBalancer>>,
    pub connection_pool: Option<Spanned<ConnectionPool>>,
    pub outlier_detection: Option<Spanned<OutlierDetection>>,
    pub tls: Option<Spanned<ClientTls>>,
}

/// A line before all else that says who the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProxyProtocol {
    pub version: ProxyVersion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ProxyVersion {
    #[default]
    V1,
    V2,
}

/// How many of the requests may be retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    pub percent: Option<Percent>,
    pub budget_interval: Option<AnyTime>,
    pub min_retry_concurrency: Option<u32>,
}

/// A way through somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tunnel {
    #[serde(default)]
    pub protocol: TunnelProtocol,
    pub target_host: HostName,
    pub target_port: Port,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum TunnelProtocol {
    #[default]
    Connect,
    Post,
}

impl PortPolicy {
    #[must_use]
    pub fn port(&self) -> Spanned<NonZeroU16> {
        Spanned { value: self.port.value.number.0, at: self.port.at }
    }
}

impl TryFrom<String> for TunnelProtocol {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        match written.as_str() {
            "CONNECT" => Ok(Self::Connect),
            "POST" => Ok(Self::Post),
            other => Err(advice(format_args!("`{other}` is no tunnel"), "write CONNECT or POST")),
        }
    }
}
