//! What no single field of a rule shows.
//!
//! An empty list of what must be met would be met by everything: it is refused, since whoever wrote
//! it meant something.
use super::{
    Both, PolicyCondition, PolicyOperation, PolicyRule, PolicySource, UnseenAttribute,
    UnseenCondition,
    raw::{Listed, RawOperation, RawRule, RawSource, RawWhen},
    unseen,
};
use crate::{
    object::{
        port::{Block, PortText},
        spanned::Spanned,
    },
    problem::{Origin, Problem},
};

/// A rule at `origin`; what is wrong with it goes to `problems`.
pub(super) fn rule(raw: RawRule, origin: &Origin, problems: &mut Vec<Problem>) -> PolicyRule {
    let RawRule { from, to, when } = raw;
    let from = part(from, "from", origin, problems).map(|from| {
        from.into_iter().map(|one| source(one.value.source, origin, problems)).collect()
    });
    let to = part(to, "to", origin, problems).map(|to| {
        to.into_iter().map(|one| operation(one.value.operation, origin, problems)).collect()
    });
    let when = part(when, "when", origin, problems).unwrap_or_default();
    let when = when.into_iter().filter_map(|one| condition(one, origin, problems)).collect();
    PolicyRule { from, to, when, origin: origin.clone() }
}

