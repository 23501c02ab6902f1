//! Reviews of an API server, or of whoever reaches its webhook: each is answered, or is none.
#![no_main]
use culvert_control::admission::review;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(answer) = review::answer(bytes, |_| Vec::new()) else { return };
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    assert!(answer["response"]["allowed"].is_boolean());
    assert_eq!(answer["response"]["allowed"] == false, answer["response"]["status"].is_object());
});
