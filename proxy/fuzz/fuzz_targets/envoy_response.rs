//! What a file holds, and what a server that is polled answers: a response of discovery.
#![no_main]
use culvert_model::http::source::From;
use culvert_proto::{
    api::envoy::{config::core::v3::Node, service::discovery::v3::DiscoveryResponse},
    json,
};
use culvert_xds::envoy::{
    discover,
    kind::Kind,
    stream::{Protocol, Response, Stream, Wanted},
    wanted::Asked,
};
use libfuzzer_sys::fuzz_target;
use std::{collections::BTreeMap, path::Path};

fuzz_target!(|bytes: &[u8]| {
    for name in ["response.yaml", "response.pb"] {
        match discover::response(Path::new(name), bytes) {
            Ok(response) => take(response),
            Err(what) => assert!(!what.is_empty(), "a refusal has a reason"),
        }
    }
    if let Ok(value) = serde_json::from_slice(bytes)
        && let Ok(response) = json::read::<DiscoveryResponse>(&value)
    {
        take(response);
    }
});

/// As one who wants everything.
fn take(response: DiscoveryResponse) {
    let from = Asked::Source(From::Ads);
    let mut stream = Stream::new(Protocol::StateOfTheWorld, from, Node::default(), false);
    for kind in Kind::ALL {
        assert!(stream.want(kind, Wanted::All, |_| BTreeMap::new()).is_none());
    }
    if let Some(received) = stream.receive(Response::StateOfTheWorld(response)) {
        drop(stream.answer(received.receipt, &[]));
    }
}
