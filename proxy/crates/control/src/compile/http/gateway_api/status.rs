//! What became of an object, as the Gateway API says it.
use std::{fmt, sync::Arc};

/// Who says it, in the status of a route.
pub const CONTROLLER: &str = "culvert.dev/gateway";

/// One object, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `Kind/namespace/name`.
    pub object: Arc<str>,
    pub says: Says,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// A `GatewayClass`.
    Class(Vec<Condition>),
    Gateway {
        conditions: Vec<Condition>,
        listeners: Vec<ListenerStatus>,
    },
    /// A route, by what it is attached to; only what is ours.
    Route(Vec<ParentStatus>),
    /// A `BackendTLSPolicy`, by the gateways and services it is for.
    Policy(Vec<Condition>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    pub name: Arc<str>,
    /// Kinds of the group of the Gateway API.
    pub supported_kinds: Vec<&'static str>,
    pub attached_routes: usize,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentStatus {
    /// Which of the route's `parentRefs`.
    pub index: usize,
    pub conditions: Vec<Condition>,
}

/// One thing that is so, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Conflicted` or `PartiallyInvalid`.
    pub kind: &'static str,
    pub is_so: bool,
    /// One word, of those that the specification has.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
}

impl Condition {
    /// Whether something is not as it was asked for, and no other condition says why.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        match self.kind {
            "Accepted" | "ResolvedRefs" => !self.is_so,
            "Conflicted" | "PartiallyInvalid" => self.is_so,
            _ => false,
        }
    }

    /// Everything is as it was asked for.
    pub(super) fn fine(kind: &'static str) -> Self {
        let (is_so, reason) = match kind {
            "Conflicted" => (false, "NoConflicts"),
            kind => (true, kind),
        };
        Self { kind, is_so, reason, message: String::new() }
    }

    pub(super) fn not(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, is_so: false, reason, message: message.into() }
    }

    pub(super) fn is(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, is_so: true, reason, message: message.into() }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, is_so, reason, message } = self;
        write!(f, "{kind}={is_so} {reason}")?;
        if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
    }
}
