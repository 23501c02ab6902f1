//! Endpoints that are asked whether they are well: one who asks for each endpoint of a cluster.
//!
//! Reading order: [`Checks`]; `course` (what the answers come to), `probe` (one question), `grpc`
//! (its bytes).
mod course;
mod grpc;
mod probe;

use super::{
    Deps,
    cluster::Owner,
    host::{Fault, Host, Place},
    pools::Key,
    tally::Tally,
    warming::Cold,
};
use course::{Course, Failure, Found, Turn};
use culvert_model::http::{
    address::Address,
    cluster::Cluster,
    endpoint::{Endpoint, EndpointCheck},
    health::HealthCheck,
};
use culvert_runtime::dice::dice;
use http::HeaderMap;
use parking_lot::Mutex;
use probe::Probe;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};
use tokio::{sync::oneshot, time};

/// The checks of a cluster's endpoints.
pub(super) struct Checks {
    cluster: Arc<Cluster>,
    owner: Arc<Owner>,
    tally: Arc<Tally>,
    running: Mutex<HashMap<Address, Running>>,
}

/// The checks of one endpoint; they end when it is dropped.
struct Running {
    endpoint: Arc<Endpoint>,
    host: Arc<Host>,
    course: Arc<Mutex<Course>>,
    _ends: oneshot::Sender<()>,
}

/// One endpoint's.
struct Session {
    checks: Weak<Checks>,
    host: Arc<Host>,
    check: HealthCheck,
    course: Arc<Mutex<Course>>,
    probe: Probe,
    /// Until the first check was made.
    cold: Option<Cold>,
}

impl Checks {
    /// None yet: endpoints follow.
    pub(super) fn new(cluster: &Arc<Cluster>, owner: &Arc<Owner>, tally: &Arc<Tally>) -> Self {
        let (cluster, owner, tally) = (Arc::clone(cluster), Arc::clone(owner), Arc::clone(tally));
        Self { cluster, owner, tally, running: Mutex::default() }
    }

    /// Whether endpoints are asked.
    pub(super) fn any(&self) -> bool {
        !self.cluster.health_checks.is_empty()
    }

    /// Starts with those that are new, and ends with those that are gone; needs a runtime.
    pub(super) fn follow(self: &Arc<Self>, list: &[Arc<Place>], deps: &Deps) {
        // Envoy takes one check for a cluster.
        let Some(check) = self.cluster.health_checks.first() else { return };
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        for place in list.iter().filter(|place| !place.endpoint.check.disabled) {
            let kept = before.remove(&place.host.address);
            let kept = kept.filter(|kept| {
                Arc::ptr_eq(&kept.host, &place.host) && alike(&kept.endpoint, &place.endpoint)
            });
            let one = kept.unwrap_or_else(|| self.start(check, place, deps));
            running.insert(place.host.address.clone(), one);
        }
    }

    /// Nobody is asked any more.
    pub(super) fn stop(&self) {
        self.running.lock().clear();
    }

    /// An endpoint answered a request so that it is to be left alone at once.
    pub(super) fn answered(&self, host: &Arc<Host>, headers: &HeaderMap) {
        if !self.any() || !headers.contains_key(probe::FAIL_NOW) {
            return;
        }
        let Some(check) = self.cluster.health_checks.first() else { return };
        let course = match self.running.lock().get(&host.address) {
            Some(running) => Arc::clone(&running.course),
            None => return,
        };
        let found = Found::Bad(Failure::LeaveAlone { retriable: false });
        let turn = course.lock().found(found, host, check);
        self.tally.checked(false, false, true);
        self.told(host, found, turn, false);
    }

