//! `RequestAuthentication` of security.istio.io: which tokens of requests are believed.
use super::{
    target::{RawTarget, Selects, selects},
    time::Time,
    workload_group::{PlainName, Word},
};
use crate::object::{
    meta::{Meta, Scope},
    node::Node,
    selector::RawSelector,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use serde::Deserialize;
use std::sync::Arc;

/// Which tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestAuthentication {
    pub meta: Meta,
    pub selects: Selects,
    pub rules: Vec<Spanned<JwtRule>>,
}

/// Tokens of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtRule {
    pub issuer: Option<Word>,
    pub audiences: Vec<Word>,
    pub jwks_uri: Option<Spanned<Url>>,
    #[serde(rename = "jwks_uri")]
    jwks_uri_of_old: Option<Spanned<Url>>,
    pub jwks: Option<Spanned<String>>,
    pub from_headers: Vec<FromHeader>,
    pub from_params: Vec<Word>,
    pub from_cookies: Vec<Word>,
    pub output_payload_to_header: Option<String>,
    pub forward_original_token: bool,
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    pub space_delimited_claims: Vec<Word>,
    pub timeout: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FromHeader {
    pub name: Word,
    pub prefix: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ClaimToHeader {
    pub claim: Word,
    pub header: PlainName,
}

/// Where keys are fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Url(String);

/// Most rules, and claims of one, that the CRD allows.
const MAX_RULES: usize = 4096;

const MAX_CLAIMS: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    selector: Option<Spanned<RawSelector>>,
    target_ref: Option<Spanned<RawTarget>>,
    target_refs: Option<Spanned<Vec<Spanned<RawTarget>>>>,
    jwt_rules: Vec<Spanned<JwtRule>>,
}

impl RequestAuthentication {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let RawSpec { selector, target_ref, target_refs, jwt_rules: rules } = spec;
        let selects = selects(selector, target_ref, target_refs, &meta, &mut problems);
        if let Some(beyond) = rules.get(MAX_RULES) {
            problems.push(meta.at(beyond.at).error(format!("more than {MAX_RULES} rules")));
        }
        for Spanned { value: rule, at } in &rules {
            let sources = [
                rule.jwks_uri.as_ref().map(|one| one.at),
                rule.jwks_uri_of_old.as_ref().map(|one| one.at),
                rule.jwks.as_ref().map(|one| one.at),
            ];
            if let Some(second) = sources.into_iter().flatten().nth(1) {
                let problem = meta.at(second).error("only one of jwks and jwksUri can be set");
                problems.push(problem.with_fix("keep one of them"));
            }
            if rule.space_delimited_claims.len() > MAX_CLAIMS {
                let message = format!("more than {MAX_CLAIMS} spaceDelimitedClaims");
                problems.push(meta.at(*at).error(message));
            }
        }
        let authentication = Self { meta, selects, rules };
        if problems.is_empty() { Ok(authentication) } else { Err(problems) }
    }
}

impl JwtRule {
    /// Where its keys are fetched.
    #[must_use]
    pub fn keys_at(&self) -> Option<&Url> {
        self.jwks_uri.as_ref().or(self.jwks_uri_of_old.as_ref()).map(|url| &url.value)
    }
}

impl Url {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let rest = written.strip_prefix("https://").or_else(|| written.strip_prefix("http://"));
        let fine = |c: char| !c.is_control() && !c.is_whitespace() && c != '\\';
        let is_url = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && written.len() <= 2048
            && written.chars().all(fine);
        if is_url {
            Ok(Self(written))
        } else {
            Err(format!("`{written}` is no URL of http or https"))
        }
    }
}
