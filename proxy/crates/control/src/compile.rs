//! Objects to snapshots: pure, and the same for the same objects in any order.
//!
//! Reading order: `enrolment` (is it in the mesh), `workload` (who it is), `local` (what
//! this node must hold).

mod enrolment;

mod workload;

mod local;

mod unique;

#[cfg(test)]
mod tests;

use crate::{
    object::{Objects, Skipped, namespace::Namespace, pod::Pod},
    problem::{Problem, Severity},
};
use culvert_model::{
    pod::{LocalPod, LocalPods},
    snapshot::Snapshot,
    workload::{Enrolment, Workload},
};
use enrolment::Wish;
use std::{collections::BTreeMap, sync::Arc};
use unique::Unique;

/// For whom objects are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub node_name: Arc<str>,
    pub cluster: Arc<str>,
    pub trust_domain: Arc<str>,
}

/// What a set of objects means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    pub snapshot: Snapshot,
    pub local: LocalPods,
    /// Warnings: the set is used, and may not mean what its author thinks.
    pub notes: Vec<Problem>,
}

/// What is collected on the way.
struct Compiler<'a> {
    settings: &'a Settings,
    namespaces: BTreeMap<&'a str, &'a Namespace>,
    workloads: Vec<Arc<Workload>>,
    local: LocalPods,
    problems: Vec<Problem>,
}

/// Compiles `objects` for a node.
///
/// # Errors
///
/// Everything that is wrong with them, sorted by place. Nothing is compiled then: half a set could
/// leave pods out of the mesh.
pub fn compile(objects: &Objects, settings: &Settings) -> Result<Compiled, Vec<Problem>> {
    let mut problems = Vec::new();
    let namespaces = unique::namespaces(&objects.namespaces, &mut problems);
    let pods = unique::pods(&objects.pods, &mut problems);
    let mut compiler = Compiler {
        settings,
        namespaces,
        workloads: Vec::new(),
        local: LocalPods::default(),
        problems,
    };
    compiler.problems.extend(compiler.namespaces.values().flat_map(|ns| enrolment::notes(ns)));
    compiler.problems.extend(objects.skipped.iter().filter_map(Skipped::note));
    let mut addresses = Unique::new("the address");
    let mut netns = Unique::new("the network namespace");
    for pod in pods {
        compiler.pod(pod, &mut addresses, &mut netns);
    }
    compiler.problems.extend(addresses.into_problems());
    compiler.problems.extend(netns.into_problems());
    compiler.finish()
}

impl<'a> Compiler<'a> {
    fn pod(&mut self, pod: &'a Pod, addresses: &mut Unique<'a>, netns: &mut Unique<'a>) {
        let namespace = self.namespaces.get(&*pod.meta.name.namespace).copied();
        let Wish { enrolment, fail, notes, problems } = enrolment::wish(pod, namespace);
        let of = format!("Pod/{}", pod.meta.name);
        let tell = |problem: Problem| problem.of(&of);
        self.problems.extend(notes.into_iter().chain(problems).map(tell));
        let mount = local::netns(pod).map_err(|problem| self.problems.push(tell(*problem)));
        if pod.uses_host_network || pod.phase.is_over() {
            // Its address is the node's, or may be another pod's by now.
            return;
        }
        for ip in &pod.ips {
            addresses.claim(ip.value.to_canonical(), pod, ip.at);
        }
        if enrolment == Enrolment::Outside && pod.ips.is_empty() {
            return;
        }
        let workload = match workload::workload(pod, enrolment, self.settings) {
            Ok(workload) => Arc::new(workload),
            Err(problem) => return self.problems.push(tell(*problem)),
        };
        self.workloads.push(Arc::clone(&workload));
        let is_local = pod.node.as_deref().is_none_or(|node| *node == *self.settings.node_name);
        let (Enrolment::Enrolled, true, Ok(mount)) = (enrolment, is_local, mount) else { return };
        let Some(mount) = mount else { return self.problems.push(tell(local::no_netns(pod))) };
        netns.claim(mount.value.display(), pod, mount.at);
        let container_ports = pod.tcp_ports.clone();
        let resolvers = Vec::new();
        let local = LocalPod { workload, netns: mount.value, fail, container_ports, resolvers };
        self.local.pods.insert(local.workload.uid.clone(), Arc::new(local));
    }

    fn finish(self) -> Result<Compiled, Vec<Problem>> {
        let Self { mut problems, workloads, local, .. } = self;
        problems.sort();
        problems.dedup();
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        let snapshot = Snapshot::build(workloads)
            .expect("two pods with one address are a problem, and there is none");
        Ok(Compiled { snapshot, local, notes: problems })
    }
}
