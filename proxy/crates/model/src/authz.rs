//! Who may talk to a workload: policies as Istio's workload API says them.
//!
//! A policy is a list of rules (any), a rule a list of clauses (all), a clause a list of matches
//! (any), a match a set of conditions (all). What the empty ones mean stands at each type; it
//! differs, and it is where mistakes open doors.
use crate::name::ObjectName;

pub mod join;
pub mod set;

mod origin;

pub use origin::Origin;

use set::{Accounts, Condition, Networks, Ports, Strings};

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub name: ObjectName,
    pub scope: Scope,
    pub action: Action,
    /// Only asked what it would say; see [`Authz`](join::Authz).
    pub dry_run: bool,
    /// Any of them; none matches nothing.
    pub rules: Box<[Rule]>,
    /// Where a person wrote it, when that is known.
    pub origin: Option<Origin>,
}

/// Which workloads a policy speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every workload.
    Global,
    /// Those of the policy's own namespace.
    Namespace,
    /// Those that name the policy.
    Selector,
}

/// What a policy does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Allow,
    Deny,
}

/// All of its clauses must hold; one without any holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub clauses: Box<[Clause]>,
}

/// Any of its matches must hold; one without any holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    pub matches: Box<[Match]>,
}

/// All of its conditions must hold.
///
/// One without any is what remains of conditions that L4 cannot see: it narrows, so it holds in a
/// DENY and does not in an ALLOW. (ztunnel takes it as false in both.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    pub namespaces: Condition<Strings>,
    pub service_accounts: Condition<Accounts>,
    /// Without `spiffe://`.
    pub principals: Condition<Strings>,
    pub source_ips: Condition<Networks>,
    pub destination_ips: Condition<Networks>,
    /// The port the application listens on, not the tunnel's.
    pub destination_ports: Condition<Ports>,
}

impl Action {
    /// As Istio writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
        }
    }

    /// Whether a match without any condition holds.
    #[must_use]
    pub const fn holds_when_empty(self) -> bool {
        match self {
            Self::Allow => false,
            Self::Deny => true,
        }
    }
}

impl Match {
    /// Whether it has no condition.
    pub fn is_empty(&self) -> bool {
        let Self {
            namespaces,
            service_accounts,
            principals,
            source_ips,
            destination_ips,
            destination_ports,
        } = self;
        namespaces.is_empty()
            && service_accounts.is_empty()
            && principals.is_empty()
            && source_ips.is_empty()
            && destination_ips.is_empty()
            && destination_ports.is_empty()
    }
}
