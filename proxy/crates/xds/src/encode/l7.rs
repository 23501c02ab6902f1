//! What must pass L7, on its way to the wire.
use crate::decode::l7::{NAME, TYPE_URL};
use culvert_model::l7::L7Ports;
use culvert_proto::{Any, Message as _, culvert::l7::v1::MustPass, istio::workload::Extension};

/// None where nothing must: others are told no more than Istio's own.
pub(super) fn encode(ports: &L7Ports) -> Vec<Extension> {
    if ports.is_empty() {
        return Vec::new();
    }
    let must_pass = MustPass {
        ports: ports.iter().map(|port| u32::from(port.get())).collect(),
        namespaces: ports.clients().iter().map(ToString::to_string).collect(),
        policies: ports.policies().iter().map(ToString::to_string).collect(),
    };
    let value = must_pass.encode_to_vec();
    let config = Any { type_url: TYPE_URL.to_owned(), value };
    vec![Extension { name: NAME.to_owned(), config: Some(config) }]
}
