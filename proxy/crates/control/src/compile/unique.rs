//! What only one object may have.
use crate::{
    object::{meta::Meta, namespace::Namespace, pod::Pod},
    problem::{Mark, Problem},
};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

/// Who has what; a second claim is a problem that names both places.
pub(super) struct Unique<'a> {
    what: &'static str,
    claims: BTreeMap<String, Vec<(&'a Pod, Mark)>>,
}

impl<'a> Unique<'a> {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, claims: BTreeMap::new() }
    }

    pub(super) fn claim(&mut self, value: impl fmt::Display, pod: &'a Pod, at: Mark) {
        self.claims.entry(value.to_string()).or_default().push((pod, at));
    }

    /// One for each claim after the first.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (value, mut claims) in self.claims {
            claims.sort_by_key(|(pod, at)| pod.meta.at(*at));
            let Some(((holder, place), others)) = claims.split_first() else { continue };
            let place = holder.meta.at(*place);
            for (pod, at) in others {
                let message = format!(
                    "{} {value} is already that of {} ({place})",
                    self.what, holder.meta.name
                );
                let problem = pod.meta.at(*at).error(message);
                problems.push(problem.of(format!("Pod/{}", pod.meta.name)));
            }
        }
        problems
    }
}

/// Namespaces by name.
pub(super) fn namespaces<'a>(
    all: &'a [Namespace],
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'a str, &'a Namespace> {
    let unique = by_name(all, |namespace| &namespace.meta, problems);
    unique.into_values().map(|namespace| (&*namespace.meta.name.name, namespace)).collect()
}

/// Pods in the order of their names.
pub(super) fn pods<'a>(all: &'a [Pod], problems: &mut Vec<Problem>) -> Vec<&'a Pod> {
    by_name(all, |pod| &pod.meta, problems).into_values().collect()
}

/// Objects of one kind by name; the first in the order of their places stays.
fn by_name<'a, T>(
    all: &'a [T],
    meta: impl Fn(&'a T) -> &'a Meta,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'a ObjectName, &'a T> {
    let mut in_place: Vec<&T> = all.iter().collect();
    in_place.sort_by_key(|&object| &meta(object).origin);
    let mut unique = BTreeMap::new();
    for object in in_place {
        let name = &meta(object).name;
        match unique.entry(name) {
            Entry::Vacant(free) => {
                free.insert(object);
            }
            Entry::Occupied(taken) => {
                let first = meta(taken.get()).named();
                let name = if name.namespace.is_empty() {
                    name.name.to_string()
                } else {
                    name.to_string()
                };
                problems
                    .push(meta(object).named().error(format!("{name} is there already ({first})")));
            }
        }
    }
    unique
}
