//! Whether a connection may pass.
//!
//! DENY before ALLOW: a DENY that matches denies; a workload of which no ALLOW speaks lets pass
//! what is left, any other only what an ALLOW matches. A policy that a workload names and nobody
//! knows denies all, since it may have been a DENY.
use crate::{explain::UNSEEN, facts::Facts};
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Rule,
        join::Authz,
        set::{Condition, Set},
    },
    identity::Identity,
    name::ObjectName,
};
use std::{fmt, sync::Arc};

/// The answer of policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an unread verdict is an open door"]
pub struct Decision {
    pub verdict: Result<Permit, Denial>,
    /// What the answer would be with the dry-run policies in force; `None` when there are none.
    pub dry_run: Option<Result<Permit, Denial>>,
}

/// Proof that policy let a connection pass; only a decision makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    rule: Option<RuleRef>,
}

/// Why a connection may not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("denied by {0}")]
    Rule(RuleRef),
    #[error("none of the ALLOW policies that select the destination matched")]
    NoAllow,
    #[error("the destination names policy {0}, which is not known")]
    UnknownPolicy(ObjectName),
}

/// One rule of one policy.
#[derive(Clone, Debug)]
pub struct RuleRef {
    policy: Arc<Authorization>,
    index: usize,
}

/// Listens to a walk.
pub(crate) trait Trace {
    /// Whether it wants to hear also what can no longer change the answer.
    const THOROUGH: bool;

    fn enter(&mut self, part: Part<'_>);

    /// The part entered last is done.
    fn leave(&mut self, held: bool);

    /// One condition, that of the name, was asked; the texts are what it wants and what there is.
    fn condition(&mut self, name: &'static str, held: bool, texts: impl Fn() -> (String, String));
}

/// What a walk is in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Policy(&'a Authorization),
    /// A policy that is named and not known.
    Unknown(&'a ObjectName),
    Rule(usize),
    Clause,
    Match,
}

/// Hears nothing.
struct Silent;

impl Permit {
    /// The rule that allowed it; `None` when no ALLOW policy speaks of the destination.
    pub fn rule(&self) -> Option<&RuleRef> {
        self.rule.as_ref()
    }
}

impl RuleRef {
    pub fn policy(&self) -> &ObjectName {
        &self.policy.name
    }

    pub fn index(&self) -> usize {
        self.index
    }

    /// Where it was written, as `file:line`; where its policy was, when that is all that is known.
    pub fn origin(&self) -> Option<String> {
        self.policy.origin.as_ref().map(|origin| origin.of_rule(self.index))
    }
}

impl PartialEq for RuleRef {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.policy.name == other.policy.name
    }
}

impl Eq for RuleRef {}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.policy.name, self.index)
    }
}

impl Trace for Silent {
    const THOROUGH: bool = false;

