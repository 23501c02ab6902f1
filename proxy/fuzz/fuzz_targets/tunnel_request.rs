//! Whatever a peer writes into a tunnel's request: what is understood is written as it was read.
#![no_main]
use culvert_dataplane::hbone::headers::{Baggage, Forwarded, authority, trace, traceparent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(known) = authority(text) {
        assert_eq!(authority(&known.to_string()).ok(), Some(known));
    }
    let baggage = Baggage::parse(text);
    assert_eq!(Baggage::parse(&baggage.to_string()), baggage);
    if let Some(forwarded) = Forwarded::parse(text) {
        assert_eq!(Forwarded::parse(&forwarded.to_string()), Some(forwarded));
    }
    if let Some(known) = trace(text) {
        assert_eq!(trace(&traceparent(known)), Some(known));
    }
});
