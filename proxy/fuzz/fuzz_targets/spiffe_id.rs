//! Whatever a certificate calls its holder: what is taken for an identity is written as it was read.
#![no_main]
use culvert_identity::node;
use culvert_model::identity::Identity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(identity) = text.parse::<Identity>() else { return };
    assert_eq!(identity.to_string(), text);
    if let Some(name) = node::name_of(&identity) {
        assert!(node::is_reserved(&identity));
        assert_eq!(node::identity(identity.trust_domain(), name), Ok(identity));
    }
});
