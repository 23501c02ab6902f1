//! What every object says of itself.
use super::{
    name::{DnsLabel, DnsSubdomain},
    spanned::Spanned,
};
use crate::problem::{Mark, Origin, Problem};
use culvert_model::name::ObjectName;
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::collections::BTreeMap;

/// Name, labels, annotations, owners, age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Where the object begins.
    pub origin: Origin,
    /// Without namespace (empty) where the kind has none.
    pub name: ObjectName,
    name_at: Mark,
    pub labels: BTreeMap<String, Spanned<String>>,
    pub annotations: BTreeMap<String, Spanned<String>>,
    pub owners: Vec<Owner>,
    /// When it was made, as the API server writes it: in order of time as text. The text of a
    /// folder has none.
    pub created: Option<String>,
    /// It was deleted, and is not gone yet.
    pub is_leaving: bool,
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
    /// As `Cluster`, and its name may have dots.
    Machine,
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
    creation_timestamp: Option<String>,
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
    /// Of an object of which only the name is certain.
    pub(super) fn bare(origin: Origin, name: ObjectName, created: Option<String>) -> Self {
        let (labels, annotations, owners) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (name_at, is_leaving) = (origin.mark(), false);
        Self { origin, name, name_at, labels, annotations, owners, created, is_leaving }
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|label| label.value.as_str())
    }

    /// An annotation's text.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|annotation| annotation.value.as_str())
    }

    /// What orders objects of which the oldest counts: age, then name.
    ///
    /// One without a time of birth is older than all that have one: it was there before the
    /// cluster.
    pub fn seniority(&self) -> impl Ord + '_ {
        (self.created.as_deref(), &self.name)
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
        let (created, is_leaving) = (self.creation_timestamp, self.deletion_timestamp.is_some());
        let full_name = match scope {
            Scope::Cluster | Scope::Machine => {
                if scope == Scope::Cluster
                    && let Err(wrong) = DnsLabel::try_from(name.value.as_str().to_owned())
                {
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
        let name_at = name.at;
        Meta { origin, name: full_name, name_at, labels, annotations, owners, created, is_leaving }
    }
}

impl RawOwner {
    fn into_owner(self) -> Owner {
        let Self { kind, name, controller, .. } = self;
        Owner { kind, name, is_controller: controller.unwrap_or(false) }
    }
}
