//! What a gateway is told: listeners with ports of their own.
use super::{
    super::plan::{
        At, Labels,
        gateway::{GatewayPlan, Server, ServerTls, Serves, VirtualHost},
        has_all,
        matching::HttpMatch,
        merged::merged,
        policy::{Applies, Policy},
        stream::{StreamMatch, TcpRule, TlsRule},
    },
    chains::server_name,
    clients::{Class, strangers},
    manager::{self, PLAIN, Routes, Side, Stream, TLS, chain, inspectors},
    names,
    outbound::{Seen, View},
    passed, rbac,
    route::{self, Hosts},
    tls,
    words::{origin, socket},
};
use crate::gateways::labels::usual;
use culvert_model::name::ObjectName;
use culvert_proto::api::envoy::config::{
    core::v3::TrafficDirection,
    listener::v3::{Filter, FilterChain, FilterChainMatch, Listener},
    route::v3::RouteConfiguration,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    mem,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    sync::Arc,
};

/// The listeners of a gateway with these labels, one for each address and port, and their routes.
pub(super) fn listeners(
    name: &ObjectName,
    declared: &Labels,
    view: View<'_>,
) -> (Vec<Listener>, Vec<RouteConfiguration>) {
    let own = view.reader.gateway(name);
    let labels = labels(name, own, declared, view);
    let own = own.map(|own| (own, false));
    let chosen = view.reader.chosen(name, &labels).into_iter().map(|one| (&one.plan, true));
    let mut doors: BTreeMap<(IpAddr, NonZeroU16), (&At, Vec<Here<'_>>)> = BTreeMap::new();
    for (GatewayPlan { at, servers, labels: _ }, is_chosen) in own.into_iter().chain(chosen) {
        for server in servers {
            let ip = server.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            let (_, all) = doors.entry((ip, server.port)).or_insert((at, Vec::new()));
            all.push(Here { server, home: is_chosen.then_some(&name.namespace) });
        }
    }
    let applies = |policy: &&Policy| match &policy.applies {
        Applies::Gateways(names) => names.contains(name),
        // A gateway is a workload like others.
        Applies::Pods(selector) => has_all(&labels, selector),
        Applies::Services(_) => false,
    };
    let policies: Vec<&Policy> = view.reader.policies(&name.namespace).filter(applies).collect();
    // A gateway's clients have no labels that anybody knows, and are where it is.
    let everybody = Class::default();
    let (mut listeners, mut tables) = (Vec::new(), Vec::new());
    for ((ip, port), (at, servers)) in doors {
        let mut made = Made {
            seen: Seen { view, class: &everybody, port },
            policies: &policies,
            prefix: names::listener(ip, port),
            has_tls: servers.iter().any(|here| is_tls(here.server)),
            taken: BTreeSet::new(),
            called: BTreeSet::new(),
            chains: Vec::new(),
            tables: Vec::new(),
        };
        made.plain(&servers);
        for here in &servers {
            made.secured(here);
        }
        let Made { chains, tables: mut more, has_tls, prefix, .. } = made;
        tables.append(&mut more);
        if chains.is_empty() {
            continue;
        }
        listeners.push(Listener {
            name: prefix,
            address: Some(socket(ip, port.get())),
            traffic_direction: TrafficDirection::Outbound.into(),
            listener_filters: inspectors(has_tls, false),
            filter_chains: chains,
            metadata: Some(origin(at)),
            ..Listener::default()
        });
    }
    (listeners, tables)
}

/// A server, and of which namespace its Secrets are if not of that which they name.
struct Here<'a> {
    server: &'a Server,
    home: Option<&'a Arc<str>>,
}

impl Here<'_> {
    fn tls<'a>(&self, tls: &'a ServerTls) -> Cow<'a, ServerTls> {
        self.home.map_or(Cow::Borrowed(tls), |home| Cow::Owned(tls.beside(home)))
    }
}

/// Those that it has by its name, that its object gives it, its pods have, and it says itself.
fn labels(
    name: &ObjectName,
    own: Option<&GatewayPlan>,
    declared: &Labels,
    view: View<'_>,
) -> Labels {
    let mut labels = usual(&name.name);
    labels.extend(own.iter().flat_map(|own| own.labels.clone()));
    labels.extend(view.reader.labels(name));
    labels.extend(declared.clone());
    labels
}

/// One listener, as it is made.
struct Made<'a> {
    seen: Seen<'a>,
    policies: &'a [&'a Policy],
    prefix: String,
    has_tls: bool,
    /// The names that somebody has; empty: every name that nobody else has.
    taken: BTreeSet<String>,
    /// What chains and tables are called.
    called: BTreeSet<String>,
    chains: Vec<FilterChain>,
    tables: Vec<RouteConfiguration>,
}

