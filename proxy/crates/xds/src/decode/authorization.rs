//! Policies off the wire.
use super::{DecodeError, Problem, at, each, known, net};
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Origin, Rule, Scope,
        set::{Account, Condition, StringMatch},
    },
    name::ObjectName,
};
use culvert_proto::istio::security as pb;
use ipnet::IpNet;

/// Turns a policy off the wire into one that can be asked.
///
/// # Errors
///
/// On anything not understood: half a policy lets in whom the whole keeps out.
pub fn decode(
    message: pb::Authorization,
    origin: Option<Origin>,
) -> Result<Authorization, DecodeError> {
    let pb::Authorization { name, namespace, scope, action, rules, dry_run, extensions } = message;
    if !extensions.is_empty() {
        return Err(at("extensions", Problem::Unsupported));
    }
    for (field, value) in [("name", &name), ("namespace", &namespace)] {
        if value.is_empty() {
            return Err(at(field, Problem::Empty));
        }
    }
    Ok(Authorization {
        name: ObjectName::new(namespace, name),
        scope: decode_scope(scope)?,
        action: match known("action", action)? {
            pb::Action::Allow => Action::Allow,
            pb::Action::Deny => Action::Deny,
        },
        dry_run,
        rules: each("rules", rules, decode_rule)?,
        origin,
    })
}

/// What stands for a refused policy that was never held: denies wherever the policy may have
/// spoken.
///
/// `None` where nothing need stand for it: it was only to be logged, or it speaks only of
/// workloads that name it, and these let nothing pass while a policy they name is not known.
/// `message` is `None` when it could not even be read.
#[must_use]
pub fn stand_in(name: &ObjectName, message: Option<&pb::Authorization>) -> Option<Authorization> {
    let scope = match message {
        Some(message) if message.dry_run => return None,
        // Of an unknown scope it may have spoken of all.
        Some(message) => decode_scope(message.scope).unwrap_or(Scope::Global),
        None => Scope::Global,
    };
    matches!(scope, Scope::Global | Scope::Namespace).then(|| Authorization {
        name: name.clone(),
        scope,
        action: Action::Deny,
        dry_run: false,
        rules: [Rule::default()].into(),
        origin: None,
    })
}

fn decode_scope(scope: i32) -> Result<Scope, DecodeError> {
    Ok(match known("scope", scope)? {
        pb::Scope::Global => Scope::Global,
        pb::Scope::Namespace => Scope::Namespace,
        pb::Scope::WorkloadSelector => Scope::Selector,
    })
}

fn decode_rule(pb::Rule { clauses }: pb::Rule) -> Result<Rule, DecodeError> {
    Ok(Rule { clauses: each("clauses", clauses, decode_clause)? })
}

fn decode_clause(pb::Clause { matches }: pb::Clause) -> Result<Clause, DecodeError> {
    Ok(Clause { matches: each("matches", matches, decode_match)? })
}

fn decode_match(message: pb::Match) -> Result<Match, DecodeError> {
    let pb::Match {
        namespaces,
        not_namespaces,
        principals,
        not_principals,
        source_ips,
        not_source_ips,
        destination_ips,
        not_destination_ips,
        destination_ports,
        not_destination_ports,
        service_accounts,
        not_service_accounts,
        extensions,
    } = message;
    if !extensions.is_empty() {
        return Err(at("extensions", Problem::Unsupported));
    }
    Ok(Match {
        namespaces: Condition {
            is: each("namespaces", namespaces, decode_string)?,
            is_not: each("not_namespaces", not_namespaces, decode_string)?,
        },
        service_accounts: Condition {
            is: each("service_accounts", service_accounts, decode_account)?,
            is_not: each("not_service_accounts", not_service_accounts, decode_account)?,
        },
        principals: Condition {
            is: each("principals", principals, decode_string)?,
            is_not: each("not_principals", not_principals, decode_string)?,
        },
        source_ips: Condition {
            is: each("source_ips", source_ips, decode_network)?,
            is_not: each("not_source_ips", not_source_ips, decode_network)?,
        },
        destination_ips: Condition {
            is: each("destination_ips", destination_ips, decode_network)?,
            is_not: each("not_destination_ips", not_destination_ips, decode_network)?,
        },
        destination_ports: Condition {
            is: each("destination_ports", destination_ports, decode_port)?,
            is_not: each("not_destination_ports", not_destination_ports, decode_port)?,
        },
    })
}

fn decode_string(message: pb::StringMatch) -> Result<StringMatch, DecodeError> {
    use pb::string_match::MatchType;
    let pb::StringMatch { match_type } = message;
    Ok(match match_type.ok_or_else(|| at("match_type", Problem::Missing))? {
        MatchType::Exact(s) => StringMatch::Exact(s.into()),
        MatchType::Prefix(s) => StringMatch::Prefix(s.into()),
        MatchType::Suffix(s) => StringMatch::Suffix(s.into()),
        MatchType::Presence(()) => StringMatch::Presence,
    })
}

fn decode_account(message: pb::ServiceAccountMatch) -> Result<Account, DecodeError> {
    let pb::ServiceAccountMatch { namespace, service_account } = message;
    for (field, value) in [("namespace", &namespace), ("service_account", &service_account)] {
        if value.is_empty() {
            return Err(at(field, Problem::Empty));
        }
    }
    Ok(Account { namespace: namespace.into(), service_account: service_account.into() })
}

fn decode_network(pb::Address { address, length }: pb::Address) -> Result<IpNet, DecodeError> {
    net(&address, Some(length)).map_err(DecodeError::whole)
}

fn decode_port(port: u32) -> Result<u16, DecodeError> {
    u16::try_from(port).map_err(|_large| DecodeError::whole(Problem::Port(port)))
}
