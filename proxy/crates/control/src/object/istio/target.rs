//! What a policy speaks of: workloads by their labels, or services and gateways by their names.
use crate::{
    object::{
        fault::advice,
        meta::Meta,
        selector::{RawSelector, check_values},
        spanned::Spanned,
    },
    problem::Problem,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a policy speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selects {
    /// The workloads of its namespace, or of the mesh.
    Everything,
    Labels(BTreeMap<String, String>),
    /// What L7 sees to.
    Targets(Vec<Spanned<Target>>),
}

/// A service or a gateway, of the policy's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub group: String,
    pub kind: String,
    pub name: String,
}

/// `targetRef` as written.
#[derive(Deserialize)]
pub(in crate::object) struct RawTarget {
    #[serde(default)]
    group: Group,
    kind: Kind,
    name: Name,
    namespace: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct Group(String);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Kind(String);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

/// Most targets that one policy may have.
const MAX_TARGETS: usize = 16;

/// What `selector`, `targetRef` and `targetRefs` say together.
pub(in crate::object) fn selects(
    selector: Option<Spanned<RawSelector>>,
    one: Option<Spanned<RawTarget>>,
    all: Option<Spanned<Vec<Spanned<RawTarget>>>>,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) -> Selects {
    let said = [
        selector.as_ref().map(|one| one.at),
        one.as_ref().map(|one| one.at),
        all.as_ref().map(|one| one.at),
    ];
    if let Some(second) = said.into_iter().flatten().nth(1) {
        let message = "only one of selector, targetRef and targetRefs can be set";
        problems.push(meta.at(second).error(message).with_fix("keep one of them"));
    }
    if let Some(all) = all.as_ref().filter(|all| all.value.len() > MAX_TARGETS) {
        let message = format!("more than {MAX_TARGETS} targets");
        problems.push(meta.at(all.at).error(message).with_fix("write several policies"));
    }
    let targets = one.into_iter().chain(all.map(|all| all.value).unwrap_or_default());
    let targets: Vec<_> = targets.map(|raw| raw.read(meta, problems)).collect();
    match selector {
        None if targets.is_empty() => Selects::Everything,
        None => Selects::Targets(targets),
        Some(Spanned { value, .. }) => {
            Selects::Labels(check_values(value.match_labels, meta, problems))
        }
    }
}

impl Target {
    /// `Kind/name`, with its group.
    #[must_use]
    pub fn called(&self) -> String {
        let Self { group, kind, name } = self;
        if name.is_empty() {
            return kind.clone();
        }
        let dot = if group.is_empty() { "" } else { "." };
        format!("{kind}{dot}{group}/{name}")
    }
}

impl Spanned<RawTarget> {
    fn read(self, meta: &Meta, problems: &mut Vec<Problem>) -> Spanned<Target> {
        let RawTarget { group, kind, name, namespace } = self.value;
        if let Some(namespace) = namespace.filter(|namespace| !namespace.value.is_empty()) {
            let problem = meta.at(namespace.at).error("a policy speaks of its own namespace");
            problems.push(problem.with_fix("leave it out, and put the policy there"));
        }
        Spanned { value: Target { group: group.0, kind: kind.0, name: name.0 }, at: self.at }
    }
}

impl TryFrom<String> for Group {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(fine)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if written.is_empty() || (written.len() <= 253 && written.split('.').all(is_label)) {
            return Ok(Self(written));
        }
        let message = format!("`{written}` is no API group");
        Err(advice(message, "write \"\" for a Service, gateway.networking.k8s.io for a Gateway"))
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let is_kind = (1..=63).contains(&written.len())
            && written.bytes().all(fine)
            && written.starts_with(|c: char| c.is_ascii_alphabetic())
            && !written.ends_with('-');
        is_kind.then(|| Self(written.clone())).ok_or_else(|| format!("`{written}` is no kind"))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let fits = (1..=253).contains(&written.len());
        fits.then_some(Self(written)).ok_or_else(|| "a name has from 1 to 253 characters".into())
    }
}
