use super::*;
use crate::testing::mesh::{World, behind, host, known, pod, service, uid};
use culvert_model::{
    locality::{Balance, Locality},
    service::Service,
    snapshot::Snapshot,
};
use proptest::{collection::vec, prelude::*};
use std::collections::HashMap;

/// So many connections to each; 0 to others.
struct Open(HashMap<WorkloadUid, u32>);

impl Load for Open {
    fn open(&self, uid: &WorkloadUid) -> u32 {
        self.0.get(uid).copied().unwrap_or(0)
    }
}

/// Numbers that look thrown (splitmix64).
fn thrown(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn choice<'a>(snapshot: &'a Snapshot, failed: &'a [WorkloadUid]) -> Choice<'a> {
    Choice {
        bound: snapshot.service(&host("cart")).unwrap(),
        source: &known(snapshot, "client").member,
        network: "",
        dialled: [10, 1, 0, 1].into(),
        port: 80,
        gateways: false,
        failed,
    }
}

/// The service `cart` with these endpoints, and the client.
fn world(balance: Balance, endpoints: impl IntoIterator<Item = Member>) -> Snapshot {
    let endpoints = endpoints.into_iter().map(|member| behind(member, "cart", &[]));
    let client = located(pod("client", &["10.0.0.1"]), "r/z/s/n/c");
    World::of(endpoints.chain([client]), [Service { balance, ..service("cart") }]).snapshot()
}

/// Region, zone, subzone, node and cluster.
fn located(member: Member, at: &str) -> Member {
    let parts: Vec<Arc<str>> = at.split('/').map(Arc::from).collect();
    let [region, zone, subzone, node, cluster] = &parts[..] else { panic!("{at}") };
    let (region, zone, subzone) = (Arc::clone(region), Arc::clone(zone), Arc::clone(subzone));
    Member {
        locality: Locality { region, zone, subzone }.into(),
        node: Arc::clone(node),
        cluster: Arc::clone(cluster),
        ..member
    }
}

fn endpoint(at: usize) -> Member {
    pod(&format!("e{at}"), &[&format!("10.0.1.{at}")])
}

fn preferring(mode: BalanceMode, preference: &[Nearness]) -> Balance {
    Balance { mode, preference: preference.into(), ..Balance::default() }
}

/// Those that may be chosen, by name.
fn candidates(snapshot: &Snapshot, failed: &[WorkloadUid]) -> String {
    let judged = choice(snapshot, failed).judged().collect::<Vec<_>>();
    let fit = judged.iter().filter(|(_, fit)| fit.is_ok());
    fit.map(|(e, _)| &*e.known.member.name.name).collect::<Vec<_>>().join(" ")
}

const NEAR: [Nearness; 5] =
    [Nearness::Network, Nearness::Cluster, Nearness::Region, Nearness::Zone, Nearness::Node];

#[test]
fn failover_takes_the_nearest_there_are() {
    let at = ["r/z/s/n/c", "r/z/s/m/c", "r/y/s/m/c", "q/z/s/n/c", "r/z/s/n/d"];
    let endpoints = || at.iter().enumerate().map(|(i, at)| located(endpoint(i), at));
    let snapshot = world(preferring(BalanceMode::Failover, &NEAR), endpoints());
    let mut failed = vec![];
    for expect in ["e0", "e1", "e2", "e3", "e4", ""] {
        assert_eq!(candidates(&snapshot, &failed), expect);
        failed.push(uid(expect));
    }
    // A preference without a mode means nothing.
    let snapshot = world(preferring(BalanceMode::Anywhere, &NEAR), endpoints());
    assert_eq!(candidates(&snapshot, &[]), "e0 e1 e2 e3 e4");
}

#[test]
fn strict_takes_only_what_has_all_in_common() {
    let at = ["r/z/s/n/c", "r/z/t/m/c", "r/y/s/n/c"];
    let endpoints = || at.iter().enumerate().map(|(i, at)| located(endpoint(i), at));
    let only = |preference: &[Nearness]| {
        candidates(&world(preferring(BalanceMode::Strict, preference), endpoints()), &[])
    };
    assert_eq!(only(&[Nearness::Region, Nearness::Zone]), "e0 e1");
    assert_eq!(only(&[Nearness::Node]), "e0 e2");
    assert_eq!(only(&[Nearness::Subzone]), "e0 e2");
    assert_eq!(only(&[]), "e0 e1 e2");
    let snapshot = world(preferring(BalanceMode::Strict, &[Nearness::Node]), endpoints());
    let failed = [uid("e0"), uid("e2")];
    let judged: Vec<_> = choice(&snapshot, &failed).judged().map(|(_, fit)| fit).collect();
    assert_eq!(judged, [Err(Out::Failed), Err(Out::Apart(Nearness::Node)), Err(Out::Failed)]);
    assert!(choice(&snapshot, &failed).choose(&Idle, &mut thrown(1)).is_none());
}

#[test]
fn all_are_taken_where_health_does_not_count() {
    let sick = || Member { health: Health::Unhealthy, ..endpoint(1) };
    let balance = |health| Balance { health, ..Balance::default() };
    let healthy = world(balance(HealthPolicy::OnlyHealthy), [endpoint(0), sick()]);
    assert_eq!(candidates(&healthy, &[]), "e0");
    let all = world(balance(HealthPolicy::AllowAll), [endpoint(0), sick()]);
    assert_eq!(candidates(&all, &[]), "e0 e1");
}

/// How often each endpoint is chosen of 20,000 times, in percent.
fn shares(capacities: &[u32], keep_open: bool) -> Vec<u32> {
    let members = capacities.iter().enumerate();
    let members = members.map(|(i, capacity)| Member { capacity: *capacity, ..endpoint(i) });
    let snapshot = world(Balance::default(), members);
    let (mut dice, mut open) = (thrown(7), Open(HashMap::new()));
    let mut counts = vec![0_u32; capacities.len()];
    for _ in 0..20_000 {
        let (chosen, _) = choice(&snapshot, &[]).choose(&open, &mut dice).unwrap();
        let chosen = &chosen.known.member.uid;
        let at = (0..capacities.len()).find(|at| uid(&format!("e{at}")) == *chosen).unwrap();
        counts[at] += 1;
        if keep_open {
            *open.0.entry(chosen.clone()).or_default() += 1;
        }
    }
    counts.iter().map(|count| (count + 100) / 200).collect()
}

#[test]
fn weights_are_kept_in_the_long_run() {
    let near = |got: Vec<u32>, want: [u32; 4]| {
        let near = got.iter().zip(want).all(|(got, want)| got.abs_diff(want) <= 1);
        assert!(near, "{got:?} is not {want:?}");
    };
    near(shares(&[1, 1, 1, 1], false), [25, 25, 25, 25]);
    near(shares(&[1, 2, 5, 0], false), [12, 25, 63, 0]);
    near(shares(&[1, 2, 5, 0], true), [12, 25, 63, 0]);
    near(shares(&[u32::MAX, u32::MAX, 1, 0], true), [50, 50, 0, 0]);
}

#[test]
fn of_many_each_has_its_share_and_who_may_not_be_chosen_has_none() {
    let many = |mode| {
        let members = (0..100).map(|at| Member {
            capacity: [1, 3, 2, 0][at % 4],
            health: if at % 5 == 0 { Health::Unhealthy } else { Health::Healthy },
            ..located(endpoint(at), if at < 50 { "r/z/s/n/c" } else { "q/z/s/n/c" })
        });
        world(preferring(mode, &[Nearness::Region]), members)
    };
    for (mode, count) in [(BalanceMode::Anywhere, 100), (BalanceMode::Failover, 50)] {
        let (snapshot, mut dice) = (many(mode), thrown(3));
        let mut counts = [0_u32; 100];
        for _ in 0..60_000 {
            let (chosen, _) = choice(&snapshot, &[]).choose(&Idle, &mut dice).unwrap();
            let name = chosen.known.member.name.name.strip_prefix('e').unwrap();
            counts[name.parse::<usize>().unwrap()] += 1;
        }
        let weight = |at: usize| {
            let may = at < count && !at.is_multiple_of(5);
            if may { [1, 3, 2, 0][at % 4] } else { 0 }
        };
        let total: u32 = (0..100).map(weight).sum();
        for (at, got) in counts.iter().enumerate() {
            let want = 60_000 * weight(at) / total;
            assert!(got.abs_diff(want) <= want / 5, "{mode:?} e{at}: {got} is not {want}");
        }
    }
}

#[test]
fn one_that_may_be_chosen_is_found_among_many() {
    let members = (0..100).map(|at| Member {
        health: if at == 77 { Health::Healthy } else { Health::Unhealthy },
        ..endpoint(at)
    });
    let snapshot = world(Balance::default(), members);
    for seed in 0..20 {
        let (chosen, _) = choice(&snapshot, &[]).choose(&Idle, &mut thrown(seed)).unwrap();
        assert_eq!(chosen.known.member.uid, uid("e77"));
    }
    assert!(choice(&snapshot, &[uid("e77")]).choose(&Idle, &mut thrown(1)).is_none());
}

fn any_endpoint() -> impl Strategy<Value = Member> {
    let at = proptest::sample::select(vec![
        "r/z/s/n/c",
        "r/z/s/m/c",
        "r/y/s/m/c",
        "q/x/s/m/c",
        "r/z/t/n/d",
    ]);
    (at, any::<bool>(), 0..3_u32, 0..8_u8).prop_map(|(at, healthy, capacity, far)| Member {
        health: if healthy { Health::Healthy } else { Health::Unhealthy },
        capacity,
        network: if far == 0 { "far" } else { "" }.into(),
        ..located(pod("x", &[]), at)
    })
}

fn any_world() -> impl Strategy<Value = Snapshot> {
    let mode = proptest::sample::select(vec![
        BalanceMode::Anywhere,
        BalanceMode::Strict,
        BalanceMode::Failover,
    ]);
    let health = prop_oneof![Just(HealthPolicy::OnlyHealthy), Just(HealthPolicy::AllowAll)];
    let preference = proptest::sample::subsequence(NEAR.to_vec(), 0..=NEAR.len());
    (mode, health, preference, vec(any_endpoint(), 0..8)).prop_map(
        |(mode, health, preference, endpoints)| {
            let named = endpoints.into_iter().enumerate().map(|(i, member)| {
                let Member { uid, name, identity, addresses, .. } = endpoint(i);
                Member { uid, name, identity, addresses, ..member }
            });
            world(Balance { mode, health, preference: preference.into() }, named)
        },
    )
}

proptest! {
    #[test]
    fn keeps_to_the_laws(
        snapshot in any_world(),
        failed in vec(0..8_usize, 0..3),
        open in vec(0..5_u32, 8),
        seed: u64,
    ) {
        let failed: Vec<_> = failed.iter().map(|at| uid(&format!("e{at}"))).collect();
        let open = open.iter().enumerate();
        let open = Open(open.map(|(at, open)| (uid(&format!("e{at}")), *open)).collect());
        let choice = choice(&snapshot, &failed);
        let chosen = choice.choose(&open, &mut thrown(seed));
        let fit: Vec<_> = choice.judged().filter(|(_, fit)| fit.is_ok()).collect();
        // There is a choice whenever there is anything to choose from.
        prop_assert_eq!(chosen.is_some(), !fit.is_empty());
        let Some((endpoint, place)) = chosen else { return Ok(()) };
        prop_assert!(choice.bound.endpoints.iter().any(|one| std::ptr::eq(one, endpoint)));
        prop_assert!(fit.contains(&(endpoint, Ok(place))));
        let (member, balance) = (&endpoint.known.member, &choice.bound.service.balance);
        prop_assert!(!failed.contains(&member.uid));
        prop_assert!(member.capacity > 0);
        prop_assert_eq!(&*member.network, "");
        if balance.health == HealthPolicy::OnlyHealthy {
            prop_assert_eq!(member.health, Health::Healthy);
        }
        let run = |member: &Member| {
            balance.preference.iter().take_while(|one| choice.is_common(**one, member)).count()
        };
        match balance.mode {
            BalanceMode::Strict => prop_assert_eq!(run(member), balance.preference.len()),
            // Nobody who may be chosen is nearer.
            BalanceMode::Failover => {
                let nearest = fit.iter().map(|(one, _)| run(&one.known.member)).max();
                prop_assert_eq!(Some(run(member)), nearest);
            }
            BalanceMode::Anywhere | BalanceMode::Passthrough => {}
        }
    }

    #[test]
    fn of_two_the_less_loaded_is_chosen(open in (0..9_u32, 0..9_u32), weights in (1..5_u32, 1..5_u32), seed: u64) {
        let members = [(0, weights.0), (1, weights.1)];
        let members = members.map(|(at, capacity)| Member { capacity, ..endpoint(at) });
        let snapshot = world(Balance::default(), members);
        let load = Open([(uid("e0"), open.0), (uid("e1"), open.1)].into());
        let (chosen, _) = choice(&snapshot, &[]).choose(&load, &mut thrown(seed)).unwrap();
        let share = [open.0 * weights.1, open.1 * weights.0];
        let at = usize::from(chosen.known.member.uid == uid("e1"));
        prop_assert!(share[at] <= share[1 - at]);
    }

    #[test]
    fn who_has_the_most_to_do_gets_no_more(open in vec(0..5_u32, 2..7), most: usize, seed: u64) {
        let most = most % open.len();
        let snapshot = world(Balance::default(), (0..open.len()).map(endpoint));
        let open = open.iter().enumerate();
        let load = open.map(|(at, open)| (uid(&format!("e{at}")), if at == most { 9 } else { *open }));
        let load = Open(load.collect());
        let (chosen, _) = choice(&snapshot, &[]).choose(&load, &mut thrown(seed)).unwrap();
        prop_assert_ne!(&chosen.known.member.uid, &uid(&format!("e{most}")));
    }

    #[test]
    fn a_throw_is_below_its_end(end in 1_u64.., throw: u64) {
        prop_assert!(below(end, &mut || throw) < end);
    }
}
