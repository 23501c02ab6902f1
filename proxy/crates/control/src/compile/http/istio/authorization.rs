//! `AuthorizationPolicy` with all that L7 sees.
//!
//! What cannot be answered yet, tokens above all, is [`Attribute::Unmet`]: it closes. So does a
//! policy that would ask somebody else.
use super::{at, hosts::Hosts, rule_at};
use crate::{
    compile::{
        http::plan::{
            Labels,
            policy::{
                Applies, Attribute, Clause, Policy, PolicyAction, PolicyCondition, PolicyRule,
            },
        },
        service::hostname,
    },
    object::{
        authorization_policy::{
            self as written, AuthorizationPolicy, Both, PolicyOperation, PolicySource, Selects,
            Target, UnseenAttribute,
        },
        spanned::Spanned,
    },
    problem::{Code, Problem},
};
use culvert_model::name::{ObjectName, ServiceName};
use ipnet::IpNet;
use std::{num::NonZeroU16, sync::Arc};

/// The group of Kubernetes' gateways.
const GATEWAYS: &str = "gateway.networking.k8s.io";

/// What `policy` says, once for each kind of thing that it speaks of.
pub(in crate::compile) fn policies(
    policy: &AuthorizationPolicy,
    hosts: &Hosts,
    notes: &mut Vec<Problem>,
) -> Vec<Policy> {
    let meta = &policy.meta;
    let action = match policy.action {
        written::PolicyAction::Allow => PolicyAction::Allow,
        written::PolicyAction::Deny => PolicyAction::Deny,
        written::PolicyAction::Audit => PolicyAction::Audit,
        // Nobody can be asked yet, which is told of it where L4 is.
        written::PolicyAction::Custom => PolicyAction::Deny,
    };
    let own = at("AuthorizationPolicy", meta);
    let rule = |(index, rule): (usize, &written::PolicyRule)| PolicyRule {
        at: rule_at(&own, meta, index, rule.origin.mark()),
        clauses: clauses(rule, &meta.name.namespace),
    };
    let rules: Vec<_> = policy.rules.iter().enumerate().map(rule).collect();
    let one = |applies| Policy {
        at: own.clone(),
        name: meta.name.clone(),
        applies,
        action,
        dry_run: policy.dry_run,
        rules: rules.clone(),
    };
    applies(policy, hosts, notes).into_iter().map(one).collect()
}

fn applies(policy: &AuthorizationPolicy, hosts: &Hosts, notes: &mut Vec<Problem>) -> Vec<Applies> {
    let targets = match &policy.selects {
        Selects::Everything => return vec![Applies::Pods(Labels::new())],
        Selects::Labels(labels) => return vec![Applies::Pods(labels.clone())],
        Selects::Targets(targets) => targets,
    };
    let namespace = &policy.meta.name.namespace;
    let (mut services, mut gateways) = (Vec::new(), Vec::new());
    for target in targets {
        let Target { group, kind, name } = &target.value;
        match (group.as_str(), kind.as_str()) {
            ("", "Service") => {
                let service = ServiceName::new(Arc::clone(namespace), hostname(namespace, name));
                if !hosts.has(&service) {
                    notes.push(absent(policy, target));
                }
                services.push(service);
            }
            ("networking.istio.io", "ServiceEntry") => {
                let found = hosts.of_entry(&ObjectName::new(Arc::clone(namespace), name.as_str()));
                if found.is_empty() {
                    notes.push(absent(policy, target));
                }
                services.extend(found.iter().cloned());
            }
            (GATEWAYS, "Gateway") => {
                gateways.push(ObjectName::new(Arc::clone(namespace), name.as_str()));
            }
            _ => {
                let told = format!(
                    "a policy cannot be for {}: it does nothing there",
                    target.value.called()
                );
                let note = policy.meta.at(target.at).warning(told);
                notes.push(note.with_fix("name a Service, a ServiceEntry or a Gateway"));
            }
        }
    }
    let services = (!services.is_empty()).then_some(Applies::Services(services));
    let gateways = (!gateways.is_empty()).then_some(Applies::Gateways(gateways));
    services.into_iter().chain(gateways).collect()
}

fn absent(policy: &AuthorizationPolicy, target: &Spanned<Target>) -> Problem {
    let told = format!("there is no {}: the policy does nothing there", target.value.called());
    policy.meta.at(target.at).warning(told).coded(Code::Reference)
}

