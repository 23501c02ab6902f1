//! How many connections there may be at once, and what is refused when memory is nearly used up.
use super::{
    numbers::Memory,
    pressure::{Pressure, Shed},
};
use culvert_l7::shared::{Budgets, Shared};
use culvert_model::http::runtime::RuntimeValues;
use culvert_proto::{
    Message as _,
    api::envoy::{
        config::overload::v3::resource_monitor::ConfigType,
        extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig,
    },
};
use culvert_runtime::{alarm, drain::Worker};
use culvert_xds::envoy::bootstrap::Bootstrap;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::debug;

/// Descriptors that belong to no connection.
const RESERVE: u64 = 128;

const MONITOR: &str = "envoy.resource_monitors.global_downstream_max_connections";
const KEY: &str = "overload.global_downstream_max_connections";

/// What holds whatever the runtime says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most(u64);

impl Most {
    /// Half of the descriptors: a connection has another one upstream; or what the bootstrap says.
    pub(super) fn of(bootstrap: &Bootstrap) -> Self {
        let descriptors = (descriptors().saturating_sub(RESERVE) / 2).max(1);
        Self(monitored(bootstrap).map_or(descriptors, |said| said.min(descriptors)))
    }

    pub(super) fn budgets(self) -> Budgets {
        let budgets = Budgets::default();
        budgets.connections.set_limit(self.0);
        budgets
    }

    /// Follows what the runtime says, and how much memory is used.
    pub(super) fn follow(self, shared: &Arc<Shared>, pressure: Option<Pressure>, worker: &Worker) {
        let (shared, own) = (Arc::clone(shared), worker.clone());
        worker.spawn(async move {
            let mut view = shared.snapshot.clone();
            let mut seen = view.pin();
            loop {
                let used = || Memory::now().anonymous;
                let shed = pressure.map_or(Shed::default(), |pressure| pressure.shed(used()));
                let most = if shed.connections { 0 } else { self.with(seen.value.runtime()) };
                shared.budgets.connections.set_limit(most);
                shared.budgets.streams.set_limit(if shed.requests { 0 } else { u64::MAX });
                let newer = tokio::select! {
                    // Memory is looked at again.
                    () = alarm::at(pressure.map(|of| Instant::now() + of.every)) => continue,
                    newer = view.newer_than(seen.generation) => newer,
                    () = own.finishing() => return,
                };
                let Some(newer) = newer else { return };
                seen = newer;
            }
        });
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count that somebody wrote down; what is too great is the greatest"
    )]
    fn with(self, runtime: &RuntimeValues) -> u64 {
        runtime.number(KEY).map_or(self.0, |said| (said.max(0.0) as u64).min(self.0))
    }
}

/// What the overload manager's monitor of connections allows.
fn monitored(bootstrap: &Bootstrap) -> Option<u64> {
    let manager = bootstrap.message.overload_manager.as_ref()?;
    let monitor = manager.resource_monitors.iter().find(|monitor| monitor.name == MONITOR)?;
    let ConfigType::TypedConfig(any) = monitor.config_type.as_ref()?;
    let config = DownstreamConnectionsConfig::decode(&*any.value).ok()?;
    u64::try_from(config.max_active_downstream_connections).ok()
}

/// As many as this process may have.
fn descriptors() -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    if let Err(error) = raised {
        debug!(%error, "the limit of open files stays as it is");
    }
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_model::http::{runtime::RuntimeLayer, value::Value};

    #[test]
    fn the_smallest_limit_counts() {
        let text = "overload_manager: {resource_monitors: [{name: \
                    envoy.resource_monitors.global_downstream_max_connections, typed_config: \
                    {'@type': type.googleapis.com/envoy.extensions.resource_monitors.\
                    downstream_connections.v3.DownstreamConnectionsConfig, \
                    max_active_downstream_connections: 7}}]}";
        let bootstrap = culvert_xds::envoy::bootstrap::read("b.yaml", text).unwrap();
        let most = Most::of(&bootstrap);
        assert_eq!(most.0, 7);
        let says = |number: f64| {
            let values = [(KEY.into(), Value::Number(number))].into_iter().collect();
            RuntimeValues::new(vec![RuntimeLayer { name: "l".into(), values: Arc::new(values) }])
        };
        assert_eq!(most.with(&RuntimeValues::default()), 7);
        assert_eq!(
            (most.with(&says(3.0)), most.with(&says(9.0)), most.with(&says(-1.0))),
            (3, 7, 0)
        );
    }
}
