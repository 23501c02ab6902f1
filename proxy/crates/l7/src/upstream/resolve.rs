//! Endpoints by name: each address that a name has is one (`STRICT_DNS`), or a name is one that is
//! wherever it leads now (`LOGICAL_DNS`).
use super::{
    Deps,
    cluster::Owner,
    host::Place,
    names::{Answer, NoAnswer},
    tally::{Tally, Update},
    warming::Cold,
};
use culvert_model::http::{
    address::Address,
    cluster::{Cluster, Discovery, Dns},
    endpoint::{Assignment, Endpoint, LocalityEndpoints},
};
use culvert_runtime::dice::dice;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time;

/// A name, and the port that goes with it.
type Target = (Arc<str>, u16);

/// What names came to last, so that one that cannot be resolved keeps its endpoints.
type Known = HashMap<Target, Arc<[SocketAddr]>>;

/// Resolves the names of a cluster again and again while it is held.
#[derive(Debug)]
pub(super) struct Watch {
    cluster: Arc<str>,
    assignment: Arc<Assignment>,
    dns: Dns,
    /// A name is one endpoint.
    logical: bool,
    known: Mutex<Known>,
    owner: Arc<Owner>,
    tally: Arc<Tally>,
    deps: Deps,
}

impl Watch {
    /// For a cluster whose endpoints have names; begins with what one `before` it knew.
    pub(super) fn start(
        config: &Cluster,
        before: Option<&Arc<Self>>,
        owner: &Arc<Owner>,
        tally: &Arc<Tally>,
        deps: &Deps,
    ) -> Option<Arc<Self>> {
        let (assignment, dns, logical) = match &config.discovery {
            Discovery::StrictDns { assignment, dns } => (assignment, *dns, false),
            Discovery::LogicalDns { assignment, dns } => (assignment, *dns, true),
            Discovery::Static(_)
            | Discovery::Eds { .. }
            | Discovery::OriginalDst(_)
            | Discovery::Aggregate(_) => return None,
        };
        let known = before.map(|before| before.known.lock().clone()).unwrap_or_default();
        let watch = Arc::new(Self {
            cluster: Arc::clone(&config.name),
            assignment: Arc::new(called(assignment)),
            dns,
            logical,
            known: Mutex::new(known),
            owner: Arc::clone(owner),
            tally: Arc::clone(tally),
            deps: deps.clone(),
        });
        for target in targets(assignment) {
            let following = follow(Arc::downgrade(&watch), target, deps.warming.cold());
            deps.worker.spawn_until_finish(following);
        }
        Some(watch)
    }

    /// The endpoints, as far as they are known.
    pub(super) fn now(&self) -> Arc<Assignment> {
        let known = self.known.lock();
        if !self.logical {
            return Arc::new(resolved(&self.assignment, &known));
        }
        let mut targets = targets(&self.assignment).into_iter();
        if targets.all(|target| known.contains_key(&target)) {
            return Arc::clone(&self.assignment);
        }
        Arc::new(Assignment::empty(Arc::clone(&self.assignment.name)))
    }

    /// Tells endpoints where their names lead.
    pub(super) fn fill(&self, list: &[Arc<Place>]) {
        if !self.logical {
            return;
        }
        let known = self.known.lock();
        for place in list {
            if let Address::Name { host, port } = &place.host.address
                && let Some(found) = known.get(&(Arc::clone(host), *port))
            {
                place.host.resolve(found);
            }
        }
    }

    /// Takes an answer; how long it is waited until the next question.
    fn told(
        &self,
        target: &Target,
        answer: Result<Answer, NoAnswer>,
        failures: &mut u32,
    ) -> Duration {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let (cluster, name) = (&self.cluster, &target.0);
                tracing::warn!(%cluster, %name, %error, "name cannot be resolved");
                self.tally.updated(Update::Failed);
                *failures += 1;
                return after_failure(&self.dns, *failures);
            }
        };
        *failures = 0;
        let mut found: Vec<_> =
            answer.addresses.iter().map(|ip| SocketAddr::new(*ip, target.1)).collect();
        let empty = found.is_empty();
        if !self.logical {
            found.sort_unstable();
            found.dedup();
        }
        // One endpoint is not dropped for want of an address.
        let changed = !(empty && self.logical) && {
            let mut known = self.known.lock();
            let same = known.get(target).is_some_and(|before| **before == *found);
            if !same {
                known.insert(target.clone(), found.into());
            }
            !same
        };
        self.tally.updated(match (empty, changed) {
            (true, _) => Update::Empty,
            (false, true) => Update::Changed,
            (false, false) => Update::Same,
        });
        if changed && let Some(upstream) = self.owner.get() {
            upstream.follow_names();
        }
        let by_ttl = self.dns.respect_ttl && !empty && !answer.ttl.is_zero();
        let wait = if by_ttl { answer.ttl } else { self.dns.refresh };
        wait + part(self.dns.jitter)
    }
}

