//! What people see of the engines.
use super::L7;
use culvert_l7::{
    engine::Engine,
    stats::{
        sample::{Query, Shape},
        text,
    },
};
use culvert_telemetry::metrics::GenerationSample;
use serde_json::{Value, json};

impl L7 {
    /// Every engine: what it follows, and what it serves.
    pub(crate) fn dump(&self) -> Value {
        let engines = self.0.engines.read();
        let all = engines.values().map(|running| {
            let listeners = running.engine().as_deref().map(Engine::listeners).unwrap_or_default();
            let listeners: Vec<_> = listeners
                .iter()
                .map(
                    |one| json!({"name": &*one.name, "version": &*one.version, "error": one.error}),
                )
                .collect();
            let sources: Vec<_> = (running.discovery.status().iter())
                .map(|(_, status)| json!({"connected": status.connected, "error": status.error.as_deref()}))
                .collect();
            let clusters = running.shared.upstreams.all();
            let clusters: Vec<_> = clusters.iter().map(|one| &*one.config().name).collect();
            json!({
                "namespace": &*running.namespace,
                "from": &*self.0.way.authority,
                "generation": &*running.version(),
                "sources": sources,
                "listeners": listeners,
                "clusters": clusters,
            })
        });
        all.collect()
    }

    /// Which generation of its configuration each engine was told last.
    pub(crate) fn generations(&self) -> Vec<GenerationSample> {
        let engines = self.0.engines.read();
        let all = engines
            .values()
            .filter_map(|running| GenerationSample::new(&*running.namespace, &running.version()));
        all.collect()
    }

    /// The numbers of a namespace's engine, as Envoy writes them; `None`: there is no engine.
    pub(crate) fn stats(&self, namespace: &str) -> Option<String> {
        let engines = self.0.engines.read();
        let running = engines.get(namespace)?;
        running.shared.upstreams.measure();
        let stats = &running.shared.stats;
        Some(text::write(&stats.samples(&Query::default()), Shape::Summary))
    }
}
