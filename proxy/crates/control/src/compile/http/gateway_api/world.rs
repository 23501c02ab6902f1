//! What is there, and can be named.
use crate::{
    compile::http::plan::At,
    object::{
        Objects,
        gateway_api::{
            backend_tls_policy::BackendTlsPolicy,
            gateway::Gateway,
            gateway_class::GatewayClass,
            grpc_route::GrpcRoute,
            http_route::HttpRoute,
            reference_grant::ReferenceGrant,
            stream_route::{TcpRoute, TlsRoute},
        },
        meta::Meta,
        namespace::Namespace,
        roots::Roots,
        secret::Secret,
        service::Service,
    },
};
use culvert_model::name::{ObjectName, ServiceName};
use std::{collections::BTreeMap, sync::Arc};

/// The objects that this is about, by name; of kinds that are ordered, the oldest first.
pub(super) struct World<'a> {
    domain: &'a str,
    namespaces: BTreeMap<&'a str, &'a Namespace>,
    services: BTreeMap<&'a ObjectName, &'a Service>,
    secrets: BTreeMap<&'a ObjectName, &'a Secret>,
    roots: BTreeMap<&'a ObjectName, &'a Roots>,
    pub(super) classes: BTreeMap<&'a str, &'a GatewayClass>,
    pub(super) gateways: Vec<&'a Gateway>,
    pub(super) http_routes: Vec<&'a HttpRoute>,
    pub(super) grpc_routes: Vec<&'a GrpcRoute>,
    pub(super) tls_routes: Vec<&'a TlsRoute>,
    pub(super) tcp_routes: Vec<&'a TcpRoute>,
    pub(super) grants: Vec<&'a ReferenceGrant>,
    pub(super) policies: Vec<&'a BackendTlsPolicy>,
}

impl<'a> World<'a> {
    pub(super) fn of(objects: &'a Objects, domain: &'a str) -> Self {
        let Objects { namespaces, services, secrets, roots, .. } = objects;
        Self {
            domain,
            namespaces: namespaces.iter().map(|one| (&*one.meta.name.name, &**one)).collect(),
            services: services.iter().map(|one| (&one.meta.name, &**one)).collect(),
            secrets: secrets.iter().map(|one| (&one.meta.name, &**one)).collect(),
            roots: roots.iter().map(|one| (&one.meta.name, &**one)).collect(),
            classes: objects
                .gateway_classes
                .iter()
                .map(|one| (&*one.meta.name.name, &**one))
                .collect(),
            gateways: by_age(&objects.kubernetes_gateways, |one| &one.meta),
            http_routes: by_age(&objects.http_routes, |one| &one.meta),
            grpc_routes: by_age(&objects.grpc_routes, |one| &one.meta),
            tls_routes: by_age(&objects.tls_routes, |one| &one.meta),
            tcp_routes: by_age(&objects.tcp_routes, |one| &one.meta),
            grants: by_age(&objects.reference_grants, |one| &one.meta),
            policies: by_age(&objects.backend_tls_policies, |one| &one.meta),
        }
    }

    /// The label of a namespace; its name is one, as in Kubernetes.
    pub(super) fn label(&self, namespace: &'a str, key: &str) -> Option<&'a str> {
        let written = self.namespaces.get(namespace).and_then(|found| found.meta.label(key));
        written.or_else(|| (key == "kubernetes.io/metadata.name").then_some(namespace))
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        self.services.get(&ObjectName::new(namespace, name)).copied()
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&'a Secret> {
        self.secrets.get(&ObjectName::new(namespace, name)).copied()
    }

    /// Why nobody can be known by the roots of a `ConfigMap`, if that is so.
    pub(super) fn lacks_roots(&self, namespace: &str, name: &str) -> Option<String> {
        match self.roots.get(&ObjectName::new(namespace, name)) {
            Some(roots) if roots.has_any() => None,
            Some(_) => Some(format!("ConfigMap {namespace}/{name} holds no certificate as PEM")),
            None => Some(format!("there is no ConfigMap {namespace}/{name} with a ca.crt")),
        }
    }

    /// What the mesh calls a service.
    pub(super) fn host(&self, service: &Service) -> ServiceName {
        let ObjectName { namespace, name } = &service.meta.name;
        let host = format!("{name}.{namespace}.svc.{}", self.domain);
        ServiceName::new(Arc::clone(namespace), host)
    }
}

fn by_age<T>(all: &[Arc<T>], meta: impl Fn(&T) -> &Meta) -> Vec<&T> {
    let mut all: Vec<&T> = all.iter().map(|one| &**one).collect();
    all.sort_by(|one, other| {
        let (one, other) = (meta(one), meta(other));
        // What has no age is of a folder, all of which is of one age.
        (&one.created, &one.name).cmp(&(&other.created, &other.name))
    });
    all
}

/// Where an object was written.
pub(super) fn at(kind: &str, meta: &Meta) -> At {
    At::object(format!("{kind}/{}", meta.name), meta.origin.to_string())
}
