//! `VirtualService` of networking.istio.io: where requests and connections are led.
//!
//! `http` and `matches` are what is written, each value parsed once; `check` is what no single
//! value shows.
use super::domain::{ExportTo, HostPattern};
use crate::object::{
    meta::{Meta, Scope},
    node::Node,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use http::HttpRoute;
use layer4::{TcpRoute, TlsRoute};
use serde::Deserialize;
use std::sync::Arc;

mod check;
pub mod http;
pub mod layer4;
pub mod matches;
pub mod policy;

/// Where requests and connections to some hosts are led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    pub meta: Meta,
    /// Empty: others delegate to it.
    pub hosts: Vec<Spanned<HostPattern>>,
    /// Empty: `mesh`.
    pub gateways: Vec<Spanned<GatewayRef>>,
    pub http: Vec<Spanned<HttpRoute>>,
    pub tls: Vec<Spanned<TlsRoute>>,
    pub tcp: Vec<Spanned<TcpRoute>>,
    /// Empty: as the mesh has it.
    pub export_to: Vec<Spanned<ExportTo>>,
}

/// Where a route holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum GatewayRef {
    /// At every workload.
    Mesh,
    Gateway {
        /// `None`: that of the object.
        namespace: Option<String>,
        name: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    hosts: Vec<Spanned<HostPattern>>,
    gateways: Vec<Spanned<GatewayRef>>,
    http: Vec<Spanned<HttpRoute>>,
    tls: Vec<Spanned<TlsRoute>>,
    tcp: Vec<Spanned<TcpRoute>>,
    export_to: Vec<Spanned<ExportTo>>,
}

impl VirtualService {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let RawSpec { hosts, gateways, http, tls, tcp, export_to } = spec;
        let service = Self { meta, hosts, gateways, http, tls, tcp, export_to };
        check::service(&service, &mut problems);
        if problems.is_empty() { Ok(service) } else { Err(problems) }
    }

    /// Whether others delegate to it.
    #[must_use]
    pub fn is_delegate(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether it holds at workloads of the mesh.
    #[must_use]
    pub fn is_for_mesh(&self) -> bool {
        self.gateways.is_empty() || self.gateways.iter().any(|one| one.value == GatewayRef::Mesh)
    }
}

impl GatewayRef {
    /// Whether it is the gateway `namespace/name`, written in an object of `own`.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str, own: &str) -> bool {
        match self {
            Self::Mesh => false,
            Self::Gateway { namespace: said, name: called } => {
                called == name && said.as_deref().unwrap_or(own) == namespace
            }
        }
    }
}

impl TryFrom<String> for GatewayRef {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if written == "mesh" {
            return Ok(Self::Mesh);
        }
        let (namespace, name) = match written.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            // As Istio once wrote it: `name.namespace.svc.cluster.local`.
            None => match written.split('.').collect::<Vec<_>>()[..] {
                [name, namespace, "svc", ..] => (Some(namespace), name),
                _ => (None, &*written),
            },
        };
        let fine = |name: &str| {
            let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
            !name.is_empty() && name.bytes().all(byte)
        };
        if !fine(name) || !namespace.is_none_or(|name| name == "." || fine(name)) {
            return Err(format!("`{written}` is no gateway: want a name, or namespace/name"));
        }
        let namespace = namespace.filter(|name| *name != ".").map(str::to_owned);
        Ok(Self::Gateway { namespace, name: name.to_owned() })
    }
}
