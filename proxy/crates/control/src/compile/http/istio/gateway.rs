//! Who listens for strangers, and whereto they are led.
use super::{
    Objects, ascribe, at, hosts,
    matching::Place,
    routing::{self, http},
    rule_at, stream, tls,
};
use crate::{
    compile::http::{
        plan::{
            At, Clients, Labels,
            gateway::{Chosen, GatewayPlan, Server, Serves, VirtualHost},
            merged::{merged, unreached},
            rule::HttpRule,
            stream::TcpRule,
        },
        told::named,
    },
    object::{
        istio::{
            domain::{GatewayHost, HostPattern},
            gateway::{self, Gateway, Protocol, tls::ServerTlsMode},
            virtual_service::VirtualService,
        },
        spanned::Spanned,
    },
    problem::{Code, Problem},
};
use culvert_model::name::ServiceName;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the gateways that `gateway` chooses listen on.
pub(super) fn plan(gateway: &Gateway, objects: &Objects<'_>, notes: &mut Vec<Problem>) -> Chosen {
    let own = at("Gateway", &gateway.meta);
    let mut servers = Vec::new();
    for (index, Spanned { value: server, at: mark }) in gateway.servers.iter().enumerate() {
        let at = rule_at(&own, &gateway.meta, index, *mark);
        servers.push(read(gateway, server, at, objects, notes));
        // Before others that are read for the next one have their own to tell.
        ascribe(notes, "Gateway", &gateway.meta);
    }
    let plan = GatewayPlan { at: own, labels: Labels::new(), servers };
    let since = gateway.meta.created.as_deref().map(Arc::from);
    Chosen { labels: gateway.selector.clone(), since, plan }
}