fn part<T>(
    list: Listed<T>,
    name: &str,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Spanned<T>>> {
    let Spanned { value, at } = list?;
    if value.is_empty() {
        let problem =
            origin.at(at).error(format!("`{name}` is empty: it would hold for everything"));
        problems.push(problem.with_fix("leave it out, or say what is meant"));
    }
    Some(value)
}

fn source(raw: Spanned<RawSource>, origin: &Origin, problems: &mut Vec<Problem>) -> PolicySource {
    let Spanned { value: raw, at } = raw;
    if (raw.service_accounts.is_some() || raw.not_service_accounts.is_some())
        && (raw.principals.is_some()
            || raw.not_principals.is_some()
            || raw.namespaces.is_some()
            || raw.not_namespaces.is_some())
    {
        let message = "serviceAccounts cannot be set with namespaces or principals";
        problems.push(origin.at(at).error(message));
    }
    let unseen = [
        ("requestPrincipals", raw.request_principals.is_some()),
        ("notRequestPrincipals", raw.not_request_principals.is_some()),
        ("trustDomains", raw.trust_domains.is_some()),
        ("notTrustDomains", raw.not_trust_domains.is_some()),
        ("remoteIpBlocks", raw.remote_ip_blocks.is_some()),
        ("notRemoteIpBlocks", raw.not_remote_ip_blocks.is_some()),
    ];
    let blocks = |name, list: Listed<Block>, problems: &mut Vec<Problem>| {
        some(name, list, origin, problems).into_iter().map(|block| block.value.0).collect()
    };
    let source = PolicySource {
        principals: Both {
            is: texts("principals", raw.principals, origin, problems),
            is_not: texts("notPrincipals", raw.not_principals, origin, problems),
        },
        namespaces: Both {
            is: texts("namespaces", raw.namespaces, origin, problems),
            is_not: texts("notNamespaces", raw.not_namespaces, origin, problems),
        },
        service_accounts: Both {
            is: texts("serviceAccounts", raw.service_accounts, origin, problems),
            is_not: texts("notServiceAccounts", raw.not_service_accounts, origin, problems),
        },
        ip_blocks: Both {
            is: blocks("ipBlocks", raw.ip_blocks, problems),
            is_not: blocks("notIpBlocks", raw.not_ip_blocks, problems),
        },
        request_principals: Both {
            is: texts("requestPrincipals", raw.request_principals, origin, problems),
            is_not: texts("notRequestPrincipals", raw.not_request_principals, origin, problems),
        },
        trust_domains: Both {
            is: texts("trustDomains", raw.trust_domains, origin, problems),
            is_not: texts("notTrustDomains", raw.not_trust_domains, origin, problems),
        },
        remote_ip_blocks: Both {
            is: blocks("remoteIpBlocks", raw.remote_ip_blocks, problems),
            is_not: blocks("notRemoteIpBlocks", raw.not_remote_ip_blocks, problems),
        },
        unseen: asked(unseen),
    };
    if source == PolicySource::default() {
        problems.push(origin.at(at).error("a source that says nothing holds for everything"));
    }
    source
}

fn operation(
    raw: Spanned<RawOperation>,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> PolicyOperation {
    let Spanned { value: raw, at } = raw;
    let unseen = [
        ("hosts", raw.hosts.is_some()),
        ("notHosts", raw.not_hosts.is_some()),
        ("methods", raw.methods.is_some()),
        ("notMethods", raw.not_methods.is_some()),
        ("paths", raw.paths.is_some()),
        ("notPaths", raw.not_paths.is_some()),
    ];
    let hosts = Both {
        is: texts("hosts", raw.hosts, origin, problems),
        is_not: texts("notHosts", raw.not_hosts, origin, problems),
    };
    let methods = Both {
        is: texts("methods", raw.methods, origin, problems),
        is_not: texts("notMethods", raw.not_methods, origin, problems),
    };
    let paths = Both {
        is: texts("paths", raw.paths, origin, problems),
        is_not: texts("notPaths", raw.not_paths, origin, problems),
    };
    let mut ports = |name, list: Listed<PortText>| {
        some(name, list, origin, problems).into_iter().map(|port| port.value.0).collect()
    };
    let (is, is_not) = (ports("ports", raw.ports), ports("notPorts", raw.not_ports));
    let operation = PolicyOperation {
        ports: Both { is, is_not },
        hosts,
        methods,
        paths,
        unseen: asked(unseen),
    };
    if operation == PolicyOperation::default() {
        problems.push(origin.at(at).error("an operation that says nothing holds for everything"));
    }
    operation
}

fn condition(
    raw: Spanned<RawWhen>,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Option<PolicyCondition> {
    let Spanned { value: RawWhen { key, values, not_values }, at } = raw;
    if values.is_none() && not_values.is_none() {
        problems.push(origin.at(at).error("a condition needs values, or notValues"));
    }
    let strings = |problems: &mut Vec<Problem>, values, not_values| Both {
        is: texts("values", values, origin, problems),
        is_not: texts("notValues", not_values, origin, problems),
    };
    Some(match key.value.as_str() {
        "source.ip" => PolicyCondition::SourceIp(Both {
            is: read(values, "values", |block: Block| block.0, origin, problems),
            is_not: read(not_values, "notValues", |block: Block| block.0, origin, problems),
        }),
        "destination.ip" => PolicyCondition::DestinationIp(Both {
            is: read(values, "values", |block: Block| block.0, origin, problems),
            is_not: read(not_values, "notValues", |block: Block| block.0, origin, problems),
        }),
        "destination.port" => PolicyCondition::DestinationPort(Both {
            is: read(values, "values", |port: PortText| port.0, origin, problems),
            is_not: read(not_values, "notValues", |port: PortText| port.0, origin, problems),
        }),
        "source.namespace" => {
            PolicyCondition::SourceNamespace(strings(problems, values, not_values))
        }
        "source.principal" => {
            PolicyCondition::SourcePrincipal(strings(problems, values, not_values))
        }
        "source.serviceAccount" => {
            PolicyCondition::SourceServiceAccount(strings(problems, values, not_values))
        }
        other => {
            let Some(attribute) = unseen::attribute(other) else {
                let message = format!("unknown attribute `{other}`");
                problems.push(origin.at(key.at).error(message));
                return None;
            };
            if attribute == UnseenAttribute::RemoteIp {
                let both = [&values, &not_values].into_iter().flatten();
                for item in both.flat_map(|list| &list.value) {
                    if let Err(message) = Block::try_from(item.value.clone()) {
                        problems.push(origin.at(item.at).error(message));
                    }
                }
            }
            let values = strings(problems, values, not_values);
            PolicyCondition::Unseen(UnseenCondition { key: other.to_owned(), attribute, values })
        }
    })
}

/// The fields that are there.
fn asked<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
}

/// The items of a list that is not empty.
fn some<T>(
    name: &str,
    list: Listed<T>,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Vec<Spanned<T>> {
    let Some(Spanned { value, at }) = list else { return Vec::new() };
    if value.is_empty() && !name.starts_with("not") {
        let problem =
            origin.at(at).error(format!("`{name}` is empty: it would hold for everything"));
        problems.push(problem.with_fix("leave it out, or say what is meant"));
    }
    value
}

/// Texts that say something.
fn texts(
    name: &str,
    list: Listed<String>,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let items = some(name, list, origin, problems);
    for item in items.iter().filter(|item| item.value.is_empty()) {
        problems.push(origin.at(item.at).error(format!("an empty text in `{name}`")));
    }
    items.into_iter().map(|item| item.value).collect()
}

/// Texts that mean something else.
fn read<T: TryFrom<String, Error = String>, U>(
    list: Listed<String>,
    name: &str,
    value: impl Fn(T) -> U,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Vec<U> {
    let mut all = Vec::new();
    for Spanned { value: text, at } in some(name, list, origin, problems) {
        match T::try_from(text) {
            Ok(one) => all.push(value(one)),
            Err(message) => problems.push(origin.at(at).error(message)),
        }
    }
    all
}
