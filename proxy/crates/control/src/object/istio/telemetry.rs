//! `Telemetry` of telemetry.istio.io: what is told of requests, and to whom.
use super::{
    percent::Percent,
    target::{RawTarget, Selects, selects},
    time::Time,
    workload_group::Word,
};
use crate::object::{
    fault::advice,
    meta::{Meta, Scope},
    node::Node,
    selector::RawSelector,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// What is told of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    pub meta: Meta,
    pub selects: Selects,
    pub tracing: Vec<Spanned<Tracing>>,
    pub metrics: Vec<Spanned<Metrics>>,
    pub access_logging: Vec<Spanned<AccessLogging>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    #[serde(rename = "match")]
    pub matches: Option<ModeMatch>,
    pub providers: Vec<Spanned<Provider>>,
    pub random_sampling_percentage: Option<Percent>,
    pub disable_span_reporting: Option<bool>,
    pub disable_context_propagation: Option<bool>,
    pub custom_tags: BTreeMap<String, CustomTag>,
    pub use_request_id_for_trace_sampling: Option<bool>,
    pub enable_istio_tags: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    pub providers: Vec<Spanned<Provider>>,
    pub overrides: Vec<Spanned<MetricOverride>>,
    pub reporting_interval: Option<Time>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AccessLogging {
    #[serde(rename = "match")]
    pub matches: Option<ModeMatch>,
    pub providers: Vec<Spanned<Provider>>,
    pub disabled: Option<bool>,
    pub filter: Option<LogFilter>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LogFilter {
    pub expression: String,
}

/// Who is told, by its name in the settings of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Provider {
    pub name: Word,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ModeMatch {
    pub mode: WorkloadMode,
}

/// At which side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkloadMode {
    #[default]
    ClientAndServer,
    Client,
    Server,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricOverride {
    #[serde(rename = "match")]
    pub matches: Option<MetricMatch>,
    pub disabled: Option<bool>,
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawMetricMatch")]
pub struct MetricMatch {
    /// `None`: all.
    pub metric: Option<Metric>,
    pub mode: WorkloadMode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    Standard(StandardMetric),
    Custom(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StandardMetric {
    AllMetrics,
    RequestCount,
    RequestDuration,
    RequestSize,
    ResponseSize,
    TcpOpenedConnections,
    TcpClosedConnections,
    TcpSentBytes,
    TcpReceivedBytes,
    GrpcRequestMessages,
    GrpcResponseMessages,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawTag")]
pub enum TagOverride {
    /// By an expression.
    Upsert(String),
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawCustomTag")]
pub enum CustomTag {
    Nothing,
    Literal(String),
    Environment { name: String, default: Option<String> },
    Header { name: String, default: Option<String> },
    Formatter(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    selector: Option<Spanned<RawSelector>>,
    target_ref: Option<Spanned<RawTarget>>,
    target_refs: Option<Spanned<Vec<Spanned<RawTarget>>>>,
    tracing: Vec<Spanned<Tracing>>,
    metrics: Vec<Spanned<Metrics>>,
    access_logging: Vec<Spanned<AccessLogging>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetricMatch {
    metric: Option<StandardMetric>,
    custom_metric: Option<Word>,
    #[serde(default)]
    mode: WorkloadMode,
}

#[derive(Deserialize)]
struct RawTag {
    operation: Option<TagOperation>,
    value: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum TagOperation {
    Upsert,
    Remove,
}

#[derive(Deserialize)]
struct RawCustomTag {
    literal: Option<Value>,
    environment: Option<Named>,
    header: Option<Named>,
    formatter: Option<Value>,
}

#[derive(Deserialize)]
struct Value {
    value: Word,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: Word,
    default_value: Option<String>,
}

impl Telemetry {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let RawSpec { selector, target_ref, target_refs, tracing, metrics, access_logging } = spec;
        let selects = selects(selector, target_ref, target_refs, &meta, &mut problems);
        let telemetry = Self { meta, selects, tracing, metrics, access_logging };
        if problems.is_empty() { Ok(telemetry) } else { Err(problems) }
    }
}

impl TryFrom<RawMetricMatch> for MetricMatch {
    type Error = String;

    fn try_from(raw: RawMetricMatch) -> Result<Self, String> {
        let metric = match (raw.metric, raw.custom_metric) {
            (None, None) => None,
            (Some(metric), None) => Some(Metric::Standard(metric)),
            (None, Some(name)) => Some(Metric::Custom(name.as_str().to_owned())),
            (Some(_), Some(_)) => {
                let message = "only one of metric and customMetric can be set";
                return Err(advice(message, "keep one of them"));
            }
        };
        Ok(Self { metric, mode: raw.mode })
    }
}

impl TryFrom<RawTag> for TagOverride {
    type Error = String;

    fn try_from(raw: RawTag) -> Result<Self, String> {
        match (raw.operation, raw.value) {
            (Some(TagOperation::Remove), None) => Ok(Self::Remove),
            (Some(TagOperation::Remove), Some(_)) => {
                Err(advice("value must not be set when operation is REMOVE", "leave it out"))
            }
            (Some(TagOperation::Upsert), value) if value.as_ref().is_none_or(String::is_empty) => {
                Err(advice("value must be set when operation is UPSERT", "write an expression"))
            }
            (Some(TagOperation::Upsert) | None, value) => {
                Ok(Self::Upsert(value.unwrap_or_default()))
            }
        }
    }
}

impl TryFrom<RawCustomTag> for CustomTag {
    type Error = String;

    fn try_from(raw: RawCustomTag) -> Result<Self, String> {
        let text = |word: Word| word.as_str().to_owned();
        let RawCustomTag { literal, environment, header, formatter } = raw;
        let mut all: Vec<_> =
            literal.map(|one| Self::Literal(text(one.value))).into_iter().collect();
        all.extend(environment.map(|Named { name, default_value: default }| Self::Environment {
            name: text(name),
            default,
        }));
        all.extend(header.map(|Named { name, default_value: default }| Self::Header {
            name: text(name),
            default,
        }));
        all.extend(formatter.map(|one| Self::Formatter(text(one.value))));
        match (all.pop(), all.is_empty()) {
            (None, _) => Ok(Self::Nothing),
            (Some(one), true) => Ok(one),
            (Some(_), false) => {
                let message = "only one of literal, environment, header and formatter can be set";
                Err(advice(message, "keep one of them"))
            }
        }
    }
}
