//! How a connection or a request would fare, from whatever snapshot: a running node's, or one of
//! manifests.
use super::view;

mod request;

pub(crate) use request::{Wanted, ask_for};

use culvert_model::snapshot::Snapshot;
use culvert_policy::{
    RuleRef,
    explain::Explanation,
    http::why::NotARequest,
    why::{Answer, Arrival, NoAnswer, NotAParty, Question, Said, Way, Why},
};

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Question(#[from] NotAParty),
    #[error(transparent)]
    Request(#[from] NotARequest),
    #[error(transparent)]
    Answer(#[from] NoAnswer),
}

/// May `from` reach `to`?
///
/// # Errors
///
/// When the question has no form, or names what is not there.
pub(crate) fn ask(snapshot: &Snapshot, from: &str, to: &str) -> Result<view::Why, Unanswered> {
    let why = Question::parse(from, to)?.ask(snapshot)?;
    Ok(document(&why))
}

fn document(why: &Why) -> view::Why {
    view::Why {
        answer: why.answer().to_string(),
        source: why.source.to_string(),
        ways: why.ways.iter().map(way).collect(),
        text: why.to_string(),
    }
}

fn way(way: &Way) -> view::Way {
    let outcome = way.route.as_ref().map(|route| &route.outcome);
    let (route, refused) = match outcome {
        Some(Ok(found)) => (Some(found.to.to_string()), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (Some("in plain text, past the mesh".to_owned()), None),
    };
    view::Way {
        destination: way.destination.to_string(),
        answer: way.answer().to_string(),
        route,
        refused,
        client: None,
        arrivals: way.arrivals.iter().map(arrival).collect(),
    }
}

fn arrival(arrival: &Arrival) -> view::Arrival {
    let at = arrival.at.iter().map(|(known, at)| format!("{} {at}", known.member.name)).collect();
    let (because, rule, nearest) = match &arrival.said {
        Said::Policy(explanation) => policy(explanation),
        Said::Nothing => ("the destination is not in the mesh: nobody asks".to_owned(), None, None),
        Said::OwnPort => ("the port is one of the proxy's own".to_owned(), None, None),
    };
    view::Arrival {
        at,
        identity: arrival.peer.as_ref().map(ToString::to_string),
        answer: arrival.answer().to_string(),
        because,
        rule,
        nearest,
        server: None,
    }
}

fn policy(explanation: &Explanation) -> (String, Option<view::Rule>, Option<view::Nearest>) {
    match &explanation.decision.verdict {
        Ok(permit) => match permit.rule() {
            Some(allowed) => (format!("allowed by {allowed}"), Some(rule(allowed)), None),
            None => ("no ALLOW policy speaks of it, and none denies".to_owned(), None, None),
        },
        Err(denial) => {
            let by = match denial {
                culvert_policy::Denial::Rule(by) => Some(rule(by)),
                culvert_policy::Denial::NoAllow | culvert_policy::Denial::UnknownPolicy(_) => None,
            };
            let nearest = match by {
                None => explanation.nearest(),
                Some(_) => None,
            };
            let nearest = nearest.map(|nearest| view::Nearest {
                rule: view::Rule {
                    policy: nearest.policy.to_string(),
                    index: nearest.rule,
                    origin: nearest.origin,
                },
                lacking: (nearest.lacking.iter())
                    .map(|lacking| view::Condition {
                        name: lacking.name.to_owned(),
                        wanted: lacking.wanted.clone(),
                        found: lacking.found.clone(),
                    })
                    .collect(),
            });
            (denial.to_string(), by, nearest)
        }
    }
}

fn rule(rule: &RuleRef) -> view::Rule {
    view::Rule { policy: rule.policy().to_string(), index: rule.index(), origin: rule.origin() }
}

impl view::Why {
    /// Whether everything asked for may pass.
    pub(crate) fn is_permitted(&self) -> bool {
        self.answer == Answer::Permitted.to_string()
    }
}
