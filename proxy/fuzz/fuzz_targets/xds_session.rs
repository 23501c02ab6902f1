//! Whatever the other end of discovery says, in whatever order: neither machine panics, and a node
//! holds nothing that it did not understand.
//!
//! The input is cut at its zero bytes' lengths: a byte says how long the next message is, and
//! whether it is for the node or for the control plane.
#![no_main]
use culvert_model::authz::Authorization;
use culvert_proto::{
    Message as _,
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};
use culvert_xds::{
    client::{Client, Mode},
    resource::{Address, Resource as _},
    server::{Connection, Worlds},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let mut addresses = Client::<Address>::new(Mode::Everything);
    let mut policies = Client::<Arc<Authorization>>::new(Mode::OnDemand);
    let (mut connection, mut worlds) = (Connection::default(), Worlds::default());
    drop((addresses.connect(), policies.connect()));
    let mut rest = bytes;
    while let [head, tail @ ..] = rest {
        let length = usize::from(head >> 1).min(tail.len());
        let (message, left) = tail.split_at(length);
        rest = left;
        if head & 1 == 0 {
            let Ok(response) = DeltaDiscoveryResponse::decode(message) else { continue };
            drop(policies.receive(response.clone()));
            let received = addresses.receive(response);
            assert_eq!(received.reply.type_url, Address::TYPE_URL);
            worlds.addresses.replace(addresses.held());
        } else {
            let Ok(request) = DeltaDiscoveryRequest::decode(message) else { continue };
            drop(connection.request(&request, &worlds));
        }
        for response in connection.push(&worlds) {
            assert!(!response.nonce.is_empty());
        }
    }
});
