//! What chance gives to each.
use super::*;

/// Numbers without an order that a policy could follow, the same each time.
fn scattered() -> impl FnMut() -> u64 {
    let mut state: u64 = 1;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn each_of_those_that_are_fit_has_an_equal_share_whatever_its_weight_and_work() {
    let mut members = weighted(&[1, 2, 3, 4, 5]);
    members[2].health = Health::Unhealthy;
    let runtime = RuntimeValues::default();
    let balance = Balance { panic_threshold: 0.0, ..of(Policy::Random) };
    let balancer = Balancer::new(&balance, &members, setting(&runtime));
    let mut dice = scattered();
    let found: Vec<_> = (0..4000)
        .map(|_| {
            balancer.choose(&mut Choice {
                hash: None,
                dice: &mut dice,
                active: &|at| u64::try_from(at).unwrap() * 100,
                now: Duration::from_secs(1000),
                avoid: &|_| false,
                attempts: 0,
            })
        })
        .collect();
    let counts = counts(&found, 5);
    assert_eq!(counts[2], 0);
    assert_eq!(counts.iter().sum::<usize>(), 4000, "somebody always is");
    for at in [0, 1, 3, 4] {
        assert!(counts[at].abs_diff(1000) < 120, "{counts:?}");
    }
    // No rotation: the same one comes twice in a row as often as chance has it.
    let again = found.windows(2).filter(|two| two[0] == two[1]).count();
    assert!(again.abs_diff(1000) < 120, "{again}");
}