    fn enter(&mut self, _: Part<'_>) {}

    fn leave(&mut self, _: bool) {}

    fn condition(&mut self, _: &'static str, _: bool, _: impl Fn() -> (String, String)) {}
}

/// Applies the policies of a destination to a connection.
pub fn decide(authz: &Authz, facts: &Facts<'_>) -> Decision {
    walk(authz, facts, &mut Silent)
}

/// Decides, and lets `trace` hear how.
pub(crate) fn walk<T: Trace>(authz: &Authz, facts: &Facts<'_>, trace: &mut T) -> Decision {
    let Authz { deny, allow, dry_run, missing, beside_l7: _ } = authz.at(facts.destination.port());
    let denied = first(deny, facts, trace);
    if let Some(denied) = &denied
        && !T::THOROUGH
        && dry_run.is_empty()
    {
        return Decision { verdict: Err(Denial::Rule(denied.clone())), dry_run: None };
    }
    for name in missing {
        trace.enter(Part::Unknown(name));
        trace.leave(true);
    }
    let missing = missing.first();
    let allowed = first(allow, facts, trace);
    let verdict = answer(denied.clone(), missing, allowed.clone(), allow.is_empty());
    if dry_run.is_empty() {
        return Decision { verdict, dry_run: None };
    }
    let of = |action| dry_run.iter().filter(move |policy| policy.action == action);
    let would_deny = first(of(Action::Deny), facts, trace);
    let would_allow = first(of(Action::Allow), facts, trace);
    let allows = allow.is_empty() && of(Action::Allow).next().is_none();
    let would = answer(denied.or(would_deny), missing, allowed.or(would_allow), allows);
    Decision { verdict, dry_run: Some(would) }
}

/// What follows from which DENY and which ALLOW matched, and from there being no ALLOW at all.
fn answer(
    denied: Option<RuleRef>,
    missing: Option<&ObjectName>,
    allowed: Option<RuleRef>,
    without_allow: bool,
) -> Result<Permit, Denial> {
    match (denied, missing, allowed) {
        (Some(rule), _, _) => Err(Denial::Rule(rule)),
        (None, Some(name), _) => Err(Denial::UnknownPolicy(name.clone())),
        (None, None, Some(rule)) => Ok(Permit { rule: Some(rule) }),
        (None, None, None) if without_allow => Ok(Permit { rule: None }),
        (None, None, None) => Err(Denial::NoAllow),
    }
}

/// The first rule that matches, of the first policy that has one.
fn first<'a, T: Trace>(
    policies: impl IntoIterator<Item = &'a Arc<Authorization>>,
    facts: &Facts<'_>,
    trace: &mut T,
) -> Option<RuleRef> {
    let mut found = None;
    for policy in policies {
        trace.enter(Part::Policy(policy));
        let index = position(&policy.rules, trace, Part::Rule, |rule, trace| {
            rule_holds(rule, policy.action, facts, trace)
        });
        trace.leave(index.is_some());
        if let (None, Some(index)) = (&found, index) {
            found = Some(RuleRef { policy: Arc::clone(policy), index });
        }
        if found.is_some() && !T::THOROUGH {
            break;
        }
    }
    found
}

fn rule_holds<T: Trace>(rule: &Rule, action: Action, facts: &Facts<'_>, trace: &mut T) -> bool {
    let mut held = true;
    for clause in &rule.clauses {
        trace.enter(Part::Clause);
        let clause_held = clause_holds(clause, action, facts, trace);
        trace.leave(clause_held);
        held &= clause_held;
        if !held && !T::THOROUGH {
            break;
        }
    }
    held
}

fn clause_holds<T: Trace>(
    clause: &Clause,
    action: Action,
    facts: &Facts<'_>,
    trace: &mut T,
) -> bool {
    let found = position(
        &clause.matches,
        trace,
        |_| Part::Match,
        |one, trace| match_holds(one, action, facts, trace),
    );
    clause.matches.is_empty() || found.is_some()
}

/// Where the first of `parts` is that holds.
fn position<P, T: Trace>(
    parts: &[P],
    trace: &mut T,
    part: impl Fn(usize) -> Part<'static>,
    holds: impl Fn(&P, &mut T) -> bool,
) -> Option<usize> {
    let mut found = None;
    for (at, one) in parts.iter().enumerate() {
        trace.enter(part(at));
        let held = holds(one, trace);
        trace.leave(held);
        if held && found.is_none() {
            found = Some(at);
        }
        if found.is_some() && !T::THOROUGH {
            break;
        }
    }
    found
}

fn match_holds<T: Trace>(one: &Match, action: Action, facts: &Facts<'_>, trace: &mut T) -> bool {
    if one.is_empty() {
        let held = action.holds_when_empty();
        trace.condition(UNSEEN, held, || {
            ("a condition that only L7 can see".to_owned(), "taken as".to_owned())
        });
        return held;
    }
    let Match {
        namespaces,
        service_accounts,
        principals,
        source_ips,
        destination_ips,
        destination_ports,
    } = one;
    let (source, destination, peer) = (facts.source, facts.destination, facts.peer);
    let account = || peer.map(|peer| (peer.namespace(), peer.service_account()));
    let namespace = || peer.map(Identity::namespace);
    // The cheap ones first.
    let checks: [&dyn Fn(&mut T) -> bool; 6] = [
        &|trace| asked("destination.port", destination_ports, || destination.port(), trace),
        &|trace| asked("source.namespace", namespaces, namespace, trace),
        &|trace| asked("source.serviceAccount", service_accounts, account, trace),
        &|trace| asked("source.ip", source_ips, || source, trace),
        &|trace| asked("destination.ip", destination_ips, || destination.ip(), trace),
        &|trace| asked("source.principal", principals, || facts.principal(), trace),
    ];
    let mut held = true;
    for check in checks {
        held &= check(trace);
        if !held && !T::THOROUGH {
            break;
        }
    }
    held
}

/// Whether the condition called `name` holds; one that asks for nothing does, and is not heard of.
fn asked<'v, S: Set, T: Trace>(
    name: &'static str,
    condition: &Condition<S>,
    value: impl Fn() -> S::Value<'v>,
    trace: &mut T,
) -> bool {
    if condition.is_empty() {
        return true;
    }
    let value = value();
    let held = condition.holds(value);
    trace.condition(name, held, || (condition.to_string(), S::show(value)));
    held
}

#[cfg(test)]
mod tests;
