//! For whom rules are: the pods of an engine, by what rules ask of their labels and addresses, and
//! strangers, by their addresses.
use super::{
    super::plan::{
        Clients, Labels, Routing, Rules, ServicePlan,
        matching::HttpMatch,
        rule::HttpRule,
        stream::{StreamMatch, TcpRule, TlsRule},
        traffic::{Traffic, TrafficPolicy},
    },
    names,
    reader::Reader,
    scene::Place,
    words::range,
};
use culvert_model::name::ServiceName;
use culvert_proto::api::envoy::config::listener::v3::FilterChainMatch;
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU16,
};

/// Clients that all rules take for the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    /// Empty for those of whom nothing is asked.
    pub(super) name: String,
    /// Which of the selectors they have.
    holds: BTreeSet<Labels>,
    /// Of the ranges that are asked about, all that they are in.
    within: BTreeSet<IpNet>,
    /// None: everybody else.
    pub(super) sources: Vec<IpNet>,
}

/// Rules of each kind that are for somebody, on a port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PortRules<'a> {
    pub(super) http: Option<&'a [HttpRule]>,
    pub(super) tls: Option<&'a [TlsRule]>,
    pub(super) tcp: Option<&'a [TcpRule]>,
}

/// The classes of pods of a place, the one of everybody else last; told apart are those whom rules
/// of services take for others, or what is said of how to talk to where those rules lead.
pub(super) fn classes(plans: &[&ServicePlan], place: &Place, reader: &Reader<'_>) -> Vec<Class> {
    let (mut asked, mut asked_of) = (BTreeSet::new(), BTreeSet::new());
    let mut ask = |clients: &'_ Clients| {
        if clients.may_be_of(&place.0) && !clients.labels.is_empty() {
            asked.insert(clients.labels.clone());
        }
    };
    for plan in plans {
        askers(plan).for_each(&mut ask);
        asked_of.extend(subnets(plan, &place.0));
        let reached = plan.backends().into_iter().filter_map(|to| reader.service_plan(to));
        let all = reached.chain([*plan]).flat_map(|plan| &plan.traffic);
        all.for_each(|traffic| ask(&traffic.clients));
    }
    let mut known: BTreeMap<IpNet, BTreeSet<Labels>> = BTreeMap::new();
    if !asked.is_empty() {
        for pod in reader.pods(place) {
            let holds = asked.iter().filter(|labels| pod.has(labels));
            let holds: BTreeSet<Labels> = holds.cloned().collect();
            if !holds.is_empty() {
                for ip in &pod.member.addresses {
                    known.entry((*ip).into()).or_insert_with(|| holds.clone());
                }
            }
        }
    }
    told_apart(known, &asked_of)
}

/// The same of clients of whom nothing is known but where they are, by what rules say of that.
pub(super) fn strangers(rules: &[TcpRule]) -> Vec<Class> {
    let matches = rules.iter().flat_map(|rule| &rule.matches);
    told_apart(BTreeMap::new(), &matches.filter_map(|one| one.source).collect())
}

/// Whoever connects is of the narrowest range that has him, which is in every other one that has
/// him: of these ranges each has one class.
fn told_apart(mut known: BTreeMap<IpNet, BTreeSet<Labels>>, asked: &BTreeSet<IpNet>) -> Vec<Class> {
    for net in asked {
        known.entry(*net).or_default();
    }
    let mut found: BTreeMap<(BTreeSet<Labels>, BTreeSet<IpNet>), Vec<IpNet>> = BTreeMap::new();
    for (range, holds) in known {
        let within = asked.iter().copied().filter(|net| net.contains(&range)).collect();
        found.entry((holds, within)).or_default().push(range);
    }
    let all = found.into_iter().map(|((holds, within), sources)| {
        let name = called(&holds, &within);
        Class { name, holds, within, sources }
    });
    all.chain([Class::default()]).collect()
}

/// `app=web,version=v1;app=web;10.1.0.0/16`
fn called(holds: &BTreeSet<Labels>, within: &BTreeSet<IpNet>) -> String {
    let narrowest = within.iter().max_by_key(|net| net.prefix_len());
    let all = holds.iter().map(names::labels).chain(narrowest.map(ToString::to_string));
    all.collect::<Vec<_>>().join(";")
}

/// The ranges from which connections are for some rules of a plan, for clients of a namespace.
fn subnets(plan: &ServicePlan, namespace: &str) -> BTreeSet<IpNet> {
    let all = plan.routes.iter().filter(|one| one.clients.may_be_of(namespace));
    let rules = all.filter_map(|one| match &one.rules {
        Rules::Tcp(rules) => Some(rules),
        Rules::Http(_) | Rules::Tls(_) => None,
    });
    let matches = rules.flatten().flat_map(|rule| &rule.matches);
    let here = matches.filter(|one| one.clients.may_be_of(namespace));
    here.filter_map(|one| one.source).collect()
}

/// For whom the rules of a plan are.
fn askers(plan: &ServicePlan) -> impl Iterator<Item = &Clients> {
    plan.routes.iter().flat_map(|Routing { clients, port: _, rules }| {
        let mut found = vec![clients];
        match rules {
            Rules::Http(rules) => {
                let matches = rules.iter().flat_map(|rule| &rule.matches);
                found.extend(matches.map(|one| &one.clients));
            }
            Rules::Tls(rules) => {
                let matches = rules.iter().flat_map(|rule| &rule.matches);
                found.extend(matches.map(|one| &one.clients));
            }
            Rules::Tcp(rules) => {
                let matches = rules.iter().flat_map(|rule| &rule.matches);
                found.extend(matches.map(|one| &one.clients));
            }
        }
        found
    })
}

