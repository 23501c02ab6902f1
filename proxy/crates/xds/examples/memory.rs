//! What a workload costs a node in memory, from the wire to the snapshot:
//! `cargo run --profile quick -p culvert-xds --example memory`.
#![expect(clippy::print_stdout, reason = "is what it is for")]
use culvert_model::{
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    service::{AppProtocol, Port, Service},
    snapshot::{Mesh, build::Builder},
};
use culvert_proto::{Any, Message, envoy::service::discovery::v3 as ads};
use culvert_xds::{
    client::{Change, Client, Mode},
    resource::{Address, Resource},
};
use std::{error::Error, fs, hint::black_box, net::IpAddr, num::NonZeroU16, sync::Arc};

/// So many workloads are of one app.
const PODS: usize = 10;

const BATCH: usize = 500;

/// Bytes this process has in memory.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kib.parse::<usize>()? * 1024)
}

fn ip(first: u8, at: usize) -> Result<IpAddr, Box<dyn Error>> {
    let [_, high, middle, low] = u32::try_from(at)?.to_be_bytes();
    Ok([first, high, middle, low].into())
}

fn host(app: usize) -> ServiceName {
    let namespace = format!("namespace-{}", app % 100);
    let host = format!("app-{app}.{namespace}.svc.cluster.local");
    ServiceName::new(namespace, host)
}

fn member(at: usize) -> Result<Address, Box<dyn Error>> {
    let app = at / PODS;
    let (host, owner) = (host(app), format!("app-{app}"));
    let name = ObjectName::new(&*host.namespace, format!("{owner}-7d4b9c8f6d-{at:05}"));
    let identity = Identity::try_new("cluster.local", &host.namespace, &owner)?;
    let ports: Vec<Port> = [(80, 8080), (443, 8443)]
        .into_iter()
        .filter_map(|(port, target)| {
            let (port, target) = (NonZeroU16::new(port)?, NonZeroU16::new(target));
            Some(Port { port, target, protocol: AppProtocol::Tcp })
        })
        .collect();
    Ok(Address::Member(Arc::new(Member {
        addresses: [ip(10, at)?].into(),
        tunnel: Tunnel::Hbone,
        node: format!("node-{}.region.compute.internal", at % 100).into(),
        cluster: "Kubernetes".into(),
        canonical_name: (*owner).into(),
        canonical_revision: "latest".into(),
        owner: owner.into(),
        services: [(host, ports)].into_iter().collect(),
        policies: [ObjectName::new("istio-system", "istio_converted_static_strict")].into(),
        ..Member::new(WorkloadUid::pod("Kubernetes", &name), name, identity)
    })))
}

fn service(app: usize) -> Result<Address, Box<dyn Error>> {
    let vip = NetworkRange::new("", ip(172, app)?.into());
    let name = format!("app-{app}");
    Ok(Address::Service(Arc::new(Service { vips: [vip].into(), ..Service::new(host(app), name) })))
}

/// As a control plane writes it.
fn on_the_wire(address: &Address) -> ads::Resource {
    ads::Resource {
        name: (*address.name()).to_owned(),
        aliases: address.aliases().iter().map(|alias| (**alias).to_owned()).collect(),
        version: "0123456789abcdef".to_owned(),
        resource: Some(Any {
            type_url: Address::TYPE_URL.to_owned(),
            value: address.encode().encode_to_vec(),
        }),
        ..ads::Resource::default()
    }
}

/// Takes in `count` resources, and says what each costs.
fn cost(
    count: usize,
    address: impl Fn(usize) -> Result<Address, Box<dyn Error>>,
    client: &mut Client<Address>,
    builder: &mut Builder,
) -> Result<usize, Box<dyn Error>> {
    let before = resident()?;
    for start in (0..count).step_by(BATCH) {
        let batch: Result<Vec<_>, _> = (start..start + BATCH).map(&address).collect();
        let resources = batch?.iter().map(on_the_wire).collect();
        let received = client.receive(ads::DeltaDiscoveryResponse {
            resources,
            type_url: Address::TYPE_URL.to_owned(),
            ..ads::DeltaDiscoveryResponse::default()
        });
        for change in received.changes {
            match change {
                Change::Set(Address::Member(member)) => builder.set_member(member),
                Change::Set(Address::Service(service)) => builder.set_service(service),
                Change::Removed(_) | Change::Refused(_) | Change::Absent(_) => {
                    return Err("a resource was not taken".into());
                }
            }
        }
        drop(black_box(builder.build()));
    }
    Ok((resident()? - before) / count)
}

fn main() -> Result<(), Box<dyn Error>> {
    for count in [10_000, 100_000] {
        let (mut client, mut builder) =
            (Client::new(Mode::Everything), Builder::new(Mesh::default()));
        let each = cost(count, member, &mut client, &mut builder)?;
        println!("{count} workloads: {each} B each");
        let services = count / PODS;
        let each = cost(services, service, &mut client, &mut builder)?;
        println!("{services} services: {each} B each");
        black_box((client, builder));
    }
    Ok(())
}