/// The hosts of all servers for HTTP: rules of several that labels chose are put together, of all
/// others the first have a name.
fn together(servers: &[Here<'_>]) -> Vec<(VirtualHost, bool)> {
    let mut all: Vec<(VirtualHost, bool)> = Vec::new();
    let mut places: BTreeMap<&[Arc<str>], usize> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for Here { server, home } in servers {
        let Serves::Http { hosts, to_https } = &server.serves else { continue };
        for host in hosts {
            let place = places.get(host.domains.as_slice()).filter(|_| home.is_some());
            match place.and_then(|place| Some((*place, all.get_mut(*place)?))) {
                Some((place, (there, is_sent))) => {
                    let new = host.rules.iter().filter(|rule| !there.rules.contains(rule));
                    let new: Vec<_> = new.cloned().collect();
                    there.rules.extend(new);
                    *is_sent |= *to_https;
                    shared.insert(place);
                }
                None => {
                    if home.is_some() {
                        places.insert(&host.domains, all.len());
                    }
                    all.push((host.clone(), *to_https));
                }
            }
        }
    }
    for place in shared {
        if let Some((host, _)) = all.get_mut(place) {
            host.rules = merged(mem::take(&mut host.rules));
        }
    }
    all
}

fn is_tls(server: &Server) -> bool {
    match server.serves {
        Serves::Https { .. }
        | Serves::TlsTerminated { .. }
        | Serves::TlsPassed(_)
        | Serves::TlsByCluster(_) => true,
        Serves::Http { .. } | Serves::Tcp(_) | Serves::Nothing => false,
    }
}

impl Made<'_> {
    /// What is served without TLS: HTTP of all servers together, or else the first that is TCP.
    fn plain(&mut self, servers: &[Here<'_>]) {
        let mut when = FilterChainMatch::default();
        if self.has_tls {
            when.transport_protocol = PLAIN.to_owned();
        }
        let mut hosts = Hosts::default();
        for (host, to_https) in together(servers) {
            self.hosts(&mut hosts, &[host], to_https);
        }
        let mut is_http = false;
        for Here { server, .. } in servers {
            if let Serves::Http { hosts: all, to_https } = &server.serves {
                is_http = true;
                if *to_https && all.is_empty() {
                    let names = server.hosts.iter().map(AsRef::as_ref).chain(["*"]);
                    hosts.add(
                        &format!("to-https.{}", server.name),
                        names.take(server.hosts.len().max(1)),
                        Vec::new(),
                        true,
                    );
                }
            }
        }
        if is_http {
            let name = format!("http.{}", self.prefix);
            let filter = self.manager(&name, hosts);
            self.chains.push(chain(&name, when, vec![filter]));
            return;
        }
        let tcp = servers.iter().find_map(|Here { server, .. }| match &server.serves {
            Serves::Tcp(rules) => Some((*server, rules)),
            Serves::Http { .. }
            | Serves::Https { .. }
            | Serves::TlsTerminated { .. }
            | Serves::TlsPassed(_)
            | Serves::TlsByCluster(_)
            | Serves::Nothing => None,
        });
        if let Some((server, rules)) = tcp {
            for (class, filters) in self.bytes(rules, server.port) {
                let name = class.named(format!("tcp.{}", self.prefix));
                self.chains.push(chain(&name, class.when(when.clone()), filters));
            }
        }
    }

    fn secured(&mut self, here: &Here<'_>) {
        let server = here.server;
        match &server.serves {
            Serves::Http { .. } | Serves::Tcp(_) | Serves::Nothing => {}
            Serves::Https { hosts: all, tls } => {
                let Some(transport) = tls::server(&here.tls(tls), true) else { return };
                let Some(when) = self.claim(&server.hosts) else { return };
                let name = self.call(format!("https.{}.{}", self.prefix, server.name));
                let mut hosts = Hosts::default();
                self.hosts(&mut hosts, all, false);
                let filter = self.manager(&name, hosts);
                let mut made = chain(&name, when, vec![filter]);
                made.transport_socket = Some(transport);
                made.metadata = Some(origin(&server.at));
                self.chains.push(made);
            }
            Serves::TlsTerminated { rules, tls } => {
                let Some(transport) = tls::server(&here.tls(tls), false) else { return };
                let Some(when) = self.claim(&server.hosts) else { return };
                for (class, filters) in self.bytes(rules, server.port) {
                    let name = format!("tls.{}.{}", self.prefix, server.name);
                    let name = self.call(class.named(name));
                    let mut made = chain(&name, class.when(when.clone()), filters);
                    made.transport_socket = Some(transport.clone());
                    made.metadata = Some(origin(&server.at));
                    self.chains.push(made);
                }
            }
            Serves::TlsPassed(rules) => {
                for (index, rule) in rules.iter().enumerate() {
                    self.passed(server, index, rule);
                }
            }
            Serves::TlsByCluster(services) => {
                let names =
                    services.iter().flat_map(|name| passed::asked_for(name, self.seen.view));
                for name in names.collect::<Vec<_>>() {
                    self.by_cluster(server, &name);
                }
            }
        }
    }

    fn by_cluster(&mut self, server: &Server, name: &str) {
        let Some(mut when) = self.claim(&[name.into()]) else { return };
        when.application_protocols = passed::PROTOCOLS.map(str::to_owned).into();
        let called = self.call(format!("sni.{}.{}.{name}", self.prefix, server.name));
        let mut filters = rbac::network(self.policies, &self.prefix);
        let to = Stream { to: vec![(name.to_owned(), 1)], ..Stream::default() };
        filters.push(manager::tcp(name, to));
        let mut made = chain(&called, when, filters);
        made.metadata = Some(origin(&server.at));
        self.chains.push(made);
    }

    fn passed(&mut self, server: &Server, index: usize, rule: &TlsRule) {
        let fits = rule.matches.is_empty()
            || rule.matches.iter().any(|one| self.connects(one, server.port));
        if !fits {
            return;
        }
        let hosts = if rule.hosts.is_empty() { &server.hosts } else { &rule.hosts };
        let Some(when) = self.claim(hosts) else { return };
        let mut filters = rbac::network(self.policies, &self.prefix);
        let to = self.seen.shares(&rule.to, true);
        filters.push(manager::tcp(&self.prefix, to));
        let name = self.call(format!("sni.{}.{}.{index}", self.prefix, server.name));
        let mut made = chain(&name, when, filters);
        made.metadata = Some(origin(&rule.at));
        self.chains.push(made);
    }

    /// The name, or one like it that nothing else has.
    fn call(&mut self, mut name: String) -> String {
        while !self.called.insert(name.clone()) {
            name.push('+');
        }
        name
    }

    /// Takes names that nobody has so far; `None`: there are none left.
    fn claim(&mut self, hosts: &[Arc<str>]) -> Option<FilterChainMatch> {
        let every = hosts.is_empty() || hosts.iter().any(|host| **host == *"*");
        let names = match every {
            true => vec![String::new()],
            false => hosts.iter().filter_map(|host| server_name(host)).collect(),
        };
        let free: Vec<String> =
            names.into_iter().filter(|name| self.taken.insert(name.clone())).collect();
        if free.is_empty() {
            return None;
        }
        Some(FilterChainMatch {
            server_names: free.into_iter().filter(|name| !name.is_empty()).collect(),
            transport_protocol: TLS.to_owned(),
            ..FilterChainMatch::default()
        })
    }

    fn hosts(&self, hosts: &mut Hosts, all: &[VirtualHost], to_https: bool) {
        let Seen { view, class, port } = self.seen;
        let is_for = |one: &HttpMatch| class.asks(one, view.namespace, port);
        for VirtualHost { domains, rules } in all {
            let routes = route::routes(rules, &is_for, &self.seen);
            let domains: Vec<&str> = match domains.is_empty() {
                true => vec!["*"],
                false => domains.iter().map(AsRef::as_ref).collect(),
            };
            let name = format!("{}:{port}", domains.first().copied().unwrap_or("*"));
            hosts.add(&name, domains, routes, to_https);
        }
    }

    fn manager(&mut self, name: &str, hosts: Hosts) -> Filter {
        self.tables.push(hosts.table(name));
        let filters = rbac::http(self.policies);
        manager::http(name, Side::Gateway, Routes::Named(name.to_owned()), filters)
    }

    /// What becomes of bytes, for each class of strangers that rules tell apart.
    fn bytes(&self, rules: &[TcpRule], port: NonZeroU16) -> Vec<(Class, Vec<Filter>)> {
        let of = |class: Class| {
            let is_for = |one: &StreamMatch| self.connects(one, port) && class.is_from(one);
            let fits = |rule: &&TcpRule| rule.matches.is_empty() || rule.matches.iter().any(is_for);
            let to = rules.iter().find(fits).map(|rule| self.seen.shares(&rule.to, false));
            let mut filters = rbac::network(self.policies, &self.prefix);
            filters.push(manager::tcp(&self.prefix, to.unwrap_or_default()));
            (class, filters)
        };
        strangers(rules).into_iter().map(of).collect()
    }

    /// Whether strangers at a port are among those.
    fn connects(&self, one: &StreamMatch, port: NonZeroU16) -> bool {
        let Seen { view, class, .. } = self.seen;
        one.port.is_none_or(|wanted| wanted == port) && class.is_among(&one.clients, view.namespace)
    }
}
