//! What a workload costs in memory: `cargo run --profile quick -p culvert-model --example memory`.
#![expect(clippy::print_stdout, reason = "is what it is for")]
use culvert_model::{
    authz::{Action, Authorization, Scope},
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    service::{AppProtocol, Port, Service},
    snapshot::{Mesh, build::Builder},
};
use std::{error::Error, fs, hint::black_box, num::NonZeroU16, sync::Arc};

/// Bytes this process has in memory.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kib.parse::<usize>()? * 1024)
}

/// As it comes off the wire: nothing is shared with the others.
fn member(at: usize) -> Result<Member, Box<dyn Error>> {
    let app = at / 10;
    let namespace = format!("namespace-{}", app % 100);
    let name = ObjectName::new(&*namespace, format!("app-{app}-7d4b9c8f6d-{at:05}"));
    let identity = Identity::try_new("cluster.local", &namespace, &format!("app-{app}"))?;
    let [_, high, middle, low] = u32::try_from(at)?.to_be_bytes();
    let ports: Vec<Port> = [(80, 8080), (443, 8443)]
        .into_iter()
        .filter_map(|(port, target)| {
            let (port, target) = (NonZeroU16::new(port)?, NonZeroU16::new(target));
            Some(Port { port, target, protocol: AppProtocol::Tcp })
        })
        .collect();
    let host = format!("app-{app}.{namespace}.svc.cluster.local");
    Ok(Member {
        addresses: [[10, high, middle, low].into()].into(),
        tunnel: Tunnel::Hbone,
        node: format!("node-{}.region.compute.internal", at % 100).into(),
        cluster: "Kubernetes".into(),
        canonical_name: format!("app-{app}").into(),
        canonical_revision: "latest".into(),
        owner: format!("app-{app}").into(),
        services: [(ServiceName::new(namespace, host), ports)].into_iter().collect(),
        policies: [ObjectName::new("istio-system", "istio_converted_static_strict")].into(),
        ..Member::new(WorkloadUid::pod("Kubernetes", &name), name, identity)
    })
}

fn service(app: usize) -> Result<Service, Box<dyn Error>> {
    let namespace = format!("namespace-{}", app % 100);
    let host = format!("app-{app}.{namespace}.svc.cluster.local");
    let [_, high, middle, low] = u32::try_from(app)?.to_be_bytes();
    let vip = ipnet::IpNet::from(std::net::IpAddr::from([172, high, middle, low]));
    let name = format!("app-{app}");
    Ok(Service {
        vips: [NetworkRange::new("", vip)].into(),
        ..Service::new(ServiceName::new(namespace, host), name)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "Member {} B, Workload {} B",
        size_of::<Member>(),
        size_of::<culvert_model::workload::Workload>()
    );
    for count in [10_000, 100_000] {
        let mut builder = Builder::new(Mesh::default());
        builder.set_policy(Arc::new(Authorization {
            name: ObjectName::new("istio-system", "istio_converted_static_strict"),
            scope: Scope::Selector,
            action: Action::Deny,
            dry_run: false,
            rules: Box::default(),
            origin: None,
        }));
        drop(black_box(builder.build()));
        let before = resident()?;
        for at in 0..count {
            builder.set_member(Arc::new(member(at)?));
        }
        let snapshot = black_box(builder.build());
        let with_members = resident()?;
        for app in 0..count / 10 {
            builder.set_service(Arc::new(service(app)?));
        }
        let with_services = black_box(builder.build());
        let after = resident()?;
        println!(
            "{count} workloads: {} B each; {} services: {} B each",
            (with_members - before) / count,
            count / 10,
            (after - with_members) / (count / 10),
        );
        drop((snapshot, with_services, builder));
    }
    Ok(())
}
