//! Objects to snapshots: pure, and the same for the same objects in any order.
//!
//! Reading order: [`mod@mesh`] (what comes out), `store` (what goes in), [`incremental`] and `levels`
//! (how one becomes the other); then `root` (what holds everywhere), `service`, `registry`, `vip`
//! (services), `authorization`, `peer`, `policies` (policies), `enrolment` (is a pod in the mesh),
//! `workload`, `member` (who somebody is), `local` (what this node must hold).

pub mod mesh;

mod store;

mod select;

mod root;

mod vip;

mod service;

mod registry;

mod authorization;

mod peer;

mod policies;

mod member;

pub mod incremental;

mod touched;

mod levels;

mod enrolment;

mod workload;

mod local;

mod unique;

use crate::{object::Objects, problem::Problem};
use culvert_model::{pod::LocalPods, snapshot::Snapshot, workload::Enrolment};
use std::{collections::HashSet, sync::Arc};

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
}

/// What a set of objects means to a node that reads it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    pub snapshot: Snapshot,
    pub local: LocalPods,
    /// Warnings: the set is used, and may not mean what its author thinks.
    pub notes: Vec<Problem>,
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

/// Compiles `objects` for a node.
///
/// # Errors
///
/// As [`mesh()`].
pub fn compile(objects: &Objects, settings: &Settings) -> Result<Compiled, Vec<Problem>> {
    let mesh::Mesh { members, local, notes, .. } = mesh(objects, settings)?;
    // Addresses of pods are unique; others are only named where they are nobody else's.
    let (pods, others): (Vec<_>, Vec<_>) =
        members.values().partition(|wanted| wanted.member.uid.as_str().contains("//Pod/"));
    let mut taken = HashSet::new();
    let mut workloads = Vec::new();
    for wanted in pods.into_iter().chain(others) {
        let mut ips = wanted.member.network_ips().map(|ip| ip.ip).peekable();
        if ips.peek().is_none() || !ips.all(|ip| taken.insert(ip)) {
            continue;
        }
        let mut workload = wanted.member.workload();
        if wanted.enrolled {
            workload.enrolment = Enrolment::Enrolled;
        }
        let local = local.pods.get(&workload.uid).map(|local| Arc::clone(&local.workload));
        workloads.push(local.unwrap_or_else(|| Arc::new(workload)));
    }
    let snapshot = Snapshot::build(workloads).unwrap_or_default();
    Ok(Compiled { snapshot, local, notes })
}
