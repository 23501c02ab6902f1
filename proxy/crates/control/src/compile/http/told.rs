//! What is to be told of what was planned, at the places where it was written.
use super::{
    gateway_api::{
        status::{Condition, Says, Standing},
        unheeded::{self, Unheeded},
    },
    join::Shadowed,
};
use crate::{
    compile::store::{Object as Named, Shelf, Store},
    object::{
        gateway_api::{http_route::DefaultScope, reference::ParentRef},
        meta::Meta,
        spanned::Spanned,
    },
    problem::{Code, Origin, Problem},
};
use culvert_model::name::{ObjectName, ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

/// Reasons that say that something is not there.
const ABSENT: [&str; 4] =
    ["BackendNotFound", "InvalidCertificateRef", "NoMatchingParent", "TargetNotFound"];

/// An object of the Gateway API, as far as its standing is told of places in it.
struct Object<'a> {
    meta: &'a Meta,
    parents: &'a [Spanned<ParentRef>],
    listeners: Vec<Origin>,
}

/// Kinds that mean nothing where nobody serves L7, each at its first object.
pub(super) fn unserved(store: &Store) -> impl Iterator<Item = Problem> {
    fn first<T: Named>(kind: &str, shelf: &Shelf<T>) -> Option<Problem> {
        let meta = shelf.all().map(|one| one.meta()).min_by_key(|meta| &meta.origin)?;
        let told = format!("nobody serves L7 here: no {kind} does anything");
        Some(meta.named().warning(told).coded(Code::NotUsed).of(format!("{kind}/{}", meta.name)))
    }
    let all = [
        first("VirtualService", &store.virtual_services),
        first("DestinationRule", &store.destination_rules),
        first("Gateway", &store.istio_gateways),
        first("Gateway", &store.kubernetes_gateways),
        first("HTTPRoute", &store.http_routes),
        first("GRPCRoute", &store.grpc_routes),
        first("TLSRoute", &store.tls_routes),
        first("TCPRoute", &store.tcp_routes),
        first("BackendTLSPolicy", &store.backend_tls_policies),
    ];
    all.into_iter().flatten()
}

/// Everything that is not as it was asked for.
pub(super) fn standings<'a>(
    standings: &'a [Standing],
    store: &'a Store,
) -> impl Iterator<Item = Problem> + 'a {
    standings.iter().flat_map(|standing| {
        let object = Object::of(&standing.object, store);
        object.map(|object| object.notes(standing)).unwrap_or_default()
    })
}

/// What is written in objects that are ours, and not done.
pub(super) fn unheeded(standings: &[Standing], store: &Store) -> Vec<Problem> {
    fn note(kind: &str, meta: &Meta, unheeded: Unheeded) -> Problem {
        let Unheeded { at, told, fix } = unheeded;
        let note = meta.at(at).warning(told).with_fix(fix).coded(Code::Meaning);
        note.of(format!("{kind}/{}", meta.name))
    }
    let mut notes = Vec::new();
    for Standing { object, says: _ } in standings {
        let Some((kind, name)) = named(object) else { continue };
        if kind == "Gateway"
            && let Some(gateway) = store.kubernetes_gateways.get(&name)
        {
            let all = unheeded::of_gateway(gateway).into_iter();
            notes.extend(all.map(|one| note(kind, &gateway.meta, one)));
        } else if kind == "BackendTLSPolicy"
            && let Some(policy) = store.backend_tls_policies.get(&name)
        {
            let all = unheeded::of_policy(policy).into_iter();
            notes.extend(all.map(|one| note(kind, &policy.meta, one)));
        }
    }
    let mut route = |kind: &str, meta: &Meta, scope: Option<&Spanned<DefaultScope>>| {
        notes.extend(unheeded::of_route(scope).map(|one| note(kind, meta, one)));
    };
    for one in store.http_routes.all() {
        route("HTTPRoute", &one.meta, one.spec.use_default_gateways.as_ref());
    }
    for one in store.grpc_routes.all() {
        route("GRPCRoute", &one.meta, one.spec.use_default_gateways.as_ref());
    }
    for one in store.tls_routes.all() {
        route("TLSRoute", &one.meta, one.spec.use_default_gateways.as_ref());
    }
    for one in store.tcp_routes.all() {
        route("TCPRoute", &one.meta, one.spec.use_default_gateways.as_ref());
    }
    notes
}

/// Rules that are never reached.
pub(super) fn shadowed<'a>(
    shadowed: &'a BTreeSet<Shadowed>,
    store: &'a Store,
) -> impl Iterator<Item = Problem> + 'a {
    shadowed.iter().filter_map(|Shadowed { object, by, service }| {
        let found = store.virtual_services.get(&named(object)?.1)?;
        let host = &service.hostname;
        let note =
            format!("{by} is for {host}, too, and counts before it: its rules are not asked");
        Some(found.meta.named().warning(note).coded(Code::Meaning).of(object))
    })
}