impl Class {
    pub(super) fn is_among(&self, clients: &Clients, namespace: &str) -> bool {
        let has_labels = clients.labels.is_empty() || self.holds.contains(&clients.labels);
        clients.may_be_of(namespace) && has_labels
    }

    /// Whether they are where a rule wants connections to be from.
    pub(super) fn is_from(&self, one: &StreamMatch) -> bool {
        one.source.is_none_or(|net| self.within.contains(&net))
    }

    /// A chain's match, for their connections.
    pub(super) fn when(&self, when: FilterChainMatch) -> FilterChainMatch {
        let source_prefix_ranges = self.sources.iter().copied().map(range).collect();
        FilterChainMatch { source_prefix_ranges, ..when }
    }

    /// What something is called that is theirs.
    pub(super) fn named(&self, name: String) -> String {
        match self.name.as_str() {
            "" => name,
            class => format!("{name}@{class}"),
        }
    }

    pub(super) fn asks(&self, one: &HttpMatch, namespace: &str, port: NonZeroU16) -> bool {
        one.port.is_none_or(|wanted| wanted == port) && self.is_among(&one.clients, namespace)
    }

    /// Whether connections to `door` of this class are among the matches.
    pub(super) fn connects(
        &self,
        matches: &[StreamMatch],
        namespace: &str,
        (ip, port): (Option<IpAddr>, NonZeroU16),
    ) -> bool {
        let fits = |one: &StreamMatch| {
            let is_there = |ip: IpAddr| one.destinations.iter().any(|net| net.contains(&ip));
            one.port.is_none_or(|wanted| wanted == port)
                && (one.destinations.is_empty() || ip.is_some_and(is_there))
                && self.is_from(one)
                && self.is_among(&one.clients, namespace)
        };
        matches.is_empty() || matches.iter().any(fits)
    }

    /// What counts on a port of a service.
    pub(super) fn rules<'a>(
        &self,
        plan: Option<&'a ServicePlan>,
        namespace: &str,
        port: NonZeroU16,
    ) -> PortRules<'a> {
        let mut found = PortRules::default();
        for Routing { clients, port: of, rules } in plan.iter().flat_map(|plan| &plan.routes) {
            if of.is_some_and(|of| of != port) || !self.is_among(clients, namespace) {
                continue;
            }
            match rules {
                Rules::Http(rules) => found.http = found.http.or(Some(rules)),
                Rules::Tls(rules) => found.tls = found.tls.or(Some(rules)),
                Rules::Tcp(rules) => found.tcp = found.tcp.or(Some(rules)),
            }
        }
        found
    }

    /// How they talk to a service.
    pub(super) fn traffic<'a>(
        &self,
        plan: Option<&'a ServicePlan>,
        namespace: &str,
    ) -> Option<&'a Traffic> {
        let mut all = plan.map(|plan| plan.traffic.as_slice()).unwrap_or_default().iter();
        all.find(|one| self.is_among(&one.clients, namespace))
    }

    /// The same of a port, or of a subset; `None`: there is no such subset.
    pub(super) fn policy(
        &self,
        name: &ServiceName,
        subset: Option<&str>,
        port: NonZeroU16,
        (namespace, reader): (&str, &Reader<'_>),
    ) -> Option<TrafficPolicy> {
        match (self.traffic(reader.service_plan(name), namespace), subset) {
            (Some(traffic), subset) => traffic.of(subset, port).cloned(),
            (None, None) => Some(TrafficPolicy::default()),
            (None, Some(_)) => None,
        }
    }
}

/// The ways in which clients of a namespace talk to a service: those of clients with labels, and
/// last what counts for all others, if anything is said.
pub(super) fn ways<'a>(
    plan: Option<&'a ServicePlan>,
    namespace: &str,
) -> (Vec<&'a Traffic>, Option<&'a Traffic>) {
    let mut some: Vec<&Traffic> = Vec::new();
    for one in plan.into_iter().flat_map(|plan| &plan.traffic) {
        if !one.clients.may_be_of(namespace) {
            continue;
        }
        if one.clients.labels.is_empty() {
            return (some, Some(one));
        }
        if some.iter().all(|before| before.clients.labels != one.clients.labels) {
            some.push(one);
        }
    }
    (some, None)
}

/// Whether anything that is asked of a service needs L7 where clients of a namespace are.
pub(super) fn asks(plan: &ServicePlan, namespace: &str) -> bool {
    let routes = plan.routes.iter().any(|one| one.clients.may_be_of(namespace));
    let is_more = |traffic: &Traffic| {
        let subsets = traffic.subsets.values();
        let subsets = subsets.flat_map(|one| one.ports.values().chain([&one.policy]));
        let mut all = traffic.ports.values().chain([&traffic.policy]).chain(subsets);
        traffic.clients.may_be_of(namespace) && all.any(TrafficPolicy::asks)
    };
    routes || plan.traffic.iter().any(is_more)
}
