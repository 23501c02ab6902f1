//! Workloads and connections for tests.
use crate::{denial::Denied, request::Request};
use culvert_model::{
    addr::PodIps,
    facts::{ConnFacts, Direction},
    identity::Identity,
    locality::Balance,
    name::{ObjectName, ServiceName, WorkloadUid},
    path::Path,
    service::{Families, Service, Visibility},
    tunnel::Trace,
    workload::{Enrolment, Workload},
};
use std::{sync::Arc, time::Duration};

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

/// The same through a tunnel, addressed by the service's name.
pub(crate) fn tunnelled(direction: Direction) -> ConnFacts {
    let identity = |name| Identity::try_new("cluster.local", "shop", name).ok();
    ConnFacts {
        source_identity: identity("cart"),
        destination_identity: identity("stock"),
        service: Some(Arc::new(service("stock"))),
        hbone: Some("10.0.1.2:15008".parse().unwrap()),
        trace: Some(Trace { trace_id: [0xab; 16], span_id: [1; 8] }),
        path: Path::Tunnel,
        ..facts(direction)
    }
}

/// A request by that tunnel.
pub(crate) fn request(direction: Direction) -> Request {
    Request {
        facts: tunnelled(direction),
        code: 200,
        call: None,
        flags: "".into(),
        request_bytes: 84,
        response_bytes: 1617,
        took: Duration::from_micros(7500),
    }
}

pub(crate) fn denied() -> Denied {
    Denied {
        namespace: "shop".into(),
        policy: Some(ObjectName::new("shop", "deny-web")),
        rule: Some(1),
        action: "DENY",
        condition: Some("destination.port 80 is one of 80".into()),
        dry_run: false,
    }
}

fn service(name: &str) -> Service {
    Service {
        host: ServiceName::new("shop", format!("{name}.shop.svc.cluster.local")),
        name: name.into(),
        vips: Box::default(),
        ports: Box::default(),
        accepted: Box::default(),
        waypoint: None,
        weighted_waypoints: Box::default(),
        balance: Balance::default(),
        families: Families::default(),
        canonical: false,
        ingress_use_waypoint: false,
        visibility: Visibility::default(),
        l7: culvert_model::l7::L7Ports::default(),
    }
}
