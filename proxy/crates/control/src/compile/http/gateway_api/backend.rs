//! Where requests and connections go.
use super::{grant::Naming, world::World};
use crate::{
    compile::http::plan::forward::{Backend, Share},
    object::service::Service,
};
use std::num::NonZeroU16;

/// What a route names.
pub(super) struct Named<'a> {
    /// The kind of the route.
    pub(super) kind: &'static str,
    /// Its namespace.
    pub(super) from: &'a str,
    /// `group`, `kind`.
    pub(super) what: (&'a str, &'a str),
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) port: Option<NonZeroU16>,
}

/// Why something that is named is not used: reason and message of `ResolvedRefs`.
pub(super) type Unresolved = (&'static str, String);

impl Named<'_> {
    /// Who it is.
    ///
    /// # Errors
    ///
    /// When nothing can be sent there.
    pub(super) fn backend(&self, world: &World<'_>) -> Result<Backend, Unresolved> {
        let Self { kind, from, what: (group, of), namespace, name, port } = *self;
        let namespace = namespace.unwrap_or(from);
        if (group, of) != ("", "Service") {
            let group = if group.is_empty() { String::new() } else { format!("{group}/") };
            return Err(("InvalidKind", format!("{group}{of} {name} is no Service")));
        }
        if !world.permits(&Naming { kind, from, group, of, namespace, name }) {
            let message = format!(
                "no ReferenceGrant of namespace {namespace} lets {kind}s of {from} name Service {name}"
            );
            return Err(("RefNotPermitted", message));
        }
        let Some(service) = world.service(namespace, name) else {
            return Err(("BackendNotFound", format!("there is no Service {namespace}/{name}")));
        };
        if let Some(port) = port
            && !has_port(service, port)
        {
            let message = format!("Service {namespace}/{name} has no port {port}");
            return Err(("BackendNotFound", message));
        }
        Ok(Backend { service: world.host(service), port, subset: None })
    }

    /// The same, as the share of somebody who gets nothing when there is nobody.
    pub(super) fn share(&self, world: &World<'_>, wrong: &mut Vec<Unresolved>) -> Share {
        match self.backend(world) {
            Ok(backend) => Share::To(backend),
            Err(why) => {
                wrong.push(why);
                Share::Nowhere
            }
        }
    }
}

fn has_port(service: &Service, port: NonZeroU16) -> bool {
    service.ports.iter().any(|one| one.number == port)
}
