//! `AuthorizationPolicy` as L4 can ask it: Istio's ambient form.
//!
//! A rule becomes a list of clauses: `to`, `from`, then each `when`. What L4 cannot see is left out
//! of a DENY, so that it denies more; an ALLOW loses the whole rule, so that it allows less.
use super::mesh::Closing;
use crate::{
    object::authorization_policy::{
        AuthorizationPolicy, Both, PolicyAction, PolicyCondition, PolicyOperation, PolicyRule,
        PolicySource, Selects,
    },
    problem::Problem,
};
use culvert_model::authz::{
    Action, Authorization, Clause, Match, Origin, Rule, Scope,
    set::{Account, Condition, StringMatch},
};
use ipnet::IpNet;
use std::num::NonZeroU16;

/// What becomes of a policy.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// `None`: L4 has nothing to do with it.
    pub(super) policy: Option<Authorization>,
    pub(super) closing: Option<Closing>,
    pub(super) notes: Vec<Problem>,
}

/// Says `policy` in the words of L4; `root` is the namespace of policies for the whole mesh, and with
/// `l7` somebody decides what L4 does not see.
pub(super) fn translate(policy: &AuthorizationPolicy, root: &str, l7: bool) -> Translated {
    let AuthorizationPolicy { meta, selects: _, action, provider: _, dry_run, rules } = policy;
    let (meant, wrong) = match meant(policy, root) {
        Ok(meant) => (Some(meant), None),
        Err(note) => (None, Some(*note)),
    };
    if let (Some(wrong), false) = (&wrong, l7) {
        return Translated { notes: vec![wrong.clone()], ..Translated::default() };
    }
    let action_at_l4 = if *action == PolicyAction::Allow { Action::Allow } else { Action::Deny };
    let mut told = Vec::new();
    if *action == PolicyAction::Custom {
        let place = if l7 { "yet" } else { "at L4" };
        told.push(format!("there is nobody to ask {place}: what its rules match is denied"));
    }
    let mut notes: Vec<Problem> =
        told.iter().map(|told| meta.named().warning(told.clone())).collect();
    let mut compiled = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let mut unseen = unseen(rule);
        let closes = !unseen.is_empty();
        if !closes || action_at_l4 == Action::Deny {
            compiled.push((translate_rule(rule, &meta.name.namespace), rule.origin.line()));
        }
        if l7 {
            unseen.retain(|key| !is_answered(key));
        }
        if unseen.is_empty() || *action == PolicyAction::Audit {
            continue;
        }
        let follows = match action_at_l4 {
            Action::Allow => "it allows nothing",
            Action::Deny => "it denies whatever they are",
        };
        let why = if l7 { "nobody answers yet" } else { "L4 does not see" };
        let asks = format!("asks for {}, which {why}: {follows}", unseen.join(", "));
        notes.push(rule.origin.warning(format!("rule {index} {asks}")));
        told.push(format!("rule {index} {asks}"));
    }
    if rules.is_empty() && *action == PolicyAction::Deny {
        notes.push(meta.named().warning("without rules it denies nothing"));
    }
    let closing = (!told.is_empty() && !dry_run).then(|| Closing {
        object: format!("AuthorizationPolicy/{}", meta.name).into(),
        because: told.join("; ").into(),
        origin: meta.origin.to_string().into(),
    });
    let (rules, mut lines): (Vec<_>, Vec<_>) = compiled.into_iter().unzip();
    if !meta.origin.has_lines() {
        lines.clear();
    }
    let policy = meant.map(|(scope, action)| Authorization {
        name: meta.name.clone(),
        scope,
        action,
        dry_run: *dry_run,
        rules: rules.into(),
        origin: Some(Origin { at: meta.origin.to_string().into(), rules: lines.into() }),
    });
    Translated { policy, closing, notes }
}

/// Of which workloads `policy` speaks, and what L4 does with what it matches.
fn meant(policy: &AuthorizationPolicy, root: &str) -> Result<(Scope, Action), Box<Problem>> {
    let named = policy.meta.named();
    let scope = match &policy.selects {
        Selects::Targets(targets) => {
            let targets: Vec<_> = targets.iter().map(|target| target.value.called()).collect();
            let note = named.warning(format!(
                "the policy is for {}: nobody serves L7 here, which sees to it; it does nothing",
                targets.join(", ")
            ));
            return Err(Box::new(note.with_fix("choose workloads by a selector to have it at L4")));
        }
        Selects::Labels(_) => Scope::Selector,
        Selects::Everything if *policy.meta.name.namespace == *root => Scope::Global,
        Selects::Everything => Scope::Namespace,
    };
    let action = match policy.action {
        PolicyAction::Allow => Action::Allow,
        PolicyAction::Deny | PolicyAction::Custom => Action::Deny,
        PolicyAction::Audit => {
            let note = named.warning("AUDIT does nothing at L4");
            return Err(Box::new(note.with_fix("annotate a policy istio.io/dry-run: \"true\"")));
        }
    };
    Ok((scope, action))
}

