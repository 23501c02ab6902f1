//! One workload of the mesh: a pod, anywhere.
use crate::{
    addr::PodIps,
    identity::Identity,
    name::{ObjectName, WorkloadUid},
};
use std::sync::Arc;

/// What the node knows of one workload; what metrics and logs call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub uid: WorkloadUid,
    pub name: ObjectName,
    pub identity: Identity,
    pub ips: PodIps,
    /// The node it runs on; empty when the manifest does not say.
    pub node: Arc<str>,
    pub cluster: Arc<str>,
    /// The controller that made it (the Deployment's name), else its own name.
    pub owner: Arc<str>,
    /// `service.istio.io/canonical-name`, else `app.kubernetes.io/name`, else `app`, else the owner.
    pub canonical_name: Arc<str>,
    /// `service.istio.io/canonical-revision`, else `app.kubernetes.io/version`, else `version`, else `latest`.
    pub canonical_revision: Arc<str>,
    /// Label `app`, else the canonical name.
    pub app: Arc<str>,
    /// Label `version`, else the canonical revision.
    pub version: Arc<str>,
    pub enrolment: Enrolment,
}

/// Whether a workload is to be in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// Its namespace asks for it and the pod does not decline.
    Enrolled,
    /// Nothing asks for it.
    Outside,
}
