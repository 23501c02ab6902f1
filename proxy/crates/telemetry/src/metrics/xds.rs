//! Istio's metrics of the stream from the control plane.
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type Labels = [(&'static str, String); 1];

#[derive(Debug, Default)]
pub(super) struct Xds {
    messages: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    terminations: Family<Labels, Counter>,
}

impl Xds {
    pub(super) fn register(istio: &mut Registry) -> Self {
        let xds = Self::default();
        let Self { messages, bytes, terminations } = &xds;
        istio.register("xds_message", "Messages received, by type", messages.clone());
        istio.register("xds_message_bytes", "Bytes received, by type", bytes.clone());
        let help = "Streams from the control plane that ended, by reason";
        istio.register("xds_connection_terminations", help, terminations.clone());
        xds
    }

    pub(super) fn message(&self, type_url: &str, bytes: u64) {
        let labels = [("url", type_url.to_owned())];
        self.messages.get_or_create(&labels).inc();
        self.bytes.get_or_create(&labels).inc_by(bytes);
    }

    pub(super) fn terminated(&self, reason: &'static str) {
        self.terminations.get_or_create(&[("reason", reason.to_owned())]).inc();
    }
}
