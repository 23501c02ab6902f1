//! A policy as written; never leaves `authorization_policy`.
use super::PolicyAction;
use crate::object::{
    istio::target::RawTarget,
    port::{Block, PortText},
    selector::RawSelector,
    spanned::Spanned,
};
use serde::Deserialize;

/// A list, and where it was written.
pub(super) type Listed<T> = Option<Spanned<Vec<Spanned<T>>>>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawSpec {
    pub(super) selector: Option<Spanned<RawSelector>>,
    pub(super) target_ref: Option<Spanned<RawTarget>>,
    pub(super) target_refs: Option<Spanned<Vec<Spanned<RawTarget>>>>,
    pub(super) action: Option<PolicyAction>,
    pub(super) provider: Option<RawProvider>,
    pub(super) rules: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
pub(super) struct RawProvider {
    pub(super) name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRule {
    pub(super) from: Listed<RawFrom>,
    pub(super) to: Listed<RawTo>,
    pub(super) when: Listed<RawWhen>,
}

#[derive(Deserialize)]
pub(super) struct RawFrom {
    pub(super) source: Spanned<RawSource>,
}

#[derive(Deserialize)]
pub(super) struct RawTo {
    pub(super) operation: Spanned<RawOperation>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawSource {
    pub(super) principals: Listed<String>,
    pub(super) not_principals: Listed<String>,
    pub(super) request_principals: Listed<String>,
    pub(super) not_request_principals: Listed<String>,
    pub(super) namespaces: Listed<String>,
    pub(super) not_namespaces: Listed<String>,
    pub(super) service_accounts: Listed<String>,
    pub(super) not_service_accounts: Listed<String>,
    pub(super) ip_blocks: Listed<Block>,
    pub(super) not_ip_blocks: Listed<Block>,
    pub(super) remote_ip_blocks: Listed<Block>,
    pub(super) not_remote_ip_blocks: Listed<Block>,
    pub(super) trust_domains: Listed<String>,
    pub(super) not_trust_domains: Listed<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawOperation {
    pub(super) hosts: Listed<String>,
    pub(super) not_hosts: Listed<String>,
    pub(super) ports: Listed<PortText>,
    pub(super) not_ports: Listed<PortText>,
    pub(super) methods: Listed<String>,
    pub(super) not_methods: Listed<String>,
    pub(super) paths: Listed<String>,
    pub(super) not_paths: Listed<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawWhen {
    pub(super) key: Spanned<String>,
    pub(super) values: Listed<String>,
    pub(super) not_values: Listed<String>,
}
