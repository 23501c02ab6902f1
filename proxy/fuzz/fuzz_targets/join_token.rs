//! Whatever is shown as a join token: it is read without a panic, and nobody forges one.
#![no_main]
use culvert_identity::join::{Key, Token};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::UnixTime;
use std::time::Duration;

fuzz_target!(|text: &str| {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    assert!(Key::of(&[7; 32]).verify(text, "cluster.local", now).is_err());
    if let Ok(token) = Token::parse(text) {
        assert!(!token.node().is_empty() && !token.roots().is_empty());
        assert!(text.trim().starts_with(token.bearer()));
    }
});