    fn start(self: &Arc<Self>, check: &HealthCheck, place: &Place, deps: &Deps) -> Running {
        let endpoint = &place.endpoint;
        let to = where_to(endpoint, check).map(|at| Arc::from([at]));
        let door = place.pools.door(Key::default(), None, to);
        let course = Arc::new(Mutex::new(Course::default()));
        let session = Session {
            checks: Arc::downgrade(self),
            host: Arc::clone(&place.host),
            check: check.clone(),
            course: Arc::clone(&course),
            probe: Probe::new(check, &self.cluster, endpoint, door),
            cold: Some(deps.warming.cold()),
        };
        let (ends, ended) = oneshot::channel();
        deps.worker.spawn_until_finish(async move {
            tokio::select! {
                () = session.run() => {}
                _gone = ended => {}
            }
        });
        let (endpoint, host) = (Arc::clone(endpoint), Arc::clone(&place.host));
        Running { endpoint, host, course, _ends: ends }
    }

    /// Has the cluster know what became of an endpoint.
    fn told(&self, host: &Arc<Host>, found: Found, turn: Turn, first: bool) {
        let always = self.cluster.health_checks.first().is_some_and(|one| one.always_log_failures);
        let (cluster, endpoint) = (&self.cluster.name, &host.name);
        let fails = host.has(Fault::FailedCheck);
        match (found, turn) {
            (Found::Bad(why), Turn::Changed) if fails => {
                tracing::info!(%cluster, %endpoint, ?why, "endpoint fails its health check");
            }
            (Found::Bad(why), _) if always || first => {
                tracing::info!(%cluster, %endpoint, ?why, "health check failed");
            }
            (Found::Good { .. }, Turn::Changed) => {
                tracing::info!(%cluster, %endpoint, "endpoint passes its health check");
            }
            _ => {}
        }
        let Some(upstream) = self.owner.get() else { return };
        if let Found::Good { .. } = found
            && !fails
            && upstream.is_well_again(host)
        {
            return upstream.refresh();
        }
        match turn {
            Turn::Changed if fails => upstream.failed(host),
            Turn::Changed => {
                host.begin_anew(upstream.deps.now());
                upstream.refresh();
            }
            Turn::Pending | Turn::Unchanged => {}
        }
    }
}

impl Session {
    async fn run(mut self) {
        time::sleep(course::part(self.check.initial_jitter, dice())).await;
        loop {
            let asked = time::timeout(self.check.timeout, self.probe.ask()).await;
            let found = asked.unwrap_or(Found::Bad(Failure::Timeout));
            let Some(checks) = self.checks.upgrade() else { return };
            let (turn, first) = {
                let mut course = self.course.lock();
                let first = course.is_new();
                (course.found(found, &self.host, &self.check), first)
            };
            let network = matches!(found, Found::Bad(Failure::Network | Failure::Timeout));
            checks.tally.checked(matches!(found, Found::Good { .. }), network, false);
            checks.told(&self.host, found, turn, first);
            let used = checks.tally.is_used();
            drop((checks, self.cold.take()));
            time::sleep(course::pause(&self.check, found, turn, used, dice())).await;
        }
    }
}

/// Whether both are checked in the same way.
fn alike(one: &Arc<Endpoint>, other: &Arc<Endpoint>) -> bool {
    Arc::ptr_eq(one, other)
        || one.check == other.check
            && one.hostname == other.hostname
            && one.metadata == other.metadata
            && one.more_addresses == other.more_addresses
}

/// Another place than the endpoint's, if that is where it is checked.
fn where_to(endpoint: &Endpoint, check: &HealthCheck) -> Option<Address> {
    let EndpointCheck { port, address, .. } = &endpoint.check;
    let port = port.or(check.alt_port);
    let mut at = match (address, port) {
        (Some(address), _) => address.clone(),
        (None, Some(_)) => endpoint.address.clone(),
        (None, None) => return None,
    };
    if let Some(port) = port {
        match &mut at {
            Address::Socket(at) => at.set_port(port),
            Address::Name { port: of_name, .. } => *of_name = port,
            Address::Pipe(_) => {}
        }
    }
    Some(at)
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("cluster", &self.cluster.name).finish_non_exhaustive()
    }
}