fn read(
    gateway: &Gateway,
    server: &gateway::Server,
    at: At,
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> Server {
    let said = server.name.as_ref().filter(|name| !name.value.is_empty());
    let name = said.unwrap_or(&server.port.value.name);
    let bind = server.bind.as_ref().filter(|bind| !bind.value.is_empty());
    let hosts = server.hosts.value.iter().map(|host| host.value.host.as_str().into());
    let is_socket = bind.is_some_and(|bind| bind.value.starts_with("unix://"));
    if let Some(bind) = bind.filter(|_| is_socket) {
        let note =
            gateway.meta.at(bind.at).warning("sockets in the file system are not listened on");
        notes.push(note.with_fix("nobody listens; write an address, or leave bind out"));
    }
    Server {
        at,
        name: name.value.as_str().into(),
        address: bind.and_then(|bind| bind.value.parse().ok()),
        port: server.port.value.number(),
        hosts: hosts.collect(),
        serves: match is_socket {
            true => Serves::Nothing,
            false => serves(gateway, server, objects, notes),
        },
    }
}

fn serves(
    gateway: &Gateway,
    server: &gateway::Server,
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> Serves {
    let here = Here { gateway, server, objects };
    let protocol = server.port.value.protocol;
    if protocol.is_http() {
        let to_https = server.tls.as_ref().is_some_and(|tls| tls.value.https_redirect);
        return Serves::Http { hosts: here.virtual_hosts(false, notes), to_https };
    }
    let Some(tls) = server.tls.as_ref().filter(|_| protocol.is_tls()) else {
        return Serves::Tcp(here.tcp());
    };
    match tls.value.mode() {
        ServerTlsMode::Passthrough => {
            let within = here.patterns();
            let all = here.services();
            let rules = all.flat_map(|(service, shown)| {
                let mut rules = stream::tls(service, here.place(), objects.hosts, Some(&within));
                rules
                    .iter_mut()
                    .for_each(|rule| limit(&mut rule.matches, &shown, |m| &mut m.clients));
                rules
            });
            Serves::TlsPassed(rules.collect())
        }
        ServerTlsMode::AutoPassthrough => Serves::TlsByCluster(here.inside()),
        ServerTlsMode::Simple
        | ServerTlsMode::Mutual
        | ServerTlsMode::IstioMutual
        | ServerTlsMode::OptionalMutual => match tls::server(tls, &gateway.meta, notes) {
            None => Serves::Nothing,
            Some(tls) if protocol == Protocol::Https => {
                Serves::Https { hosts: here.virtual_hosts(true, notes), tls }
            }
            Some(tls) => Serves::TlsTerminated { rules: here.tcp(), tls },
        },
    }
}

/// A server, and what is around it.
#[derive(Clone, Copy)]
struct Here<'a> {
    gateway: &'a Gateway,
    server: &'a gateway::Server,
    objects: &'a Objects<'a>,
}

impl<'a> Here<'a> {
    fn place(self) -> Place<'a> {
        let name = &self.gateway.meta.name;
        Place::Gateway { namespace: &name.namespace, name: &name.name }
    }

    /// Services with a host of the server's, the oldest first, and to gateways of which namespaces
    /// they are shown.
    fn services(self) -> impl Iterator<Item = (&'a VirtualService, Clients)> {
        self.objects.virtual_services.iter().copied().filter_map(move |service| {
            let own = &*service.meta.name.namespace;
            let shown = hosts::clients(&service.export_to, own)?;
            let is_here = !service.is_delegate()
                && self.place().is_among(&service.gateways, own)
                && !self.domains(service).is_empty();
            is_here.then_some((service, shown))
        })
    }

    /// What a service and the server are both for.
    fn domains(self, service: &VirtualService) -> Vec<Arc<str>> {
        let (own, home) = (&*service.meta.name.namespace, &*self.gateway.meta.name.namespace);
        let mut domains = Vec::new();
        for host in routing::hosts(service) {
            for Spanned { value: GatewayHost { namespaces, host: served }, .. } in
                &self.server.hosts.value
            {
                if !namespaces.include(own, home) || !served.meets(&host) {
                    continue;
                }
                let narrower = if served.covers(host.as_str()) { &host } else { served };
                let narrower: Arc<str> = narrower.as_str().into();
                if !domains.contains(&narrower) {
                    domains.push(narrower);
                }
            }
        }
        domains
    }

    fn patterns(self) -> Vec<HostPattern> {
        self.server.hosts.value.iter().map(|host| host.value.host.clone()).collect()
    }

    /// Services of the mesh with a host of the server's.
    fn inside(self) -> BTreeSet<ServiceName> {
        let home = &*self.gateway.meta.name.namespace;
        let hosts = self.server.hosts.value.iter().map(|host| &host.value);
        let services = hosts.flat_map(|GatewayHost { namespaces, host }| {
            let all = self.objects.hosts.inside(host);
            all.filter(move |name| namespaces.include(&name.namespace, home))
        });
        services.cloned().collect()
    }

    /// Rules by domain: of several services for one, the older ones' come first, and what is for
    /// every request last.
    fn virtual_hosts(self, is_tls: bool, notes: &mut Vec<Problem>) -> Vec<VirtualHost> {
        let mut by_domain: BTreeMap<Arc<str>, Vec<Vec<HttpRule>>> = BTreeMap::new();
        for (service, shown) in self.services() {
            let mut rules = http(service, self.place(), is_tls, self.objects, notes);
            rules.iter_mut().for_each(|rule| limit(&mut rule.matches, &shown, |m| &mut m.clients));
            for domain in self.domains(service) {
                by_domain.entry(domain).or_default().push(rules.clone());
            }
        }
        let host = |(domain, all): (Arc<str>, Vec<Vec<HttpRule>>)| {
            let is_shared = all.len() > 1;
            let mut rules = all.concat();
            if is_shared {
                rules = merged(rules);
                self.tell_unreached(&domain, &rules, notes);
            }
            VirtualHost { domains: vec![domain], rules }
        };
        by_domain.into_iter().map(host).collect()
    }

    /// Says which rules have no requests, because somebody else has them.
    fn tell_unreached(self, domain: &str, rules: &[HttpRule], notes: &mut Vec<Problem>) {
        for (at, by) in unreached(rules) {
            let Some(("VirtualService", name)) = named(&at.object) else { continue };
            let mut services = self.objects.virtual_services.iter();
            let Some(service) = services.find(|one| one.meta.name == name) else { continue };
            let route = at.index.and_then(|index| service.http.get(usize::try_from(index).ok()?));
            let place = route.map(|route| service.meta.at(route.at));
            let note = place.unwrap_or_else(|| service.meta.named()).warning(format!(
                "requests to {domain} at Gateway {} that this is for are led by {} ({})",
                self.gateway.meta.name, by.object, by.place
            ));
            let note =
                note.with_fix("this is never reached; match something else, or leave one out");
            notes.push(note.coded(Code::Meaning).of(&at.object));
        }
    }

    fn tcp(self) -> Vec<TcpRule> {
        let mut all = Vec::new();
        for (service, shown) in self.services() {
            let mut rules = stream::tcp(service, self.place(), self.objects.hosts);
            rules.iter_mut().for_each(|rule| limit(&mut rule.matches, &shown, |m| &mut m.clients));
            all.append(&mut rules);
        }
        all
    }
}

/// Has matches hold for those only to whom a service is shown.
fn limit<M: Default>(
    matches: &mut Vec<M>,
    shown: &Clients,
    clients: impl Fn(&mut M) -> &mut Clients,
) {
    let Some(shown) = &shown.namespaces else { return };
    if matches.is_empty() {
        matches.push(M::default());
    }
    for one in matches {
        let namespaces = &mut clients(one).namespaces;
        let both = match namespaces {
            None => shown.clone(),
            Some(own) => own.intersection(shown).cloned().collect(),
        };
        *namespaces = Some(both);
    }
}
