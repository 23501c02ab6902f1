//! Whatever is in a manifest, reading and compiling it never panics.
#![no_main]
use culvert_control::{
    compile::{self, Settings},
    object::Objects,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (objects, problems) = Objects::parse("fuzz.yaml", bytes);
    let settings = Settings {
        node_name: "node".into(),
        cluster: "Kubernetes".into(),
        trust_domain: "cluster.local".into(),
        ambient: compile::Ambient::Ours,
        l7: true,
    };
    let compiled = compile::mesh(&objects, &settings);
    let more = compiled.err().unwrap_or_default();
    for problem in problems.iter().chain(&more) {
        assert!(problem.line > 0 && problem.column > 0);
        assert!(!problem.to_string().is_empty());
    }
});
