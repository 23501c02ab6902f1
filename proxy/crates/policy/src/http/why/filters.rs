//! What each filter of a manager does with a request.
use super::{Answer, Course, arrive::DICE};
use crate::http::{
    cors,
    facts::Asking,
    fault::{self, Abort, Injected},
    rbac::{self, Step},
    routed::{self, Routed},
    tree::Seen,
};
use culvert_model::http::{
    fault::Fault,
    filter::{FilterConfig, HttpFilter, OverrideConfig},
    origin,
    rbac::{Action, Engine, Rbac},
    value::Metadata,
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};

/// A filter that has something to say.
#[derive(Clone, Debug)]
pub struct Filtered {
    /// As its chain calls it.
    pub name: Arc<str>,
    pub does: Does,
}

/// What it says.
#[derive(Clone, Debug)]
pub enum Does {
    /// Rules were asked.
    Rules {
        action: Action,
        /// They only note what they would say.
        dry_run: bool,
        allowed: bool,
        /// To the first that matches.
        asked: Vec<Asked>,
    },
    /// A tree of rules was asked.
    Tree { dry_run: bool, allowed: bool, policy: Option<Arc<str>> },
    /// By chance, unless it is said to be for all.
    Faults {
        delay: Option<Duration>,
        abort: Option<Abort>,
        /// Whether there is no chance in it.
        certain: bool,
    },
    /// It is answered as browsers want it that ask beforehand.
    Preflight,
    /// It cannot be foretold: it changes requests, counts them or answers some.
    Untold(&'static str),
}

/// A rule that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As the engine calls it.
    pub name: Arc<str>,
    /// `namespace/name` of the policy and which of its rules, where the name says so.
    pub rule: Option<(String, usize)>,
    /// `file:line`
    pub origin: Option<Arc<str>>,
    pub held: bool,
    /// Of what is done, if something is: whether that is what it is about.
    pub is_about: bool,
}

impl Filtered {
    /// Whether requests come past it.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match &self.does {
            Does::Rules { dry_run: true, .. } | Does::Tree { dry_run: true, .. } => {
                Answer::Permitted
            }
            Does::Rules { allowed, .. } | Does::Tree { allowed, .. } => match allowed {
                true => Answer::Permitted,
                false => Answer::Denied,
            },
            Does::Faults { abort: Some(_), certain: true, .. } => Answer::Denied,
            Does::Faults { abort: Some(_), certain: false, .. } => Answer::Depends,
            Does::Faults { abort: None, .. } | Does::Preflight => Answer::Permitted,
            Does::Untold(_) => Answer::Depends,
        }
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub fn decided(&self) -> Option<&Asked> {
        match &self.does {
            Does::Rules { asked, .. } => asked.last().filter(|last| last.held),
            Does::Tree { .. } | Does::Faults { .. } | Does::Preflight | Does::Untold(_) => None,
        }
    }
}

