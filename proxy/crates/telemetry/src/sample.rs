//! Workloads and connections for tests.
use culvert_model::{
    addr::PodIps,
    facts::{ConnFacts, Direction},
    identity::Identity,
    name::{ObjectName, WorkloadUid},
    workload::{Enrolment, Workload},
};
use std::sync::Arc;

/// A pod `<app>-1` of the deployment `app`, in the namespace `shop`.
pub(crate) fn workload(app: &str, ip: &str) -> Workload {
    let name = ObjectName::new("shop", format!("{app}-1"));
    Workload {
        uid: WorkloadUid::pod("Kubernetes", &name),
        name,
        identity: Identity::try_new("cluster.local", "shop", app).unwrap(),
        ips: PodIps::try_from_ips([ip.parse().unwrap()]).unwrap(),
        node: "a".into(),
        cluster: "Kubernetes".into(),
        owner: app.into(),
        canonical_name: app.into(),
        canonical_revision: "v1".into(),
        app: app.into(),
        version: "v1".into(),
        enrolment: Enrolment::Enrolled,
    }
}

/// A connection from `cart` to `stock`.
pub(crate) fn facts(direction: Direction) -> ConnFacts {
    let (source, destination) = ("10.0.0.1:40000", "10.0.1.2:80");
    ConnFacts {
        source_workload: Some(Arc::new(workload("cart", "10.0.0.1"))),
        destination_workload: Some(Arc::new(workload("stock", "10.0.1.2"))),
        ..ConnFacts::new(direction, source.parse().unwrap(), destination.parse().unwrap())
    }
}
