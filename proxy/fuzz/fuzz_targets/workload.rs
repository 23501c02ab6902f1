//! Whatever comes as a workload, a service or a policy: what is understood is written as the same.
#![no_main]
use culvert_model::authz::Authorization;
use culvert_proto::{Message as _, istio::security, istio::workload};
use culvert_xds::{
    decode::authorization,
    resource::{Address, Resource as _},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = workload::Address::decode(bytes) {
        if let Ok(address) = Address::decode(message, None) {
            assert_eq!(Address::decode(address.encode(), None), Ok(address));
        }
    }
    if let Ok(message) = security::Authorization::decode(bytes) {
        if let Ok(policy) = authorization::decode(message, None) {
            let policy: Arc<Authorization> = Arc::new(policy);
            assert_eq!(Arc::<Authorization>::decode(policy.encode(), None), Ok(policy));
        }
    }
});