fn clauses(rule: &written::PolicyRule, namespace: &str) -> Vec<Clause> {
    let from = rule.from.iter().map(|from| from.iter().map(|one| source(one, namespace)).collect());
    let to = rule.to.iter().map(|to| to.iter().map(operation).collect());
    let when = rule.when.iter().map(|one| vec![condition(one, namespace)]);
    from.chain(to).chain(when).collect()
}

fn source(source: &PolicySource, namespace: &str) -> Vec<PolicyCondition> {
    let texts = [
        (Attribute::Principal, &source.principals),
        (Attribute::Namespace, &source.namespaces),
        (Attribute::TrustDomain, &source.trust_domains),
        (Attribute::Unmet("source.requestPrincipals".into()), &source.request_principals),
    ];
    let mut all: Vec<_> =
        texts.into_iter().filter_map(|(attribute, both)| asked(attribute, strings(both))).collect();
    all.extend(asked(Attribute::ServiceAccount, accounts(&source.service_accounts, namespace)));
    all.extend(asked(Attribute::SourceIp, networks(&source.ip_blocks)));
    all.extend(asked(Attribute::RemoteIp, networks(&source.remote_ip_blocks)));
    all
}

fn operation(operation: &PolicyOperation) -> Vec<PolicyCondition> {
    let texts = [
        (Attribute::Host, &operation.hosts),
        (Attribute::Method, &operation.methods),
        (Attribute::Path, &operation.paths),
    ];
    let mut all: Vec<_> =
        texts.into_iter().filter_map(|(attribute, both)| asked(attribute, strings(both))).collect();
    all.extend(asked(Attribute::DestinationPort, ports(&operation.ports)));
    all
}

fn condition(condition: &written::PolicyCondition, namespace: &str) -> Vec<PolicyCondition> {
    use written::PolicyCondition as Written;
    let one = match condition {
        Written::SourceIp(ips) => asked(Attribute::SourceIp, networks(ips)),
        Written::SourceNamespace(names) => asked(Attribute::Namespace, strings(names)),
        Written::SourcePrincipal(names) => asked(Attribute::Principal, strings(names)),
        Written::SourceServiceAccount(names) => {
            asked(Attribute::ServiceAccount, accounts(names, namespace))
        }
        Written::DestinationIp(ips) => asked(Attribute::DestinationIp, networks(ips)),
        Written::DestinationPort(numbers) => asked(Attribute::DestinationPort, ports(numbers)),
        Written::Unseen(unseen) => {
            let attribute = match &unseen.attribute {
                UnseenAttribute::Header(name) => Attribute::Header(name.as_str().into()),
                UnseenAttribute::RemoteIp => Attribute::RemoteIp,
                UnseenAttribute::Sni => Attribute::Sni,
                UnseenAttribute::TrustDomain => Attribute::TrustDomain,
                UnseenAttribute::RequestPrincipal
                | UnseenAttribute::Audiences
                | UnseenAttribute::Presenter
                | UnseenAttribute::Claim(_)
                | UnseenAttribute::Filter(_) => Attribute::Unmet(unseen.key.as_str().into()),
            };
            asked(attribute, strings(&unseen.values))
        }
    };
    one.into_iter().collect()
}

type Values = (Vec<Arc<str>>, Vec<Arc<str>>);

/// `None`: nothing is asked.
fn asked(attribute: Attribute, (is, is_not): Values) -> Option<PolicyCondition> {
    (!is.is_empty() || !is_not.is_empty()).then_some(PolicyCondition { attribute, is, is_not })
}

fn strings(both: &Both<String>) -> Values {
    let read = |list: &[String]| list.iter().map(|one| one.as_str().into()).collect();
    (read(&both.is), read(&both.is_not))
}

fn networks(both: &Both<IpNet>) -> Values {
    let read = |list: &[IpNet]| list.iter().map(|one| one.to_string().into()).collect();
    (read(&both.is), read(&both.is_not))
}

fn ports(both: &Both<NonZeroU16>) -> Values {
    let read = |list: &[NonZeroU16]| list.iter().map(|one| one.to_string().into()).collect();
    (read(&both.is), read(&both.is_not))
}

/// `namespace/name`; without one it is of the policy's namespace.
fn accounts(both: &Both<String>, namespace: &str) -> Values {
    let whole = |one: &String| match one.contains('/') {
        true => Arc::from(one.as_str()),
        false => Arc::from(format!("{namespace}/{one}")),
    };
    let read = |list: &[String]| list.iter().map(whole).collect();
    (read(&both.is), read(&both.is_not))
}
