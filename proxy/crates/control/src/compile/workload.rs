//! Who a pod is: identity, addresses, and the names metrics and logs call it.
use super::{Settings, select::Labels};
use crate::{object::pod::Pod, problem::Problem};
use culvert_model::{
    addr::PodIps,
    identity::Identity,
    member::OwnerKind,
    name::WorkloadUid,
    workload::{Enrolment, Workload},
};
use std::sync::Arc;

/// Written on a pod by the `ReplicaSet` that made it; part of both names.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Labels that name a workload, the first one first.
const CANONICAL_NAME: [&str; 3] =
    ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];

const CANONICAL_REVISION: [&str; 3] =
    ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// A label of what speaks HBONE by itself.
pub(super) const NATIVE_TUNNEL: &str = "networking.istio.io/tunnel";

/// An annotation of pods that a node holds.
pub const RECORDED: &str = "ambient.istio.io/redirection";

/// What a workload is called.
pub(super) struct Names {
    pub(super) owner: Arc<str>,
    pub(super) owner_kind: OwnerKind,
    pub(super) canonical_name: Arc<str>,
    pub(super) canonical_revision: Arc<str>,
}

/// The workload that `pod` is.
pub(super) fn workload(
    pod: &Pod,
    enrolment: Enrolment,
    settings: &Settings,
) -> Result<Workload, Box<Problem>> {
    let Settings { node_name: _, cluster, trust_domain, ambient: _, l7: _ } = settings;
    let name = pod.meta.name.clone();
    let wrong = |message: String| Box::new(pod.meta.named().error(message));
    let identity = Identity::try_new(trust_domain, &name.namespace, &pod.service_account)
        .map_err(|error| wrong(error.to_string()))?;
    let names = Names::of_pod(pod);
    Ok(Workload {
        uid: WorkloadUid::pod(cluster, &name),
        name,
        identity,
        ips: ips(pod)?,
        node: pod.node.as_deref().unwrap_or_default().into(),
        cluster: Arc::clone(cluster),
        app: label(pod, &["app"]).unwrap_or_else(|| Arc::clone(&names.canonical_name)),
        version: label(pod, &["version"]).unwrap_or_else(|| Arc::clone(&names.canonical_revision)),
        owner: names.owner,
        canonical_name: names.canonical_name,
        canonical_revision: names.canonical_revision,
        enrolment,
    })
}

fn ips(pod: &Pod) -> Result<PodIps, Box<Problem>> {
    let Some(first) = pod.ips.first() else {
        let problem = pod.meta.named().error("an enrolled pod needs an address");
        return Err(Box::new(problem.with_fix("set status.podIP, or status.podIPs for two")));
    };
    PodIps::try_from_ips(pod.ips.iter().map(|ip| ip.value))
        .map_err(|error| Box::new(pod.meta.at(first.at).error(error.to_string())))
}

impl Names {
    pub(super) fn of_pod(pod: &Pod) -> Self {
        let (owner, owner_kind) = owner(pod);
        let label = |key: &str| pod.meta.label(key);
        Self::new(owner, owner_kind, label)
    }

    /// What is written down stands for itself, as a pod without an owner does.
    pub(super) fn of_entry(name: &Arc<str>, labels: &Labels<'_>) -> Self {
        Self::new(Arc::clone(name), OwnerKind::Pod, |key| labels.get(key).copied())
    }

    fn new<'a>(
        owner: Arc<str>,
        owner_kind: OwnerKind,
        label: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let first = |keys: &[&str]| {
            let values = keys.iter().filter_map(|key| label(key));
            values.into_iter().find(|value| !value.is_empty()).map(Arc::from)
        };
        Self {
            canonical_name: first(&CANONICAL_NAME).unwrap_or_else(|| Arc::clone(&owner)),
            canonical_revision: first(&CANONICAL_REVISION).unwrap_or_else(|| "latest".into()),
            owner,
            owner_kind,
        }
    }
}

/// The first of `keys` that the pod has as a label with a value.
fn label(pod: &Pod, keys: &[&str]) -> Option<Arc<str>> {
    keys.iter().filter_map(|key| pod.meta.label(key)).find(|value| !value.is_empty()).map(Arc::from)
}

/// The controller as people know it.
///
/// That is the Deployment, not its `ReplicaSet` of the day; the `CronJob`, not its Job of the hour.
fn owner(pod: &Pod) -> (Arc<str>, OwnerKind) {
    let owners = &pod.meta.owners;
    let hash = pod.meta.label(TEMPLATE_HASH).filter(|hash| !hash.is_empty());
    let Some(owner) = owners.iter().find(|owner| owner.is_controller).or(owners.first()) else {
        let name = &*pod.meta.name.name;
        let made_by = hash.and_then(|hash| name.rsplit_once(&format!("-{hash}-")));
        return match made_by {
            Some((deployment, _)) => (deployment.into(), OwnerKind::Deployment),
            None => (name.into(), OwnerKind::Pod),
        };
    };
    let kind = match owner.kind.as_str() {
        "ReplicaSet" | "Deployment" => OwnerKind::Deployment,
        "Job" => OwnerKind::Job,
        "CronJob" => OwnerKind::CronJob,
        _ => OwnerKind::Pod,
    };
    let (stripped, of) = match kind {
        OwnerKind::Deployment => {
            (hash.and_then(|hash| owner.name.strip_suffix(hash)), OwnerKind::Deployment)
        }
        OwnerKind::Job => {
            let name = owner.name.trim_end_matches(|c: char| c.is_ascii_digit());
            (Some(name).filter(|name| owner.name.len() - name.len() >= 8), OwnerKind::CronJob)
        }
        OwnerKind::CronJob | OwnerKind::Pod => (None, kind),
    };
    let stripped = stripped.and_then(|name| name.strip_suffix('-'));
    match stripped.filter(|name| !name.is_empty()) {
        Some(name) => (name.into(), of),
        None => (owner.name.as_str().into(), kind),
    }
}
