//! What the control plane tells of itself.
use crate::{
    object::{Because, Objects, Skipped},
    problem::Problem,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

pub mod mesh;

/// What is in force, and why the last change is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Of the snapshot in force.
    pub generation: u64,
    /// When it came into force, in milliseconds since 1970.
    pub since_unix_ms: u64,
    pub counts: Counts,
    /// Warnings about the set in force.
    pub notes: Vec<Problem>,
    pub skipped: Vec<SkippedKind>,
    /// The last change, when it was refused; the state before it is in force.
    pub refused: Option<Refused>,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub namespaces: usize,
    pub pods: usize,
    /// Enrolled pods of this node.
    pub local: usize,
    pub skipped: usize,
}

/// A kind whose objects are not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedKind {
    pub api_version: String,
    pub kind: String,
    pub because: &'static str,
    pub objects: usize,
    /// `file:line` of the first one.
    pub first: String,
}

/// A change that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub at_unix_ms: u64,
    pub problems: Vec<Problem>,
}

/// Skipped objects by kind: one line each, however many there are.
pub(crate) fn skipped_kinds(objects: &Objects) -> Vec<SkippedKind> {
    let mut kinds: BTreeMap<(&str, &str), SkippedKind> = BTreeMap::new();
    for Skipped { api_version, kind, name: _, origin, because } in &objects.skipped {
        let first = || SkippedKind {
            api_version: api_version.clone(),
            kind: kind.clone(),
            because: Because::as_str(*because),
            objects: 0,
            first: origin.to_string(),
        };
        kinds.entry((api_version, kind)).or_insert_with(first).objects += 1;
    }
    kinds.into_values().collect()
}

pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
