//! What is known of one endpoint, for as long as it is one.
use culvert_model::http::{
    address::Address,
    endpoint::{Endpoint, HealthStatus, LocalityEndpoints},
};
use culvert_policy::http::{balance::Health, outlier::Monitor};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::pools::Pools;

/// An endpoint's state; stays when what is said of it changes.
#[derive(Debug)]
pub struct Host {
    pub address: Address,
    /// As Envoy writes it.
    pub name: Arc<str>,
    /// When it came.
    pub since: Duration,
    /// Requests and connections of TCP under way.
    active: AtomicU64,
    pub requests: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    pub connects: AtomicU64,
    pub connect_failures: AtomicU64,
    pub(super) monitor: Mutex<Monitor>,
    ejected: AtomicBool,
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
            since,
            active: count(),
            requests: count(),
            succeeded: count(),
            failed: count(),
            connects: count(),
            connect_failures: count(),
            monitor: Mutex::default(),
            ejected: AtomicBool::default(),
        }
    }

    pub fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Left out for how it answered.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Acquire)
    }

    /// Whether that changed.
    pub(super) fn set_ejected(&self, ejected: bool) -> bool {
        self.ejected.swap(ejected, Ordering::AcqRel) != ejected
    }
}

impl Place {
    /// What the control plane and answers come to.
    pub(super) fn health(&self) -> Health {
        if self.host.is_ejected() {
            return Health::Unhealthy;
        }
        match self.endpoint.health {
            HealthStatus::Unknown | HealthStatus::Healthy => Health::Healthy,
            HealthStatus::Degraded => Health::Degraded,
            HealthStatus::Unhealthy | HealthStatus::Draining | HealthStatus::Timeout => {
                Health::Unhealthy
            }
        }
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
