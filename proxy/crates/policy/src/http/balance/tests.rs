use std::{collections::BTreeMap, sync::Arc, time::Duration};

use culvert_model::http::{
    balance::{
        Balance, Fallback, LeastRequest, LocalityMode, Maglev, Policy, RingHash, Selector,
        SelectorFallback, SlowStart, Subsets,
    },
    runtime::RuntimeValues,
    value::{Fields, Metadata, Value},
};
use proptest::prelude::*;

use super::{Balancer, Choice, Health, Member, Setting, Subsetted};

mod envoy;
mod random;

fn member(port: u16) -> Member {
    Member {
        address: format!("127.0.0.1:{port}").into(),
        name: "".into(),
        hash_key: None,
        weight: 1,
        priority: 0,
        locality: 0,
        locality_weight: 0,
        health: Health::Healthy,
        since: Duration::ZERO,
        metadata: Metadata::default(),
    }
}

fn weighted(weights: &[u32]) -> Vec<Member> {
    (90..).zip(weights).map(|(port, weight)| Member { weight: *weight, ..member(port) }).collect()
}

fn of(policy: Policy) -> Balance {
    Balance { policy, ..Balance::default() }
}

const ROUND_ROBIN: Policy = Policy::RoundRobin { slow_start: None };

fn setting(runtime: &RuntimeValues) -> Setting<'_> {
    Setting { runtime, overprovisioning: 140, seed: 0, now: Duration::from_secs(1000) }
}

/// Chooses so often; the dice count up.
fn choices(
    balance: &Balance,
    members: &[Member],
    times: usize,
    active: &dyn Fn(usize) -> u64,
) -> Vec<Option<usize>> {
    let runtime = RuntimeValues::default();
    let balancer = Balancer::new(balance, members, setting(&runtime));
    let mut number = 0;
    let mut dice = || {
        number += 1;
        number
    };
    (0..times)
        .map(|_| {
            balancer.choose(&mut Choice {
                hash: None,
                dice: &mut dice,
                active,
                now: Duration::from_secs(1000),
                avoid: &|_| false,
                attempts: 0,
            })
        })
        .collect()
}

fn idle(_at: usize) -> u64 {
    0
}

fn counts(found: &[Option<usize>], members: usize) -> Vec<usize> {
    (0..members).map(|at| found.iter().filter(|f| **f == Some(at)).count()).collect()
}

#[test]
fn rotation_goes_round_and_minds_weights() {
    let found = choices(&of(ROUND_ROBIN), &weighted(&[1, 1, 1]), 4, &idle);
    assert_eq!(found, [0, 1, 2, 0].map(Some));
    let found = choices(&of(ROUND_ROBIN), &weighted(&[1, 2]), 6, &idle);
    assert_eq!(found, [1, 0, 1, 1, 0, 1].map(Some));
    assert_eq!(choices(&of(ROUND_ROBIN), &[], 1, &idle), [None]);
}

#[test]
fn the_less_busy_of_two_is_chosen() {
    let least = of(Policy::LeastRequest(LeastRequest::default()));
    let busy = |at: usize| if at == 0 { 10 } else { 0 };
    let found = choices(&least, &weighted(&[1, 1]), 100, &busy);
    assert!(counts(&found, 2)[1] >= 75, "{found:?}");
    let full = LeastRequest { full_scan: true, ..LeastRequest::default() };
    let found = choices(&of(Policy::LeastRequest(full)), &weighted(&[1, 1, 1]), 50, &busy);
    assert_eq!(counts(&found, 3)[0], 0);
}

#[test]
fn weights_and_requests_under_way_both_count() {
    let least = of(Policy::LeastRequest(LeastRequest::default()));
    let idle_counts = counts(&choices(&least, &weighted(&[1, 3]), 400, &idle), 2);
    assert_eq!(idle_counts, [100, 300]);
    let busy = |at: usize| if at == 1 { 2 } else { 0 };
    let busy_counts = counts(&choices(&least, &weighted(&[1, 3]), 400, &busy), 2);
    assert!(busy_counts[0].abs_diff(200) <= 2, "{busy_counts:?}");
}

