//! Endpoints that are left out for a while because of how they answer.
use super::{cluster::Upstream, host::Host};
use culvert_model::http::outlier::Outlier;
use culvert_policy::http::outlier::{Cause, Ending, by_rate, enforced, may_eject};
use culvert_runtime::dice::dice;
use std::sync::Arc;
use tokio::time;

/// Looks all endpoints over, once each interval, while the cluster is there.
pub(super) fn start(upstream: &Arc<Upstream>) {
    let Some(config) = upstream.config().outlier.clone() else { return };
    let (me, worker) = (Arc::downgrade(upstream), upstream.deps.worker.clone());
    upstream.deps.worker.spawn(async move {
        loop {
            tokio::select! {
                () = time::sleep(config.interval) => {}
                () = worker.finishing() => return,
            }
            let Some(upstream) = me.upgrade() else { return };
            upstream.look_over(&config);
        }
    });
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
            && self.eject(host, cause, config)
        {
            self.refresh();
        }
    }

    fn eject(&self, host: &Arc<Host>, cause: Cause, config: &Outlier) -> bool {
        if host.is_ejected() || !enforced(cause, dice(), config) {
            return false;
        }
        let places = self.places();
        let ejected = places.list.iter().filter(|place| place.host.is_ejected()).count();
        if !may_eject(ejected, places.list.len(), config) || !host.set_ejected(true) {
            return false;
        }
        host.monitor.lock().eject(self.deps.began.elapsed(), dice(), config);
        let (cluster, endpoint) = (&self.config().name, &host.name);
        tracing::info!(%cluster, %endpoint, ?cause, "endpoint is left out for how it answers");
        true
    }

    fn look_over(&self, config: &Outlier) {
        let now = self.deps.began.elapsed();
        let places = self.places();
        let mut changed = false;
        let mut windows = (Vec::new(), Vec::new());
        for place in &places.list {
            let mut monitor = place.host.monitor.lock();
            windows.0.push(monitor.external.take());
            windows.1.push(monitor.local.take());
            if monitor.tick(now, config) {
                changed |= place.host.set_ejected(false);
            }
        }
        let mut found = by_rate(&windows.0, false, config);
        if config.split_local {
            found.extend(by_rate(&windows.1, true, config));
        }
        for (at, cause) in found {
            if let Some(place) = places.list.get(at) {
                changed |= self.eject(&place.host, cause, config);
            }
        }
        if changed {
            self.refresh();
        }
    }
}
