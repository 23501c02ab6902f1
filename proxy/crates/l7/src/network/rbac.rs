//! `rbac` of connections: who may connect.
//!
//! Asked once, at the first byte of a connection, when TLS has proved who it is from: nothing that
//! rules can see changes after it, so asking again at each piece of data (`CONTINUOUS`) has the same
//! answer.
use super::{Denied, Record};
use crate::{
    connection::Connection,
    stats::{Counter, Late, Scope, Stats, tag},
};
use culvert_model::http::{listener::NetworkRbac, rbac::Engine, value::Value};
use culvert_policy::http::{
    rbac::{self, Decision},
    tree::Seen,
};
use std::sync::Arc;

/// Where what shadow rules said is found.
const NAMESPACE: &str = "envoy.filters.network.rbac";

#[derive(Debug)]
pub(super) struct Rbac {
    config: Arc<NetworkRbac>,
    scope: Scope,
    allowed: Late<Counter>,
    denied: Late<Counter>,
}

/// Asks each in turn.
pub(super) fn ask(all: &[Rbac], connection: &mut Connection) -> Result<(), Denied> {
    all.iter().try_for_each(|one| one.ask(connection))
}

impl Rbac {
    pub(super) fn new(config: &Arc<NetworkRbac>, stats: &Stats) -> Self {
        let scope = stats.root().tagged("", tag::RBAC, &config.stat_prefix).scope("rbac");
        Self {
            config: Arc::clone(config),
            allowed: scope.late("allowed"),
            denied: scope.late("denied"),
            scope,
        }
    }

    fn ask(&self, connection: &mut Connection) -> Result<(), Denied> {
        let config = &self.config.rbac;
        if let Some(engine) = &config.shadow {
            let said = decide(engine, connection);
            let (name, result) = match said.allowed {
                true => ("shadow_allowed", "allowed"),
                false => ("shadow_denied", "denied"),
            };
            let key = |key: &str| format!("{}{key}", config.shadow_prefix);
            self.scope.counter(&key(name)).inc();
            self.by_rule(&said, &key(name));
            if let Some(policy) = said.policy {
                let id = key("shadow_effective_policy_id");
                connection.note(NAMESPACE, &id, Value::String(policy));
            }
            let id = key("shadow_engine_result");
            connection.note(NAMESPACE, &id, Value::String(result.into()));
        }
        let Some(engine) = &config.rules else { return Ok(()) };
        let said = decide(engine, connection);
        if let Some(logged) = said.logged {
            connection.note("envoy.common", "access_log_hint", Value::Bool(logged));
        }
        let (counter, name) =
            if said.allowed { (&self.allowed, "allowed") } else { (&self.denied, "denied") };
        counter.inc();
        self.by_rule(&said, name);
        if said.allowed {
            return Ok(());
        }
        let policy = said.policy.as_deref().unwrap_or("none");
        let details = format!("rbac_access_denied_matched_policy[{policy}]").replace(' ', "_");
        let record = Record {
            termination: Some(details.into()),
            closed: Some("rbac_deny_close".into()),
            ..Record::default()
        };
        Err(Denied { delay: self.config.delay, record: Box::new(record) })
    }

    fn by_rule(&self, said: &Decision, name: &str) {
        if let (true, Some(policy)) = (self.config.rbac.track_rules, &said.policy) {
            self.scope.tagged("policy", tag::RBAC_POLICY, policy).counter(name).inc();
        }
    }
}

fn decide(engine: &Engine, connection: &Connection) -> Decision {
    let (facts, state) = (&connection.facts, &connection.state);
    rbac::decide(engine, &Seen { connection: facts, state, asking: None, answer: None })
}
