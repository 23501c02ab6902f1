//! Who may do what, with all that L7 sees.
//!
//! What cannot be answered is [`Attribute::Unmet`]: such a condition never holds in an ALLOW, and
//! always does in a DENY.
use super::{At, Labels};
use culvert_model::name::{ObjectName, ServiceName};
use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub at: At,
    pub name: ObjectName,
    pub applies: Applies,
    pub action: PolicyAction,
    /// Only asked what it would say.
    pub dry_run: bool,
    /// None: nothing matches.
    pub rules: Vec<PolicyRule>,
}

/// To what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Pods and gateways of its namespace, or of every one if that is the root namespace, with all of
    /// the labels.
    Pods(Labels),
    /// Requests to some services, wherever they are served.
    Services(Vec<ServiceName>),
    Gateways(Vec<ObjectName>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyAction {
    /// And nothing else, unless another one does.
    Allow,
    /// Whatever else is allowed. A policy that asks somebody who cannot be asked is one of these.
    Deny,
    /// It is noted.
    Audit,
}

/// All of its clauses must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    pub at: At,
    pub clauses: Vec<Clause>,
}

/// Any of them must hold (`from`, `to`), each of which is conditions that must all hold; none: it
/// does not.
pub type Clause = Vec<Vec<PolicyCondition>>;

/// One attribute's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCondition {
    pub attribute: Attribute,
    /// Any of them; none: whatever it is.
    pub is: Vec<Arc<str>>,
    /// None of them.
    pub is_not: Vec<Arc<str>>,
}

/// What is asked about; texts as Istio has them: exact, or with one `*` in front, behind or alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// `cluster.local/ns/shop/sa/web`
    Principal,
    Namespace,
    /// Of the principal.
    TrustDomain,
    /// `shop/web`
    ServiceAccount,
    /// A network, of the connection.
    SourceIp,
    /// A network, of the client as headers tell it.
    RemoteIp,
    DestinationIp,
    DestinationPort,
    /// The name asked for in TLS.
    Sni,
    /// Of the request, in any case.
    Host,
    Method,
    /// Exact, or with `*`; or a template (`/a/{*}/b`, `/a/{**}`).
    Path,
    Header(Arc<str>),
    /// What cannot be answered, by the name that the object has for it.
    Unmet(Arc<str>),
}

impl Policy {
    /// Whether anything of it needs more than L4 sees.
    #[must_use]
    pub fn needs_l7(&self) -> bool {
        let is_l7 = |condition: &PolicyCondition| match condition.attribute {
            Attribute::TrustDomain
            | Attribute::RemoteIp
            | Attribute::Host
            | Attribute::Method
            | Attribute::Path
            | Attribute::Header(_)
            | Attribute::Sni
            | Attribute::Unmet(_) => true,
            Attribute::Principal
            | Attribute::Namespace
            | Attribute::ServiceAccount
            | Attribute::SourceIp
            | Attribute::DestinationIp
            | Attribute::DestinationPort => false,
        };
        let clauses = self.rules.iter().flat_map(|rule| &rule.clauses);
        let targets = matches!(self.applies, Applies::Services(_) | Applies::Gateways(_));
        targets || self.action == PolicyAction::Audit || clauses.flatten().flatten().any(is_l7)
    }

    /// What of it cannot be answered: it closes.
    #[must_use]
    pub fn unmet(&self) -> BTreeSet<&Arc<str>> {
        let clauses = self.rules.iter().flat_map(|rule| &rule.clauses);
        let mut found = BTreeSet::new();
        for condition in clauses.flatten().flatten() {
            if let Attribute::Unmet(name) = &condition.attribute {
                found.insert(name);
            }
        }
        found
    }

    /// The ports that a rule is for, where it says so; `None`: every one may be.
    #[must_use]
    pub fn ports(&self) -> Option<Vec<NonZeroU16>> {
        let mut ports: Vec<NonZeroU16> = Vec::new();
        for rule in &self.rules {
            let named = rule.clauses.iter().find_map(|clause| {
                let of = |all: &Vec<PolicyCondition>| {
                    let port = all.iter().find(|one| one.attribute == Attribute::DestinationPort);
                    port.map(|port| port.is.clone()).filter(|is| !is.is_empty())
                };
                clause.iter().map(of).collect::<Option<Vec<_>>>()
            });
            for port in named?.iter().flatten() {
                ports.push(port.parse().ok()?);
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Some(ports)
    }
}
