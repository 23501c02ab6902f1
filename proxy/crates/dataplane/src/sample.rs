//! Pods for tests.
use culvert_model::{
    addr::PodIps,
    identity::Identity,
    name::{ObjectName, WorkloadUid},
    pod::{Fail, LocalPod},
    workload::{Enrolment, Workload},
};
use std::{net::IpAddr, sync::Arc};

/// A pod of the namespace `shop` at 10.0.0.`last`.
pub(crate) fn pod(name: &str, last: u8) -> Arc<LocalPod> {
    let object = ObjectName::new("shop", name);
    let workload = Workload {
        uid: WorkloadUid::pod("Kubernetes", &object),
        name: object,
        identity: Identity::try_new("cluster.local", "shop", name).unwrap(),
        ips: PodIps::try_from_ips([IpAddr::from([10, 0, 0, last])]).unwrap(),
        node: "a".into(),
        cluster: "Kubernetes".into(),
        owner: name.into(),
        canonical_name: name.into(),
        canonical_revision: "v1".into(),
        app: name.into(),
        version: "v1".into(),
        enrolment: Enrolment::Enrolled,
    };
    Arc::new(LocalPod {
        workload: Arc::new(workload),
        netns: format!("/run/netns/{name}").into(),
        fail: Fail::Closed,
        container_ports: Vec::new(),
    })
}
