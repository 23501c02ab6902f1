//! Whatever a connection begins with: more bytes change no answer.
#![no_main]
use culvert_l7::sniff::{Begins, begins};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut last = Begins::Undecided;
    for end in 0..=bytes.len().min(4096) {
        let now = begins(&bytes[..end]);
        assert!(last == Begins::Undecided || last == now);
        last = now;
    }
});
