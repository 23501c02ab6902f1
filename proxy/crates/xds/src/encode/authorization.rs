//! Policies on their way to the wire.
use super::net;
use culvert_model::authz::{
    Action, Authorization, Clause, Match, Rule, Scope,
    set::{Account, Accounts, Networks, Ports, StringMatch, Strings},
};
use culvert_proto::istio::security as pb;

/// Its origin travels beside it, not in it.
#[must_use]
pub fn encode(policy: &Authorization) -> pb::Authorization {
    let Authorization { name, scope, action, dry_run, rules, origin: _ } = policy;
    let scope = match scope {
        Scope::Global => pb::Scope::Global,
        Scope::Namespace => pb::Scope::Namespace,
        Scope::Selector => pb::Scope::WorkloadSelector,
    };
    let action = match action {
        Action::Allow => pb::Action::Allow,
        Action::Deny => pb::Action::Deny,
    };
    pb::Authorization {
        name: (*name.name).into(),
        namespace: (*name.namespace).into(),
        scope: scope.into(),
        action: action.into(),
        rules: rules.iter().map(encode_rule).collect(),
        dry_run: *dry_run,
        extensions: Vec::new(),
    }
}

fn encode_rule(Rule { clauses }: &Rule) -> pb::Rule {
    pb::Rule { clauses: clauses.iter().map(encode_clause).collect() }
}

fn encode_clause(Clause { matches }: &Clause) -> pb::Clause {
    pb::Clause { matches: matches.iter().map(encode_match).collect() }
}

fn encode_match(one: &Match) -> pb::Match {
    let Match {
        namespaces,
        service_accounts,
        principals,
        source_ips,
        destination_ips,
        destination_ports,
    } = one;
    pb::Match {
        namespaces: encode_strings(&namespaces.is),
        not_namespaces: encode_strings(&namespaces.is_not),
        principals: encode_strings(&principals.is),
        not_principals: encode_strings(&principals.is_not),
        source_ips: encode_networks(&source_ips.is),
        not_source_ips: encode_networks(&source_ips.is_not),
        destination_ips: encode_networks(&destination_ips.is),
        not_destination_ips: encode_networks(&destination_ips.is_not),
        destination_ports: encode_ports(&destination_ports.is),
        not_destination_ports: encode_ports(&destination_ports.is_not),
        service_accounts: encode_accounts(&service_accounts.is),
        not_service_accounts: encode_accounts(&service_accounts.is_not),
        extensions: Vec::new(),
    }
}

fn encode_strings(strings: &Strings) -> Vec<pb::StringMatch> {
    use pb::string_match::MatchType;
    let encode = |one| match one {
        StringMatch::Exact(s) => MatchType::Exact((*s).into()),
        StringMatch::Prefix(s) => MatchType::Prefix((*s).into()),
        StringMatch::Suffix(s) => MatchType::Suffix((*s).into()),
        StringMatch::Presence => MatchType::Presence(()),
    };
    strings.iter().map(|one| pb::StringMatch { match_type: Some(encode(one)) }).collect()
}

fn encode_accounts(accounts: &Accounts) -> Vec<pb::ServiceAccountMatch> {
    (accounts.iter())
        .map(|Account { namespace, service_account }| pb::ServiceAccountMatch {
            namespace: (**namespace).into(),
            service_account: (**service_account).into(),
        })
        .collect()
}

fn encode_networks(networks: &Networks) -> Vec<pb::Address> {
    (networks.iter())
        .map(|network| {
            let (address, length) = net(network);
            pb::Address { address: address.into(), length }
        })
        .collect()
}

fn encode_ports(ports: &Ports) -> Vec<u32> {
    ports.iter().map(u32::from).collect()
}
