//! When the node's certificates expire.
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::{fmt, sync::Arc};

/// One identity of this node at the moment of a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSample {
    pub identity: String,
    /// Seconds since 1970; `None`: there is no certificate.
    pub not_after: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Certificates(Mutex<Arc<[CertificateSample]>>);

impl Certificates {
    pub(super) fn set(&self, samples: Vec<CertificateSample>) {
        *self.0.lock() = samples.into();
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = Arc::clone(&self.0.lock());
        let help = "When the certificate of an identity expires, since 1970; 0 without one.";
        let name = "culvert_certificate_expiry_timestamp";
        let unit = prometheus_client::registry::Unit::Seconds;
        let mut metric = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?;
        for CertificateSample { identity, not_after } in samples.iter() {
            let labels = [("identity", &**identity)];
            ConstGauge::new(not_after.unwrap_or_default())
                .encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
