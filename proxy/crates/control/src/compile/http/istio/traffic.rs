//! How services are talked to.
//!
//! For a client counts what its own namespace says of a service, then what the service's says,
//! then what the root says; in each, who says the host most exactly. Rules of one namespace for
//! one host are one: their subsets are put together, and of the rest the oldest counts.
use super::{
    Objects, ascribe, at,
    hosts::{clients, full_pattern, generality},
    policy::{Level, ports},
};
use crate::{
    compile::http::plan::{
        Clients,
        traffic::{Subset, Traffic, TrafficPolicy},
    },
    object::{
        istio::{destination_rule::DestinationRule, domain::HostPattern},
        spanned::Spanned,
    },
    problem::Problem,
};
use culvert_model::name::ServiceName;
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

/// Rules of one namespace, for one host and the same clients: the oldest first.
struct Group<'a> {
    host: HostPattern,
    rules: Vec<&'a DestinationRule>,
}

/// Where a rule of somebody counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Client,
    Service,
    Root,
}

/// The traffic of every service that some rule speaks of, in the order in which it counts.
pub(super) fn of_services(
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> BTreeMap<ServiceName, Vec<Traffic>> {
    let mut services: BTreeMap<ServiceName, Vec<_>> = BTreeMap::new();
    for (age, group) in groups(objects).iter().enumerate() {
        let Some(first) = group.rules.first() else { continue };
        let own = &*first.meta.name.namespace;
        let selector = first.selector.clone().unwrap_or_default();
        let shown = clients(&first.export_to, own);
        let traffic = traffic(&group.rules, notes);
        for name in objects.covered(&group.host) {
            let mut add = |whose, clients: Clients| {
                let rank = (whose, generality(&group.host), selector.is_empty(), age);
                let traffic = Traffic { clients, ..traffic.clone() };
                services.entry(name.clone()).or_default().push((rank, traffic));
            };
            let is_own = shown.as_ref().is_some_and(|shown| shown.may_be_of(own));
            // Labels are those of pods of the rule's namespace, whomever it is shown to.
            if !selector.is_empty() || is_own && own != objects.root {
                let labels = selector.clone();
                add(Whose::Client, Clients { labels, ..Clients::of(own) });
            }
            let Some(shown) = shown.clone().filter(|_| selector.is_empty()) else { continue };
            if *name.namespace == *own {
                add(Whose::Service, shown.clone());
            }
            if own == objects.root {
                add(Whose::Root, shown);
            }
        }
    }
    let ordered = |(name, mut all): (ServiceName, Vec<(_, Traffic)>)| {
        all.sort_by(|(a, _), (b, _)| Ord::cmp(a, b));
        (name, all.into_iter().map(|(_, traffic)| traffic).collect())
    };
    services.into_iter().map(ordered).collect()
}

fn groups<'a>(objects: &Objects<'a>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places = BTreeMap::new();
    for rule in &objects.destination_rules {
        let own = &rule.meta.name.namespace;
        let host = full_pattern(&rule.host.value, own);
        let key = (own, host.as_str().to_owned(), &rule.selector, exported(rule));
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.rules.push(rule),
            None => groups.push(Group { host, rules: vec![rule] }),
        }
    }
    groups
}

fn exported(rule: &DestinationRule) -> Vec<&crate::object::istio::domain::ExportTo> {
    let mut all: Vec<_> = rule.export_to.iter().map(|one| &one.value).collect();
    all.sort();
    all
}

/// What rules say together; the oldest first.
fn traffic(rules: &[&DestinationRule], notes: &mut Vec<Problem>) -> Traffic {
    let oldest = rules.first().expect("a group has a rule");
    // The oldest that says anything of the service says all of it.
    let speaker = rules.iter().find(|rule| rule.policy.is_some()).unwrap_or(oldest);
    let policy = speaker.policy.as_ref().map(|policy| &policy.value);
    let level = policy.map(Level::of).unwrap_or_default();
    let service_ports = policy.map(ports).unwrap_or_default();
    let read = |levels: &BTreeMap<NonZeroU16, Level<'_>>, notes: &mut Vec<Problem>| {
        let all = levels.iter().map(|(port, level)| (*port, level.read(&speaker.meta, notes)));
        all.collect::<BTreeMap<NonZeroU16, TrafficPolicy>>()
    };
    let mut subsets: BTreeMap<Arc<str>, Subset> = BTreeMap::new();
    for rule in rules {
        for Spanned { value: subset, at } in &rule.subsets {
            let called: Arc<str> = subset.name.value.as_str().into();
            if subsets.contains_key(&called) {
                let told =
                    format!("subset {called} is said by an older rule for this host already");
                notes.push(rule.meta.at(*at).warning(told).with_fix("leave one out"));
                ascribe(notes, "DestinationRule", &rule.meta);
                continue;
            }
            let own = subset.policy.as_ref().map(|policy| &policy.value);
            let own_level = own.map(Level::of).unwrap_or_default();
            let mut levels: BTreeMap<_, _> = (service_ports.iter())
                .map(|(port, service)| (*port, own_level.over(*service)))
                .collect();
            levels.extend(own.map(ports).unwrap_or_default());
            let read_subset = Subset {
                labels: subset.labels.clone(),
                policy: own_level.over(level).read(&rule.meta, notes),
                ports: read(&levels, notes),
            };
            subsets.insert(called, read_subset);
            ascribe(notes, "DestinationRule", &rule.meta);
        }
    }
    let traffic = Traffic {
        at: at("DestinationRule", &speaker.meta),
        clients: Clients::default(),
        policy: level.read(&speaker.meta, notes),
        ports: read(&service_ports, notes),
        subsets,
    };
    ascribe(notes, "DestinationRule", &speaker.meta);
    traffic
}
