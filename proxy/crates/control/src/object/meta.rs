//! What every object says of itself.
use super::{
    name::{DnsLabel, DnsSubdomain},
    spanned::Spanned,
};
use crate::problem::{Mark, Origin, Problem};
use culvert_model::name::ObjectName;
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::collections::BTreeMap;

/// Name, labels, annotations, owners.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Where the object begins.
    pub origin: Origin,
    /// Without namespace (empty) where the kind has none.
    pub name: ObjectName,
    name_at: Mark,
    pub labels: BTreeMap<String, Spanned<String>>,
    pub annotations: BTreeMap<String, Spanned<String>>,
    pub owners: Vec<Owner>,
}

/// Who made an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub kind: String,
    pub name: String,
    pub is_controller: bool,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Cluster,
    Namespaced,
}

/// `metadata` as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
pub(super) struct RawMeta {
    name: Spanned<DnsSubdomain>,
    namespace: Option<Spanned<DnsLabel>>,
    #[serde(default)]
    labels: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    annotations: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    owner_references: Vec<RawOwner>,
    creation_timestamp: Option<Ignored>,
    deletion_grace_period_seconds: Option<Ignored>,
    deletion_timestamp: Option<Ignored>,
    finalizers: Option<Ignored>,
    generate_name: Option<Ignored>,
    generation: Option<Ignored>,
    managed_fields: Option<Ignored>,
    resource_version: Option<Ignored>,
    self_link: Option<Ignored>,
    uid: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawOwner {
    kind: String,
    name: String,
    controller: Option<bool>,
    api_version: Option<Ignored>,
    block_owner_deletion: Option<Ignored>,
    uid: Option<Ignored>,
}

impl Meta {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|label| label.value.as_str())
    }

    /// Where it says its name: what is wrong with the whole is shown there.
    pub fn named(&self) -> Origin {
        self.origin.at(self.name_at)
    }

    /// Where something of this object was written.
    pub fn at(&self, mark: Mark) -> Origin {
        self.origin.at(mark)
    }
}

impl RawMeta {
    /// Checks what depends on the kind; what is wrong goes to `problems`.
    pub(super) fn check(self, origin: Origin, scope: Scope, problems: &mut Vec<Problem>) -> Meta {
        let Self { name, namespace, labels, annotations, owner_references, .. } = self;
        let full_name = match scope {
            Scope::Cluster => {
                if let Err(wrong) = DnsLabel::try_from(name.value.as_str().to_owned()) {
                    problems.push(origin.at(name.at).error(wrong.to_string()));
                }
                if let Some(namespace) = namespace {
                    let problem = origin.at(namespace.at).error("this kind has no namespace");
                    problems.push(problem.with_fix("leave it out"));
                }
                ObjectName::new("", name.value.as_str())
            }
            Scope::Namespaced => {
                let namespace = namespace.as_ref().map_or("default", |n| n.value.as_str());
                ObjectName::new(namespace, name.value.as_str())
            }
        };
        let owners = owner_references.into_iter().map(RawOwner::into_owner).collect();
        Meta { origin, name: full_name, name_at: name.at, labels, annotations, owners }
    }
}

impl RawOwner {
    fn into_owner(self) -> Owner {
        let Self { kind, name, controller, .. } = self;
        Owner { kind, name, is_controller: controller.unwrap_or(false) }
    }
}
