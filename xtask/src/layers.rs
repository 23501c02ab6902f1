//! `cargo xtask layers`: a crate imports lower layers only.
use std::collections::HashMap;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::workspace;

/// Bottom first: a crate may depend on crates of lower layers, never on its own layer or above.
const LAYERS: &[&[&str]] = &[
    &["culvert-common", "culvert-model", "culvert-proto"],
    &["culvert-runtime"],
    &[
        "culvert-policy",
        "culvert-telemetry",
        "culvert-kernel",
        "culvert-identity",
        "culvert-xds",
        "culvert-kubernetes",
    ],
    &["culvert-dataplane", "culvert-l7", "culvert-control", "culvert-cni", "culvert-lab"],
    &["culvert"],
];

/// Packages above all layers: nothing depends on them.
const TOP: &[&str] = &["culvert-cluster", "culvert-ebpf", "e2e", "bench", "xtask"];

/// Edges the layering would allow and the design does not.
const NEVER: &[(&str, &str)] = &[
    // The words are pure: they neither wait nor know a format.
    ("culvert-model", "tokio"),
    ("culvert-model", "serde"),
    // Decisions are pure.
    ("culvert-policy", "tokio"),
    // Callers decide on which thread a system call blocks.
    ("culvert-kernel", "tokio"),
    // The control plane runs anywhere, on machines without a data plane too.
    ("culvert-control", "culvert-kernel"),
    ("culvert-control", "culvert-telemetry"),
    // They see snapshots, so that they are tested without a server.
    ("culvert-dataplane", "culvert-xds"),
    ("culvert-dataplane", "culvert-proto"),
    ("culvert-l7", "culvert-xds"),
    ("culvert-l7", "culvert-proto"),
    // The plugin starts in milliseconds and ends.
    ("culvert-cni", "tokio"),
    // It must build and check a tree in which these are broken.
    ("xtask", "culvert-kernel"),
    ("xtask", "culvert-lab"),
];

/// Crates of others that one or two of ours keep to themselves.
const ONLY: &[(&str, &[&str])] = &[
    ("aya", &["culvert-kernel", "culvert-common"]),
    ("aya-ebpf", &["culvert-ebpf"]),
    // Private keys and the stack that holds them.
    ("rustls", &["culvert-identity", "bench"]),
    ("rcgen", &["culvert-identity"]),
    ("kube", &["culvert-kubernetes"]),
    ("k8s-openapi", &["culvert-kubernetes"]),
    ("prometheus-client", &["culvert-telemetry"]),
    ("serde-saphyr", &["culvert-control", "culvert-proto", "culvert", "xtask"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Prints every forbidden edge of this workspace.
pub(crate) fn run() -> Result<()> {
    let found = violations(&workspace::metadata()?)?;
    if found.is_empty() {
        return Ok(());
    }
    for line in &found {
        println!("{line}");
    }
    bail!("the layers of ARCHITECTURE.md are broken in {} places", found.len())
}

/// Every forbidden edge, as `from -> to: why`; `metadata` is what `cargo metadata` prints.
fn violations(metadata: &str) -> Result<Vec<String>, serde_json::Error> {
    let Metadata { packages } = serde_json::from_str(metadata)?;
    let layer_of: HashMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, names)| names.iter().map(move |name| (*name, layer)))
        .collect();
    let mut found = Vec::new();
    for Package { name: from, dependencies } in &packages {
        if !layer_of.contains_key(&**from) && !TOP.contains(&&**from) {
            found.push(format!("{from}: not in the table of xtask/src/layers.rs"));
        }
        for to in dependencies.iter().filter(|to| to.kind.is_none()) {
            if let Some(why) = forbidden(&layer_of, from, &to.name) {
                found.push(format!("{from} -> {}: {why}", to.name));
            }
        }
    }
    Ok(found)
}

/// Why `from` may not depend on `to`.
fn forbidden(layer_of: &HashMap<&str, usize>, from: &str, to: &str) -> Option<String> {
    if NEVER.contains(&(from, to)) {
        return Some("ruled out in ARCHITECTURE.md".to_owned());
    }
    if let Some((_, owners)) = ONLY.iter().find(|(kept, _)| *kept == to)
        && !owners.contains(&from)
    {
        return Some(format!("only {} may", owners.join(" and ")));
    }
    if TOP.contains(&to) {
        return Some("nothing may".to_owned());
    }
    let (above, below) = (layer_of.get(from)?, layer_of.get(to)?);
    (above <= below).then(|| format!("layer {above} may not import layer {below}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One package `from` that depends on `to` in the way `kind` says.
    fn one(from: &str, to: &str, kind: &str) -> Vec<String> {
        let metadata = format!(
            r#"{{"packages":[{{"name":"{from}","dependencies":[{{"name":"{to}","kind":{kind}}}]}}]}}"#
        );
        violations(&metadata).unwrap()
    }

    #[test]
    fn downwards_is_allowed() {
        assert_eq!(one("culvert-dataplane", "culvert-kernel", "null"), Vec::<String>::new());
        assert_eq!(one("culvert", "culvert-common", "null"), Vec::<String>::new());
        assert_eq!(one("culvert-runtime", "tokio", "null"), Vec::<String>::new());
    }

    #[test]
    fn upwards_and_sideways_are_not() {
        assert_eq!(
            one("culvert-runtime", "culvert-kernel", "null"),
            ["culvert-runtime -> culvert-kernel: layer 1 may not import layer 2"]
        );
        assert_eq!(
            one("culvert-dataplane", "culvert-control", "null"),
            ["culvert-dataplane -> culvert-control: layer 3 may not import layer 3"]
        );
        assert_eq!(one("culvert-lab", "e2e", "null"), ["culvert-lab -> e2e: nothing may"]);
    }

    #[test]
    fn ruled_out_edges_are_named() {
        assert_eq!(
            one("culvert-control", "culvert-kernel", "null"),
            ["culvert-control -> culvert-kernel: ruled out in ARCHITECTURE.md"]
        );
        assert_eq!(
            one("culvert-dataplane", "aya", "null"),
            ["culvert-dataplane -> aya: only culvert-kernel and culvert-common may"]
        );
    }

    #[test]
    fn tests_may_use_what_they_like() {
        assert_eq!(one("culvert-kernel", "culvert-lab", r#""dev""#), Vec::<String>::new());
    }

    #[test]
    fn a_new_crate_must_be_given_a_layer() {
        assert_eq!(
            one("culvert-new", "libc", "null"),
            ["culvert-new: not in the table of xtask/src/layers.rs"]
        );
    }
}
