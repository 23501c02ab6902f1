//! What clients of a namespace are told of services: listeners and routes.
use super::{
    super::plan::{
        Rules, ServicePlan,
        forward::{Backend, Share},
        stream::StreamShare,
        traffic::TrafficPolicy,
    },
    Scope,
    action::{Clusters, weights},
    asks,
    chains::Made,
    clients::{self, Class, PortRules},
    cluster::hash,
    manager::{Stream, inspectors},
    may_be_http, names,
    reader::Reader,
    route::{self, Hosts},
    scene::{Door, ServiceFacts},
    tls,
    words::{duration, flag, socket},
};
use culvert_model::{name::ServiceName, service::AppProtocol};
use culvert_proto::api::envoy::config::{
    core::v3::TrafficDirection,
    listener::v3::Listener,
    route::v3::{Route, RouteConfiguration, route_action::HashPolicy},
};
use std::{cell::RefCell, collections::BTreeSet, num::NonZeroU16, sync::Arc, time::Duration};

/// A client that speaks first has said something by then.
const SILENCE: Duration = Duration::from_secs(1);

/// What is looked at, for whom, and what is found to be needed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) namespace: &'a Arc<str>,
    pub(super) node: &'a Arc<str>,
    pub(super) reader: &'a Reader<'a>,
    pub(super) needs: &'a RefCell<Needs>,
}

/// Services whose clusters are named.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) usual: BTreeSet<ServiceName>,
    /// Those for TLS that comes from elsewhere.
    pub(super) passed: BTreeSet<ServiceName>,
}

/// Names clusters for clients who asked for a port.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) view: View<'a>,
    pub(super) class: &'a Class,
    pub(super) port: NonZeroU16,
}

/// Who listens at a door, and what is spoken there.
#[derive(Clone, Copy)]
pub(super) struct Behind<'a> {
    pub(super) facts: &'a ServiceFacts,
    pub(super) plan: Option<&'a ServicePlan>,
    pub(super) protocol: AppProtocol,
    pub(super) port: NonZeroU16,
}

impl<'a> View<'a> {
    pub(super) fn new(scope: &'a Scope, reader: &'a Reader<'a>, needs: &'a RefCell<Needs>) -> Self {
        Self { namespace: &scope.namespace, node: &scope.node, reader, needs }
    }

    fn classes(self, plans: &[&ServicePlan]) -> Vec<Class> {
        clients::classes(plans, &(Arc::clone(self.namespace), Arc::clone(self.node)), self.reader)
    }

    /// A service, if it has the port and is seen.
    fn behind(self, name: &ServiceName, port: NonZeroU16) -> Option<Behind<'a>> {
        let facts = self.reader.service(name)?;
        let port = facts.at_door(port)?;
        let plan = self.reader.service_plan(name);
        let is_seen = facts.service.is_visible_from(self.namespace);
        is_seen.then_some(Behind { facts, plan, protocol: port.protocol, port: port.port })
    }
}

impl Clusters for Seen<'_> {
    fn cluster(&self, backend: &Backend) -> String {
        let Backend { service, port: _, subset } = backend;
        let View { reader, namespace, needs, .. } = self.view;
        needs.borrow_mut().usual.insert(service.clone());
        let shared = reader.is_shared(service, namespace);
        let name = names::outbound(service, self.port_of(backend), subset.as_deref(), shared);
        names::of_clients(name, self.class.traffic(reader.service_plan(service), namespace))
    }

    fn hash(&self, backend: &Backend) -> Vec<HashPolicy> {
        self.policy(backend).as_ref().map(hash).unwrap_or_default()
    }
}