#[test]
fn only_the_fit_are_chosen_until_there_is_a_panic() {
    let mut members = weighted(&[1; 4]);
    members[1].health = Health::Unhealthy;
    assert_eq!(counts(&choices(&of(ROUND_ROBIN), &members, 30, &idle), 4), [10, 0, 10, 10]);
    for member in &mut members[2..] {
        member.health = Health::Unhealthy;
    }
    assert_eq!(counts(&choices(&of(ROUND_ROBIN), &members, 40, &idle), 4), [10; 4]);
    let never = Balance { panic_threshold: 0.0, ..of(ROUND_ROBIN) };
    assert_eq!(counts(&choices(&never, &members, 40, &idle), 4), [40, 0, 0, 0]);
    members[0].health = Health::Unhealthy;
    assert_eq!(choices(&never, &members, 1, &idle), [None]);
}

#[test]
fn another_priority_takes_what_the_first_cannot() {
    let mut members = weighted(&[1; 4]);
    members[2].priority = 1;
    members[3].priority = 1;
    let all = choices(&of(ROUND_ROBIN), &members, 100, &idle);
    assert_eq!(counts(&all, 4), [50, 50, 0, 0]);
    members[0].health = Health::Unhealthy;
    let half = choices(&of(ROUND_ROBIN), &members, 100, &idle);
    assert_eq!(counts(&half, 4), [0, 70, 15, 15]);
}

#[test]
fn localities_are_chosen_by_weight_and_health() {
    let mut members = weighted(&[1; 4]);
    for (at, member) in members.iter_mut().enumerate() {
        member.locality = u32::from(at >= 2);
        member.locality_weight = if at >= 2 { 3 } else { 1 };
    }
    let balance = Balance { locality: LocalityMode::Weighted, ..of(ROUND_ROBIN) };
    assert_eq!(counts(&choices(&balance, &members, 400, &idle), 4), [50, 50, 150, 150]);
    members[3].health = Health::Unhealthy;
    // 3 x 1.4 x 1/2 = 2.1 beside 1.
    let found = counts(&choices(&balance, &members, 310, &idle), 4);
    assert!(found[2].abs_diff(210) <= 1 && found[3] == 0, "{found:?}");
    members[0].locality_weight = 0;
    members[1].locality_weight = 0;
    assert_eq!(counts(&choices(&balance, &members, 10, &idle), 4), [0, 0, 10, 0]);
}

