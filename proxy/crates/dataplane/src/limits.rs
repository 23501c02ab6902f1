//! How many connections a pod may have.
//!
//! Two bounds: a fixed number per pod, and descriptors, of which the process has only so many.
//! Descriptors are shared so that no pod can take them all: a pod may hold as many connections as
//! the configured share allows *of what is still free*. One greedy pod alone gets its share; two
//! get less each, and there is always something left for the third.
use culvert_model::close::CloseReason;
use parking_lot::Mutex;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The application's connection and the one that continues it.
const DESCRIPTORS_EACH: u64 = 2;

/// How often a pod's refusals are logged.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// What holds for every pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    per_pod: u32,
    /// How many connections the process has descriptors for.
    room: u32,
    /// How much of the room one pod may take when it is alone.
    share_percent: u8,
}

/// Why a pod may not have one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the pod has {limit} connections, as many as it may")]
    PodLimit { limit: u32 },
    #[error("the pod has its share of the descriptors, {open} connections of {room}")]
    Descriptors { open: u32, room: u32 },
}

/// The connections of the node.
#[derive(Debug)]
pub(crate) struct Limits {
    bounds: Bounds,
    open: AtomicU32,
}

/// The connections of one pod.
#[derive(Debug, Default)]
pub(crate) struct PodLoad {
    open: AtomicU32,
    /// Tunnels that others opened to it; their connections count for themselves.
    tunnels: AtomicU32,
    emptied: Notify,
    refusals: Mutex<Refusals>,
}

/// What of a pod's refusals was not logged yet.
#[derive(Debug, Default)]
struct Refusals {
    unsaid: u64,
    said: Option<Instant>,
}

/// The right to one connection; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    node: Arc<Limits>,
    pod: Arc<PodLoad>,
}

/// The right to one tunnel; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct TunnelTicket {
    node: Arc<Limits>,
    pod: Arc<PodLoad>,
}

impl Bounds {
    /// `descriptors` is what the process may open, `reserve` what the node itself needs of them.
    pub(crate) fn new(per_pod: u32, descriptors: u64, reserve: u64, share_percent: u8) -> Self {
        let room = descriptors.saturating_sub(reserve) / DESCRIPTORS_EACH;
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        Self { per_pod, room, share_percent: share_percent.clamp(1, 100) }
    }

    /// Whether a pod that has `pod` of the node's `node` connections may have one more; `tunnels`
    /// is what it has beside them.
    fn decide(self, pod: u32, tunnels: u32, node: u32) -> Result<(), Refusal> {
        let Self { per_pod, room, share_percent } = self;
        if per_pod <= pod {
            return Err(Refusal::PodLimit { limit: per_pod });
        }
        let pod = pod.saturating_add(tunnels);
        // With p % of what is free, a pod alone settles at p % of all: x / p = (room - x) / (100 - p).
        let (share, rest) = (u64::from(share_percent), u64::from(100 - share_percent));
        let free = u64::from(room.saturating_sub(node));
        if free == 0 || share * free <= rest * u64::from(pod) {
            return Err(Refusal::Descriptors { open: pod, room });
        }
        Ok(())
    }
}

impl Refusal {
    pub(crate) const fn reason(self) -> CloseReason {
        match self {
            Self::PodLimit { .. } => CloseReason::PodLimit,
            Self::Descriptors { .. } => CloseReason::NoDescriptors,
        }
    }
}

impl Limits {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, open: AtomicU32::new(0) }
    }

    /// Counts one more connection of `pod`, if it may have one.
    ///
    /// Both counters are raised before they are looked at, so that pods that ask at once cannot
    /// both take the last place.
    pub(crate) fn admit(self: &Arc<Self>, pod: &Arc<PodLoad>) -> Result<Ticket, Refusal> {
        let ticket = Ticket { node: Arc::clone(self), pod: Arc::clone(pod) };
        let node_before = self.open.fetch_add(1, Ordering::Relaxed);
        let pod_before = pod.open.fetch_add(1, Ordering::Relaxed);
        let tunnels = pod.tunnels.load(Ordering::Relaxed);
        self.bounds.decide(pod_before, tunnels, node_before).map(|()| ticket)
    }

    /// The same for a tunnel that somebody opens to `pod`.
    ///
    /// Of tunnels a pod may have as many as of connections.
    pub(crate) fn admit_tunnel(
        self: &Arc<Self>,
        pod: &Arc<PodLoad>,
    ) -> Result<TunnelTicket, Refusal> {
        let ticket = TunnelTicket { node: Arc::clone(self), pod: Arc::clone(pod) };
        let node_before = self.open.fetch_add(1, Ordering::Relaxed);
        let tunnels_before = pod.tunnels.fetch_add(1, Ordering::Relaxed);
        self.bounds.decide(tunnels_before, pod.open(), node_before).map(|()| ticket)
    }
}

