//! What policy says of a connection, with the words to say it on.
use culvert_model::{authz::join::Authz, facts::ConnFacts, name::ObjectName, snapshot::Known};
use culvert_policy::{Facts, RuleRef, decide, explain, explain::Explanation};
use culvert_telemetry::denial::Denied;
use std::{fmt, sync::Arc};

/// Why policy does not let a connection pass.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    denial: culvert_policy::Denial,
    /// For the access line and the metric.
    pub(crate) denied: Box<Denied>,
}

/// That it does.
#[derive(Debug)]
pub(crate) struct Passed {
    /// What a policy on trial would have said against it.
    pub(crate) trial: Option<Denied>,
}

/// Asks the policies of the destination, `known`.
///
/// # Errors
///
/// When they deny it.
pub(crate) fn judge(known: &Known, facts: &ConnFacts) -> Result<Passed, Denial> {
    let asked = asked(facts);
    let decision = decide(&known.authz, &asked);
    match (decision.verdict, decision.dry_run) {
        (Err(denial), _) => Err(Denial::new(known, &asked, denial)),
        (Ok(_), Some(Err(denial))) => {
            Ok(Passed { trial: Some(denied(known, &asked, &denial, true)) })
        }
        (Ok(_), Some(Ok(_)) | None) => Ok(Passed { trial: None }),
    }
}

/// The same when only the answer matters, for connections that were let pass before.
pub(crate) fn still_passes(authz: &Authz, facts: &ConnFacts) -> bool {
    decide(authz, &asked(facts)).verdict.is_ok()
}

/// Whether policies decide about what goes to `port` of `known` in L7, so that none may go past it.
pub(crate) fn decides_in_l7(known: &Known, port: u16) -> bool {
    let l7 = &known.member.l7;
    l7.contains(port) && !l7.policies().is_empty()
}

fn asked(facts: &ConnFacts) -> Facts<'_> {
    Facts::new(facts.source_identity.as_ref(), facts.source.ip(), facts.destination)
}

impl Denial {
    fn new(known: &Known, asked: &Facts<'_>, denial: culvert_policy::Denial) -> Self {
        let denied = Box::new(denied(known, asked, &denial, false));
        Self { denial, denied }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { denial, denied } = self;
        write!(f, "{denial}")?;
        if let culvert_policy::Denial::Rule(rule) = denial
            && let Some(origin) = rule.origin()
        {
            write!(f, " ({origin})")?;
        }
        denied.condition.iter().try_for_each(|condition| write!(f, ": {condition}"))
    }
}

impl std::error::Error for Denial {}

fn denied(
    known: &Known,
    asked: &Facts<'_>,
    denial: &culvert_policy::Denial,
    dry_run: bool,
) -> Denied {
    let explanation = explain(&known.authz, asked);
    let (policy, rule, action) = match denial {
        culvert_policy::Denial::Rule(rule) => {
            (Some(rule.policy().clone()), Some(rule.index()), "DENY")
        }
        culvert_policy::Denial::NoAllow => (None, None, "ALLOW"),
        culvert_policy::Denial::UnknownPolicy(name) => (Some(name.clone()), None, "UNKNOWN"),
    };
    let condition = match denial {
        culvert_policy::Denial::Rule(rule) => matched(&explanation, rule),
        culvert_policy::Denial::NoAllow => missed(&explanation),
        culvert_policy::Denial::UnknownPolicy(ObjectName { .. }) => None,
    };
    let namespace = Arc::clone(&known.workload.name.namespace);
    Denied { namespace, policy, rule, action, condition: condition.map(Into::into), dry_run }
}

/// What of a rule that denies was met.
fn matched(explanation: &Explanation, rule: &RuleRef) -> Option<String> {
    let policy = explanation.policies.iter().find(|step| step.name == *rule.policy())?;
    let rule = policy.rules.iter().find(|step| step.index == rule.index())?;
    let matches = rule.clauses.iter().filter_map(|clause| clause.matches.iter().find(|m| m.held));
    let conditions: Vec<_> =
        matches.flat_map(|one| &one.conditions).map(ToString::to_string).collect();
    (!conditions.is_empty()).then(|| conditions.join(" and "))
}

/// What the rule lacked that came closest to allowing it.
fn missed(explanation: &Explanation) -> Option<String> {
    let nearest = explanation.nearest()?;
    let lacking: Vec<_> = nearest.lacking.iter().map(ToString::to_string).collect();
    Some(format!("nearest is {} rule {}: {}", nearest.policy, nearest.rule, lacking.join(" and ")))
}
