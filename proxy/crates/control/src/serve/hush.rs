//! How much is written of callers that are turned away: all are counted, few have a line.
//!
//! It costs a stranger nothing to be turned away again and again; without a bound, one that asks in
//! a loop fills the log, and pushes out of it what others are told there. So each address has a few
//! lines a minute for each reason, and the next line says how many had none.
use culvert_runtime::drain::Worker;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{self, MissedTickBehavior};
use tonic::Code;

/// How many lines there are in a minute of one address and one reason.
const LINES: u32 = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// So many addresses and reasons are told apart; all others count as one.
const APART: usize = 1024;

/// For whom there is no place of their own, and for whoever has no address.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What was refused, and why.
pub(crate) type Reason = (&'static str, Code);

/// Counts those who were turned away; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hush(Arc<Mutex<HashMap<(IpAddr, Reason), Count>>>);

/// Of one address and one reason.
#[derive(Debug)]
struct Count {
    /// When the running minute began.
    since: Instant,
    written: u32,
    unwritten: u64,
}

/// What had no line.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    from: IpAddr,
    what: &'static str,
    unwritten: u64,
}

impl Hush {
    /// Whether there may be a line, and how many had none since the last one.
    pub(crate) fn line(&self, from: Option<SocketAddr>, reason: Reason) -> Option<u64> {
        self.line_at(Instant::now(), from.map_or(OTHERS, |from| from.ip().to_canonical()), reason)
    }

    fn line_at(&self, now: Instant, from: IpAddr, reason: Reason) -> Option<u64> {
        let mut counts = self.0.lock();
        let is_known = counts.contains_key(&(from, reason));
        let from = if is_known || counts.len() < APART { from } else { OTHERS };
        let fresh = Count { since: now, written: 0, unwritten: 0 };
        let count = counts.entry((from, reason)).or_insert(fresh);
        if MINUTE <= now.saturating_duration_since(count.since) {
            (count.since, count.written) = (now, 0);
        }
        if LINES <= count.written {
            count.unwritten += 1;
            return None;
        }
        count.written += 1;
        Some(std::mem::take(&mut count.unwritten))
    }

    /// Those without a line whose minute is over, each once; forgets all of that time.
    fn rest(&self, now: Instant) -> Vec<Rest> {
        let mut rest = Vec::new();
        self.0.lock().retain(|(from, (what, _)), count| {
            let is_over = MINUTE <= now.saturating_duration_since(count.since);
            if is_over && 0 < count.unwritten {
                rest.push(Rest { from: *from, what, unwritten: count.unwritten });
            }
            !is_over
        });
        rest
    }

    /// Tells of those who had no line and came no more, until the drain.
    pub(crate) fn follow(&self, worker: &Worker) {
        let (hush, owner) = (self.clone(), worker.clone());
        worker.spawn(async move {
            let mut ticks = time::interval(MINUTE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = owner.finishing() => return,
                }
                let rest = hush.rest(Instant::now());
                // Of one kind of refusal: many addresses have one line together.
                let mut sums = HashMap::<_, (u64, usize)>::new();
                for Rest { what, unwritten, .. } in &rest {
                    let (callers, addresses) = sums.entry(*what).or_default();
                    (*callers, *addresses) = (*callers + unwritten, *addresses + 1);
                }
                for (what, (unwritten, addresses)) in sums {
                    tracing::warn!(what, unwritten, addresses, "callers were turned away");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REASON: Reason = ("report", Code::Unauthenticated);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_is_loud_is_not_heard_over_others() {
        let (hush, now) = (Hush::default(), Instant::now());
        let loud = (0..1000).filter_map(|_| hush.line_at(now, ip(1), REASON));
        assert_eq!(loud.collect::<Vec<_>>(), [0; 5]);
        assert_eq!(hush.line_at(now, ip(2), REASON), Some(0));
        assert_eq!(hush.line_at(now, ip(1), ("report", Code::PermissionDenied)), Some(0));
        assert_eq!(hush.line_at(now + MINUTE, ip(1), REASON), Some(995));
    }

    #[test]
    fn many_addresses_together_are_bounded_too() {
        let (hush, now) = (Hush::default(), Instant::now());
        let all = (0..u32::MAX).step_by(1 << 16).map(|n| IpAddr::from(n.to_be_bytes()));
        let lines = all.filter_map(|from| hush.line_at(now, from, REASON)).count();
        assert!(lines <= APART + 5, "{lines}");
        assert!(hush.0.lock().len() <= APART + 1);
        hush.rest(now + MINUTE);
        assert!(hush.0.lock().is_empty());
    }

    proptest! {
        #[test]
        fn lines_and_what_they_leave_out_are_all_there_was(
            steps in prop::collection::vec((0..40_u64, 1..4_u8, 0..20_u64, any::<bool>()), 0..60),
        ) {
            let (hush, mut now) = (Hush::default(), Instant::now());
            let (mut calls, mut told) = (0, 0);
            for (pass, last, times, look) in steps {
                now += Duration::from_secs(pass);
                for _ in 0..times {
                    calls += 1;
                    told += hush.line_at(now, ip(last), REASON).map_or(0, |before| before + 1);
                }
                if look {
                    told += hush.rest(now).iter().map(|rest| rest.unwritten).sum::<u64>();
                }
            }
            told += hush.rest(now + MINUTE).iter().map(|rest| rest.unwritten).sum::<u64>();
            prop_assert_eq!(told, calls);
        }
    }
}
