//! What people see of a cluster: the data of `/clusters`.
use super::{cluster::Upstream, host::Host};
use culvert_model::http::{cluster::Cluster, endpoint::Endpoint};
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
        let hosts = places.iter().map(|place| HostView {
            host: Arc::clone(&place.host),
            endpoint: Arc::clone(&place.endpoint),
            locality: place.locality.locality.clone(),
            priority: place.locality.priority,
            connections: place.pools.connections(),
        });
        ClusterView { config: Arc::clone(self.config()), hosts: hosts.collect() }
    }
}

impl HostView {
    /// As Envoy writes it: `healthy`, or `/` with what is wrong.
    pub fn health_flags(&self) -> String {
        use culvert_model::http::endpoint::HealthStatus;

        let said = match self.endpoint.health {
            HealthStatus::Unknown | HealthStatus::Healthy => None,
            HealthStatus::Degraded => Some("/eds_status_degraded"),
            HealthStatus::Draining => Some("/eds_status_draining"),
            HealthStatus::Unhealthy | HealthStatus::Timeout => Some("/failed_eds_health"),
        };
        let answers = self.host.is_ejected().then_some("/failed_outlier_check");
        let flags: String = [answers, said].into_iter().flatten().collect();
        if flags.is_empty() { "healthy".to_owned() } else { flags }
    }
}
