//! `Gateway` of networking.istio.io: who listens for strangers, and on what.
use super::domain::GatewayHost;
use crate::object::{
    meta::{Meta, Scope},
    node::Node,
    port::Port,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use serde::Deserialize;
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};
use tls::ServerTls;

mod check;
pub mod tls;

/// Who listens for strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub meta: Meta,
    /// Labels of the workloads that listen; empty: all.
    pub selector: BTreeMap<String, String>,
    pub servers: Vec<Spanned<Server>>,
}

/// One port, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    pub name: Option<Spanned<String>>,
    pub port: Spanned<ServerPort>,
    pub bind: Option<Spanned<String>>,
    pub hosts: Spanned<Vec<Spanned<GatewayHost>>>,
    pub tls: Option<Spanned<ServerTls>>,
    pub default_endpoint: Option<Spanned<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerPort {
    number: Port,
    pub name: Spanned<String>,
    pub protocol: Protocol,
    target_port: Option<Port>,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Protocol {
    Http,
    Http2,
    Grpc,
    GrpcWeb,
    Https,
    Tls,
    Tcp,
    Mongo,
    Mysql,
    Redis,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSpec {
    selector: BTreeMap<String, String>,
    servers: Vec<Spanned<Server>>,
}

impl Gateway {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let RawSpec { selector, servers } = spec;
        let gateway = Self { meta, selector, servers };
        check::gateway(&gateway, &mut problems);
        if problems.is_empty() { Ok(gateway) } else { Err(problems) }
    }
}

impl ServerPort {
    #[must_use]
    pub fn number(&self) -> NonZeroU16 {
        self.number.0
    }
}

impl Protocol {
    /// Whether it is HTTP without TLS.
    #[must_use]
    pub const fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb => true,
            Self::Https | Self::Tls | Self::Tcp | Self::Mongo | Self::Mysql | Self::Redis => false,
        }
    }

    /// Whether it begins with TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }
}

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Ok(match written.to_ascii_uppercase().as_str() {
            "HTTP" | "HTTP_PROXY" => Self::Http,
            "HTTP2" => Self::Http2,
            "GRPC" => Self::Grpc,
            "GRPC-WEB" => Self::GrpcWeb,
            "HTTPS" => Self::Https,
            "TLS" => Self::Tls,
            "TCP" => Self::Tcp,
            "MONGO" => Self::Mongo,
            "MYSQL" => Self::Mysql,
            "REDIS" => Self::Redis,
            _ => {
                let all = "HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP, TLS, REDIS, MYSQL";
                return Err(format!("`{written}` is not one of {all}"));
            }
        })
    }
}
