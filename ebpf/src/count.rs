//! What is counted per pod, in `POD_STATS`.
use core::{arch::asm, mem::offset_of, ptr};

use culvert_common::pod::PodStats;

use crate::maps::POD_STATS;

/// A counter; the number is its place in [`PodStats`].
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Counter {
    Captured = offset_of!(PodStats, captured),
    Excluded = offset_of!(PodStats, excluded),
    RefusedFamily = offset_of!(PodStats, refused_family),
    RefusedMemory = offset_of!(PodStats, refused_memory),
    FailedOpen = offset_of!(PodStats, failed_open),
    OverLimit = offset_of!(PodStats, over_limit),
    Inbound = offset_of!(PodStats, inbound),
    Bypassed = offset_of!(PodStats, bypassed),
    InboundRefused = offset_of!(PodStats, inbound_refused),
    GuardPassed = offset_of!(PodStats, guard_passed),
    GuardDropped = offset_of!(PodStats, guard_dropped),
    Pending = offset_of!(PodStats, pending),
    Tuples = offset_of!(PodStats, tuples),
    Direct = offset_of!(PodStats, direct),
    Dns = offset_of!(PodStats, dns),
    EventsLost = offset_of!(PodStats, events_lost),
}

/// The counters of one pod.
#[derive(Clone, Copy)]
pub(crate) struct Stats(*mut PodStats);

impl Stats {
    /// Those of `pod_id`, if user space has made them.
    #[inline(always)]
    pub(crate) fn of(pod_id: u32) -> Option<Self> {
        POD_STATS.get_ptr_mut(pod_id).map(Self)
    }

    #[inline(always)]
    pub(crate) fn get(self, counter: Counter) -> u64 {
        // SAFETY: `at` points to a counter of a live map value.
        // Another processor may be adding to it: the value is then a moment old.
        unsafe { ptr::read_volatile(self.at(counter)) }
    }

    #[inline(always)]
    pub(crate) fn add(self, counter: Counter, by: i64) {
        // SAFETY: as in `get`; the instruction adds eight bytes atomically.
        // It is the form that does not fetch, the only one before 5.12; written out because a
        // compiler is free to choose the other one.
        unsafe {
            asm!(
                "lock *(u64 *)({at} + 0) += {by}",
                at = in(reg) self.at(counter),
                by = in(reg) by,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    fn at(self, counter: Counter) -> *mut u64 {
        self.0.cast::<u8>().wrapping_add(counter as usize).cast()
    }
}

/// Adds one, if the pod is counted.
#[inline(always)]
pub(crate) fn count(pod_id: u32, counter: Counter) {
    if let Some(stats) = Stats::of(pod_id) {
        stats.add(counter, 1);
    }
}