/// Asks filters in turn, to the first that answers itself.
pub(super) fn ask(
    course: &Course<'_>,
    routed: &Routed,
    asking: &Asking<'_>,
) -> (Vec<Filtered>, Option<StatusCode>) {
    let mut said = Vec::new();
    let table = course.table.map(|table| &**table);
    for filter in course.manager.filters.iter() {
        if !routed::is_on(routed.per_filter(table), &filter.name, filter.disabled) {
            continue;
        }
        let config = match &filter.config {
            FilterConfig::Here(config) => Some(config),
            FilterConfig::Discovered(discovered) => {
                let come = course.engine.snapshot.filters().value(&filter.name);
                come.map(|config| &**config).or(discovered.default.as_ref())
            }
        };
        let own = routed::config(routed.per_filter(table), &filter.name);
        let Some(config) = config else {
            let does =
                Does::Untold("its configuration has not come: requests are answered with 500");
            said.push(Filtered { name: Arc::clone(&filter.name), does });
            return (said, Some(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let place = Place { course, routed, asking, name: &filter.name, own };
        let all = routed::overrides(routed.per_filter(table), &filter.name);
        let cors = || cors::said(all.filter_map(|one| one.config.as_ref()), routed);
        let (does, stops) = place.does(config, cors);
        let filtered =
            does.into_iter().map(|does| Filtered { name: Arc::clone(&filter.name), does });
        said.extend(filtered);
        if let Some(status) = stops {
            return (said, Some(status));
        }
    }
    (said, None)
}

/// A filter, and what counts for it.
struct Place<'a> {
    course: &'a Course<'a>,
    routed: &'a Routed,
    asking: &'a Asking<'a>,
    name: &'a Arc<str>,
    /// What the route says in place of the chain.
    own: Option<&'a OverrideConfig>,
}

impl Place<'_> {
    /// What it does, and the status if it answers itself.
    fn does(
        &self,
        config: &HttpFilter,
        cors: impl FnOnce() -> Option<Arc<culvert_model::http::cors::Cors>>,
    ) -> (Vec<Does>, Option<StatusCode>) {
        match config {
            HttpFilter::Rbac(config) => self.rbac(config),
            HttpFilter::Fault(config) => self.fault(config),
            HttpFilter::Cors => {
                let decided = cors().map(|cors| {
                    let Asking { head, runtime, dice, .. } = self.asking;
                    cors::decide(&cors, head, runtime, *dice).0
                });
                match decided {
                    Some(cors::Decision::Preflight(_)) => {
                        (vec![Does::Preflight], Some(StatusCode::OK))
                    }
                    Some(cors::Decision::Pass | cors::Decision::Mark(_)) | None => (vec![], None),
                }
            }
            HttpFilter::LocalRateLimit(_) => {
                untold("counts requests, and refuses what is too much")
            }
            HttpFilter::HeaderMutation(_) => untold("changes headers before others see them"),
            HttpFilter::SetFilterState(_) => untold("leaves values for those that come after"),
            HttpFilter::HealthCheck(_) => untold("answers health checks"),
            HttpFilter::Buffer { .. } => untold("refuses bodies that are too large"),
            HttpFilter::Router(_)
            | HttpFilter::GrpcStats(_)
            | HttpFilter::GrpcWeb
            | HttpFilter::Ignored => (vec![], None),
        }
    }

    fn rbac(&self, config: &Rbac) -> (Vec<Does>, Option<StatusCode>) {
        let config = match self.own {
            Some(OverrideConfig::Rbac(None)) => return (vec![], None),
            Some(OverrideConfig::Rbac(Some(own))) => own,
            Some(_) | None => config,
        };
        let Asking { connection, state, .. } = self.asking;
        let seen = Seen { connection, state, asking: Some(self.asking), answer: None };
        let said = rules(self.name, config, &seen, self.course.origins);
        let denied = said.iter().any(|one| one.answer() == Answer::Denied);
        let all = said.into_iter().map(|one| one.does).collect();
        (all, denied.then_some(StatusCode::FORBIDDEN))
    }

    /// Without chance where both ends of it say the same.
    fn fault(&self, config: &Fault) -> (Vec<Does>, Option<StatusCode>) {
        /// Hits nothing that is not for all.
        const WORST: u64 = 999_999;
        let config = match self.own {
            Some(OverrideConfig::Fault(own)) => own,
            Some(_) | None => config,
        };
        let around = fault::Around {
            cluster: self.routed.cluster.as_deref(),
            runtime: self.asking.runtime,
            active: 0,
        };
        let by = |dice: u64| fault::inject(config, &self.asking.head, around, &mut || dice);
        let (some, all) = (by(DICE), by(WORST));
        if some == Injected::default() {
            return (vec![], None);
        }
        let Injected { delay, abort, rate: _ } = some;
        if delay.is_none() && abort.is_none() {
            return untold("slows responses");
        }
        let does = |delay, abort, certain| Does::Faults { delay, abort, certain };
        let said = match delay == all.delay && abort == all.abort {
            true => vec![does(delay, abort, true)],
            false => {
                let delay = delay.map(|wait| does(Some(wait), None, all.delay.is_some()));
                let abort = abort.map(|how| does(None, Some(how), all.abort.is_some()));
                delay.into_iter().chain(abort).collect()
            }
        };
        let status = all.abort.map(|abort| match abort {
            Abort::Status(status) => status,
            Abort::Grpc(_) => StatusCode::OK,
        });
        (said, status)
    }
}

fn untold(what: &'static str) -> (Vec<Does>, Option<StatusCode>) {
    (vec![Does::Untold(what)], None)
}

/// What rules say of whom they see; first what they would say.
pub(super) fn rules(
    name: &Arc<str>,
    config: &Rbac,
    seen: &Seen<'_>,
    origins: &Metadata,
) -> Vec<Filtered> {
    let both = [(&config.shadow, true), (&config.rules, false)];
    let engines =
        both.into_iter().filter_map(|(engine, dry_run)| Some((engine.as_ref()?, dry_run)));
    let said = engines.map(|(engine, dry_run)| {
        let decision = rbac::decide(engine, seen);
        let allowed = decision.allowed;
        match engine {
            Engine::Tree(_) => Does::Tree { dry_run, allowed, policy: decision.policy },
            Engine::Policies(rules) => {
                let steps = rbac::explain(rules, seen);
                let asked = steps.iter().map(|step| asked(step, origins)).collect();
                Does::Rules { action: rules.action, dry_run, allowed, asked }
            }
        }
    });
    said.map(|does| Filtered { name: Arc::clone(name), does }).collect()
}

fn asked(step: &Step<'_>, origins: &Metadata) -> Asked {
    Asked {
        name: step.policy.into(),
        rule: origin::policy(step.policy),
        origin: origin::of_policy(origins, step.policy).map(Arc::from),
        held: step.held(),
        is_about: step.permission.is_some(),
    }
}
