//! Who listens for strangers, and whereto they are led.
use super::{
    Objects, ascribe, at, hosts,
    matching::Place,
    routing::{self, http},
    rule_at, stream, tls,
};
use crate::{
    compile::http::plan::{
        At,
        gateway::{GatewayPlan, Server, Serves, VirtualHost},
        rule::HttpRule,
        stream::TcpRule,
    },
    object::{
        istio::{
            domain::{GatewayHost, HostPattern},
            gateway::{self, Gateway, Protocol, tls::ServerTlsMode},
            virtual_service::VirtualService,
        },
        spanned::Spanned,
    },
    problem::Problem,
};
use std::{collections::BTreeMap, sync::Arc};

/// What `gateway` listens on.
pub(super) fn plan(
    gateway: &Gateway,
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> GatewayPlan {
    let own = at("Gateway", &gateway.meta);
    let mut servers = Vec::new();
    for (index, Spanned { value: server, at: mark }) in gateway.servers.iter().enumerate() {
        let at = rule_at(&own, &gateway.meta, index, *mark);
        servers.push(read(gateway, server, at, objects, notes));
    }
    ascribe(notes, "Gateway", &gateway.meta);
    GatewayPlan { at: own, servers }
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
        return Serves::Tcp(here.tcp(notes));
    };
    match tls.value.mode() {
        ServerTlsMode::Passthrough => {
            let within = here.patterns();
            let all = here.services();
            let rules = all.flat_map(|service| {
                stream::tls(service, here.place(), objects.hosts, Some(&within))
            });
            Serves::TlsPassed(rules.collect())
        }
        ServerTlsMode::AutoPassthrough => {
            let note = gateway.meta.at(tls.at).warning("AUTO_PASSTHROUGH is not supported");
            notes.push(note.with_fix("nobody listens; write PASSTHROUGH, and tls routes"));
            Serves::Nothing
        }
        ServerTlsMode::Simple
        | ServerTlsMode::Mutual
        | ServerTlsMode::IstioMutual
        | ServerTlsMode::OptionalMutual => match tls::server(tls, &gateway.meta, notes) {
            None => Serves::Nothing,
            Some(tls) if protocol == Protocol::Https => {
                Serves::Https { hosts: here.virtual_hosts(true, notes), tls }
            }
            Some(tls) => Serves::TlsTerminated { rules: here.tcp(notes), tls },
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

    /// Services with a host of the server's, the oldest first.
    fn services(self) -> impl Iterator<Item = &'a VirtualService> {
        self.objects.virtual_services.iter().copied().filter(move |service| {
            let own = &*service.meta.name.namespace;
            let shown = hosts::clients(&service.export_to, own);
            !service.is_delegate()
                && self.place().is_among(&service.gateways, own)
                && shown.is_some_and(|all| all.may_be_of(&self.gateway.meta.name.namespace))
                && !self.domains(service).is_empty()
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

    /// Rules by domain: of several services for one, the older ones' come first.
    fn virtual_hosts(self, is_tls: bool, notes: &mut Vec<Problem>) -> Vec<VirtualHost> {
        let mut by_domain: BTreeMap<Arc<str>, Vec<HttpRule>> = BTreeMap::new();
        for service in self.services() {
            let rules = http(service, self.place(), is_tls, self.objects, notes);
            for domain in self.domains(service) {
                by_domain.entry(domain).or_default().extend(rules.iter().cloned());
            }
        }
        let host = |(domain, rules)| VirtualHost { domains: vec![domain], rules };
        by_domain.into_iter().map(host).collect()
    }

    fn tcp(self, notes: &mut Vec<Problem>) -> Vec<TcpRule> {
        let all = self.services();
        let hosts = self.objects.hosts;
        all.flat_map(|service| stream::tcp(service, self.place(), hosts, notes)).collect()
    }
}
