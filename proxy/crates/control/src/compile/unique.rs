//! What only one pod may have.
use crate::{
    object::pod::Pod,
    problem::{Code, Mark, Origin, Problem},
};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

/// Who has what; a second claim is a problem that names both places.
#[derive(Debug)]
pub(super) struct Unique {
    what: &'static str,
    /// In the order of their places.
    claims: HashMap<String, Vec<(Origin, ObjectName)>>,
    of: HashMap<ObjectName, Vec<(String, Origin)>>,
    /// Values that several claim.
    disputed: BTreeSet<String>,
}

impl Unique {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, claims: HashMap::new(), of: HashMap::new(), disputed: BTreeSet::new() }
    }

    pub(super) fn claim(&mut self, value: impl fmt::Display, pod: &Pod, at: Mark) {
        let (value, origin, name) = (value.to_string(), pod.meta.at(at), &pod.meta.name);
        self.of.entry(name.clone()).or_default().push((value.clone(), origin.clone()));
        let claims = self.claims.entry(value.clone()).or_default();
        let at = claims.partition_point(|(other, _)| *other < origin);
        claims.insert(at, (origin, name.clone()));
        if claims.len() > 1 {
            self.disputed.insert(value);
        }
    }

    /// A pod claims nothing any more.
    pub(super) fn release(&mut self, pod: &ObjectName) {
        for (value, origin) in self.of.remove(pod).unwrap_or_default() {
            let Some(claims) = self.claims.get_mut(&value) else { continue };
            // Another pod may be written where it was.
            claims.retain(|(other, name)| (other, name) != (&origin, pod));
            if claims.len() < 2 {
                self.disputed.remove(&value);
            }
            if claims.is_empty() {
                self.claims.remove(&value);
            }
        }
    }

    /// One for each claim after the first.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for value in &self.disputed {
            let mut claims = self.claims.get(value).into_iter().flatten();
            let Some((place, holder)) = claims.next() else { continue };
            for (origin, name) in claims {
                let what = self.what;
                let message = format!("{what} {value} is already that of {holder} ({place})");
                let problem = origin.error(message).coded(Code::Twice);
                problems.push(problem.of(format!("Pod/{name}")));
            }
        }
        problems
    }
}
