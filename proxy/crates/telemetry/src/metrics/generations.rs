//! Which generation of its configuration each HTTP engine goes by.
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::{fmt, sync::Arc};

/// One engine at the moment of a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationSample {
    /// A namespace, or a gateway as `NAMESPACE/NAME`.
    pub engine: String,
    /// As the control plane counts; of one that does not count there is no sample.
    pub generation: u64,
}

#[derive(Debug, Default)]
pub(super) struct Generations(Mutex<Arc<[GenerationSample]>>);

impl GenerationSample {
    /// `version` is what a control plane calls the whole of what it told last.
    pub fn new(engine: impl Into<String>, version: &str) -> Option<Self> {
        Some(Self { engine: engine.into(), generation: version.parse().ok()? })
    }
}

impl Generations {
    pub(super) fn set(&self, samples: Vec<GenerationSample>) {
        *self.0.lock() = samples.into();
    }
}

impl Collector for Generations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = Arc::clone(&self.0.lock());
        let help = "The control plane's generation of which the newest change is that an HTTP engine was told";
        let name = "culvert_l7_generation";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for GenerationSample { engine, generation } in samples.iter() {
            let labels = [("engine", &**engine)];
            ConstGauge::new(*generation).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
