//! What no single field of a rule shows.
//!
//! An empty list of what must be met would be met by everything: it is refused, since whoever wrote
//! it meant something.
use super::{
    Both, PolicyCondition, PolicyOperation, PolicyRule, PolicySource,
    raw::{Listed, RawOperation, RawRule, RawSource, RawWhen},
};
use crate::{
    object::{
        port::{Block, PortText},
        spanned::Spanned,
    },
    problem::{Origin, Problem},
};

/// Attributes that only L7 sees; with `[` at the end, those that begin so.
const UNSEEN: [&str; 9] = [
    "request.headers[",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "request.auth.claims[",
    "remote.ip",
    "connection.sni",
    "source.trustDomain",
    "experimental.envoy.filters.",
];

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
    let mut unseen = Vec::new();
    let mut see_not = |name, list: Listed<String>, problems: &mut Vec<Problem>| {
        if list.is_some() {
            texts(name, list, origin, problems);
            unseen.push(name);
        }
    };
    see_not("requestPrincipals", raw.request_principals, problems);
    see_not("notRequestPrincipals", raw.not_request_principals, problems);
    see_not("trustDomains", raw.trust_domains, problems);
    see_not("notTrustDomains", raw.not_trust_domains, problems);
    for (name, list) in
        [("remoteIpBlocks", raw.remote_ip_blocks), ("notRemoteIpBlocks", raw.not_remote_ip_blocks)]
    {
        if list.is_some() {
            some(name, list, origin, problems);
            unseen.push(name);
        }
    }
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
        unseen,
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
    let mut unseen = Vec::new();
    for (name, list) in [
        ("hosts", raw.hosts),
        ("notHosts", raw.not_hosts),
        ("methods", raw.methods),
        ("notMethods", raw.not_methods),
        ("paths", raw.paths),
        ("notPaths", raw.not_paths),
    ] {
        if list.is_some() {
            texts(name, list, origin, problems);
            unseen.push(name);
        }
    }
    let mut ports = |name, list: Listed<PortText>| {
        some(name, list, origin, problems).into_iter().map(|port| port.value.0).collect()
    };
    let (is, is_not) = (ports("ports", raw.ports), ports("notPorts", raw.not_ports));
    let operation = PolicyOperation { ports: Both { is, is_not }, unseen };
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
            strings(problems, values, not_values);
            let known = |name: &&str| match name.ends_with(['[', '.']) {
                true => other.starts_with(*name),
                false => other == *name,
            };
            if !UNSEEN.iter().any(known) {
                let message = format!("unknown attribute `{other}`");
                problems.push(origin.at(key.at).error(message));
                return None;
            }
            PolicyCondition::Unseen(other.to_owned())
        }
    })
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
