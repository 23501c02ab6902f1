//! What the checks of an endpoint come to, one after the other: purely.
use crate::upstream::host::{Fault, Host};
use culvert_model::http::health::HealthCheck;
use std::time::Duration;

/// What is remembered between checks.
#[derive(Debug)]
pub(super) struct Course {
    good: u32,
    bad: u32,
    first: bool,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Good { degraded: bool },
    Bad(Failure),
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It answered that it is not well; `retriable`: once is not enough.
    Answer {
        retriable: bool,
    },
    /// It answered so, and asks to be left alone at once.
    LeaveAlone {
        retriable: bool,
    },
    /// It could not be reached, or broke off.
    Network,
    Timeout,
}

/// Whether an endpoint's health is another now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Unchanged,
    /// It will be, if this goes on.
    Pending,
    Changed,
}

impl Default for Course {
    fn default() -> Self {
        Self { good: 0, bad: 0, first: true }
    }
}

impl Course {
    /// Says of the endpoint what the check found.
    pub(super) fn found(&mut self, found: Found, host: &Host, check: &HealthCheck) -> Turn {
        let turn = match found {
            Found::Good { degraded } => self.good(degraded, host, check),
            Found::Bad(failure) => self.bad(failure, host, check),
        };
        self.first = false;
        if host.set(Fault::Unchecked, false) { Turn::Changed } else { turn }
    }

    /// Whether nothing was found yet.
    pub(super) const fn is_new(&self) -> bool {
        self.first
    }

    fn good(&mut self, degraded: bool, host: &Host, check: &HealthCheck) -> Turn {
        self.bad = 0;
        let mut turn = Turn::Unchanged;
        if host.has(Fault::FailedCheck) {
            self.good += 1;
            turn = Turn::Pending;
            // The first check decides at once, so that a start takes no longer than it must.
            if self.first || self.good >= check.healthy_threshold.get() {
                for fault in [Fault::CheckTimeout, Fault::Excluded, Fault::FailedCheck] {
                    host.set(fault, false);
                }
                turn = Turn::Changed;
            }
        }
        if host.set(Fault::DegradedCheck, degraded) { Turn::Changed } else { turn }
    }

    fn bad(&mut self, failure: Failure, host: &Host, check: &HealthCheck) -> Turn {
        self.good = 0;
        let mut turn = Turn::Unchanged;
        if !host.has(Fault::FailedCheck) {
            self.bad += 1;
            turn = Turn::Pending;
            let at_once = matches!(
                failure,
                Failure::Answer { retriable: false } | Failure::LeaveAlone { retriable: false }
            );
            if at_once || self.bad >= check.unhealthy_threshold.get() {
                host.set(Fault::FailedCheck, true);
                turn = Turn::Changed;
            }
        }
        if let Failure::LeaveAlone { .. } = failure
            && host.set(Fault::Excluded, true)
        {
            turn = Turn::Changed;
        }
        if host.has(Fault::FailedCheck) {
            host.set(Fault::CheckTimeout, failure == Failure::Timeout);
        }
        turn
    }
}

/// How long is waited until the next check; `used`: the cluster has had traffic.
pub(super) fn pause(
    check: &HealthCheck,
    found: Found,
    turn: Turn,
    used: bool,
    dice: u64,
) -> Duration {
    let base = match (found, turn) {
        (Found::Good { .. }, Turn::Pending) if used => check.healthy_edge_interval,
        (Found::Good { .. }, _) if used => check.interval,
        (Found::Bad(_), Turn::Pending) if used => check.unhealthy_edge_interval,
        (Found::Bad(_), _) if used => check.unhealthy_interval,
        (Found::Good { .. }, Turn::Unchanged | Turn::Changed) => check.no_traffic_healthy_interval,
        _ => check.no_traffic_interval,
    };
    let share = base.saturating_mul(check.interval_jitter_percent) / 100;
    base + part(share, dice) + part(check.interval_jitter, dice.rotate_left(32))
}

