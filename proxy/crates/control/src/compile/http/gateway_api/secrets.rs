//! Which Secrets and `ConfigMap`s are named for the certificates in them.
use super::{gateway, grant::Naming, world::World};
use crate::compile::http::credentials::{Holder, Named};
use crate::object::{
    Objects,
    gateway_api::{
        backend_tls_policy::BackendTlsPolicy,
        gateway::{Gateway, TlsMode},
    },
};
use culvert_model::name::ObjectName;
use std::sync::Arc;

/// All that are named, by whomever, and whether or not they may be.
pub(in crate::compile::http) fn named(objects: &Objects) -> impl Iterator<Item = Named> {
    let gateways = objects.kubernetes_gateways.iter().flat_map(|gateway| of_gateway(gateway));
    let policies = objects.backend_tls_policies.iter().flat_map(|policy| of_policy(policy));
    gateways.chain(policies)
}

/// Those that gateways of ours and policies may name.
pub(in crate::compile::http) fn permitted(objects: &Objects) -> Vec<Named> {
    // Of no object here a host is asked for.
    let world = World::of(objects, "");
    let mut secrets: Vec<_> = world.policies.iter().flat_map(|policy| of_policy(policy)).collect();
    for gateway in world.gateways.iter().filter(|gateway| gateway::is_ours(&world, gateway)) {
        let from = &*gateway.meta.name.namespace;
        secrets.extend(of_gateway(gateway).filter(|(holder, ObjectName { namespace, name })| {
            let (group, of) = ("", holder.kind());
            world.permits(&Naming { kind: "Gateway", from, group, of, namespace, name })
        }));
    }
    secrets
}

fn of_gateway(gateway: &Gateway) -> impl Iterator<Item = Named> {
    let own = &gateway.meta.name.namespace;
    let listeners = gateway.spec.listeners.iter().filter_map(|one| one.value.tls.as_ref());
    let ends_here = listeners.filter(|tls| tls.value.mode == TlsMode::Terminate);
    let certificates = ends_here.flat_map(|tls| tls.value.certificate_refs.iter());
    let certificates = certificates.map(|named| &named.value).filter_map(|named| {
        let is_secret = named.what() == ("", Holder::Secret.kind());
        is_secret.then_some((Holder::Secret, named.namespace.as_deref(), &*named.name))
    });
    let frontend = gateway.spec.tls.iter().filter_map(|tls| tls.frontend.as_ref());
    let clients = frontend.flat_map(|frontend| {
        let ports = frontend.per_port.iter().map(|port| &port.value.tls);
        ports.chain([&frontend.default])
    });
    let roots = clients.filter_map(|tls| tls.validation.as_ref());
    let roots = roots.flat_map(|validation| validation.ca_certificate_refs.iter());
    let roots = roots.map(|named| &named.value).filter_map(|named| {
        let holder = Holder::of(&named.group, &named.kind)?;
        Some((holder, named.namespace.as_deref(), &*named.name))
    });
    let all = certificates.chain(roots);
    all.map(move |(holder, namespace, name)| {
        (holder, ObjectName::new(namespace.unwrap_or(own), name))
    })
}

/// Roots, of its own namespace.
fn of_policy(policy: &BackendTlsPolicy) -> impl Iterator<Item = Named> {
    let own = &policy.meta.name.namespace;
    let roots = policy.spec.validation.value.ca_certificate_refs.iter().map(|named| &named.value);
    roots.filter_map(move |named| {
        let holder = Holder::of(&named.group, &named.kind)?;
        Some((holder, ObjectName::new(Arc::clone(own), &*named.name)))
    })
}
