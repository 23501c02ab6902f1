//! A decision for people: every policy that was asked, and what each condition said.
use crate::{
    authz::{Decision, Part, RuleRef, Trace, walk},
    facts::Facts,
};
use culvert_model::{
    authz::{Action, Origin, join::Authz},
    name::ObjectName,
};

mod text;

/// The name of what stands in for conditions that L4 cannot see.
pub(crate) const UNSEEN: &str = "l7";

/// A decision, and everything it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The same that [`decide`](crate::decide) gives.
    pub decision: Decision,
    /// In the order in which they were asked: DENY, ALLOW, dry run.
    pub policies: Vec<PolicyStep>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStep {
    pub name: ObjectName,
    pub what: PolicyKind,
    /// Whether one of its rules matched.
    pub held: bool,
    pub rules: Vec<RuleStep>,
}

/// What a policy in an explanation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    Known {
        action: Action,
        dry_run: bool,
        origin: Option<Origin>,
    },
    /// The workload names it and nobody knows it.
    Unknown,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStep {
    pub index: usize,
    pub held: bool,
    pub clauses: Vec<ClauseStep>,
}

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseStep {
    pub held: bool,
    pub matches: Vec<MatchStep>,
}

/// One match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchStep {
    pub held: bool,
    pub conditions: Vec<ConditionStep>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionStep {
    /// In the words of an `AuthorizationPolicy`, as `source.namespace`; `l7` for what L4 cannot see.
    pub name: &'static str,
    pub held: bool,
    pub wanted: String,
    pub found: String,
}

/// The rule of an ALLOW policy that came closest, and what it lacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    pub policy: ObjectName,
    pub rule: usize,
    /// As `file:line`.
    pub origin: Option<String>,
    /// The conditions that would have had to hold.
    pub lacking: Vec<ConditionStep>,
}

/// Decides as [`decide`](crate::decide) does, and says how.
pub fn explain(authz: &Authz, facts: &Facts<'_>) -> Explanation {
    let mut tree = Tree::default();
    let decision = walk(authz, facts, &mut tree);
    Explanation { decision, policies: tree.policies }
}

/// Writes down what it hears.
#[derive(Debug, Default)]
struct Tree {
    policies: Vec<PolicyStep>,
    /// The parts around the one that is heard of, outermost first.
    inside: Vec<Inside>,
}

#[derive(Clone, Copy, Debug)]
enum Inside {
    Policy,
    Rule,
    Clause,
    Match,
}

impl Explanation {
    /// For a denial for want of an ALLOW: the rule that lacked the fewest conditions; `None` when
    /// none of the ALLOW policies has a rule.
    pub fn nearest(&self) -> Option<Nearest> {
        self.nearest_of(false)
    }

    fn nearest_of(&self, with_dry_run: bool) -> Option<Nearest> {
        let allows = self.policies.iter().filter_map(|policy| match &policy.what {
            PolicyKind::Known { action: Action::Allow, dry_run, origin }
                if with_dry_run || !dry_run =>
            {
                Some((policy, origin))
            }
            PolicyKind::Known { .. } | PolicyKind::Unknown => None,
        });
        let rules = allows.flat_map(|(policy, origin)| {
            policy.rules.iter().map(move |rule| Nearest {
                policy: policy.name.clone(),
                rule: rule.index,
                origin: origin.as_ref().map(|origin| origin.of_rule(rule.index)),
                lacking: rule.lacking(),
            })
        });
        rules.min_by_key(|near| near.lacking.len())
    }

    /// The conditions by which a rule matched: of each clause the first match that held.
    pub fn met(&self, rule: &RuleRef) -> impl Iterator<Item = &ConditionStep> {
        let policy = self.policies.iter().find(|step| step.name == *rule.policy());
        let rules = policy.into_iter().flat_map(|policy| &policy.rules);
        let clauses =
            rules.filter(|step| step.index == rule.index()).flat_map(|step| &step.clauses);
        let matches = clauses.filter_map(|clause| clause.matches.iter().find(|one| one.held));
        matches.flat_map(|one| &one.conditions)
    }
}

impl RuleStep {
    /// What would have had to hold: of each clause that did not, the match that lacked least.
    fn lacking(&self) -> Vec<ConditionStep> {
        let failed = self.clauses.iter().filter(|clause| !clause.held);
        let nearest = failed.filter_map(|clause| {
            let lacks = |one: &MatchStep| one.conditions.iter().filter(|c| !c.held).count();
            clause.matches.iter().min_by_key(|one| lacks(one))
        });
        nearest.flat_map(|one| one.conditions.iter().filter(|c| !c.held)).cloned().collect()
    }
}

impl Tree {
    fn rule(&mut self) -> Option<&mut RuleStep> {
        self.policies.last_mut()?.rules.last_mut()
    }

    fn clause(&mut self) -> Option<&mut ClauseStep> {
        self.rule()?.clauses.last_mut()
    }

    fn one_match(&mut self) -> Option<&mut MatchStep> {
        self.clause()?.matches.last_mut()
    }
}

impl Trace for Tree {
    const THOROUGH: bool = true;

    fn enter(&mut self, part: Part<'_>) {
        let inside = match part {
            Part::Policy(policy) => {
                let origin = policy.origin.clone();
                let (action, dry_run) = (policy.action, policy.dry_run);
                let what = PolicyKind::Known { action, dry_run, origin };
                let name = policy.name.clone();
                self.policies.push(PolicyStep { name, what, held: false, rules: vec![] });
                Inside::Policy
            }
            Part::Unknown(name) => {
                let (name, what) = (name.clone(), PolicyKind::Unknown);
                self.policies.push(PolicyStep { name, what, held: false, rules: vec![] });
                Inside::Policy
            }
            Part::Rule(index) => {
                let step = RuleStep { index, held: false, clauses: vec![] };
                if let Some(policy) = self.policies.last_mut() {
                    policy.rules.push(step);
                }
                Inside::Rule
            }
            Part::Clause => {
                let step = ClauseStep { held: false, matches: vec![] };
                if let Some(rule) = self.rule() {
                    rule.clauses.push(step);
                }
                Inside::Clause
            }
            Part::Match => {
                let step = MatchStep { held: false, conditions: vec![] };
                if let Some(clause) = self.clause() {
                    clause.matches.push(step);
                }
                Inside::Match
            }
        };
        self.inside.push(inside);
    }

    fn leave(&mut self, held: bool) {
        let place = match self.inside.pop() {
            Some(Inside::Policy) => self.policies.last_mut().map(|step| &mut step.held),
            Some(Inside::Rule) => self.rule().map(|step| &mut step.held),
            Some(Inside::Clause) => self.clause().map(|step| &mut step.held),
            Some(Inside::Match) => self.one_match().map(|step| &mut step.held),
            None => None,
        };
        if let Some(place) = place {
            *place = held;
        }
    }

    fn condition(&mut self, name: &'static str, held: bool, texts: impl Fn() -> (String, String)) {
        let (wanted, found) = texts();
        if let Some(one) = self.one_match() {
            one.conditions.push(ConditionStep { name, held, wanted, found });
        }
    }
}

#[cfg(test)]
mod tests;
