//! Objects to what the mesh is to be: pure, and the same for the same objects in any order.
//!
//! Reading order: [`mod@mesh`] (what comes out), `store` (what goes in), [`incremental`] and `levels`
//! (how one becomes the other); then `root` (what holds everywhere), `service`, `registry`, `vip`, `l7`
//! (services), `authorization`, `peer`, `policies` (policies),
//! `effect` (what becomes of one), `enrolment` (is a pod in the mesh),
//! `workload`, `member` (who somebody is), `local` (what this node must hold); [`own`] (the same of
//! the pods of one node only); [`http`] (what L7 is told).

pub mod mesh;

mod store;

mod select;

mod root;

mod vip;

mod l7;

mod service;

mod registry;

mod authorization;

mod peer;

mod policies;

pub(crate) mod effect;

mod member;

pub mod incremental;

mod touched;

mod told;

mod levels;

mod enrolment;

mod workload;

mod local;

pub mod own;

mod unique;

pub mod http;

pub use enrolment::{Ambient, Outside};

use crate::{object::Objects, problem::Problem};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// For whom objects are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node whose pods are held here; empty: none.
    pub node_name: Arc<str>,
    pub cluster: Arc<str>,
    /// Unless the settings of the mesh say another one.
    pub trust_domain: Arc<str>,
    /// Whose the pods are that have Istio's label.
    pub ambient: Ambient,
    /// Whether somebody tells the nodes' engines what there is of L7: who asks for it gets it.
    pub l7: bool,
}

/// Compiles `objects`.
///
/// # Errors
///
/// Everything that is wrong with them, sorted by place. Nothing is compiled then: half a set could
/// leave pods out of the mesh.
pub fn mesh(objects: &Objects, settings: &Settings) -> Result<mesh::Mesh, Vec<Problem>> {
    let mut compiler = incremental::Compiler::new(settings.clone());
    compiler.apply(objects)?;
    Ok(compiler.into_mesh())
}
