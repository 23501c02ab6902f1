//! What is named and not there.
//!
//! A set with any `Service` says which there are: what is missing there is an error. One without is
//! open, and what it names may be elsewhere. The same holds of Secrets, which are often no part of
//! a set that has everything else.
use crate::{
    object::{
        Objects,
        gateway_api::{
            GROUP,
            filter::Filter,
            gateway::{Gateway, Listener},
            reference::{BackendRef, FilteredRef, MirrorRef, ParentRef},
        },
        meta::Meta,
        service::Service,
        spanned::Spanned,
    },
    problem::{Code, Mark, Problem},
};
use culvert_model::name::ObjectName;
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU16,
};

/// What can be named.
struct There<'a> {
    services: HashMap<&'a ObjectName, &'a Service>,
    gateways: HashMap<&'a ObjectName, &'a Gateway>,
    secrets: HashSet<&'a ObjectName>,
}

/// Who names something.
struct Author<'a> {
    kind: &'static str,
    meta: &'a Meta,
}

/// A service, and a port of it, as somebody names them.
struct Named<'a> {
    what: (&'a str, &'a str),
    namespace: Option<&'a str>,
    name: &'a str,
    port: Option<NonZeroU16>,
    at: Mark,
}

/// Everything that is named and not there.
pub(super) fn missing(objects: &Objects) -> Vec<Problem> {
    let there = There {
        services: objects.services.iter().map(|one| (&one.meta.name, &**one)).collect(),
        gateways: objects.kubernetes_gateways.iter().map(|one| (&one.meta.name, &**one)).collect(),
        secrets: objects.secrets.iter().map(|one| &one.meta.name).collect(),
    };
    let mut found = Vec::new();
    for route in &objects.http_routes {
        let author = Author { kind: "HTTPRoute", meta: &route.meta };
        author.parents(&there, &route.spec.parent_refs, &mut found);
        for rule in route.rules() {
            author.filters(&there, rule.value.filters.iter().map(|one| &one.value), &mut found);
            for backend in rule.value.backend_refs.iter() {
                author.backend(&there, &Named::filtered(backend), &mut found);
                let filters = backend.value.filters.iter().map(|one| &one.value);
                author.filters(&there, filters, &mut found);
            }
        }
    }
    for route in &objects.grpc_routes {
        let author = Author { kind: "GRPCRoute", meta: &route.meta };
        author.parents(&there, &route.spec.parent_refs, &mut found);
        for rule in route.spec.rules.iter() {
            author.filters(&there, rule.value.filters.iter().map(|one| &one.value.0), &mut found);
            for backend in rule.value.backend_refs.iter() {
                author.backend(&there, &Named::filtered(backend), &mut found);
                let filters = backend.value.filters.iter().map(|one| &one.value.0);
                author.filters(&there, filters, &mut found);
            }
        }
    }
    streams(objects, &there, &mut found);
    found.extend(tls(objects, &there));
    found
}

fn streams(objects: &Objects, there: &There<'_>, found: &mut Vec<Problem>) {
    for route in &objects.tls_routes {
        let author = Author { kind: "TLSRoute", meta: &route.meta };
        author.parents(there, &route.spec.parent_refs, found);
        for backend in route.spec.rules.iter().flat_map(|rule| rule.value.backend_refs.iter()) {
            author.backend(there, &Named::plain(backend), found);
        }
    }
    for route in &objects.tcp_routes {
        let author = Author { kind: "TCPRoute", meta: &route.meta };
        author.parents(there, &route.spec.parent_refs, found);
        for backend in route.spec.rules.iter().flat_map(|rule| rule.value.backend_refs.iter()) {
            author.backend(there, &Named::plain(backend), found);
        }
    }
}

