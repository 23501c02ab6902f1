//! The policies a node knows.
use super::view;
use culvert_model::{
    authz::{Authorization, Scope},
    name::ObjectName,
    snapshot::Snapshot,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Every policy that speaks of a workload, by name.
pub(super) fn all(snapshot: &Snapshot) -> Vec<view::Policy> {
    let mut found: BTreeMap<ObjectName, (Option<Arc<Authorization>>, usize)> = BTreeMap::new();
    for known in snapshot.all_known() {
        let authz = &known.authz;
        let there = [&authz.deny, &authz.allow, &authz.dry_run].into_iter().flatten();
        let there = there.map(|policy| (&policy.name, Some(policy)));
        let missing = authz.missing.iter().map(|name| (name, None));
        let mut seen = HashSet::new();
        for (name, policy) in there.chain(missing) {
            if seen.insert(name) {
                let entry = found.entry(name.clone()).or_default();
                entry.0 = policy.cloned();
                entry.1 += 1;
            }
        }
    }
    found
        .into_iter()
        .map(|(name, (policy, workloads))| one(&name, policy.as_deref(), workloads))
        .collect()
}

fn one(name: &ObjectName, policy: Option<&Authorization>, workloads: usize) -> view::Policy {
    let missing = policy.is_none();
    view::Policy {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        // What is not known closes.
        action: policy.map_or("DENY", |policy| policy.action.as_str()).to_owned(),
        scope: policy.map_or("selector", |policy| scope(policy.scope)).to_owned(),
        dry_run: policy.is_some_and(|policy| policy.dry_run),
        rules: policy.map_or(0, |policy| policy.rules.len()),
        workloads,
        origin: policy.and_then(|policy| policy.origin.as_ref().map(ToString::to_string)),
        missing,
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "global",
        Scope::Namespace => "namespace",
        Scope::Selector => "selector",
    }
}
