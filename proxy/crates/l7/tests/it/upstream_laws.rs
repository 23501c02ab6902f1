//! What holds whatever endpoints there are, and whatever becomes of them.
use crate::world::{World, assignment, cluster, eds};
use culvert_l7::{
    forward::Chosen as _,
    upstream::{Ask, Host},
};
use culvert_model::http::{
    balance::{Balance, LocalityMode},
    cluster::{Cluster, Discovery},
    endpoint::{Assignment, Endpoint, HealthStatus, LocalityEndpoints},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
};
use tokio::runtime::{Builder, Runtime};

/// Endpoints by port, with what is said of each.
type Said = BTreeMap<u16, (u32, u32, HealthStatus)>;

fn said() -> impl Strategy<Value = Said> {
    let health = prop_oneof![
        4 => Just(HealthStatus::Unknown),
        1 => Just(HealthStatus::Unhealthy),
        1 => Just(HealthStatus::Degraded),
        1 => Just(HealthStatus::Draining),
    ];
    proptest::collection::btree_map(1..12_u16, (0..3_u32, 1..5_u32, health), 0..12)
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn made(said: &Said) -> Arc<Assignment> {
    let sample = assignment(&said.keys().map(|port| at(*port)).collect::<Vec<_>>());
    let sample = &sample.localities[0];
    let mut localities: BTreeMap<u32, Vec<Arc<Endpoint>>> = BTreeMap::new();
    for ((priority, weight, health), endpoint) in said.values().zip(&*sample.endpoints) {
        let (weight, health) = (NonZeroU32::new(*weight).unwrap(), *health);
        let endpoint = Endpoint { weight, health, ..Endpoint::clone(endpoint) };
        localities.entry(*priority).or_default().push(Arc::new(endpoint));
    }
    let localities = localities.into_iter().map(|(priority, endpoints)| LocalityEndpoints {
        priority,
        endpoints: endpoints.into(),
        ..sample.clone()
    });
    Arc::new(Assignment { localities: localities.collect(), ..Assignment::empty("c".into()) })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn hosts(world: &World) -> HashMap<SocketAddr, Arc<Host>> {
    let hosts = world.upstream().view().hosts.into_iter();
    hosts.map(|view| (view.host.address.as_socket().unwrap(), view.host)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_stays_is_the_same_and_what_is_gone_is_gone(
        steps in proptest::collection::vec((said(), any::<bool>()), 1..6),
    ) {
        let runtime = runtime();
        let _inside = runtime.enter();
        let never_panics = Balance { panic_threshold: 0.0, ..Balance::default() };
        let config = Cluster { balance: never_panics, ..eds() };
        let mut world = World::new(config.clone());
        for (said, reconfigures) in steps {
            let before = hosts(&world);
            let held: HashMap<_, _> = before
                .values()
                .filter_map(|host| {
                    let ask = Ask { only: Some(&host.address), ..Ask::default() };
                    Some((host.address.as_socket()?, world.upstream().choose(&ask).ok()?))
                })
                .collect();
            world.assign(made(&said));
            if reconfigures {
                // Nothing that connections depend on.
                world.set(Cluster { cleanup_interval: config.cleanup_interval * 2, ..config.clone() });
            }
            let after = hosts(&world);
            let wanted: BTreeSet<_> = said.keys().map(|port| at(*port)).collect();
            prop_assert_eq!(after.keys().copied().collect::<BTreeSet<_>>(), wanted);
            for (address, host) in &after {
                if let Some(before) = before.get(address) {
                    prop_assert!(Arc::ptr_eq(before, host));
                    let ask = Ask { only: Some(&host.address), ..Ask::default() };
                    let chosen = world.upstream().choose(&ask).unwrap();
                    prop_assert!(std::ptr::eq(chosen.pool(), held[address].pool()));
                }
            }
            let fit = |health| matches!(health, HealthStatus::Unknown | HealthStatus::Degraded);
            prop_assert_eq!(world.upstream().has_fit(), said.values().any(|one| fit(one.2)));
            for _ in 0..20 {
                let Ok(chosen) = world.upstream().choose(&Ask::default()) else { break };
                prop_assert!(fit(chosen.facts().endpoint.health));
            }
            drop(held);
            prop_assert!(hosts(&world).values().all(|host| host.active() == 0));
        }
    }

    #[test]
    fn localities_get_what_their_weights_say(weights in proptest::collection::vec(1..6_u32, 1..5)) {
        let runtime = runtime();
        let _inside = runtime.enter();
        let localities = weights.iter().zip(0_u16..).map(|(weight, at)| {
            let ports = [2 * at + 1, 2 * at + 2].map(self::at);
            let mut locality = assignment(&ports).localities[0].clone();
            locality.locality.zone = format!("zone {at}").into();
            LocalityEndpoints { weight: NonZeroU32::new(*weight), ..locality }
        });
        let all = Assignment { localities: localities.collect(), ..Assignment::empty("c".into()) };
        let balance = Balance { locality: LocalityMode::Weighted, ..Balance::default() };
        let world =
            World::new(Cluster { balance, ..cluster(Discovery::Static(Arc::new(all))) });
        let sum: u32 = weights.iter().sum();
        let mut counts: HashMap<String, u32> = HashMap::new();
        for _ in 0..sum * 10 {
            let zone = world.choose().facts().locality.zone.to_string();
            *counts.entry(zone).or_default() += 1;
        }
        for (weight, at) in weights.iter().zip(0..) {
            let got = counts[&format!("zone {at}")];
            prop_assert!(got.abs_diff(weight * 10) <= 2, "{weight} of {sum}: {got}");
        }
    }

    #[test]
    fn a_priority_gets_what_it_is_fit_for(fit in 1..=10_u16) {
        let runtime = runtime();
        let _inside = runtime.enter();
        let said: Said = (1..=20)
            .map(|port| {
                let health =
                    if port <= fit || port > 10 { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
                (port, (u32::from(port > 10), 1, health))
            })
            .collect();
        let balance = Balance { panic_threshold: 0.0, ..Balance::default() };
        let world = World::new(Cluster { balance, ..cluster(Discovery::Static(made(&said))) });
        let picks = 4000;
        let first = (0..picks).filter(|_| world.choose().facts().priority == 0).count();
        // Envoy: its healthy share times 1.4.
        let wanted = picks * usize::from((14 * fit).min(100)) / 100;
        prop_assert!(first.abs_diff(wanted) < picks / 20, "{fit} fit: {first}, not {wanted}");
    }
}