impl Seen<'_> {
    fn port_of(&self, backend: &Backend) -> NonZeroU16 {
        let facts = self.view.reader.service(&backend.service);
        let only = facts.and_then(|facts| match &*facts.service.ports {
            [only] => Some(only.port),
            _ => None,
        });
        backend.port.or(only).unwrap_or(self.port)
    }

    fn policy(&self, backend: &Backend) -> Option<TrafficPolicy> {
        let (name, subset) = (&backend.service, backend.subset.as_deref());
        let View { reader, namespace, .. } = self.view;
        self.class.policy(name, subset, self.port_of(backend), (namespace, reader))
    }

    /// Whether clients may speak TLS to it themselves, though it is spoken for others.
    fn is_twofold(&self, backend: &Backend) -> bool {
        let facts = self.view.reader.service(&backend.service);
        let known = facts.and_then(|facts| facts.port(self.port_of(backend)));
        let policy = self.policy(backend);
        policy.zip(known).is_some_and(|(policy, port)| tls::is_twofold(&policy, port.protocol))
    }

    /// The cluster of connections; `is_tls`: their clients speak it.
    fn cluster_of(&self, backend: &Backend, is_tls: bool) -> String {
        let name = self.cluster(backend);
        if is_tls && self.is_twofold(backend) { names::passed(&name) } else { name }
    }

    /// Where connections go; in a tunnel where it is the same for all shares.
    pub(super) fn shares(&self, to: &[StreamShare], is_tls: bool) -> Stream {
        let tunnel_of = |one: &StreamShare| self.policy(one.to.backend()?)?.tunnel;
        let mut tunnels = to.iter().map(tunnel_of);
        let tunnel = tunnels.next().flatten();
        let is_common = tunnels.all(|one| one == tunnel);
        let names = to.iter().map(|one| match &one.to {
            Share::To(backend) => self.cluster_of(backend, is_tls),
            Share::Nowhere => names::BLACK_HOLE.to_owned(),
        });
        let weights = weights(to.iter().map(|one| one.weight));
        let to = names.zip(weights).filter(|(_, weight)| *weight > 0).collect();
        Stream { to, tunnel: tunnel.filter(|_| is_common), ..Stream::default() }
    }
}

impl<'a> Behind<'a> {
    pub(super) fn seen<'b>(&self, view: View<'b>, class: &'b Class) -> Seen<'b> {
        Seen { view, class, port: self.port }
    }

    pub(super) fn host(&self) -> &'a str {
        &self.facts.service.host.hostname
    }

    pub(super) fn rules(&self, class: &Class, view: View<'_>) -> PortRules<'a> {
        class.rules(self.plan, view.namespace, self.port)
    }

    /// Itself, as somewhere to go to.
    pub(super) fn backend(&self) -> Backend {
        let service = self.facts.service.host.clone();
        Backend { service, port: Some(self.port), subset: None }
    }

    /// Where connections go that no rule is for; `is_tls`: their clients speak it.
    pub(super) fn own_cluster(&self, seen: &Seen<'_>, is_tls: bool) -> String {
        match self.facts.is_headless() {
            // To the endpoint that was meant, not to any.
            true => names::PASSTHROUGH.to_owned(),
            false => seen.cluster_of(&self.backend(), is_tls),
        }
    }

    /// Whether clients speak TLS or leave it to others.
    pub(super) fn is_twofold(&self, view: View<'_>, class: &Class) -> bool {
        self.seen(view, class).is_twofold(&self.backend())
    }

    fn routes(&self, class: &Class, view: View<'_>) -> Vec<Route> {
        let seen = self.seen(view, class);
        if let Some(rules) = self.rules(class, view).http {
            let is_for = |one: &_| class.asks(one, view.namespace, self.port);
            return route::routes(rules, &is_for, &seen);
        }
        let own = self.backend();
        vec![route::to(&self.own_cluster(&seen, false), true, seen.hash(&own))]
    }
}

/// Where a service is listened for; nowhere, if nothing asks for L7.
pub(super) fn open(name: &ServiceName, scope: &Scope, reader: &Reader<'_>) -> BTreeSet<Door> {
    let Some(facts) = reader.service(name) else { return BTreeSet::new() };
    match asks::must(facts, reader.service_plan(name), &scope.namespace) {
        true => reader.doors(name),
        false => BTreeSet::new(),
    }
}