fn tls(objects: &Objects, there: &There<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    for policy in &objects.backend_tls_policies {
        let author = Author { kind: "BackendTLSPolicy", meta: &policy.meta };
        for Spanned { value: target, at } in policy.spec.target_refs.iter() {
            let what = (&*target.group, &*target.kind);
            let named = Named { what, namespace: None, name: &target.name, port: None, at: *at };
            author.backend(there, &named, &mut found);
        }
    }
    for gateway in &objects.kubernetes_gateways {
        let author = Author { kind: "Gateway", meta: &gateway.meta };
        let tls = gateway.spec.listeners.iter().filter_map(|one| one.value.tls.as_ref());
        for Spanned { value: named, at } in tls.flat_map(|tls| tls.value.certificate_refs.iter()) {
            let name = author.name(named.namespace.as_deref(), &named.name);
            if named.what() == ("", "Secret") && !there.secrets.contains(&name) {
                let is_open = there.secrets.is_empty();
                found.push(author.missing(*at, format!("there is no Secret {name}"), is_open));
            }
        }
    }
    found
}

impl<'a> Named<'a> {
    fn filtered<F>(backend: &'a Spanned<FilteredRef<F>>) -> Self {
        let Spanned { value, at } = backend;
        let namespace = value.namespace.as_deref();
        Self { what: value.what(), namespace, name: &value.name, port: value.port(), at: *at }
    }

    fn plain(backend: &'a Spanned<BackendRef>) -> Self {
        let Spanned { value, at } = backend;
        let namespace = value.namespace.as_deref();
        Self { what: value.what(), namespace, name: &value.name, port: value.port(), at: *at }
    }

    fn mirror(backend: &'a Spanned<MirrorRef>) -> Self {
        let Spanned { value, at } = backend;
        let namespace = value.namespace.as_deref();
        Self { what: value.what(), namespace, name: &value.name, port: value.port(), at: *at }
    }
}

impl Author<'_> {
    fn name(&self, namespace: Option<&str>, name: &str) -> ObjectName {
        ObjectName::new(namespace.unwrap_or(&self.meta.name.namespace), name)
    }

    fn missing(&self, at: Mark, message: String, is_open: bool) -> Problem {
        let here = self.meta.at(at);
        let problem = if is_open { here.info(message) } else { here.error(message) };
        problem.coded(Code::Reference).of(format!("{}/{}", self.kind, self.meta.name))
    }

    fn parents(&self, there: &There<'_>, parents: &[Spanned<ParentRef>], found: &mut Vec<Problem>) {
        for Spanned { value: parent, at } in parents {
            let name = self.name(parent.namespace.as_deref(), &parent.name);
            let section = parent.section_name.as_deref();
            let message = match parent.what() {
                (GROUP, "Gateway") => match there.gateways.get(&name) {
                    None => format!("there is no Gateway {name}"),
                    Some(gateway) => {
                        let listeners = gateway.spec.listeners.iter().map(|one| &one.value);
                        let is_it = |listener: &Listener| {
                            section.is_none_or(|section| section == &*listener.name)
                                && parent.port().is_none_or(|port| port == listener.port())
                        };
                        if listeners.into_iter().any(is_it) {
                            continue;
                        }
                        let message = format!("Gateway {name} has no such listener");
                        found.push(self.missing(*at, message, false));
                        continue;
                    }
                },
                ("", "Service") => {
                    let what = parent.what();
                    let (namespace, port) = (parent.namespace.as_deref(), parent.port());
                    let named = Named { what, namespace, name: &parent.name, port, at: *at };
                    self.backend(there, &named, found);
                    continue;
                }
                _ => continue,
            };
            found.push(self.missing(*at, message, there.services.is_empty()));
        }
    }

    fn filters<'f>(
        &self,
        there: &There<'_>,
        filters: impl Iterator<Item = &'f Filter>,
        found: &mut Vec<Problem>,
    ) {
        for filter in filters {
            if let Filter::Mirror(mirror) = filter {
                self.backend(there, &Named::mirror(&mirror.backend_ref), found);
            }
        }
    }

    fn backend(&self, there: &There<'_>, named: &Named<'_>, found: &mut Vec<Problem>) {
        if named.what != ("", "Service") {
            return;
        }
        let name = self.name(named.namespace, named.name);
        let message = match (there.services.get(&name), named.port) {
            (None, _) => format!("there is no Service {name}"),
            (Some(service), Some(port)) if service.ports.iter().all(|one| one.number != port) => {
                format!("Service {name} has no port {port}")
            }
            (Some(_), _) => return,
        };
        found.push(self.missing(named.at, message, there.services.is_empty()));
    }
}
