//! Endpoints that are left out for a while because of how they answer.
use super::{
    cluster::{Owner, Upstream},
    host::{Fault, Host, Place},
};
use culvert_model::http::{cluster::Cluster, outlier::Outlier};
use culvert_policy::http::outlier::{Cause, Ending, by_rate, enforced, may_eject};
use culvert_runtime::dice::dice;
use std::sync::{Arc, Weak};
use tokio::time;

/// Looks all endpoints over, once each interval, while the cluster wants it.
pub(super) fn start(upstream: &Arc<Upstream>, owner: &Arc<Owner>) {
    if upstream.config().outlier.is_none() || !owner.begin_watching() {
        return;
    }
    upstream.deps.worker.spawn_until_finish(watch(Arc::downgrade(owner)));
}

async fn watch(owner: Weak<Owner>) {
    loop {
        let now = || owner.upgrade()?.get();
        let Some(interval) =
            now().and_then(|upstream| Some(upstream.config().outlier.as_deref()?.interval))
        else {
            break;
        };
        time::sleep(interval).await;
        if let Some(upstream) = now()
            && let Some(config) = upstream.config().outlier.as_deref()
        {
            upstream.look_over(config);
        }
    }
    if let Some(owner) = owner.upgrade() {
        owner.end_watching();
    }
}

impl Upstream {
    /// How something ended that an endpoint was to do.
    pub(super) fn ended(&self, host: &Arc<Host>, endings: &[Ending]) {
        let Some(config) = self.config().outlier.as_deref() else { return };
        let cause = {
            let mut monitor = host.monitor.lock();
            // The last cause, if any; each ending counts.
            endings.iter().fold(None, |cause, ending| monitor.ended(*ending, config).or(cause))
        };
        if let Some(cause) = cause
            && let Some(now) = self.owner().get()
            && now.eject(host, cause, config)
        {
            now.failed(host);
        }
    }

    fn eject(&self, host: &Arc<Host>, cause: Cause, config: &Outlier) -> bool {
        if host.is_ejected() {
            return false;
        }
        self.tally().detected(cause);
        let places = self.places();
        let ejected = places.list.iter().filter(|place| place.host.is_ejected()).count();
        if !may_eject(ejected, places.list.len(), config) {
            self.tally().overflowed();
            return false;
        }
        if !enforced(cause, dice(), config) || !host.set(Fault::Ejected, true) {
            return false;
        }
        self.tally().ejected(cause);
        host.monitor.lock().eject(self.deps.now(), dice(), config);
        let (cluster, endpoint) = (&self.config().name, &host.name);
        tracing::info!(%cluster, %endpoint, ?cause, "endpoint is left out for how it answers");
        true
    }

    fn look_over(&self, config: &Outlier) {
        let now = self.deps.now();
        let places = self.places();
        let mut back = false;
        let mut windows = (Vec::new(), Vec::new());
        for place in &places.list {
            let mut monitor = place.host.monitor.lock();
            windows.0.push(monitor.external.take());
            windows.1.push(monitor.local.take());
            if monitor.tick(now, config) {
                back |= place.host.set(Fault::Ejected, false);
            }
        }
        let mut found = by_rate(&windows.0, false, config);
        if config.split_local {
            found.extend(by_rate(&windows.1, true, config));
        }
        if back {
            self.refresh();
        }
        for (at, cause) in found {
            if let Some(place) = places.list.get(at)
                && self.eject(&place.host, cause, config)
            {
                self.failed(&place.host);
            }
        }
    }

    /// A check says that an endpoint is well; whether it comes back for that.
    pub(super) fn is_well_again(&self, host: &Host) -> bool {
        let returns = self.config().outlier.as_deref().is_some_and(|config| config.healthy_returns);
        let back = returns && host.set(Fault::Ejected, false);
        if back {
            host.monitor.lock().back();
        }
        back
    }
}

/// Nobody is left out where nobody is looked at any more.
pub(super) fn pardon(list: &[Arc<Place>], config: &Cluster) {
    for place in list.iter().filter(|_| config.outlier.is_none()) {
        if place.host.set(Fault::Ejected, false) {
            place.host.monitor.lock().back();
        }
    }
}
