//! Whatever a peer sends as headers: nothing is told beyond the limit, and the table stays whole.
#![no_main]
use culvert_dataplane::hbone::http2::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzz::hpack(bytes);
    fuzz::messages(bytes);
});