impl PodLoad {
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Resolves when no connection is left.
    pub(crate) async fn empty(&self) {
        loop {
            let mut emptied = pin!(self.emptied.notified());
            // From here on no notice is missed.
            emptied.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Counts a refusal; how many there were when it is time to log them.
    pub(crate) fn refused(&self, now: Instant) -> Option<u64> {
        let mut refusals = self.refusals.lock();
        refusals.unsaid += 1;
        let due = refusals.said.is_none_or(|said| SAY_EVERY <= now.saturating_duration_since(said));
        due.then(|| {
            refusals.said = Some(now);
            std::mem::take(&mut refusals.unsaid)
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.node.open.fetch_sub(1, Ordering::Relaxed);
        if self.pod.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pod.emptied.notify_waiters();
        }
    }
}

impl Drop for TunnelTicket {
    fn drop(&mut self) {
        self.node.open.fetch_sub(1, Ordering::Relaxed);
        self.pod.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds(per_pod: u32, room: u64, share_percent: u8) -> Bounds {
        Bounds::new(per_pod, 2 * room + 100, 100, share_percent)
    }

    /// Has `pods` take turns until nobody gets any more; how many each got.
    fn fill(bounds: Bounds, pods: usize) -> Vec<u32> {
        let limits = Arc::new(Limits::new(bounds));
        let loads: Vec<_> = (0..pods).map(|_| Arc::new(PodLoad::default())).collect();
        let mut tickets = Vec::new();
        loop {
            let before = tickets.len();
            tickets.extend(loads.iter().filter_map(|load| limits.admit(load).ok()));
            if tickets.len() == before {
                return loads.iter().map(|load| load.open()).collect();
            }
        }
    }

    #[test]
    fn a_pod_alone_gets_its_share_of_the_descriptors() {
        assert_eq!(fill(bounds(u32::MAX, 1000, 50), 1), [500]);
        assert_eq!(fill(bounds(u32::MAX, 1000, 80), 1), [800]);
        assert_eq!(fill(bounds(u32::MAX, 1000, 100), 1), [1000]);
    }

    #[test]
    fn greedy_pods_leave_room_for_another() {
        assert_eq!(fill(bounds(u32::MAX, 900, 50), 2), [300, 300]);
    }

    #[test]
    fn the_limit_per_pod_is_exact() {
        assert_eq!(fill(bounds(7, 1000, 50), 3), [7, 7, 7]);
        assert_eq!(
            bounds(7, 1000, 50).decide(7, 0, 7).map_err(Refusal::reason),
            Err(CloseReason::PodLimit)
        );
    }

    #[test]
    fn without_descriptors_beyond_the_reserve_nothing_is_admitted() {
        let bounds = Bounds::new(10, 100, 200, 50);
        assert_eq!(
            bounds.decide(0, 0, 0).map_err(Refusal::reason),
            Err(CloseReason::NoDescriptors)
        );
    }

    #[test]
    fn a_ticket_counts_until_it_is_dropped_and_a_refusal_does_not() {
        let limits = Arc::new(Limits::new(bounds(1, 1000, 50)));
        let load = Arc::new(PodLoad::default());
        let ticket = limits.admit(&load).unwrap();
        assert!(limits.admit(&load).is_err());
        assert_eq!((load.open(), limits.open.load(Ordering::Relaxed)), (1, 1));
        drop(ticket);
        assert_eq!((load.open(), limits.open.load(Ordering::Relaxed)), (0, 0));
        assert!(limits.admit(&load).is_ok());
    }

    #[test]
    fn tunnels_take_of_the_pods_share_and_not_of_its_connections() {
        let limits = Arc::new(Limits::new(bounds(2, 4, 100)));
        let (load, other) = (Arc::new(PodLoad::default()), Arc::new(PodLoad::default()));
        let tunnels = [limits.admit_tunnel(&load).unwrap(), limits.admit_tunnel(&load).unwrap()];
        let over = limits.admit_tunnel(&load).map(drop);
        assert_eq!(over, Err(Refusal::PodLimit { limit: 2 }));
        let held = [limits.admit(&load).unwrap(), limits.admit(&load).unwrap()];
        assert_eq!(limits.admit(&other).map(drop), Err(Refusal::Descriptors { open: 0, room: 4 }));
        drop((tunnels, held));
        assert!(limits.admit(&other).is_ok());
        assert_eq!((load.open(), limits.open.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn refusals_are_logged_at_most_once_a_second() {
        let (load, start) = (PodLoad::default(), Instant::now());
        assert_eq!(load.refused(start), Some(1));
        assert_eq!(load.refused(start + SAY_EVERY / 2), None);
        assert_eq!(load.refused(start + SAY_EVERY), Some(2));
    }

    #[tokio::test]
    async fn tells_when_the_last_connection_ended() {
        let limits = Arc::new(Limits::new(bounds(10, 1000, 50)));
        let load = Arc::new(PodLoad::default());
        load.empty().await;
        let tickets = [limits.admit(&load).unwrap(), limits.admit(&load).unwrap()];
        let leave = async move { drop(tickets) };
        let ((), ()) = tokio::join!(load.empty(), leave);
    }

    proptest! {
        #[test]
        fn never_more_than_the_room(room in 0..500_u64, share in 1..=100_u8, pods in 1..8_usize) {
            let held: u32 = fill(bounds(u32::MAX, room, share), pods).iter().sum();
            prop_assert!(u64::from(held) <= room);
        }

        #[test]
        fn pods_that_ask_alike_get_alike(room in 0..500_u64, share in 1..100_u8, pods in 1..8_usize) {
            let held = fill(bounds(u32::MAX, room, share), pods);
            prop_assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1);
        }

        #[test]
        fn one_connection_more_never_admits_what_was_refused(
            room in 0..500_u64, share in 1..=100_u8, pod in 0..500_u32, others in 0..500_u32,
        ) {
            let bounds = bounds(400, room, share);
            let ok = |pod, node| bounds.decide(pod, 0, node).is_ok();
            prop_assert!(ok(pod, pod + others) || !ok(pod, pod + others + 1));
            prop_assert!(ok(pod, pod + others) || !ok(pod + 1, pod + others + 1));
        }
    }
}
