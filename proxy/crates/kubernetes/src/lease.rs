//! Which of several replicas writes: the one that holds a Lease.
//!
//! The rules are those of client-go, so that other tools read it as they are used to. Nobody's
//! clock is believed: a lease is over when this process has seen it unchanged for its duration.
use crate::{
    client::Client,
    fault::Fault,
    write::{Place, WITHIN},
};
use culvert_runtime::{backoff::Backoff, dice::dice, drain::Worker};
use elector::Elector;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, watch},
    time,
};
use tracing::{info, warn};

mod elector;

/// Of whom nothing was heard for this long, holds it no more.
const DURATION: Duration = Duration::from_secs(15);

/// Who could not renew it for this long writes no more: before anybody else does.
const DEADLINE: Duration = Duration::from_secs(10);

/// Between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// The longest between two tries when it may not be had at all.
const REFUSED: Duration = Duration::from_secs(30);

/// How long what is being written may take when the lease is given back.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether this replica is the one that writes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Office {
    held: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

/// Leave to write one thing: the lease is not given away meanwhile.
#[derive(Debug)]
pub struct Leave(#[expect(dead_code, reason = "held, not looked at")] OwnedRwLockReadGuard<()>);

#[derive(Debug, Default)]
struct Shared {
    /// Up to when the lease is ours for certain.
    until: Mutex<Option<Instant>>,
    gate: Arc<RwLock<()>>,
    holder: Mutex<String>,
}

/// Runs for office.
struct Candidate {
    client: Client,
    namespace: String,
    name: &'static str,
    elector: Elector,
    held: watch::Sender<bool>,
    shared: Arc<Shared>,
    backoff: Backoff,
    /// What was said of why it cannot be had.
    said: Option<Fault>,
}

impl Office {
    /// Runs for the lease as `me`, which nobody else is called, until the worker finishes; then it
    /// is given back, so that another replica need not wait.
    pub fn run_for(
        client: &Client,
        (namespace, name): (&str, &'static str),
        me: &str,
        worker: &Worker,
    ) -> Self {
        let (held, watched) = watch::channel(false);
        let shared = Arc::<Shared>::default();
        let candidate = Candidate {
            client: client.clone(),
            namespace: namespace.to_owned(),
            name,
            elector: Elector::new(me),
            held,
            shared: Arc::clone(&shared),
            backoff: Backoff::new(RETRY, REFUSED),
            said: None,
        };
        let owner = worker.clone();
        worker.spawn(candidate.run(owner));
        Self { held: watched, shared }
    }

    /// Leave to write, when it is this replica that writes, now.
    pub async fn enter(&self) -> Option<Leave> {
        let guard = Arc::clone(&self.shared.gate).read_owned().await;
        let until = *self.shared.until.lock();
        until.is_some_and(|until| Instant::now() < until).then_some(Leave(guard))
    }

    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Who holds it, as far as it is known; empty: nobody.
    pub fn holder(&self) -> String {
        self.shared.holder.lock().clone()
    }

    /// Waits until it is another than it was at the last call, and returns whether it is held.
    /// After the drain it waits forever.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> bool {
        if self.held.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.held.borrow_and_update()
    }
}

impl Candidate {
    async fn run(mut self, owner: Worker) {
        loop {
            let wait = tokio::select! {
                biased;
                () = owner.finishing() => return self.give_back().await,
                wait = self.attempt() => wait,
            };
            tokio::select! {
                biased;
                () = owner.finishing() => return self.give_back().await,
                () = time::sleep(wait) => {}
            }
        }
    }

    /// One try; returns how long to wait until the next.
    async fn attempt(&mut self) -> Duration {
        let began = Instant::now();
        let until = *self.shared.until.lock();
        // What is not renewed by then is lost; whoever still tries writes meanwhile.
        let patience = until.map_or(DEADLINE, |until| until.saturating_duration_since(began));
        let tried = time::timeout(patience, self.claim()).await;
        let tried = tried.unwrap_or_else(|_| Err(Fault::Unreachable("no answer in time".into())));
        *self.shared.holder.lock() = self.elector.holder().to_owned();
        match tried {
            Ok(true) => self.won(began),
            Ok(false) => self.lost(),
            Err(_) if !self.left().is_zero() => return RETRY.min(self.left()),
            Err(fault) => return self.failed(fault),
        }
        self.backoff.reset();
        self.said = None;
        match self.is_ours() {
            true => RETRY,
            // Replicas that started together do not ask together.
            false => RETRY + Duration::from_millis(dice() % 2400),
        }
    }

    /// Whether it is ours now.
    async fn claim(&mut self) -> Result<bool, Fault> {
        let (namespace, name) = (self.namespace.clone(), self.name);
        let (api_version, plural) = ("coordination.k8s.io/v1", "leases");
        let place = Place { api_version, plural, namespace: &namespace, name };
        if self.is_ours()
            && let Some(renewed) = self.elector.claim(Instant::now())
        {
            match self.client.replace(&place, &renewed).await {
                Ok(lease) => return Ok(self.elector.observe(lease, Instant::now())),
                Err(fault) if fault.is_conflict() || fault.is_absent() => {}
                Err(fault) => return Err(fault),
            }
        }
        let lease = match self.client.read(&place.path()).await {
            Ok(lease) => lease,
            Err(fault) if fault.is_absent() => {
                let first = self.elector.first(&namespace, name);
                match self.client.create(&place, &first).await {
                    Ok(lease) => return Ok(self.elector.observe(lease, Instant::now())),
                    Err(fault) if fault.is_conflict() => return Ok(false),
                    Err(fault) => return Err(fault),
                }
            }
            Err(fault) => return Err(fault),
        };
        self.elector.observe(lease, Instant::now());
        let Some(claimed) = self.elector.claim(Instant::now()) else { return Ok(false) };
        match self.client.replace(&place, &claimed).await {
            Ok(lease) => Ok(self.elector.observe(lease, Instant::now())),
            // Somebody was quicker.
            Err(fault) if fault.is_conflict() => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn is_ours(&self) -> bool {
        self.shared.until.lock().is_some()
    }

    /// For how long it is ours without being renewed.
    fn left(&self) -> Duration {
        let until = *self.shared.until.lock();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    fn won(&self, began: Instant) {
        // From before it was asked for: whoever sees it counts from later.
        *self.shared.until.lock() = Some(began + DEADLINE);
        if !self.held.send_replace(true) {
            info!("this replica writes: it holds the Lease {}/{}", self.namespace, self.name);
        }
    }

    fn lost(&self) {
        *self.shared.until.lock() = None;
        if self.held.send_replace(false) {
            let holder = self.elector.holder();
            warn!(holder, "this replica writes no more: it does not hold the Lease");
        }
    }

    fn failed(&mut self, fault: Fault) -> Duration {
        self.lost();
        let wait = self.backoff.next(dice());
        if self.said.as_ref() != Some(&fault) {
            let Self { namespace, name, .. } = self;
            let missing = match fault.is_forbidden() {
                true => format!(
                    "; in {namespace} its Role needs apiGroups: [coordination.k8s.io], \
                     resources: [leases], resourceNames: [{name}], verbs: [get, update], \
                     and create without a name"
                ),
                false => String::new(),
            };
            warn!("the Lease {namespace}/{name} cannot be had: {fault}{missing}");
            self.said = Some(fault);
        }
        wait
    }

    /// Lets another replica have it at once.
    async fn give_back(mut self) {
        let was_ours = self.shared.until.lock().take().is_some();
        self.held.send_replace(false);
        if !was_ours {
            return;
        }
        // Whatever is being written is over first.
        drop(time::timeout(FAREWELL, self.shared.gate.write()).await);
        let Some(free) = self.elector.released() else { return };
        let (api_version, plural) = ("coordination.k8s.io/v1", "leases");
        let place = Place { api_version, plural, namespace: &self.namespace, name: self.name };
        match time::timeout(WITHIN, self.client.replace(&place, &free)).await {
            Ok(Ok(_)) => info!("the Lease is given back"),
            Ok(Err(fault)) => info!("the Lease was not given back, and runs out: {fault}"),
            Err(_) => info!("the Lease was not given back, and runs out"),
        }
    }
}
