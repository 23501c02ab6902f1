//! A bootstrap file: read, its resources taken in, and everything wrong with it said.
#![no_main]
use culvert_xds::envoy::{bootstrap, decode::Nothing, discover::Discovery, dump};
use libfuzzer_sys::fuzz_target;
use std::{sync::Arc, time::SystemTime};

fuzz_target!(|text: &str| {
    let read = match bootstrap::read("envoy.yaml", text) {
        Ok(read) => read,
        Err(bad) => return drop(bad.to_string()),
    };
    match Discovery::try_new(&read, Arc::new(Nothing)) {
        Ok(discovery) => {
            discovery.inspect(|all| dump::config_dump(&read, SystemTime::UNIX_EPOCH, all, true));
        }
        Err(bad) => bad.iter().for_each(|one| drop(one.to_string())),
    }
});
