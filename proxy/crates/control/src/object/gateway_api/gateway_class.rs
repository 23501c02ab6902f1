//! `GatewayClass`: who is responsible for gateways.
use super::{
    reference::ObjectRef,
    text::{ControllerName, Description},
};
use crate::{
    object::{
        meta::{Meta, Scope},
        node::Node,
        written::{Read, read},
    },
    problem::{Problem, Source},
};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayClass {
    pub meta: Meta,
    pub spec: GatewayClassSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    pub controller_name: ControllerName,
    pub parameters_ref: Option<ObjectRef>,
    pub description: Option<Description>,
}

impl GatewayClass {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, problems, .. } = read(node, source, Scope::Machine)?;
        if problems.is_empty() { Ok(Self { meta, spec }) } else { Err(problems) }
    }
}
