//! Whatever a pod asks and whoever answers: nothing panics, and only what was asked is answered.
#![no_main]
use culvert_dataplane::dns::message::{
    query::{self, Asked},
    reply::{self, Kept},
    section::Records,
};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

/// What fits into a datagram of an asker that says nothing.
const SMALLEST: u16 = 512;

fuzz_target!(|bytes: (&[u8], &[u8])| {
    let (asked, answer) = bytes;
    drop(Records::of(answer));
    _ = reply::answers(answer, asked);
    assert!(reply::fitted(answer.to_vec(), SMALLEST).len() <= answer.len());
    let Ok(Asked::Query(query)) = query::parse(asked) else { return };
    if let Some(kept) = Kept::new(answer, &query) {
        let told = kept.tell(&query, Duration::from_secs(1));
        assert!(reply::answers(&told, asked).is_ok());
    }
});
