//! `ReferenceGrant`: who of other namespaces may name objects of this one.
use super::{
    few::Few,
    text::{Group, Kind, Name, Namespace},
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
pub struct ReferenceGrant {
    pub meta: Meta,
    pub spec: ReferenceGrantSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReferenceGrantSpec {
    pub from: Few<Who, 1, 16>,
    pub to: Few<What, 1, 16>,
}

/// Objects of other namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Who {
    pub group: Group,
    pub kind: Kind,
    pub namespace: Namespace,
}

/// Objects of this namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct What {
    pub group: Group,
    pub kind: Kind,
    /// `None`: all of the kind.
    pub name: Option<Name>,
}

impl ReferenceGrant {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, problems, .. } = read(node, source, Scope::Namespaced)?;
        if problems.is_empty() { Ok(Self { meta, spec }) } else { Err(problems) }
    }
}
