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
            reference::{BackendRef, FilteredRef, Named, ParentRef},
        },
        meta::Meta,
        service::Service,
        spanned::Spanned,
    },
    problem::{Code, Mark, Problem},
};
use culvert_model::name::ObjectName;
use std::collections::{HashMap, HashSet};

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
        for Spanned { value: rule, .. } in route.rules() {
            author.rule(&there, (&rule.filters, &rule.backend_refs), |one| one, &mut found);
        }
    }
    for route in &objects.grpc_routes {
        let author = Author { kind: "GRPCRoute", meta: &route.meta };
        author.parents(&there, &route.spec.parent_refs, &mut found);
        for Spanned { value: rule, .. } in route.spec.rules.iter() {
            author.rule(&there, (&rule.filters, &rule.backend_refs), |one| &one.0, &mut found);
        }
    }
    for route in &objects.tls_routes {
        let author = Author { kind: "TLSRoute", meta: &route.meta };
        author.parents(&there, &route.spec.parent_refs, &mut found);
        let backends = route.spec.rules.iter().flat_map(|rule| rule.value.backend_refs.iter());
        author.backends(&there, backends, &mut found);
    }
    for route in &objects.tcp_routes {
        let author = Author { kind: "TCPRoute", meta: &route.meta };
        author.parents(&there, &route.spec.parent_refs, &mut found);
        let backends = route.spec.rules.iter().flat_map(|rule| rule.value.backend_refs.iter());
        author.backends(&there, backends, &mut found);
    }
    found.extend(tls(objects, &there));
    found
}

fn tls(objects: &Objects, there: &There<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    for policy in &objects.backend_tls_policies {
        let author = Author { kind: "BackendTLSPolicy", meta: &policy.meta };
        for Spanned { value: target, at } in policy.spec.target_refs.iter() {
            let what = (&*target.group, &*target.kind);
            let named = Named { what, namespace: None, name: &target.name, port: None };
            author.backend(there, named, *at, &mut found);
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
                    self.backend(there, parent.named(), *at, found);
                    continue;
                }
                _ => continue,
            };
            found.push(self.missing(*at, message, there.services.is_empty()));
        }
    }

    /// What a rule names: by its filters, its backends, and their filters.
    fn rule<F>(
        &self,
        there: &There<'_>,
        (filters, backends): (&[Spanned<F>], &[Spanned<FilteredRef<F>>]),
        filter: impl Fn(&F) -> &Filter,
        found: &mut Vec<Problem>,
    ) {
        let of_backends = backends.iter().flat_map(|one| one.value.filters.iter());
        for one in filters.iter().chain(of_backends) {
            if let Filter::Mirror(mirror) = filter(&one.value) {
                let Spanned { value, at } = &mirror.backend_ref;
                self.backend(there, value.named(), *at, found);
            }
        }
        for Spanned { value, at } in backends {
            self.backend(there, value.named(), *at, found);
        }
    }

    fn backends<'b>(
        &self,
        there: &There<'_>,
        backends: impl Iterator<Item = &'b Spanned<BackendRef>>,
        found: &mut Vec<Problem>,
    ) {
        for Spanned { value, at } in backends {
            self.backend(there, value.named(), *at, found);
        }
    }

    fn backend(&self, there: &There<'_>, named: Named<'_>, at: Mark, found: &mut Vec<Problem>) {
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
        found.push(self.missing(at, message, there.services.is_empty()));
    }
}
