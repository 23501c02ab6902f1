//! What is known of one endpoint, for as long as it is one.
use super::pools::Pools;
use arc_swap::ArcSwapOption;
use culvert_model::http::{
    address::Address,
    endpoint::{Endpoint, LocalityEndpoints},
};
use culvert_policy::http::{balance::Health, outlier::Monitor};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// An endpoint's state; stays when what is said of it changes.
#[derive(Debug)]
pub struct Host {
    pub address: Address,
    /// As Envoy writes it.
    pub name: Arc<str>,
    /// When it came, or came back; in nanoseconds.
    since: AtomicU64,
    /// Requests and connections of TCP under way.
    active: AtomicU64,
    pub requests: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    pub connects: AtomicU64,
    pub connect_failures: AtomicU64,
    pub(super) monitor: Mutex<Monitor>,
    /// What is wrong with it.
    faults: AtomicU32,
    /// Where its name leads now, if it has one (`LOGICAL_DNS`).
    resolved: ArcSwapOption<Vec<SocketAddr>>,
    /// Told when its health has become worse.
    pub(super) cut: Notify,
}

/// What can be wrong with an endpoint beside what the control plane says: Envoy's health flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// Its checks fail, or it was not checked yet.
    FailedCheck = 1,
    /// Left out for how it answers.
    Ejected = 1 << 1,
    /// It says so itself when it is checked.
    DegradedCheck = 1 << 2,
    /// Gone from discovery, and kept because its checks succeed.
    Leaving = 1 << 3,
    /// New, and not counted before its first check.
    Unchecked = 1 << 4,
    /// It asked to be left alone.
    Excluded = 1 << 5,
    /// Its last check took too long.
    CheckTimeout = 1 << 6,
}

/// An endpoint of a moment.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: Arc<Host>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) locality: Arc<LocalityEndpoints>,
    pub(super) pools: Arc<Pools>,
}

/// Counts a request or a connection while it lasts.
#[derive(Debug)]
pub(super) struct Busy(pub(super) Arc<Place>);

impl Host {
    pub(super) fn new(address: Address, since: Duration) -> Self {
        let name = address.to_string().into();
        let count = AtomicU64::default;
        Self {
            address,
            name,
            since: AtomicU64::new(nanos(since)),
            active: count(),
            requests: count(),
            succeeded: count(),
            failed: count(),
            connects: count(),
            connect_failures: count(),
            monitor: Mutex::default(),
            faults: AtomicU32::default(),
            resolved: ArcSwapOption::empty(),
            cut: Notify::const_new(),
        }
    }

    pub fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// When it came, or came back after its checks had failed; of the process.
    pub fn since(&self) -> Duration {
        Duration::from_nanos(self.since.load(Ordering::Relaxed))
    }

    pub(super) fn begin_anew(&self, now: Duration) {
        self.since.store(nanos(now), Ordering::Relaxed);
    }

    /// Left out for how it answered.
    pub fn is_ejected(&self) -> bool {
        self.has(Fault::Ejected)
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.load(Ordering::Acquire) & fault as u32 != 0
    }

    /// Whether that changed.
    pub(super) fn set(&self, fault: Fault, has: bool) -> bool {
        let bit = fault as u32;
        let before = if has {
            self.faults.fetch_or(bit, Ordering::AcqRel)
        } else {
            self.faults.fetch_and(!bit, Ordering::AcqRel)
        };
        (before & bit != 0) != has
    }

    /// What checks have found, forgotten.
    pub(super) fn forget_checks(&self) {
        use Fault::{CheckTimeout, DegradedCheck, Excluded, FailedCheck, Unchecked};

        for fault in [FailedCheck, DegradedCheck, Unchecked, Excluded, CheckTimeout] {
            self.set(fault, false);
        }
    }

    /// Where its name leads now.
    pub(super) fn resolved(&self) -> Vec<SocketAddr> {
        self.resolved.load().as_ref().map_or_else(Vec::new, |found| Vec::clone(found))
    }

    pub(super) fn resolve(&self, to: &[SocketAddr]) {
        if self.resolved.load().as_ref().is_none_or(|now| now.as_slice() != to) {
            self.resolved.store(Some(Arc::new(to.to_vec())));
        }
    }

    /// Where connections go: of a name, the address that it stands for now.
    pub fn destination(&self) -> Option<SocketAddr> {
        match &self.address {
            Address::Socket(at) => Some(*at),
            Address::Name { .. } => self.resolved.load().as_ref()?.first().copied(),
            Address::Pipe(_) => None,
        }
    }
}

impl Place {
    /// What the control plane, checks and answers come to.
    pub(super) fn health(&self) -> Health {
        let host = &self.host;
        if host.has(Fault::Unchecked) || host.has(Fault::Excluded) {
            return Health::Excluded;
        }
        if host.has(Fault::FailedCheck) || host.is_ejected() {
            return Health::Unhealthy;
        }
        let said = Health::said(self.endpoint.health);
        let degraded = said == Health::Healthy && host.has(Fault::DegradedCheck);
        if degraded { Health::Degraded } else { said }
    }
}

impl Busy {
    pub(super) fn new(place: Arc<Place>) -> Self {
        place.host.active.fetch_add(1, Ordering::Relaxed);
        place.host.requests.fetch_add(1, Ordering::Relaxed);
        Self(place)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.host.active.fetch_sub(1, Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
