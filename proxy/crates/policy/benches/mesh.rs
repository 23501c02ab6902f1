//! A mesh of 10,000 workloads: what a change of it costs, and what a way through it.
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use culvert_model::{
    authz::{Action, Authorization, Scope},
    identity::Identity,
    locality::{Balance, BalanceMode, Nearness},
    member::{Health, Member, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    service::{AppProtocol, Port, Service},
    snapshot::{Snapshot, build::Builder},
};
use culvert_policy::{balance::Idle, route, route::Asking};
use std::{hint::black_box, net::IpAddr, num::NonZeroU16, sync::Arc};

const WORKLOADS: usize = 10_000;

/// Ten of each app; perhaps also behind the service that all are behind.
fn member(at: usize, health: Health, with_all: bool) -> Arc<Member> {
    let app = at / 10;
    let namespace = format!("ns-{}", app % 100);
    let name = ObjectName::new(&*namespace, format!("app-{app}-{at}"));
    let identity = Identity::try_new("td", &namespace, &format!("app-{app}")).expect("is one");
    let [_, high, middle, low] = u32::try_from(at).expect("is small").to_be_bytes();
    let own = ServiceName::new(namespace, format!("app-{app}"));
    let services = [own].into_iter().chain(with_all.then(all));
    Arc::new(Member {
        addresses: [IpAddr::from([10, high, middle, low])].into(),
        tunnel: Tunnel::Hbone,
        node: format!("node-{}", at % 100).into(),
        services: services.map(|name| (name, Vec::<Port>::new())).collect(),
        health,
        ..Member::new(WorkloadUid::pod("Kubernetes", &name), name, identity)
    })
}

fn all() -> ServiceName {
    ServiceName::new("all", "all")
}

fn service(host: ServiceName, vip: [u8; 4], mode: BalanceMode) -> Arc<Service> {
    let port = |port| NonZeroU16::new(port).expect("is one");
    let name = Arc::clone(&host.hostname);
    Arc::new(Service {
        vips: [NetworkRange::new("", IpAddr::from(vip).into())].into(),
        ports: [Port { port: port(80), target: Some(port(8080)), protocol: AppProtocol::Tcp }]
            .into(),
        balance: Balance {
            preference: [Nearness::Region, Nearness::Zone, Nearness::Node].into(),
            mode,
            ..Balance::default()
        },
        ..Service::new(host, name)
    })
}

fn policy(namespace: &str, scope: Scope) -> Arc<Authorization> {
    Arc::new(Authorization {
        name: ObjectName::new(namespace, "policy"),
        scope,
        action: Action::Deny,
        dry_run: false,
        rules: Box::default(),
        origin: None,
    })
}

fn filled(with_all: bool) -> Builder {
    let mut builder = Builder::default();
    for at in 0..WORKLOADS {
        builder.set_member(member(at, Health::Healthy, with_all));
    }
    for app in 0..WORKLOADS / 10 {
        let [.., high, low] = u32::try_from(app).expect("is small").to_be_bytes();
        let host = ServiceName::new(format!("ns-{}", app % 100), format!("app-{app}"));
        builder.set_service(service(host, [172, 16, high, low], BalanceMode::Failover));
    }
    if with_all {
        builder.set_service(service(all(), [172, 17, 0, 0], BalanceMode::Anywhere));
    }
    builder
}

fn changes(criterion: &mut Criterion) {
    criterion.bench_function("build/all of 10000", |b| {
        b.iter_batched(|| filled(false), |mut builder| builder.build(), BatchSize::LargeInput);
    });
    for (what, with_all) in [("", false), (", behind a service of all", true)] {
        criterion.bench_function(&format!("build/one of 10000{what}"), |b| {
            let mut builder = filled(with_all);
            let mut held = builder.build();
            let mut is_sick = false;
            b.iter(|| {
                is_sick = !is_sick;
                let health = if is_sick { Health::Unhealthy } else { Health::Healthy };
                builder.set_member(member(4711, health, with_all));
                held = black_box(builder.build());
            });
        });
    }
    for scope in [Scope::Namespace, Scope::Global] {
        criterion.bench_function(&format!("build/a policy, {scope:?}"), |b| {
            let mut builder = filled(false);
            let mut held = builder.build();
            let mut is_there = false;
            b.iter(|| {
                is_there = !is_there;
                if is_there {
                    builder.set_policy(policy("ns-7", scope));
                } else {
                    builder.remove_policy(&ObjectName::new("ns-7", "policy"));
                }
                held = black_box(builder.build());
            });
        });
    }
}

fn ways(criterion: &mut Criterion) {
    let snapshot: Snapshot = filled(true).build();
    let client = snapshot.known_at([10, 0, 0, 7].into()).expect("is there");
    let destinations = [
        ("unknown", [192, 0, 2, 1], 80),
        ("a workload", [10, 0, 1, 1], 80),
        ("a service of 10", [172, 16, 0, 5], 80),
        ("a service of 10000", [172, 17, 0, 0], 80),
    ];
    for (what, ip, port) in destinations {
        criterion.bench_function(&format!("route/{what}"), |b| {
            let mut seed = 0_u64;
            b.iter(|| {
                let dice = &mut || {
                    seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    seed
                };
                let destination = black_box((IpAddr::from(ip), port).into());
                let asking = Asking { source: client, destination, failed: &[], load: &Idle, dice };
                route(&snapshot, asking)
            });
        });
    }
}

criterion_group!(benches, changes, ways);
criterion_main!(benches);