/// Whether L7 answers what L4 does not see: all but what is said by tokens, or by others' filters.
fn is_answered(key: &str) -> bool {
    let of_tokens = ["requestPrincipals", "notRequestPrincipals"].contains(&key);
    !of_tokens && !key.starts_with("request.auth.") && !key.starts_with("experimental.")
}

/// What a rule asks for that L4 does not see.
fn unseen(rule: &PolicyRule) -> Vec<&str> {
    let PolicyRule { from, to, when, origin: _ } = rule;
    let from = from.iter().flatten().flat_map(|source| &source.unseen);
    let to = to.iter().flatten().flat_map(|operation| &operation.unseen);
    let when = when.iter().filter_map(|condition| match condition {
        PolicyCondition::Unseen(condition) => Some(condition.key.as_str()),
        PolicyCondition::SourceIp(_)
        | PolicyCondition::SourceNamespace(_)
        | PolicyCondition::SourcePrincipal(_)
        | PolicyCondition::SourceServiceAccount(_)
        | PolicyCondition::DestinationIp(_)
        | PolicyCondition::DestinationPort(_) => None,
    });
    let mut all: Vec<&str> = from.chain(to).copied().chain(when).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn translate_rule(rule: &PolicyRule, namespace: &str) -> Rule {
    let PolicyRule { from, to, when, origin: _ } = rule;
    let to = to.iter().map(|to| Clause { matches: to.iter().map(operation).collect() });
    let from = from
        .iter()
        .map(|from| Clause { matches: from.iter().map(|one| source(one, namespace)).collect() });
    let when = when.iter().map(|one| Clause { matches: [condition(one, namespace)].into() });
    Rule { clauses: to.chain(from).chain(when).collect() }
}

fn operation(PolicyOperation { ports, .. }: &PolicyOperation) -> Match {
    Match { destination_ports: self::ports(ports), ..Match::default() }
}

fn source(source: &PolicySource, namespace: &str) -> Match {
    let PolicySource { principals, namespaces, service_accounts, ip_blocks, .. } = source;
    Match {
        principals: strings(principals),
        namespaces: strings(namespaces),
        service_accounts: accounts(service_accounts, namespace),
        source_ips: networks(ip_blocks),
        ..Match::default()
    }
}

fn condition(condition: &PolicyCondition, namespace: &str) -> Match {
    let nothing = Match::default();
    match condition {
        PolicyCondition::SourceIp(ips) => Match { source_ips: networks(ips), ..nothing },
        PolicyCondition::SourceNamespace(names) => Match { namespaces: strings(names), ..nothing },
        PolicyCondition::SourcePrincipal(names) => Match { principals: strings(names), ..nothing },
        PolicyCondition::SourceServiceAccount(names) => {
            Match { service_accounts: accounts(names, namespace), ..nothing }
        }
        PolicyCondition::DestinationIp(ips) => Match { destination_ips: networks(ips), ..nothing },
        PolicyCondition::DestinationPort(numbers) => {
            Match { destination_ports: ports(numbers), ..nothing }
        }
        PolicyCondition::Unseen(_) => nothing,
    }
}

fn strings<S: FromIterator<StringMatch>>(both: &Both<String>) -> Condition<S> {
    let Both { is, is_not } = both;
    let read = |list: &[String]| list.iter().map(|one| string(one)).collect();
    Condition { is: read(is), is_not: read(is_not) }
}

/// One `*`, alone, in front or behind.
fn string(written: &str) -> StringMatch {
    match (written.strip_prefix('*'), written.strip_suffix('*')) {
        (Some(""), _) => StringMatch::Presence,
        (Some(suffix), _) => StringMatch::Suffix(suffix.into()),
        (None, Some(prefix)) => StringMatch::Prefix(prefix.into()),
        (None, None) => StringMatch::Exact(written.into()),
    }
}

/// `namespace/name`, or a name in the policy's own namespace.
fn accounts<S: FromIterator<Account>>(both: &Both<String>, namespace: &str) -> Condition<S> {
    let Both { is, is_not } = both;
    let read = |list: &[String]| {
        list.iter()
            .map(|written| {
                let (namespace, account) = written.split_once('/').unwrap_or((namespace, written));
                Account { namespace: namespace.into(), service_account: account.into() }
            })
            .collect()
    };
    Condition { is: read(is), is_not: read(is_not) }
}

fn networks<S: FromIterator<IpNet>>(both: &Both<IpNet>) -> Condition<S> {
    let Both { is, is_not } = both;
    Condition { is: is.iter().copied().collect(), is_not: is_not.iter().copied().collect() }
}

fn ports<S: FromIterator<u16>>(both: &Both<NonZeroU16>) -> Condition<S> {
    let Both { is, is_not } = both;
    let read = |list: &[NonZeroU16]| list.iter().map(|port| port.get()).collect();
    Condition { is: read(is), is_not: read(is_not) }
}
