//! Policies in the shape of ztunnel's dump.
use culvert_model::{
    authz::{
        Authorization, Match, Scope,
        join::Authz,
        set::{Condition, Networks, Ports, StringMatch, Strings},
    },
    name::ObjectName,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Every policy once, by name.
pub(super) fn policies<'a>(all: impl Iterator<Item = &'a Authz>) -> Value {
    let mut found: BTreeMap<&ObjectName, &Authorization> = BTreeMap::new();
    for Authz { deny, allow, dry_run, missing: _, beside_l7: _ } in all {
        let policies = [deny, allow, dry_run].into_iter().flatten();
        found.extend(policies.map(|policy| (&policy.name, &**policy)));
    }
    found.values().map(|policy| one(policy)).collect()
}

fn one(policy: &Authorization) -> Value {
    let rules: Value = (policy.rules.iter())
        .map(|rule| -> Value {
            let clauses = rule.clauses.iter();
            clauses.map(|clause| clause.matches.iter().map(conditions).collect::<Value>()).collect()
        })
        .collect();
    let mut fields = json!({
        "name": &*policy.name.name,
        "namespace": &*policy.name.namespace,
        "scope": match policy.scope {
            Scope::Global => "Global",
            Scope::Namespace => "Namespace",
            Scope::Selector => "WorkloadSelector",
        },
        "action": match policy.action.as_str() { "ALLOW" => "Allow", _ => "Deny" },
        "rules": rules,
        "dryRun": policy.dry_run,
    });
    if let (Value::Object(fields), Some(origin)) = (&mut fields, &policy.origin) {
        fields.insert("origin".to_owned(), (*origin.at).into());
    }
    fields
}

/// One match; kinds that say nothing are left out.
fn conditions(one: &Match) -> Value {
    let Match {
        namespaces,
        service_accounts,
        principals,
        source_ips,
        destination_ips,
        destination_ports,
    } = one;
    let mut fields = Map::new();
    put(&mut fields, ("namespaces", "notNamespaces"), namespaces, strings);
    put(&mut fields, ("serviceAccounts", "notServiceAccounts"), service_accounts, |accounts| {
        let accounts = accounts.iter().map(|account| {
            json!({ "namespace": &*account.namespace, "serviceAccount": &*account.service_account })
        });
        accounts.collect()
    });
    put(&mut fields, ("principals", "notPrincipals"), principals, strings);
    put(&mut fields, ("sourceIps", "notSourceIps"), source_ips, networks);
    put(&mut fields, ("destinationIps", "notDestinationIps"), destination_ips, networks);
    let ports = |ports: &Ports| ports.iter().map(Value::from).collect();
    put(&mut fields, ("destinationPorts", "notDestinationPorts"), destination_ports, ports);
    Value::Object(fields)
}

fn put<S>(
    fields: &mut Map<String, Value>,
    (is, is_not): (&str, &str),
    condition: &Condition<S>,
    list: impl Fn(&S) -> Vec<Value>,
) {
    for (name, values) in [(is, list(&condition.is)), (is_not, list(&condition.is_not))] {
        if !values.is_empty() {
            fields.insert(name.to_owned(), values.into());
        }
    }
}

fn strings(strings: &Strings) -> Vec<Value> {
    let one = |one| match one {
        StringMatch::Exact(text) => json!({ "Exact": &*text }),
        StringMatch::Prefix(text) => json!({ "Prefix": &*text }),
        StringMatch::Suffix(text) => json!({ "Suffix": &*text }),
        StringMatch::Presence => json!({ "Presence": {} }),
    };
    strings.iter().map(one).collect()
}

fn networks(networks: &Networks) -> Vec<Value> {
    networks.iter().map(|network| network.to_string().into()).collect()
}
