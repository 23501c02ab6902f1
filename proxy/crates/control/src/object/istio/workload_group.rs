//! `WorkloadGroup` of networking.istio.io: what `WorkloadEntry`s of a group have in common.
use super::headers::FieldName;
use crate::object::{
    fault::advice,
    meta::{Meta, Scope},
    node::Node,
    port::Port,
    spanned::Spanned,
    workload_entry::{Endpoint, RawEndpoint},
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// What workloads that are no pods have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadGroup {
    pub meta: Meta,
    /// Of the entries that are made by it.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub template: Endpoint,
    pub probe: Option<Spanned<Probe>>,
}

/// How is found out whether a workload is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawProbe")]
pub struct Probe {
    pub by: Option<ProbeBy>,
    pub initial_delay_seconds: Option<u32>,
    pub timeout_seconds: Option<u32>,
    pub period_seconds: Option<u32>,
    pub success_threshold: Option<u32>,
    pub failure_threshold: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeBy {
    Http(HttpProbe),
    Tcp(TcpProbe),
    Exec(ExecProbe),
    Grpc(GrpcProbe),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    pub port: Port,
    pub host: Option<String>,
    pub path: Option<String>,
    #[serde(default)]
    pub scheme: ProbeScheme,
    #[serde(default)]
    pub http_headers: Vec<ProbeHeader>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProbeHeader {
    pub name: Option<PlainName>,
    pub value: Option<String>,
}

/// A header's name of letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct PlainName(String);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ProbeScheme {
    #[default]
    #[serde(rename = "HTTP", alias = "")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TcpProbe {
    pub port: Port,
    pub host: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExecProbe {
    pub command: Vec<Word>,
}

/// Text that is not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Word(String);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GrpcProbe {
    pub port: Option<Port>,
    pub service: Option<String>,
}

#[derive(Deserialize)]
struct RawSpec {
    #[serde(default)]
    metadata: RawGroupMeta,
    template: Spanned<RawEndpoint>,
    probe: Option<Spanned<Probe>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawGroupMeta {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProbe {
    http_get: Option<HttpProbe>,
    tcp_socket: Option<TcpProbe>,
    exec: Option<ExecProbe>,
    grpc: Option<GrpcProbe>,
    initial_delay_seconds: Option<u32>,
    timeout_seconds: Option<u32>,
    period_seconds: Option<u32>,
    success_threshold: Option<u32>,
    failure_threshold: Option<u32>,
}

impl WorkloadGroup {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let RawSpec { metadata: RawGroupMeta { labels, annotations }, template, probe } = spec;
        let origin = meta.at(template.at);
        let template = template.value.check_template(&origin, &mut problems);
        let group = Self { meta, labels, annotations, template, probe };
        if problems.is_empty() { Ok(group) } else { Err(problems) }
    }
}

impl PlainName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Word {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<RawProbe> for Probe {
    type Error = String;

    fn try_from(raw: RawProbe) -> Result<Self, String> {
        let RawProbe { http_get, tcp_socket, exec, grpc, .. } = raw;
        let mut all: Vec<_> = http_get.map(ProbeBy::Http).into_iter().collect();
        all.extend(tcp_socket.map(ProbeBy::Tcp));
        all.extend(exec.map(ProbeBy::Exec));
        all.extend(grpc.map(ProbeBy::Grpc));
        let by = all.pop();
        if !all.is_empty() {
            let message = "only one of httpGet, tcpSocket, exec and grpc can be set";
            return Err(advice(message, "keep one of them"));
        }
        Ok(Self {
            by,
            initial_delay_seconds: raw.initial_delay_seconds,
            timeout_seconds: raw.timeout_seconds,
            period_seconds: raw.period_seconds,
            success_threshold: raw.success_threshold,
            failure_threshold: raw.failure_threshold,
        })
    }
}

impl TryFrom<String> for PlainName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let is_plain = written.bytes().all(fine);
        match FieldName::try_from(written) {
            Ok(name) if is_plain => Ok(Self(name.as_str().to_owned())),
            Ok(name) => Err(format!("`{}` is no name of a header", name.as_str())),
            Err(wrong) => Err(wrong),
        }
    }
}

impl TryFrom<String> for Word {
    type Error = &'static str;

    fn try_from(written: String) -> Result<Self, &'static str> {
        if written.is_empty() { Err("it is empty") } else { Ok(Self(written)) }
    }
}
