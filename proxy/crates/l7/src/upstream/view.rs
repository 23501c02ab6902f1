//! What people see of a cluster: the data of `/clusters`.
use super::{
    cluster::Upstream,
    host::{Fault, Host, Place},
};
use culvert_model::http::{cluster::Cluster, endpoint::Endpoint, value::Fields};
use culvert_model::locality::Locality;
use std::sync::Arc;

/// A cluster at a moment.
#[derive(Clone, Debug)]
pub struct ClusterView {
    pub config: Arc<Cluster>,
    pub hosts: Vec<HostView>,
}

/// An endpoint of it.
#[derive(Clone, Debug)]
pub struct HostView {
    /// Counters, and whether it is left out.
    pub host: Arc<Host>,
    /// As Envoy writes it: of a name, where it leads now.
    pub name: Arc<str>,
    pub endpoint: Arc<Endpoint>,
    pub locality: Locality,
    pub priority: u32,
    /// Connections of HTTP.
    pub connections: usize,
}

impl Upstream {
    pub fn view(&self) -> ClusterView {
        let mut places = self.places().list.clone();
        places.extend(self.passed().all());
        let hosts = places.iter().map(|place| HostView::of(place));
        ClusterView { config: Arc::clone(self.config()), hosts: hosts.collect() }
    }

    /// The endpoints, and of each whether a request that asks for `subset` may go there now.
    pub fn reach(&self, subset: Option<&Fields>) -> Vec<(HostView, bool)> {
        let places = self.places();
        let reach = places.reach(subset);
        let all = places.list.iter().enumerate();
        all.map(|(at, place)| (HostView::of(place), reach.contains(&at))).collect()
    }
}

impl HostView {
    fn of(place: &Place) -> Self {
        Self {
            host: Arc::clone(&place.host),
            name: place
                .host
                .destination()
                .map_or_else(|| Arc::clone(&place.host.name), |at| Arc::from(at.to_string())),
            endpoint: Arc::clone(&place.endpoint),
            locality: place.locality.locality.clone(),
            priority: place.locality.priority,
            connections: place.pools.connections(),
        }
    }

    /// As Envoy writes it: `healthy`, or `/` with what is wrong.
    pub fn health_flags(&self) -> String {
        use culvert_model::http::endpoint::HealthStatus;

        let has = |fault: Fault, name: &'static str| self.host.has(fault).then_some(name);
        let says = |name: &'static str, of: &[HealthStatus]| {
            of.contains(&self.endpoint.health).then_some(name)
        };
        let flags: String = [
            has(Fault::FailedCheck, "/failed_active_hc"),
            has(Fault::Ejected, "/failed_outlier_check"),
            says("/failed_eds_health", &[HealthStatus::Unhealthy, HealthStatus::Timeout]),
            has(Fault::DegradedCheck, "/degraded_active_hc"),
            says("/degraded_eds_health", &[HealthStatus::Degraded]),
            has(Fault::Leaving, "/pending_dynamic_removal"),
            has(Fault::Unchecked, "/pending_active_hc"),
            has(Fault::Excluded, "/excluded_via_immediate_hc_fail"),
            has(Fault::CheckTimeout, "/active_hc_timeout"),
            says("/eds_status_draining", &[HealthStatus::Draining]),
        ]
        .into_iter()
        .flatten()
        .collect();
        if flags.is_empty() { "healthy".to_owned() } else { flags }
    }
}
