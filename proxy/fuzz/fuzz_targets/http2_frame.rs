//! Whatever a peer sends as frames: what is understood is read as it was when it is written.
#![no_main]
use culvert_dataplane::hbone::http2::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::frames(bytes));
