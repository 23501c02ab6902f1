//! `AuthorizationPolicy` of security.istio.io: who may talk to whom.
pub use super::istio::target::{Selects, Target};
use super::{
    istio::target,
    meta::{Meta, Scope},
    node::Node,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Origin, Problem, Source};
use ipnet::IpNet;
use raw::RawSpec;
use serde::Deserialize;
use std::{num::NonZeroU16, sync::Arc};

mod check;
mod raw;
mod unseen;

/// Makes a policy one that is only asked.
pub(super) const DRY_RUN: &str = "istio.io/dry-run";

/// Who may talk to some workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    pub meta: Meta,
    pub selects: Selects,
    pub action: PolicyAction,
    /// Who is asked, of CUSTOM.
    pub provider: Option<String>,
    pub dry_run: bool,
    pub rules: Vec<PolicyRule>,
}

/// What a policy does with what it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PolicyAction {
    #[default]
    #[serde(rename = "ALLOW")]
    Allow,
    #[serde(rename = "DENY")]
    Deny,
    #[serde(rename = "AUDIT")]
    Audit,
    /// Somebody else is asked.
    #[serde(rename = "CUSTOM")]
    Custom,
}

/// One rule; its parts must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// `None`: there is no such part. Any of them must hold.
    pub from: Option<Vec<PolicySource>>,
    /// Any of them must hold.
    pub to: Option<Vec<PolicyOperation>>,
    pub when: Vec<PolicyCondition>,
    pub origin: Origin,
}

/// Where a connection is from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySource {
    pub principals: Both<String>,
    pub namespaces: Both<String>,
    pub service_accounts: Both<String>,
    pub ip_blocks: Both<IpNet>,
    /// Of L7, as are the next two.
    pub request_principals: Both<String>,
    pub trust_domains: Both<String>,
    pub remote_ip_blocks: Both<IpNet>,
    /// The fields that L4 cannot answer.
    pub unseen: Vec<&'static str>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyOperation {
    pub ports: Both<NonZeroU16>,
    /// Of L7, as are the next two.
    pub hosts: Both<String>,
    pub methods: Both<String>,
    pub paths: Both<String>,
    /// The fields that L4 cannot answer.
    pub unseen: Vec<&'static str>,
}

/// A further condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyCondition {
    SourceIp(Both<IpNet>),
    SourceNamespace(Both<String>),
    SourcePrincipal(Both<String>),
    SourceServiceAccount(Both<String>),
    DestinationIp(Both<IpNet>),
    DestinationPort(Both<NonZeroU16>),
    /// One that L4 cannot answer.
    Unseen(UnseenCondition),
}

/// A condition that only L7 can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnseenCondition {
    /// As it is written.
    pub key: String,
    pub attribute: UnseenAttribute,
    pub values: Both<String>,
}

/// What only L7 sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnseenAttribute {
    /// `request.headers[x]`
    Header(String),
    /// `request.auth.principal`
    RequestPrincipal,
    /// `request.auth.audiences`
    Audiences,
    /// `request.auth.presenter`
    Presenter,
    /// `request.auth.claims[a][b]`: the names on the way to it.
    Claim(Vec<String>),
    /// `remote.ip`; the values are addresses and ranges of them.
    RemoteIp,
    /// `connection.sni`
    Sni,
    /// `source.trustDomain`
    TrustDomain,
    /// What a filter of Envoy's says.
    Filter(String),
}

/// Values of which one must be met, and values of which none may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Both<T> {
    pub is: Vec<T>,
    pub is_not: Vec<T>,
}

impl<T> Default for Both<T> {
    fn default() -> Self {
        Self { is: Vec::new(), is_not: Vec::new() }
    }
}

impl AuthorizationPolicy {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let dry_run = dry_run(&meta, &mut problems);
        let selects =
            target::selects(spec.selector, spec.target_ref, spec.target_refs, &meta, &mut problems);
        let action = spec.action.unwrap_or_default();
        if action == PolicyAction::Custom && spec.provider.is_none() {
            problems.push(meta.named().error("CUSTOM needs a provider: who is asked?"));
        }
        let provider = spec.provider.and_then(|provider| provider.name);
        let rules = spec.rules.into_iter();
        let rules = rules.map(|raw| check::rule(raw.value, &meta.at(raw.at), &mut problems));
        let rules = rules.collect();
        let policy = Self { selects, action, provider, dry_run, rules, meta };
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }
}

/// As Go reads a boolean.
fn dry_run(meta: &Meta, problems: &mut Vec<Problem>) -> bool {
    let Some(Spanned { value, at }) = meta.annotations.get(DRY_RUN) else { return false };
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        other => {
            let message = format!("annotation {DRY_RUN} is `{other}`, neither `true` nor `false`");
            problems.push(meta.at(*at).error(message));
            false
        }
    }
}
