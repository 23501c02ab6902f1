use std::time::Duration;

use culvert_model::http::outlier::Outlier;
use proptest::prelude::*;

use super::{Cause, Ending, Monitor, enforced, may_eject};

fn causes(config: &Outlier, endings: &[Ending]) -> Vec<Option<Cause>> {
    let mut monitor = Monitor::default();
    endings.iter().map(|ending| monitor.ended(*ending, config)).collect()
}

#[test]
fn failures_in_a_row_are_too_many() {
    let config = Outlier { consecutive_5xx: 3, ..Outlier::default() };
    let bad = Ending::Answer(500);
    assert_eq!(causes(&config, &[bad; 3]), [None, None, Some(Cause::Consecutive5xx)]);
    let broken = [bad, bad, Ending::Answer(404), bad, bad];
    assert_eq!(causes(&config, &broken), [None; 5]);
    let mixed = [Ending::NotConnected, Ending::Timeout, Ending::Reset];
    assert_eq!(causes(&config, &mixed)[2], Some(Cause::Consecutive5xx));
}

#[test]
fn gateway_failures_and_local_ones_are_counted_apart() {
    let config = Outlier {
        consecutive_gateway: 2,
        enforcing_consecutive_gateway: 100,
        ..Outlier::default()
    };
    let gateway = Ending::Answer(503);
    assert_eq!(causes(&config, &[gateway; 2])[1], Some(Cause::ConsecutiveGateway));
    assert_eq!(causes(&config, &[gateway, Ending::Answer(500), gateway]), [None; 3]);
    let split = Outlier { split_local: true, consecutive_local: 2, ..Outlier::default() };
    let local = [Ending::NotConnected, Ending::Answer(200), Ending::Timeout];
    assert_eq!(causes(&split, &local)[2], Some(Cause::ConsecutiveLocal));
    let healed = [Ending::NotConnected, Ending::Connected, Ending::Timeout];
    assert_eq!(causes(&split, &healed), [None; 3]);
}

#[test]
fn each_time_is_longer_and_forgotten_slowly() {
    let config = Outlier::default();
    let second = Duration::from_secs;
    let mut monitor = Monitor::default();
    monitor.eject(second(0), 0, &config);
    assert!(!monitor.tick(second(29), &config));
    assert!(monitor.tick(second(30), &config));
    monitor.eject(second(40), 0, &config);
    assert!(!monitor.tick(second(99), &config));
    assert!(monitor.tick(second(100), &config));
    for now in [110, 120] {
        assert!(!monitor.tick(second(now), &config));
    }
    monitor.eject(second(130), 0, &config);
    assert!(monitor.tick(second(160), &config));
}

#[test]
fn some_always_stay() {
    let config = Outlier { max_percent: 20, ..Outlier::default() };
    assert!(may_eject(0, 5, &config));
    assert!(!may_eject(1, 5, &config));
    assert!(may_eject(1, 6, &config));
    let none = Outlier { max_percent: 0, ..Outlier::default() };
    assert!(!may_eject(0, 5, &none));
    let one = Outlier { always_one: true, ..none };
    assert!(may_eject(0, 5, &one) && !may_eject(1, 5, &one));
    assert!(!enforced(Cause::FailurePercentage, 0, &config));
    assert!(enforced(Cause::Consecutive5xx, 99, &config));
}

proptest! {
    #[test]
    fn nobody_is_left_out_for_longer_than_the_longest(times in 1_u32..50, dice: u64) {
        let config = Outlier { max_jitter: Duration::from_secs(5), ..Outlier::default() };
        let mut monitor = Monitor::default();
        let mut now = Duration::ZERO;
        for _ in 0..times {
            monitor.eject(now, dice, &config);
            now += config.max_ejection + config.max_jitter;
            prop_assert!(monitor.tick(now, &config));
        }
    }
}