/// Asks for one name for as long as somebody wants to know.
async fn follow(watch: Weak<Watch>, target: Target, cold: Cold) {
    let (mut cold, mut failures) = (Some(cold), 0);
    loop {
        let Some((names, family)) =
            watch.upgrade().map(|watch| (Arc::clone(&watch.deps.names), watch.dns.family))
        else {
            return;
        };
        let answer = names.lookup(&target.0, family).await;
        let Some(watch) = watch.upgrade() else { return };
        let wait = watch.told(&target, answer, &mut failures);
        drop((watch, cold.take()));
        time::sleep(wait).await;
    }
}

/// Every name once.
fn targets(assignment: &Assignment) -> HashSet<Target> {
    let names = assignment.endpoints().filter_map(|endpoint| match &endpoint.address {
        Address::Name { host, port } => Some((Arc::clone(host), *port)),
        Address::Socket(_) | Address::Pipe(_) => None,
    });
    names.collect()
}

/// The assignment with endpoints that are called by their names, where they are not called otherwise.
fn called(assignment: &Assignment) -> Assignment {
    each(assignment, |endpoint| match &endpoint.address {
        Address::Name { host, .. } if endpoint.hostname.is_empty() => {
            let hostname = Arc::clone(host);
            vec![Arc::new(Endpoint { hostname, ..Endpoint::clone(endpoint) })]
        }
        Address::Name { .. } | Address::Socket(_) | Address::Pipe(_) => vec![Arc::clone(endpoint)],
    })
}

/// The assignment with addresses in place of names.
fn resolved(assignment: &Assignment, known: &Known) -> Assignment {
    each(assignment, |endpoint| match &endpoint.address {
        Address::Name { host, port } => {
            let found = known.get(&(Arc::clone(host), *port)).map_or(&[][..], |found| found);
            let at = |at: &SocketAddr| {
                let address = Address::Socket(*at);
                Arc::new(Endpoint { address, ..Endpoint::clone(endpoint) })
            };
            found.iter().map(at).collect()
        }
        Address::Socket(_) | Address::Pipe(_) => vec![Arc::clone(endpoint)],
    })
}

/// The assignment with others for each endpoint.
fn each(
    assignment: &Assignment,
    others: impl Fn(&Arc<Endpoint>) -> Vec<Arc<Endpoint>>,
) -> Assignment {
    let localities = assignment.localities.iter().map(|locality| LocalityEndpoints {
        endpoints: locality.endpoints.iter().flat_map(&others).collect(),
        ..locality.clone()
    });
    Assignment { localities: localities.collect(), ..assignment.clone() }
}

/// Longer after each failure, up to a limit.
fn after_failure(dns: &Dns, failures: u32) -> Duration {
    let Some((first, longest)) = dns.failure_refresh else { return dns.refresh };
    let most = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    // By chance, so that not everybody comes back at once.
    most / 2 + part(most / 2)
}

fn part(whole: Duration) -> Duration {
    let whole = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(dice().checked_rem(whole).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_asked_again_later_and_later() {
        let second = Duration::from_secs(1);
        let dns = Dns { failure_refresh: Some((second, 10 * second)), ..Dns::default() };
        for (failures, most) in [(1, 1), (2, 2), (4, 8), (5, 10), (60, 10)] {
            let wait = after_failure(&dns, failures);
            assert!((most * second / 2..=most * second).contains(&wait), "{failures} {wait:?}");
        }
        assert_eq!(after_failure(&Dns::default(), 3), Duration::from_secs(5));
    }
}
