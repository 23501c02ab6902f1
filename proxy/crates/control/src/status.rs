//! What the control plane tells of itself.
use crate::{
    compile::http::gateway_api::status::Standing,
    object::{Because, Skipped},
    problem::Problem,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

pub mod engines;
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
    /// Where objects come from the Kubernetes API: those that are not in force as they are.
    pub invalid: Vec<Invalid>,
    /// And how each kind is.
    pub kinds: Vec<KindStatus>,
    /// What became of objects of the Gateway API.
    #[serde(skip)]
    pub standings: Arc<[Standing]>,
}

/// An object of the Kubernetes API that is not in force as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// `Kind/namespace/name`
    pub object: String,
    pub instead: Instead,
    pub problems: Vec<Problem>,
}

/// What is in force instead of an object that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// The last version of it that could be.
    Earlier,
    /// Whatever it could select is closed.
    Closed,
    /// Nothing.
    LeftOut,
}

/// How a kind of the Kubernetes API is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindStatus {
    /// `authorizationpolicies.security.istio.io`
    pub kind: String,
    pub state: KindState,
    /// Why it is not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    pub objects: usize,
    /// Somebody answers, if only with an error.
    #[serde(skip)]
    pub(crate) is_reachable: bool,
}

/// Whether a kind is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KindState {
    /// It was not told so far.
    Unknown,
    Followed,
    /// Nobody defined it.
    Undefined,
    /// What was told may be old.
    Unavailable,
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

impl KindState {
    /// As JSON says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Followed => "followed",
            Self::Undefined => "undefined",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Instead {
    /// As JSON says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Earlier => "earlier",
            Self::Closed => "closed",
            Self::LeftOut => "left_out",
        }
    }

    /// For a person.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "the version before stays in force",
            Self::Closed => "everything that it could select is closed",
            Self::LeftOut => "it is left out",
        }
    }
}

/// Skipped objects by kind: one line each, however many there are.
pub(crate) fn skipped_kinds<'a>(all: impl IntoIterator<Item = &'a Skipped>) -> Vec<SkippedKind> {
    let mut kinds: BTreeMap<(&str, &str), SkippedKind> = BTreeMap::new();
    for Skipped { api_version, kind, name: _, origin, because } in all {
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
