//! Who a pod is: identity, addresses, and the names metrics and logs call it.
use super::Settings;
use crate::{object::pod::Pod, problem::Problem};
use culvert_model::{
    addr::PodIps,
    identity::Identity,
    name::WorkloadUid,
    workload::{Enrolment, Workload},
};
use std::sync::Arc;

/// Written on a pod by the `ReplicaSet` that made it; part of both names.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The workload that `pod` is.
pub(super) fn workload(
    pod: &Pod,
    enrolment: Enrolment,
    settings: &Settings,
) -> Result<Workload, Box<Problem>> {
    let Settings { node_name: _, cluster, trust_domain } = settings;
    let name = pod.meta.name.clone();
    let wrong = |message: String| Box::new(pod.meta.named().error(message));
    let identity = Identity::try_new(trust_domain, &name.namespace, &pod.service_account)
        .map_err(|error| wrong(error.to_string()))?;
    let owner = owner(pod);
    let canonical_name =
        label(pod, &["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
            .unwrap_or_else(|| Arc::clone(&owner));
    let canonical_revision = label(
        pod,
        &["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"],
    )
    .unwrap_or_else(|| "latest".into());
    Ok(Workload {
        uid: WorkloadUid::pod(cluster, &name),
        name,
        identity,
        ips: ips(pod)?,
        node: pod.node.as_deref().unwrap_or_default().into(),
        cluster: Arc::clone(cluster),
        app: label(pod, &["app"]).unwrap_or_else(|| Arc::clone(&canonical_name)),
        version: label(pod, &["version"]).unwrap_or_else(|| Arc::clone(&canonical_revision)),
        owner,
        canonical_name,
        canonical_revision,
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

/// The first of `keys` that the pod has as a label with a value.
fn label(pod: &Pod, keys: &[&str]) -> Option<Arc<str>> {
    keys.iter().filter_map(|key| pod.meta.label(key)).find(|value| !value.is_empty()).map(Arc::from)
}

/// The controller as people know it.
///
/// That is the Deployment, not its `ReplicaSet` of the day; the `CronJob`, not its Job of the hour.
fn owner(pod: &Pod) -> Arc<str> {
    let owners = &pod.meta.owners;
    let hash = pod.meta.label(TEMPLATE_HASH).filter(|hash| !hash.is_empty());
    let Some(owner) = owners.iter().find(|owner| owner.is_controller).or(owners.first()) else {
        let name = &*pod.meta.name.name;
        let made_by = hash.and_then(|hash| name.rsplit_once(&format!("-{hash}-")));
        return made_by.map_or(name, |(deployment, _)| deployment).into();
    };
    let stripped = match owner.kind.as_str() {
        "ReplicaSet" => hash.and_then(|hash| owner.name.strip_suffix(hash)),
        "Job" => Some(owner.name.trim_end_matches(|c: char| c.is_ascii_digit()))
            .filter(|name| owner.name.len() - name.len() >= 8),
        _ => None,
    };
    let stripped = stripped.and_then(|name| name.strip_suffix('-'));
    stripped.filter(|name| !name.is_empty()).unwrap_or(&owner.name).into()
}
