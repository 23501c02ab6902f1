//! What policy said against a connection.
use culvert_model::name::ObjectName;

/// A denial, or what would have been one if the policy were in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The namespace of the destination.
    pub namespace: std::sync::Arc<str>,
    /// The policy that denied it; `None`: none of those that could have allowed it matched.
    pub policy: Option<ObjectName>,
    /// Which of its rules, counted from zero.
    pub rule: Option<usize>,
    /// What the policy does, in Istio's words; `UNKNOWN` of one that nobody knows.
    pub action: &'static str,
    /// The condition that decided, for people.
    pub condition: Option<Box<str>>,
    /// The policy is on trial: the connection passed.
    pub dry_run: bool,
}
