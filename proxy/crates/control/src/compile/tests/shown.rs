//! A mesh in a few lines.
use super::{Settings, objects, settings};
use crate::{
    compile::mesh::{Mesh, Offered, Wanted},
    problem::Problem,
};
use culvert_model::{
    authz::{Authorization, Scope},
    locality::{Balance, BalanceMode, HealthPolicy},
    member::{Health, NetworkMode, Tunnel},
    service::{AppProtocol, Families, Port, Service, Visibility},
};
use std::fmt::Write as _;

/// Everything that `text` means, with what is told of it.
pub(super) fn shown(text: &str) -> String {
    compiled(text, true)
}

/// The same where nobody serves L7.
pub(super) fn shown_without_l7(text: &str) -> String {
    compiled(text, false)
}

fn compiled(text: &str, l7: bool) -> String {
    match crate::compile::mesh(&objects(text), &Settings { l7, ..settings() }) {
        Ok(mesh) => show(&mesh),
        Err(problems) => tell(&problems),
    }
}

fn show(mesh: &Mesh) -> String {
    let services = mesh.services.values().map(|offered| service(offered));
    let members = mesh.members.values().map(|wanted| member(wanted));
    let own = mesh.policies.values().filter(|policy| policy.origin.is_some());
    let policies = own.map(|one| policy(one));
    let closing =
        mesh.closing.iter().map(|(name, why)| format!("{name} closes: {}\n", why.because));
    let all: String = services.chain(members).chain(policies).chain(closing).collect();
    all + &tell(&mesh.notes)
}

fn tell(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}\n", problem.in_one_line())).collect()
}

fn service(Offered { service, origin: _ }: &Offered) -> String {
    let Service { host, vips, ports: offered, accepted, balance, families, .. } = service.as_ref();
    let vips: Vec<_> = vips.iter().map(ToString::to_string).collect();
    let mut line = format!("{host} at [{}]", vips.join(" "));
    line += &ports(offered);
    if *families != Families::Automatic {
        write!(line, " {families:?}").unwrap();
    }
    let Balance { preference, mode, health } = balance;
    if *mode != BalanceMode::Anywhere {
        write!(line, " {mode:?} {preference:?}").unwrap();
    }
    if *health != HealthPolicy::OnlyHealthy {
        line += " unhealthy too";
    }
    if service.visibility == Visibility::Namespace {
        line += " private";
    }
    if !accepted.is_empty() {
        write!(line, " accepts {accepted:?}").unwrap();
    }
    if service.canonical { line + " canonical\n" } else { line + "\n" }
}

fn ports(ports: &[Port]) -> String {
    let show = |port: &Port| {
        let target = port.target.map_or("?".to_owned(), |target| target.to_string());
        let protocol = if port.protocol == AppProtocol::Unknown {
            String::new()
        } else {
            format!(" {:?}", port.protocol)
        };
        format!(" {}->{target}{protocol}", port.port)
    };
    ports.iter().map(show).collect()
}

fn member(wanted: &Wanted) -> String {
    let member = &wanted.member;
    let mut line = format!("  {}", member.uid);
    let ips: Vec<_> = member.addresses.iter().map(ToString::to_string).collect();
    write!(line, " at [{}{}]", ips.join(" "), member.hostname).unwrap();
    if member.identity.service_account() != "default" {
        write!(line, " as {}", member.identity.service_account()).unwrap();
    }
    if !member.network.is_empty() {
        write!(line, " in {}", member.network).unwrap();
    }
    if member.network_mode == NetworkMode::Host {
        line += " shared";
    }
    if member.tunnel == Tunnel::Hbone {
        line += " hbone";
    }
    if wanted.enrolled {
        line += " enrolled";
    }
    if wanted.recorded {
        line += " recorded";
    }
    if member.health == Health::Unhealthy {
        line += " unhealthy";
    }
    if member.capacity != 1 {
        write!(line, " weighs {}", member.capacity).unwrap();
    }
    let place = &member.locality;
    if [&place.region, &place.zone, &place.subzone].iter().any(|part| !part.is_empty()) {
        write!(line, " at {}/{}/{}", place.region, place.zone, place.subzone).unwrap();
    }
    for (name, at) in member.services.iter() {
        write!(line, " | {name}{}", ports(at)).unwrap();
    }
    if !member.policies.is_empty() {
        let names: Vec<_> = member.policies.iter().map(ToString::to_string).collect();
        write!(line, " | policies {}", names.join(" ")).unwrap();
    }
    if !wanted.mtls.is_empty() {
        let names: Vec<_> = wanted.mtls.iter().map(ToString::to_string).collect();
        write!(line, " | mtls {}", names.join(" ")).unwrap();
    }
    line + "\n"
}

fn policy(policy: &Authorization) -> String {
    let scope = match policy.scope {
        Scope::Global => "everywhere",
        Scope::Namespace => "in its namespace",
        Scope::Selector => "where named",
    };
    let dry = if policy.dry_run { ", dry run" } else { "" };
    let mut lines = format!("{} {} {scope}{dry}\n", policy.name, policy.action.as_str());
    for rule in &policy.rules {
        let clauses = rule.clauses.iter().map(|clause| {
            let matches: Vec<_> = clause.matches.iter().map(one).collect();
            format!("({})", matches.join(" or "))
        });
        let clauses: Vec<_> = clauses.collect();
        let shown =
            if clauses.is_empty() { "everything".to_owned() } else { clauses.join(" and ") };
        writeln!(lines, "    {shown}").unwrap();
    }
    lines
}

fn one(one: &culvert_model::authz::Match) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, is_empty: bool, shown: String| {
        if !is_empty {
            parts.push(format!("{name} {shown}"));
        }
    };
    part("namespace", one.namespaces.is_empty(), one.namespaces.to_string());
    part("account", one.service_accounts.is_empty(), one.service_accounts.to_string());
    part("principal", one.principals.is_empty(), one.principals.to_string());
    part("from", one.source_ips.is_empty(), one.source_ips.to_string());
    part("to", one.destination_ips.is_empty(), one.destination_ips.to_string());
    part("port", one.destination_ports.is_empty(), one.destination_ports.to_string());
    if parts.is_empty() { "what L4 cannot see".to_owned() } else { parts.join(", ") }
}
