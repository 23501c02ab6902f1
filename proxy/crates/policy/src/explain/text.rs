//! An explanation as lines of text.
use super::{
    ConditionStep, Explanation, MatchStep, Nearest, PolicyKind, PolicyStep, RuleStep, UNSEEN,
};
use crate::authz::{Denial, Permit};
use std::fmt;

/// The verdict with what decided it, then all policies.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_verdict(f, &self.decision.verdict, false)?;
        if let Some(would) = &self.decision.dry_run {
            f.write_str("with the dry-run policies in force: ")?;
            self.write_verdict(f, would, true)?;
        }
        self.policies.iter().try_for_each(|policy| write!(f, "{policy}"))
    }
}

impl Explanation {
    fn write_verdict(
        &self,
        f: &mut fmt::Formatter<'_>,
        verdict: &Result<Permit, Denial>,
        with_dry_run: bool,
    ) -> fmt::Result {
        let rule = match verdict {
            Ok(permit) => match permit.rule() {
                Some(rule) => {
                    write!(f, "permitted by {rule}")?;
                    rule
                }
                None => return writeln!(f, "permitted: no ALLOW policy selects the destination"),
            },
            Err(denial) => {
                write!(f, "{denial}")?;
                match denial {
                    Denial::Rule(rule) => rule,
                    Denial::NoAllow => {
                        writeln!(f)?;
                        let nearest = self.nearest_of(with_dry_run);
                        return nearest.map_or(Ok(()), |near| writeln!(f, "{near}"));
                    }
                    Denial::UnknownPolicy(_) => return writeln!(f),
                }
            }
        };
        if let Some(origin) = rule.origin() {
            write!(f, " ({origin})")?;
        }
        let met: Vec<String> = self.met(rule).map(ToString::to_string).collect();
        if !met.is_empty() {
            write!(f, ": {}", met.join(", "))?;
        }
        writeln!(f)
    }
}

/// The rule, where it stands, and what differs.
impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, rule, origin, lacking } = self;
        write!(f, "the nearest is {policy} rule {rule}")?;
        if let Some(origin) = origin {
            write!(f, " ({origin})")?;
        }
        let lacking: Vec<String> = lacking.iter().map(ToString::to_string).collect();
        write!(f, ": {}", lacking.join(", "))
    }
}

impl fmt::Display for PolicyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, what, held, rules } = self;
        let PolicyKind::Known { action, dry_run, origin } = what else {
            return writeln!(f, "{} {name}: not known", mark(*held));
        };
        write!(f, "{} {} {name}", mark(*held), action.as_str())?;
        if *dry_run {
            f.write_str(" (dry run)")?;
        }
        if let Some(origin) = origin {
            write!(f, " ({origin})")?;
        }
        writeln!(f)?;
        if rules.is_empty() {
            writeln!(f, "    no rules: matches nothing")?;
        }
        rules.iter().try_for_each(|rule| write!(f, "{rule}"))
    }
}

impl fmt::Display for RuleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} rule {}", mark(self.held), self.index)?;
        for clause in &self.clauses {
            writeln!(f, "    {} any of", mark(clause.held))?;
            clause.matches.iter().try_for_each(|one| write!(f, "{one}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for MatchStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions: Vec<String> = self.conditions.iter().map(ToString::to_string).collect();
        writeln!(f, "      {} {}", mark(self.held), conditions.join(", "))
    }
}

impl fmt::Display for ConditionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, held, wanted, found } = self;
        if *name == UNSEEN {
            let met = if *held { "met" } else { "not met" };
            return write!(f, "{wanted}, {found} {met}");
        }
        match (*held, wanted.strip_prefix("not ")) {
            (true, _) => write!(f, "{name} {found} is {wanted}"),
            (false, None) => write!(f, "{name} {found} is not {wanted}"),
            (false, Some(excluded)) => write!(f, "{name} {found} may not be {excluded}"),
        }
    }
}

fn mark(held: bool) -> char {
    if held { '+' } else { '-' }
}
