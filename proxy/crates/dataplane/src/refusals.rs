//! What is written of a pod's refusals: all are counted, few have a line.
//!
//! A refusal costs a pod next to nothing, and the access log has one queue for all pods: without a
//! bound, who connects to the proxy's own listener in a loop pushes the lines of others out of it.
use culvert_telemetry::access::line::AccessLine;
use std::time::{Duration, Instant};

/// How many lines a pod's refusals have in a second.
const LINES: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// The refusals of one pod.
///
/// Each line stands for itself and for those it says had none: together, for every refusal.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// When the running second began.
    since: Option<Instant>,
    written: u32,
    /// The last one without a line, and how many had none before it.
    unwritten: Option<(AccessLine, u64)>,
}

impl Refusals {
    /// The line to write now, if `line` is not one too many.
    pub(crate) fn write(&mut self, now: Instant, line: AccessLine) -> Option<AccessLine> {
        if self.may_write(now) {
            self.written += 1;
            let unwritten = self.unwritten.take().map_or(0, |(_, before)| before + 1);
            return Some(AccessLine { unwritten, ..line });
        }
        let before = self.unwritten.take().map_or(0, |(_, before)| before + 1);
        self.unwritten = Some((line, before));
        None
    }

    /// The line for those that had none, once there may be one again.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<AccessLine> {
        if self.unwritten.is_none() || !self.may_write(now) {
            return None;
        }
        self.written += 1;
        self.last()
    }

    /// The same at the end of all.
    pub(crate) fn last(&mut self) -> Option<AccessLine> {
        let (line, unwritten) = self.unwritten.take()?;
        Some(AccessLine { unwritten, ..line })
    }

    fn may_write(&mut self, now: Instant) -> bool {
        let over = |since| SECOND <= now.saturating_duration_since(since);
        if self.since.is_none_or(over) {
            (self.since, self.written) = (Some(now), 0);
        }
        self.written < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use culvert_model::{close::CloseReason, facts::Direction, snapshot::Snapshot};
    use proptest::prelude::*;
    use std::{net::SocketAddr, time::SystemTime};

    async fn line() -> AccessLine {
        let end = SocketAddr::from(([10, 0, 0, 1], 80));
        let pod = sample::Node::new(1).pod("cart");
        AccessLine {
            time: SystemTime::UNIX_EPOCH,
            facts: pod.facts(Direction::Outbound, end, end, &Snapshot::default()),
            bytes_sent: 0,
            bytes_recv: 0,
            lasted: Duration::ZERO,
            close: CloseReason::NotCaptured,
            denied: None,
            error: None,
            unwritten: 0,
        }
    }

    /// How many refusals the lines stand for.
    fn stood_for<'l>(lines: impl IntoIterator<Item = &'l AccessLine>) -> u64 {
        lines.into_iter().map(|line| 1 + line.unwritten).sum()
    }

    #[tokio::test]
    async fn a_flood_has_a_few_lines_which_stand_for_all_of_it() {
        let (mut refusals, line, start) = (Refusals::default(), line().await, Instant::now());
        let mut lines: Vec<_> =
            (0..1000).filter_map(|_| refusals.write(start, line.clone())).collect();
        assert_eq!(lines.len(), usize::try_from(LINES).unwrap());
        assert!(refusals.rest(start).is_none());
        lines.extend(refusals.rest(start + SECOND));
        assert_eq!((lines.last().unwrap().unwritten, stood_for(&lines)), (979, 1000));
        assert!(refusals.rest(start + SECOND).is_none() && refusals.last().is_none());
        assert_eq!(refusals.write(start + SECOND, line).unwrap().unwritten, 0);
    }

    proptest! {
        #[test]
        fn lines_stand_for_every_refusal_once(
            steps in prop::collection::vec((0..200_u32, 0..40_usize, any::<bool>()), 0..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let line = runtime.unwrap().block_on(line());
            let (mut refusals, mut now) = (Refusals::default(), Instant::now());
            let (mut lines, mut refused) = (Vec::new(), 0);
            for (pass, times, look) in steps {
                now += Duration::from_millis(pass.into());
                for _ in 0..times {
                    refused += 1;
                    lines.extend(refusals.write(now, line.clone()));
                }
                if look {
                    lines.extend(refusals.rest(now));
                }
            }
            lines.extend(refusals.last());
            prop_assert_eq!(stood_for(&lines), refused);
        }
    }
}
