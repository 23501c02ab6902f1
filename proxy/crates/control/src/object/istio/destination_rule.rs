//! `DestinationRule` of networking.istio.io: how a service is talked to.
//!
//! `policy` and what it is made of are what is written, each value parsed once; `check` is what no
//! single value shows.
use super::{
    destination::SubsetName,
    domain::{ExportTo, HostPattern},
};
use crate::object::{
    meta::{Meta, Scope},
    node::Node,
    selector::{RawLabels, RawSelector, check_values},
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use policy::TrafficPolicy;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

pub mod balancer;
mod check;
pub mod outlier;
pub mod policy;
pub mod pool;
pub mod tls;

/// How some hosts are talked to.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRule {
    pub meta: Meta,
    pub host: Spanned<HostPattern>,
    pub policy: Option<Spanned<TrafficPolicy>>,
    pub subsets: Vec<Spanned<Subset>>,
    pub export_to: Vec<Spanned<ExportTo>>,
    /// For clients with these labels only.
    pub selector: Option<BTreeMap<String, String>>,
}

/// Some endpoints of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    pub name: Spanned<SubsetName>,
    pub labels: BTreeMap<String, String>,
    pub policy: Option<Spanned<TrafficPolicy>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    host: Spanned<HostPattern>,
    traffic_policy: Option<Spanned<TrafficPolicy>>,
    #[serde(default)]
    subsets: Vec<Spanned<RawSubset>>,
    #[serde(default)]
    export_to: Vec<Spanned<ExportTo>>,
    workload_selector: Option<RawSelector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSubset {
    name: Spanned<SubsetName>,
    #[serde(default)]
    labels: RawLabels,
    traffic_policy: Option<Spanned<TrafficPolicy>>,
}

impl DestinationRule {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let RawSpec { host, traffic_policy, subsets, export_to, workload_selector } = spec;
        let subset = |raw: Spanned<RawSubset>| {
            let RawSubset { name, labels, traffic_policy } = raw.value;
            let labels = labels.into_iter().map(|(key, value)| (key, value.value)).collect();
            Spanned { value: Subset { name, labels, policy: traffic_policy }, at: raw.at }
        };
        let subsets = subsets.into_iter().map(subset).collect();
        let selector = workload_selector
            .map(|selector| check_values(selector.match_labels, &meta, &mut problems));
        let rule = Self { meta, host, policy: traffic_policy, subsets, export_to, selector };
        check::rule(&rule, &mut problems);
        if problems.is_empty() { Ok(rule) } else { Err(problems) }
    }
}
