//! Who may do what.
use std::{fmt, net::SocketAddr, sync::Arc};

use culvert_model::http::{
    matcher::{HeaderMatch, StringMatch},
    rbac::{Action, Engine, Permission, Policies, Policy, Principal},
};
use ipnet::IpNet;

use super::{
    facts::{Asking, Connection},
    field,
    tree::{self, Seen},
};

/// An engine's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// The policy that matched.
    pub policy: Option<Arc<str>>,
    /// Whether access logs are to mark it (`access_log_hint`).
    pub logged: Option<bool>,
}

/// A policy that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    pub policy: &'a str,
    /// The first permission that is for what is done.
    pub permission: Option<usize>,
    /// The first principal that is for who does it; asked only where there is a permission.
    pub principal: Option<usize>,
}

/// Asks an engine about a request, or (without one) a connection.
///
/// ALLOW allows only what a policy matches, DENY everything else; a tree denies what it leads
/// nowhere.
#[must_use]
pub fn decide(engine: &Engine, seen: &Seen<'_>) -> Decision {
    match engine {
        Engine::Policies(rules) => by_policies(rules, seen),
        Engine::Tree(tree) => match tree::walk(tree, seen) {
            None => Decision { allowed: false, policy: None, logged: None },
            Some(verdict) => Decision {
                allowed: verdict.action != Action::Deny,
                policy: Some(Arc::clone(&verdict.name)),
                logged: (verdict.action == Action::Log).then_some(true),
            },
        },
    }
}

fn by_policies(rules: &Policies, seen: &Seen<'_>) -> Decision {
    let found = rules.policies.iter().find(|(name, policy)| Step::of(name, policy, seen).held());
    let policy = found.map(|(name, _)| Arc::clone(name));
    let matched = policy.is_some();
    match rules.action {
        Action::Allow => Decision { allowed: matched, policy, logged: None },
        Action::Deny => Decision { allowed: !matched, policy, logged: None },
        Action::Log => Decision { allowed: true, policy, logged: Some(matched) },
    }
}

/// The same, told for people: every policy that was asked, to the first that matches.
#[must_use]
pub fn explain<'a>(rules: &'a Policies, seen: &Seen<'_>) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for (name, policy) in &rules.policies {
        let step = Step::of(name, policy, seen);
        steps.push(step);
        if step.held() {
            break;
        }
    }
    steps
}

impl<'a> Step<'a> {
    fn of(name: &'a str, policy: &Policy, seen: &Seen<'_>) -> Self {
        let permission = policy.permissions.iter().position(|one| permits(one, seen));
        let principal =
            permission.and_then(|_| policy.principals.iter().position(|one| is(one, seen)));
        Self { policy: name, permission, principal }
    }

    /// Whether the policy matches.
    #[must_use]
    pub const fn held(&self) -> bool {
        self.permission.is_some() && self.principal.is_some()
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, permission, principal } = self;
        match (permission, principal) {
            (None, _) => write!(f, "policy {policy}: no permission is for what is done"),
            (Some(what), None) => {
                write!(
                    f,
                    "policy {policy}: permission {what} is, and no principal is for who does it"
                )
            }
            (Some(what), Some(who)) => {
                write!(f, "policy {policy}: permission {what} and principal {who} match")
            }
        }
    }
}

fn permits(permission: &Permission, seen: &Seen<'_>) -> bool {
    let local = seen.connection.local;
    match permission {
        Permission::Any => true,
        Permission::And(all) => all.iter().all(|one| permits(one, seen)),
        Permission::Or(any) => any.iter().any(|one| permits(one, seen)),
        Permission::Not(one) => !permits(one, seen),
        Permission::Header(wanted) => header(wanted, seen.asking),
        Permission::UrlPath(wanted) => url_path(wanted, seen.asking),
        Permission::DestinationIp(network) => inside(network, local),
        Permission::DestinationPort(port) => local.is_some_and(|local| local.port() == *port),
        Permission::DestinationPorts(ports) => {
            local.is_some_and(|local| ports.contains(&u32::from(local.port())))
        }
        Permission::Metadata(wanted) => {
            seen.asking.is_some_and(|asking| wanted.matches(asking.metadata))
        }
        Permission::ServerName(wanted) => wanted.matches(seen.connection.server_name.as_bytes()),
        Permission::Matcher(predicate) => tree::holds(predicate, seen),
    }
}

fn is(principal: &Principal, seen: &Seen<'_>) -> bool {
    let connection = seen.connection;
    match principal {
        Principal::Any => true,
        Principal::And(all) => all.iter().all(|one| is(one, seen)),
        Principal::Or(any) => any.iter().any(|one| is(one, seen)),
        Principal::Not(one) => !is(one, seen),
        Principal::Authenticated(wanted) => authenticated(wanted.as_ref(), connection),
        Principal::SourceIp(network) => inside(network, connection.source.or(connection.remote)),
        Principal::DirectRemoteIp(network) => inside(network, connection.direct_remote),
        Principal::RemoteIp(network) => inside(network, connection.remote),
        Principal::Header(wanted) => header(wanted, seen.asking),
        Principal::UrlPath(wanted) => url_path(wanted, seen.asking),
        Principal::Metadata(wanted) => {
            seen.asking.is_some_and(|asking| wanted.matches(asking.metadata))
        }
        Principal::FilterState(key, wanted) => {
            let value = seen.state.0.get(key);
            value.is_some_and(|value| wanted.matches(value.as_bytes()))
        }
        Principal::Matcher(predicate) => tree::holds(predicate, seen),
    }
}

fn header(wanted: &HeaderMatch, asking: Option<&Asking<'_>>) -> bool {
    asking.is_some_and(|asking| field::matches(wanted, &asking.head))
}

fn url_path(wanted: &StringMatch, asking: Option<&Asking<'_>>) -> bool {
    let path = asking.map(|asking| asking.head.bare_path()).filter(|path| !path.is_empty());
    path.is_some_and(|path| wanted.matches(path.as_bytes()))
}

fn inside(network: &IpNet, address: Option<SocketAddr>) -> bool {
    address.is_some_and(|address| network.contains(&address.ip().to_canonical()))
}

/// Over TLS; with a URI name that is wanted, or a DNS name, or such a subject.
fn authenticated(wanted: Option<&StringMatch>, connection: &Connection) -> bool {
    let Some(tls) = connection.tls.as_deref() else { return false };
    let Some(wanted) = wanted else { return true };
    let Some(peer) = tls.peer.as_deref() else { return wanted.matches(b"") };
    let mut names = peer.uris.iter().chain(peer.names.iter());
    names.any(|name| wanted.matches(name.as_bytes())) || wanted.matches(peer.subject.as_bytes())
}

#[cfg(test)]
mod tests;
