//! Objects of the Kubernetes API: trimmed as a mirror does it, then read as the control plane does.
#![no_main]
use culvert_control::{object::Objects, problem::Source};
use culvert_kubernetes::{kind::Kind, trim::Trim};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(raw) = serde_json::from_slice::<&serde_json::value::RawValue>(bytes) else { return };
    for (group, version, kind, fields) in [
        ("", "v1", "Pod", &["metadata.labels", "spec.containers.ports", "status.podIPs.ip"][..]),
        ("security.istio.io", "v1", "AuthorizationPolicy", &["metadata.annotations", "spec"][..]),
        ("security.istio.io", "v1", "PeerAuthentication", &["metadata.annotations", "spec"][..]),
    ] {
        let kind = Kind::built_in(group, &["v1"], kind, "things", fields);
        let version = if group.is_empty() { version.into() } else { format!("{group}/{version}") };
        let Ok(trimmed) = Trim::new(&kind).object(&version, raw) else { continue };
        let Ok(json) = trimmed.json else { continue };
        // Trimming again changes nothing.
        let again = serde_json::from_str(&json).expect("what was trimmed is JSON");
        let again = Trim::new(&kind).object(&version, again).expect("and an object");
        assert_eq!(again.json.as_ref(), Ok(&json));
        let (_, problems) = Objects::of_api(&Source::object("an object", json));
        problems.iter().for_each(|problem| drop(problem.to_string()));
    }
});