#[test]
fn rings_and_tables_have_localities_inside() {
    let mut members = weighted(&[1, 2]);
    members[1].locality = 1;
    members[0].locality_weight = 1;
    members[1].locality_weight = 1;
    let runtime = RuntimeValues::default();
    for policy in [
        Policy::Maglev(Maglev { table_size: 65_537 }),
        Policy::RingHash(RingHash { minimum: 20_000, ..RingHash::default() }),
    ] {
        let balance = Balance { locality: LocalityMode::Weighted, ..of(policy) };
        let balancer = Balancer::new(&balance, &members, setting(&runtime));
        let mut found = [0_u32; 2];
        for n in 0..4000_u64 {
            let at = balancer.choose(&mut Choice {
                hash: Some(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                dice: &mut || 0,
                active: &idle,
                now: Duration::ZERO,
                avoid: &|_| false,
                attempts: 0,
            });
            found[at.unwrap()] += 1;
        }
        assert!(found[0].abs_diff(2000) < 120, "{found:?}");
    }
}

#[test]
fn a_new_endpoint_gets_little_at_first() {
    let slow_start = Some(SlowStart {
        window: Duration::from_secs(100),
        aggression: 1.0.into(),
        min_weight: 10.0,
    });
    let mut members = weighted(&[1, 1]);
    members[1].since = Duration::from_secs(1000);
    let found = choices(&of(Policy::RoundRobin { slow_start }), &members, 110, &idle);
    assert!(counts(&found, 2)[1].abs_diff(10) <= 1, "{found:?}");
}

#[test]
fn endpoints_that_were_tried_are_avoided_as_often_as_allowed() {
    let runtime = RuntimeValues::default();
    let balancer = Balancer::new(&of(ROUND_ROBIN), &weighted(&[1; 3]), setting(&runtime));
    let choose = |avoid: &dyn Fn(usize) -> bool, attempts| {
        let mut choice = Choice {
            hash: None,
            dice: &mut || 0,
            active: &idle,
            now: Duration::ZERO,
            avoid,
            attempts,
        };
        balancer.choose(&mut choice)
    };
    assert_eq!(choose(&|at| at != 2, 5), Some(2));
    assert_eq!(choose(&|_| true, 2), Some(2), "the last one, if all are avoided");
}

fn versions() -> (Vec<Member>, Subsets) {
    let with = |fields: &[(&str, &str)]| {
        let fields: Fields =
            fields.iter().map(|(k, v)| ((*k).into(), Value::String((*v).into()))).collect();
        Metadata::new(BTreeMap::from([("envoy.lb".into(), Value::Struct(Arc::new(fields)))]))
    };
    let mut members = weighted(&[1; 3]);
    members[0].metadata = with(&[("version", "1"), ("stage", "prod")]);
    members[1].metadata = with(&[("version", "2"), ("stage", "prod")]);
    members[2].metadata = with(&[("version", "2"), ("stage", "dev")]);
    let selector = |keys: &[&str], fallback| Selector {
        keys: keys.iter().map(|key| (*key).into()).collect(),
        fallback,
        single_host: false,
    };
    let subsets = Subsets {
        fallback: Fallback::DefaultSubset,
        default: [("stage".into(), Value::String("dev".into()))].into(),
        selectors: [
            selector(&["version"], SelectorFallback::None),
            selector(&["stage", "version"], SelectorFallback::Keys(["version".into()].into())),
        ]
        .into(),
        locality_weights: None,
        panic_mode_any: false,
        list_as_any: false,
        metadata_fallback: false,
    };
    (members, subsets)
}

#[test]
fn subsets_hold_what_is_asked_for() {
    let (members, subsets) = versions();
    let balance = Balance { subsets: Some(Arc::new(subsets)), ..of(ROUND_ROBIN) };
    let runtime = RuntimeValues::default();
    let subsetted = Subsetted::new(&balance, &members, setting(&runtime));
    let choose = |wanted: &[(&str, &str)]| {
        let wanted: Fields =
            wanted.iter().map(|(k, v)| ((*k).into(), Value::String((*v).into()))).collect();
        let mut choice = Choice {
            hash: None,
            dice: &mut || 0,
            active: &idle,
            now: Duration::ZERO,
            avoid: &|_| false,
            attempts: 0,
        };
        subsetted.choose(Some(&wanted), &mut choice)
    };
    assert_eq!(choose(&[("version", "1")]), Some(0));
    assert_eq!(choose(&[("version", "3")]), None, "its selector has no fallback");
    assert_eq!(choose(&[("stage", "prod"), ("version", "2")]), Some(1));
    assert_eq!(choose(&[("stage", "test"), ("version", "1")]), Some(0), "by the version alone");
    assert_eq!(choose(&[("what", "ever")]), Some(2), "the default subset");
    assert_eq!(choose(&[]), Some(2));
}

#[test]
fn a_request_can_list_what_it_asks_for_instead() {
    let (members, subsets) = versions();
    let subsets = Subsets { metadata_fallback: true, fallback: Fallback::None, ..subsets };
    let balance = Balance { subsets: Some(Arc::new(subsets)), ..of(ROUND_ROBIN) };
    let runtime = RuntimeValues::default();
    let subsetted = Subsetted::new(&balance, &members, setting(&runtime));
    let step = |version: &str| {
        Value::Struct(Arc::new(Fields::from([("version".into(), Value::String(version.into()))])))
    };
    let choose = |steps: &[&str]| {
        let steps = steps.iter().map(|version| step(version)).collect();
        let wanted = Fields::from([("fallback_list".into(), Value::List(steps))]);
        let mut choice = Choice {
            hash: None,
            dice: &mut || 0,
            active: &idle,
            now: Duration::ZERO,
            avoid: &|_| false,
            attempts: 0,
        };
        subsetted.choose(Some(&wanted), &mut choice)
    };
    assert_eq!(choose(&["3", "1", "2"]), Some(0));
    assert_eq!(choose(&["3"]), None);
}

proptest! {
    #[test]
    fn what_is_chosen_is_fit(
        all in prop::collection::vec((1_u32..5, 0_u32..3, 0_u32..3, 0_u8..4), 0..12),
        policy in 0_u8..5,
        locality_weighted: bool,
        hash: u64,
    ) {
        let health = |n| match n {
            0 => Health::Unhealthy,
            1 => Health::Degraded,
            _ => Health::Healthy,
        };
        let members: Vec<_> = (90..)
            .zip(all)
            .map(|(port, (weight, priority, locality, fit))| Member {
                weight,
                priority,
                locality,
                locality_weight: locality + 1,
                health: health(fit),
                ..member(port)
            })
            .collect();
        let policy = match policy {
            0 => ROUND_ROBIN,
            1 => Policy::LeastRequest(LeastRequest::default()),
            2 => Policy::Random,
            3 => Policy::RingHash(RingHash::default()),
            _ => Policy::Maglev(Maglev { table_size: 251 }),
        };
        let locality =
            if locality_weighted { LocalityMode::Weighted } else { LocalityMode::Flat };
        let balance = Balance { locality, panic_threshold: 0.0, ..of(policy) };
        let runtime = RuntimeValues::default();
        let balancer = Balancer::new(&balance, &members, setting(&runtime));
        let mut dice = hash;
        let found = balancer.choose(&mut Choice {
            hash: Some(hash),
            dice: &mut || { dice = dice.wrapping_mul(31).wrapping_add(7); dice },
            active: &|at| u64::try_from(at).unwrap(),
            now: Duration::ZERO,
            avoid: &|_| false,
            attempts: 0,
        });
        let fit = members.iter().any(|m| m.health != Health::Unhealthy);
        prop_assert_eq!(found.is_some(), fit);
        if let Some(at) = found {
            prop_assert_ne!(members[at].health, Health::Unhealthy);
        }
    }
}

proptest! {
    /// Whoever is chosen is in reach, and somebody is chosen where anybody is.
    #[test]
    fn what_is_in_reach_may_be_chosen(
        all in prop::collection::vec((0_u32..3, 0_u32..3, 0_u8..4, 1_u32..4), 0..8),
        weighted: bool,
        dice: u64,
    ) {
        let health = [Health::Healthy, Health::Degraded, Health::Unhealthy, Health::Excluded];
        let members: Vec<_> = (90..).zip(all).map(|(port, (priority, locality, how, weight))| Member {
            priority,
            locality,
            locality_weight: locality,
            health: health[usize::from(how)],
            weight,
            ..member(port)
        }).collect();
        let locality = if weighted { LocalityMode::Weighted } else { LocalityMode::Flat };
        let hashed = Policy::Maglev(Maglev { table_size: 31 });
        for policy in [ROUND_ROBIN, Policy::Random, hashed] {
            let balance = Balance { locality: locality.clone(), ..of(policy) };
            let runtime = RuntimeValues::default();
            let balancer = Subsetted::new(&balance, &members, setting(&runtime));
            let reach = balancer.reach(None);
            let mut found = Vec::new();
            for throw in 0..400 {
                let mut choice = Choice {
                    hash: None,
                    dice: &mut || dice.wrapping_add(throw),
                    active: &idle,
                    now: Duration::from_secs(1000),
                    avoid: &|_| false,
                    attempts: 0,
                };
                found.extend(balancer.choose(None, &mut choice));
            }
            found.sort_unstable();
            found.dedup();
            prop_assert!(found.iter().all(|at| reach.contains(at)), "{:?} of {:?}", found, reach);
            prop_assert_eq!(found.is_empty(), reach.is_empty());
        }
    }
}
