//! Memory that is nearly used up: what the overload manager's monitor `fixed_heap` has refused then.
use culvert_proto::{
    Message as _,
    api::envoy::{
        config::overload::v3::{
            OverloadManager, Trigger, resource_monitor::ConfigType, trigger::TriggerOneof,
        },
        extensions::resource_monitors::fixed_heap::v3::FixedHeapConfig,
    },
};
use culvert_xds::envoy::{bootstrap::Bootstrap, decode};
use std::time::Duration;

const MONITOR: &str = "envoy.resource_monitors.fixed_heap";
const REQUESTS: &str = "envoy.overload_actions.stop_accepting_requests";
const CONNECTIONS: [&str; 2] = [
    "envoy.overload_actions.stop_accepting_connections",
    "envoy.overload_actions.reject_incoming_connections",
];

/// What the bootstrap says of memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pressure {
    /// Bytes.
    most: u64,
    pub(super) every: Duration,
    /// From which part of it on requests are refused, and connections.
    requests: Option<f64>,
    connections: Option<f64>,
}

/// What is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shed {
    pub(super) requests: bool,
    pub(super) connections: bool,
}

impl Pressure {
    /// `None`: nothing is to be done about it.
    pub(super) fn of(bootstrap: &Bootstrap) -> Option<Self> {
        let manager = bootstrap.message.overload_manager.as_ref()?;
        let monitor = manager.resource_monitors.iter().find(|monitor| monitor.name == MONITOR)?;
        let ConfigType::TypedConfig(any) = monitor.config_type.as_ref()?;
        let config = FixedHeapConfig::decode(&*any.value).ok()?;
        let overlay = config.max_heap_size_bytes_runtime.map(|of| of.default_value);
        let every = manager.refresh_interval.as_ref().and_then(decode::span);
        Some(Self {
            most: overlay.unwrap_or(config.max_heap_size_bytes).max(1),
            every: every.filter(|every| !every.is_zero()).unwrap_or(Duration::from_secs(1)),
            requests: threshold(manager, &[REQUESTS]),
            connections: threshold(manager, &CONNECTIONS),
        })
    }

    /// What is refused while so much is used.
    #[expect(clippy::cast_precision_loss, reason = "a part of memory")]
    pub(super) fn shed(&self, used: u64) -> Shed {
        let part = used as f64 / self.most as f64;
        let over = |threshold: Option<f64>| threshold.is_some_and(|threshold| threshold <= part);
        Shed { requests: over(self.requests), connections: over(self.connections) }
    }
}

/// Where the first of these actions begins.
fn threshold(manager: &OverloadManager, names: &[&str]) -> Option<f64> {
    let actions = manager.actions.iter().filter(|action| names.contains(&&*action.name));
    let triggers = actions.flat_map(|action| &action.triggers);
    let at = |trigger: &Trigger| match trigger.trigger_oneof.as_ref()? {
        TriggerOneof::Threshold(at) => Some(at.value),
        // Saturated, as far as such actions go by it.
        TriggerOneof::Scaled(scaled) => Some(scaled.saturation_threshold),
    };
    triggers.filter(|trigger| trigger.name == MONITOR).filter_map(at).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_depends_on_how_much_is_used() {
        let text = r#"
overload_manager:
  refresh_interval: 0.5s
  resource_monitors:
  - name: envoy.resource_monitors.fixed_heap
    typed_config: {"@type": type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig, max_heap_size_bytes: 1000}
  actions:
  - {name: envoy.overload_actions.stop_accepting_requests, triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.9}}]}
  - {name: envoy.overload_actions.reject_incoming_connections, triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.95}}]}
  - {name: envoy.overload_actions.shrink_heap, triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.1}}]}
"#;
        let bootstrap = culvert_xds::envoy::bootstrap::read("b.yaml", text).unwrap();
        let pressure = Pressure::of(&bootstrap).unwrap();
        assert_eq!(pressure.every, Duration::from_millis(500));
        assert_eq!(pressure.shed(899), Shed::default());
        assert_eq!(pressure.shed(900), Shed { requests: true, connections: false });
        assert_eq!(pressure.shed(2000), Shed { requests: true, connections: true });
        let none = culvert_xds::envoy::bootstrap::read("b.yaml", "node: {id: n}\n").unwrap();
        assert_eq!(Pressure::of(&none), None);
    }
}
