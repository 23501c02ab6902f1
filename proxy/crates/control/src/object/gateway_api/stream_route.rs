//! `TLSRoute` and `TCPRoute`: connections that are passed on as they are.
use super::{
    few::Few,
    http_route::DefaultScope,
    reference::{self, BackendRef, ParentRef},
    text::{Hostname, SectionName},
};
use crate::{
    object::{
        meta::{Meta, Scope},
        node::Node,
        spanned::Spanned,
        written::{Read, read},
    },
    problem::{Code, Problem, Source},
};
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoute {
    pub meta: Meta,
    pub spec: TlsRouteSpec,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRoute {
    pub meta: Meta,
    pub spec: TcpRouteSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    #[serde(default)]
    pub parent_refs: Few<Spanned<ParentRef>, 0, 32>,
    /// Of the experimental channel.
    pub use_default_gateways: Option<Spanned<DefaultScope>>,
    /// Empty: all; only in versions before v1alpha3.
    #[serde(default)]
    pub hostnames: Few<Spanned<Hostname>, 0, 1024>,
    pub rules: Few<Spanned<StreamRule>, 1, 16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpRouteSpec {
    #[serde(default)]
    pub parent_refs: Few<Spanned<ParentRef>, 0, 32>,
    /// Of the experimental channel.
    pub use_default_gateways: Option<Spanned<DefaultScope>>,
    pub rules: Few<Spanned<StreamRule>, 1, 16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRule {
    pub name: Option<SectionName>,
    pub backend_refs: Few<Spanned<BackendRef>, 1, 16>,
}

impl TlsRoute {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, version } =
            read::<TlsRouteSpec>(node, source, Scope::Namespaced)?;
        let route = Self { meta, spec };
        let Self { meta, spec } = &route;
        reference::parts(&spec.parent_refs, meta, &mut problems);
        rules(&spec.rules, &version, meta, &mut problems);
        if spec.hostnames.is_empty() && version != "v1alpha2" {
            let problem = meta.named().error("`hostnames` is missing").coded(Code::MissingField);
            problems.push(problem.with_fix("name the hosts whose connections are meant"));
        }
        for host in spec.hostnames.iter().filter(|host| host.value.parse::<IpAddr>().is_ok()) {
            problems.push(meta.at(host.at).error("an address is no host name"));
        }
        if problems.is_empty() { Ok(route) } else { Err(problems) }
    }
}

impl TcpRoute {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, version } =
            read::<TcpRouteSpec>(node, source, Scope::Namespaced)?;
        let route = Self { meta, spec };
        reference::parts(&route.spec.parent_refs, &route.meta, &mut problems);
        rules(&route.spec.rules, &version, &route.meta, &mut problems);
        if problems.is_empty() { Ok(route) } else { Err(problems) }
    }
}

fn rules(rules: &[Spanned<StreamRule>], version: &str, meta: &Meta, problems: &mut Vec<Problem>) {
    // Nothing tells a second one from the first.
    if let (Some(second), false) = (rules.get(1), version == "v1alpha2") {
        problems.push(meta.at(second.at).error("only one rule can be there"));
    }
    for backend in rules.iter().flat_map(|rule| rule.value.backend_refs.iter()) {
        backend.value.check(backend.at, meta, problems);
    }
}
