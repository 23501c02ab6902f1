//! `BackendTLSPolicy`: TLS from a gateway to what is behind it.
use super::{
    few::Few,
    reference::{self, LocalRef, Part},
    text::{
        Group, Hostname, Kind, Name, OptionKey, OptionValue, PreciseHostname, SectionName, Uri,
        WellKnownCertificates,
    },
};
use crate::{
    object::{
        meta::{Meta, Scope},
        node::Node,
        spanned::Spanned,
        written::{Read, read},
    },
    problem::{Problem, Source},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTlsPolicy {
    pub meta: Meta,
    pub spec: BackendTlsPolicySpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    pub target_refs: Few<Spanned<TargetRef>, 1, 16>,
    pub validation: Spanned<Validation>,
    pub options: Option<Spanned<BTreeMap<OptionKey, OptionValue>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    pub group: Group,
    pub kind: Kind,
    pub name: Name,
    /// One port of a service, by its name.
    pub section_name: Option<SectionName>,
}

/// What a certificate must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    #[serde(rename = "caCertificateRefs", default)]
    pub ca_certificate_refs: Few<Spanned<LocalRef>, 0, 8>,
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<WellKnownCertificates>,
    /// The name that is asked for, and which the certificate must have when there are no others.
    pub hostname: PreciseHostname,
    #[serde(default)]
    pub subject_alt_names: Few<SubjectAltName, 0, 5>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawSubjectAltName")]
pub enum SubjectAltName {
    Hostname(Hostname),
    Uri(Uri),
}

#[derive(Deserialize)]
struct RawSubjectAltName {
    #[serde(rename = "type")]
    kind: SubjectAltNameKind,
    hostname: Option<Hostname>,
    uri: Option<Uri>,
}

#[derive(Clone, Copy, Deserialize)]
enum SubjectAltNameKind {
    Hostname,
    #[serde(rename = "URI")]
    Uri,
}

impl TryFrom<RawSubjectAltName> for SubjectAltName {
    type Error = &'static str;

    fn try_from(raw: RawSubjectAltName) -> Result<Self, &'static str> {
        let RawSubjectAltName { kind, hostname, uri } = raw;
        match (kind, hostname, uri) {
            (SubjectAltNameKind::Hostname, Some(hostname), None) => Ok(Self::Hostname(hostname)),
            (SubjectAltNameKind::Uri, None, Some(uri)) => Ok(Self::Uri(uri)),
            (SubjectAltNameKind::Hostname, None, _) => {
                Err("type is Hostname, and `hostname` is missing")
            }
            (SubjectAltNameKind::Hostname, Some(_), Some(_)) => {
                Err("type is Hostname, and `uri` is set")
            }
            (SubjectAltNameKind::Uri, _, None) => Err("type is URI, and `uri` is missing"),
            (SubjectAltNameKind::Uri, Some(_), Some(_)) => {
                Err("type is URI, and `hostname` is set")
            }
        }
    }
}

impl Part for TargetRef {
    fn whole(&self) -> impl Eq {
        (&self.group, &self.kind, &self.name)
    }

    fn section(&self) -> Option<&str> {
        self.section_name.as_deref()
    }
}

impl BackendTlsPolicy {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } =
            read::<BackendTlsPolicySpec>(node, source, Scope::Namespaced)?;
        reference::parts(&spec.target_refs, &meta, &mut problems);
        let Spanned { value: validation, at } = &spec.validation;
        let here = meta.at(*at);
        let names = !validation.ca_certificate_refs.is_empty();
        match (names, &validation.well_known_ca_certificates) {
            (true, Some(_)) => problems.push(
                here.error("only one of caCertificateRefs and wellKnownCACertificates can be set"),
            ),
            (false, None) => {
                let problem = here.error("caCertificateRefs is needed, or wellKnownCACertificates");
                problems.push(problem.with_fix(
                    "to believe the roots of the system, write wellKnownCACertificates: System",
                ));
            }
            (true, None) | (false, Some(_)) => {}
        }
        if spec.options.as_ref().is_some_and(|options| options.value.len() > 16) {
            problems.push(meta.named().error("more than 16 options"));
        }
        if problems.is_empty() { Ok(Self { meta, spec }) } else { Err(problems) }
    }
}
