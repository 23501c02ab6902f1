//! For whom rules are: the pods of an engine, by what rules ask of their labels.
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
};
use culvert_model::name::ServiceName;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU16,
};

/// Pods that all rules take for the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    /// Empty for those of whom nothing is asked.
    pub(super) name: String,
    /// Which of the selectors they have.
    holds: BTreeSet<Labels>,
    /// None: everybody else.
    pub(super) sources: Vec<IpAddr>,
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
    let mut asked = BTreeSet::new();
    let mut ask = |clients: &'_ Clients| {
        if clients.may_be_of(&place.0) && !clients.labels.is_empty() {
            asked.insert(clients.labels.clone());
        }
    };
    for plan in plans {
        askers(plan).for_each(&mut ask);
        let reached = plan.backends().into_iter().filter_map(|to| reader.service_plan(to));
        let all = reached.chain([*plan]).flat_map(|plan| &plan.traffic);
        all.for_each(|traffic| ask(&traffic.clients));
    }
    let mut found: BTreeMap<BTreeSet<Labels>, Vec<IpAddr>> = BTreeMap::new();
    if !asked.is_empty() {
        for pod in reader.pods(place) {
            let holds = asked.iter().filter(|labels| pod.has(labels));
            let holds: BTreeSet<Labels> = holds.cloned().collect();
            if !holds.is_empty() {
                found.entry(holds).or_default().extend(pod.member.addresses.iter().copied());
            }
        }
    }
    let class = |(holds, mut sources): (BTreeSet<Labels>, Vec<IpAddr>)| {
        sources.sort_unstable();
        sources.dedup();
        Class { name: called(&holds), holds, sources }
    };
    let all = found.into_iter().map(class).filter(|class| !class.sources.is_empty());
    all.chain([Class::default()]).collect()
}

/// `app=web,version=v1;app=web`
fn called(holds: &BTreeSet<Labels>) -> String {
    let all: Vec<String> = holds.iter().map(names::labels).collect();
    all.join(";")
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