/// A service that pods' connections cannot be told to be for.
pub(super) fn unreached(name: &ServiceName, origin: &Origin) -> Problem {
    let host = &name.hostname;
    let note = origin.warning(format!(
        "{host} has no single address by which connections to it would be known: \
         what is asked for it holds at gateways, and not for connections of pods"
    ));
    note.coded(Code::Meaning).with_fix("write single addresses in spec.addresses, not ranges")
}

/// Ports of a service that say nothing of what is spoken there.
pub(super) fn unclear(name: &ServiceName, ports: &[NonZeroU16], origin: &Origin) -> Problem {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let which = match &ports[..] {
        [only] => format!("port {only} does"),
        all => format!("ports {} do", all.join(", ")),
    };
    let host = &name.hostname;
    let note = origin.warning(format!(
        "{which} not say what is spoken there: rules for HTTP to {host} do not hold there"
    ));
    note.coded(Code::Meaning).with_fix("name it http-…, grpc-… or tcp-…, or set its appProtocol")
}

/// Ports of a service to which an object has TLS spoken, whose clients may speak it themselves.
pub(super) fn twofold(
    name: &ServiceName,
    ports: &BTreeMap<Arc<str>, BTreeSet<NonZeroU16>>,
    origin: &Origin,
) -> Vec<Problem> {
    let note = |(object, ports): (&Arc<str>, &BTreeSet<NonZeroU16>)| {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let note = origin.info(format!(
            "{object} has TLS spoken to {} at port {}, where clients may speak it themselves: what \
             begins with TLS already is passed on as it is",
            name.hostname,
            ports.join(", ")
        ));
        note.coded(Code::Meaning).with_fix("if clients speak HTTP there, name the port http-…")
    };
    ports.iter().map(note).collect()
}

/// Kind and name of an object that is called `Kind/namespace/name`.
pub(super) fn named(object: &str) -> Option<(&str, ObjectName)> {
    let (kind, name) = object.split_once('/')?;
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    Some((kind, ObjectName::new(namespace, name)))
}

impl<'a> Object<'a> {
    fn of(object: &str, store: &'a Store) -> Option<Self> {
        let (kind, name) = named(object)?;
        let plain = |meta| Self { meta, parents: &[], listeners: Vec::new() };
        Some(match kind {
            "GatewayClass" => plain(&store.gateway_classes.get(&name)?.meta),
            "BackendTLSPolicy" => plain(&store.backend_tls_policies.get(&name)?.meta),
            "Gateway" => {
                let gateway = store.kubernetes_gateways.get(&name)?;
                let listeners = gateway.spec.listeners.iter();
                let listeners = listeners.map(|listener| gateway.meta.at(listener.at)).collect();
                Self { listeners, ..plain(&gateway.meta) }
            }
            "HTTPRoute" => {
                let route = store.http_routes.get(&name)?;
                Self { parents: &route.spec.parent_refs, ..plain(&route.meta) }
            }
            "GRPCRoute" => {
                let route = store.grpc_routes.get(&name)?;
                Self { parents: &route.spec.parent_refs, ..plain(&route.meta) }
            }
            "TLSRoute" => {
                let route = store.tls_routes.get(&name)?;
                Self { parents: &route.spec.parent_refs, ..plain(&route.meta) }
            }
            "TCPRoute" => {
                let route = store.tcp_routes.get(&name)?;
                Self { parents: &route.spec.parent_refs, ..plain(&route.meta) }
            }
            _ => return None,
        })
    }

    fn notes(&self, Standing { object, says }: &Standing) -> Vec<Problem> {
        let mut found: BTreeSet<Problem> = BTreeSet::new();
        let mut tell = |origin: Origin, conditions: &[Condition]| {
            let wrong = conditions.iter().filter(|condition| condition.is_trouble());
            found.extend(wrong.map(|condition| note(&origin, condition).of(object)));
        };
        match says {
            Says::Class(conditions) | Says::Policy(conditions) => {
                tell(self.meta.named(), conditions);
            }
            Says::Gateway { conditions: _, listeners } => {
                for (index, listener) in listeners.iter().enumerate() {
                    let origin = self.listeners.get(index).cloned();
                    tell(origin.unwrap_or_else(|| self.meta.named()), &listener.conditions);
                }
            }
            Says::Route(parents) => {
                for parent in parents {
                    let at = self.parents.get(parent.index).map(|one| self.meta.at(one.at));
                    let (accepted, rest): (Vec<_>, Vec<_>) =
                        parent.conditions.iter().cloned().partition(|one| one.kind == "Accepted");
                    tell(at.unwrap_or_else(|| self.meta.named()), &accepted);
                    // The same for each of them.
                    tell(self.meta.named(), &rest);
                }
            }
        }
        found.into_iter().collect()
    }
}

fn note(origin: &Origin, condition: &Condition) -> Problem {
    let note = origin.warning(condition.message.clone());
    let is_absent = ABSENT.contains(&condition.reason);
    note.coded(if is_absent { Code::Reference } else { Code::Meaning })
}
