//! `envoy.filters.http.rbac`: who may do what.
use super::{Making, Place};
use crate::{
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    stats::{Counter, Late, Scope},
};
use culvert_model::http::{filter::OverrideConfig, rbac as model, value::Value};
use culvert_policy::http::{
    rbac::{Decision, decide},
    tree::Seen,
};
use http::StatusCode;
use std::sync::Arc;

const NAMESPACE: &str = "envoy.filters.http.rbac";

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct Rbac {
    config: Arc<model::Rbac>,
    scope: Scope,
    allowed: Late<Counter>,
    denied: Late<Counter>,
    shadow_allowed: Late<Counter>,
    shadow_denied: Late<Counter>,
}

impl Rbac {
    pub(super) fn new(config: &Arc<model::Rbac>, making: &Making<'_>) -> Self {
        let below = |prefix: &str| {
            let scope = making.scope.scope("rbac");
            if prefix.is_empty() { scope } else { scope.scope(prefix) }
        };
        let (scope, shadow) = (below(&config.rules_prefix), below(&config.shadow_prefix));
        Self {
            config: Arc::clone(config),
            allowed: scope.late("allowed"),
            denied: scope.late("denied"),
            shadow_allowed: shadow.late("shadow_allowed"),
            shadow_denied: shadow.late("shadow_denied"),
            scope,
        }
    }

    pub(super) fn request(&self, place: Place<'_>, record: &mut Record) -> Result<(), Refused> {
        let config = match place.config(record) {
            Some(OverrideConfig::Rbac(None)) => return Ok(()),
            Some(OverrideConfig::Rbac(Some(config))) => Arc::clone(config),
            _ => Arc::clone(&self.config),
        };
        if let Some(shadow) = &config.shadow {
            let decision = ask(shadow, record);
            self.shadowed(&config, &decision, record);
        }
        let Some(rules) = &config.rules else { return Ok(()) };
        let decision = ask(rules, record);
        if let Some(logged) = decision.logged {
            record.set_metadata("envoy.common", "access_log_hint", Value::Bool(logged));
        }
        if !record.manager.logs().is_empty() {
            leave(&decision, "enforced_", record);
        }
        if config.track_rules
            && let Some(policy) = &decision.policy
        {
            let end = if decision.allowed { "allowed" } else { "denied" };
            self.scope.counter(&format!("policy.{policy}.{end}")).inc();
        }
        if decision.allowed {
            self.allowed.inc();
            return Ok(());
        }
        self.denied.inc();
        let policy = decision.policy.as_deref().unwrap_or("none").replace(char::is_whitespace, "_");
        let details = format!("rbac_access_denied_matched_policy[{policy}]");
        Err(Local::new(StatusCode::FORBIDDEN, "RBAC: access denied", details).boxed())
    }

    /// What would be: counted, and left for those that come after.
    fn shadowed(&self, config: &model::Rbac, decision: &Decision, record: &mut Record) {
        if decision.allowed {
            self.shadow_allowed.inc();
        } else {
            self.shadow_denied.inc();
        }
        leave(decision, &format!("{}shadow_", config.shadow_prefix), record);
    }
}

/// What was decided, for those that come after.
fn leave(decision: &Decision, prefix: &str, record: &mut Record) {
    let result = if decision.allowed { "allowed" } else { "denied" };
    let key = |key: &str| format!("{prefix}{key}");
    record.set_metadata(NAMESPACE, &key("engine_result"), Value::String(result.into()));
    if let Some(policy) = &decision.policy {
        let policy = Value::String(Arc::clone(policy));
        record.set_metadata(NAMESPACE, &key("effective_policy_id"), policy);
    }
}

fn ask(engine: &model::Engine, record: &Record) -> Decision {
    let asking = record.asking();
    let seen = Seen {
        connection: asking.connection,
        state: asking.state,
        asking: Some(&asking),
        answer: None,
    };
    decide(engine, &seen)
}
