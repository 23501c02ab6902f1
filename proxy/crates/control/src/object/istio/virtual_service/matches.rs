//! Which requests and connections a route is for.
use super::GatewayRef;
use crate::object::{
    istio::{headers::AskedName, text_match::TextMatch},
    port::{Block, Port},
    spanned::Spanned,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a request must be like: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatch {
    pub name: Option<String>,
    pub uri: Option<TextMatch>,
    pub ignore_uri_case: bool,
    pub scheme: Option<TextMatch>,
    pub method: Option<TextMatch>,
    pub authority: Option<TextMatch>,
    pub headers: BTreeMap<AskedName, TextMatch>,
    pub without_headers: BTreeMap<AskedName, TextMatch>,
    pub query_params: BTreeMap<String, TextMatch>,
    pub port: Option<Port>,
    pub source_labels: BTreeMap<String, String>,
    pub source_namespace: Option<String>,
    /// Empty: wherever the service holds.
    pub gateways: Vec<Spanned<GatewayRef>>,
    pub stat_prefix: Option<String>,
}

/// What a connection must be like: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpMatch {
    pub destination_subnets: Vec<Spanned<Block>>,
    pub port: Option<Port>,
    pub source_subnet: Option<Spanned<Block>>,
    pub source_labels: BTreeMap<String, String>,
    pub source_namespace: Option<String>,
    pub gateways: Vec<Spanned<GatewayRef>>,
}

/// What a connection that begins with TLS must be like: all of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsMatch {
    pub sni_hosts: Spanned<Vec<Spanned<crate::object::istio::domain::HostPattern>>>,
    #[serde(default)]
    pub destination_subnets: Vec<Spanned<Block>>,
    pub port: Option<Port>,
    #[serde(default)]
    pub source_labels: BTreeMap<String, String>,
    pub source_namespace: Option<String>,
    #[serde(default)]
    pub gateways: Vec<Spanned<GatewayRef>>,
}

impl HttpMatch {
    /// Whether every request is like it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self
            == Self {
                name: self.name.clone(),
                stat_prefix: self.stat_prefix.clone(),
                ..Self::default()
            }
    }
}