/// The routes of one service: those of each port that may be HTTP, for each class of clients.
pub(super) fn routes(facts: &ServiceFacts, view: View<'_>) -> Vec<RouteConfiguration> {
    let plan = view.reader.service_plan(&facts.service.host);
    let plans: Vec<&ServicePlan> = plan.into_iter().collect();
    let classes = view.classes(&plans);
    let mut tables = Vec::new();
    for port in facts.service.ports.iter().filter(|port| may_be_http(port.protocol)) {
        let behind = Behind { facts, plan, protocol: port.protocol, port: port.port };
        for class in &classes {
            let name = names::routes(behind.host(), port.port, &class.name);
            let mut hosts = Hosts::default();
            hosts.add(&name, ["*"], behind.routes(class, view), false);
            tables.push(hosts.table(&name));
        }
    }
    tables
}

/// The listener of a door, and its routes where several services share it.
pub(super) fn listener(door: Door, view: View<'_>) -> Option<(Listener, Vec<RouteConfiguration>)> {
    let (ip, number) = door;
    let behind: Vec<Behind<'_>> =
        view.reader.behind(door).filter_map(|name| view.behind(name, number)).collect();
    let plans: Vec<&ServicePlan> = behind.iter().filter_map(|one| one.plan).collect();
    let labelled = behind.iter().any(|one| one.facts.labelled);
    let asked = plans.iter().any(|plan| clients::asks(plan, view.namespace));
    let first = behind.first().filter(|_| labelled || asked)?;
    let classes = view.classes(&plans);
    let name = names::listener(ip, number);
    let table = |class: &Class| match behind.len() {
        1 => names::routes(first.host(), first.port, &class.name),
        _ => names::routes(&ip.to_string(), number, &class.name),
    };
    let mut made = Made::new(ip, &name, &behind, &classes, view);
    let mut tables = Vec::new();
    for class in &classes {
        made.class(class, &table(class));
        if behind.len() > 1 && behind.iter().any(|one| may_be_http(one.protocol)) {
            tables.push(shared_table(&table(class), &behind, class, view));
        }
    }
    let detects = behind.iter().any(|one| one.protocol == AppProtocol::Unknown);
    let of_class = |class| behind.iter().any(|one| one.is_twofold(view, class));
    let is_twofold = classes.iter().any(of_class);
    let (has_names, chains, last) = made.done();
    let listener = Listener {
        address: Some(socket(ip, number.get())),
        bind_to_port: Some(flag(false)),
        traffic_direction: TrafficDirection::Outbound.into(),
        listener_filters: inspectors(detects || has_names || is_twofold, detects),
        listener_filters_timeout: (detects || is_twofold).then(|| duration(patience(&behind))),
        continue_on_listener_filters_timeout: detects || is_twofold,
        filter_chains: chains,
        default_filter_chain: last,
        name,
        ..Listener::default()
    };
    Some((listener, tables))
}

/// How long a client's first word is waited for; zero: as long as it takes.
///
/// Where rules are for what it may be, it is theirs. Elsewhere it may be the server that speaks first:
/// after a moment of silence bytes are passed on as they come.
fn patience(behind: &[Behind<'_>]) -> Duration {
    let is_for_words = |one: &Behind<'_>| {
        let routes = one.plan.map(|plan| &*plan.routes).unwrap_or_default();
        let is_told = routes.iter().any(|one| !matches!(one.rules, Rules::Tcp(_)));
        one.protocol == AppProtocol::Unknown && is_told
    };
    if behind.iter().any(is_for_words) { Duration::ZERO } else { SILENCE }
}

/// Routes of several services at one door: by their hosts, and the first for what names none.
fn shared_table(
    name: &str,
    behind: &[Behind<'_>],
    class: &Class,
    view: View<'_>,
) -> RouteConfiguration {
    let mut hosts = Hosts::default();
    let all = || behind.iter().filter(|one| may_be_http(one.protocol));
    for one in all() {
        hosts.add(one.host(), [one.host()], one.routes(class, view), false);
    }
    if let Some(first) = all().next() {
        hosts.add("*", ["*"], first.routes(class, view), false);
    }
    hosts.table(name)
}