/// Some of it.
pub(super) fn part(whole: Duration, dice: u64) -> Duration {
    let whole = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(dice.checked_rem(whole).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Course, Failure, Found, Turn, pause};
    use crate::upstream::{
        host::{Fault, Host},
        sample::check,
    };
    use culvert_model::http::{address::Address, health::HealthCheck};
    use proptest::prelude::*;
    use std::{num::NonZeroU32, time::Duration};

    const GOOD: Found = Found::Good { degraded: false };
    const NETWORK: Found = Found::Bad(Failure::Network);

    fn host() -> Host {
        let host = Host::new(Address::Pipe("@x".into()), Duration::ZERO);
        host.set(Fault::FailedCheck, true);
        host
    }

    fn with(healthy: u32, unhealthy: u32) -> HealthCheck {
        let of = |number| NonZeroU32::new(number).unwrap();
        HealthCheck {
            healthy_threshold: of(healthy),
            unhealthy_threshold: of(unhealthy),
            ..check()
        }
    }

    #[test]
    fn the_first_check_decides_and_later_ones_by_threshold() {
        let (host, check, mut course) = (host(), with(2, 3), Course::default());
        assert_eq!(course.found(GOOD, &host, &check), Turn::Changed);
        assert!(!host.has(Fault::FailedCheck));
        for turn in [Turn::Pending, Turn::Pending, Turn::Changed, Turn::Unchanged] {
            assert_eq!(course.found(NETWORK, &host, &check), turn);
        }
        assert_eq!(course.found(GOOD, &host, &check), Turn::Pending);
        assert_eq!(course.found(GOOD, &host, &check), Turn::Changed);
        assert!(!host.has(Fault::FailedCheck));
    }

    #[test]
    fn an_answer_fails_at_once_unless_it_may_be_repeated() {
        let (host, check, mut course) = (host(), with(1, 2), Course::default());
        course.found(GOOD, &host, &check);
        let once = Found::Bad(Failure::Answer { retriable: true });
        assert_eq!(course.found(once, &host, &check), Turn::Pending);
        course.found(GOOD, &host, &check);
        let at_once = Found::Bad(Failure::LeaveAlone { retriable: false });
        assert_eq!(course.found(at_once, &host, &check), Turn::Changed);
        assert!(host.has(Fault::FailedCheck) && host.has(Fault::Excluded));
        course.found(GOOD, &host, &check);
        assert!(!host.has(Fault::FailedCheck) && !host.has(Fault::Excluded));
    }

    #[test]
    fn without_traffic_checks_are_seldom() {
        let check = HealthCheck {
            interval: Duration::from_secs(1),
            no_traffic_interval: Duration::from_secs(60),
            no_traffic_healthy_interval: Duration::from_secs(90),
            unhealthy_interval: Duration::from_secs(2),
            unhealthy_edge_interval: Duration::from_secs(3),
            healthy_edge_interval: Duration::from_secs(4),
            ..check()
        };
        let of = |found, turn, used| pause(&check, found, turn, used, 0).as_secs();
        assert_eq!(of(GOOD, Turn::Unchanged, true), 1);
        assert_eq!(of(NETWORK, Turn::Changed, true), 2);
        assert_eq!(of(NETWORK, Turn::Pending, true), 3);
        assert_eq!(of(GOOD, Turn::Pending, true), 4);
        assert_eq!(of(GOOD, Turn::Changed, false), 90);
        assert_eq!(of(NETWORK, Turn::Changed, false), 60);
    }

    proptest! {
        /// It is unwell only after enough failures in a row, and well only after enough successes.
        #[test]
        fn health_changes_only_after_enough_of_one_kind(
            results in proptest::collection::vec(any::<bool>(), 1..60),
            healthy in 1_u32..5,
            unhealthy in 1_u32..5,
        ) {
            let (host, check) = (host(), with(healthy, unhealthy));
            let mut course = Course::default();
            let (mut row, mut last) = (0, None);
            for (at, good) in results.into_iter().enumerate() {
                let before = host.has(Fault::FailedCheck);
                row = if last == Some(good) { row + 1 } else { 1 };
                last = Some(good);
                course.found(if good { GOOD } else { NETWORK }, &host, &check);
                let after = host.has(Fault::FailedCheck);
                if before != after {
                    prop_assert_eq!(after, !good);
                    let needed = if good { healthy } else { unhealthy };
                    prop_assert!(row >= needed || at == 0);
                } else if row >= healthy.max(unhealthy) {
                    prop_assert_eq!(after, !good);
                }
            }
        }
    }
}
