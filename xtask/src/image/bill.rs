//! What an image is made of: a bill of materials in `CycloneDX` 1.6.
//!
//! The crates are those that cargo resolved for the program and for the kernel programs inside it,
//! without what only builds and tests need.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{origin::Origin, program::Program};
use crate::{process, workspace};

/// Whose dependencies are inside.
const ROOTS: [&str; 2] = ["culvert", "culvert-ebpf"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// None: it is ours.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None: a usual one.
    kind: Option<String>,
}

/// Writes the bill for `program`.
pub(super) fn write(version: &str, origin: &Origin, program: &Program) -> Result<String> {
    let host = process::stdout(Command::new("rustc").current_dir(workspace::root()).arg("-vV"))?;
    let line = |name| host.lines().find_map(|line| line.strip_prefix(name));
    let host = line("host: ").context("rustc does not say what it compiles for")?;
    let rust = line("release: ").context("rustc does not say its version")?;
    let resolved = process::stdout(workspace::cargo().args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        host,
    ]))?;
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock")).context("Cargo.lock")?;
    let metadata = serde_json::from_str(&resolved)?;
    let (mut components, dependencies) = crates(&metadata, &checksums(&lock));
    components.push(library("rust-std", rust, "MIT OR Apache-2.0"));
    components.extend(c_library(program)?);
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": origin.timestamp(),
            "component": {
                "type": "application",
                "bom-ref": "culvert",
                "name": "culvert",
                "version": version,
                "licenses": [{ "expression": "Apache-2.0" }],
                "hashes": [hash(&program.bytes)],
                "properties": [{ "name": "revision", "value": origin.revision }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// The components, and which of them needs which.
fn crates(
    metadata: &Metadata,
    checksums: &BTreeMap<(&str, &str), &str>,
) -> (Vec<Value>, Vec<Value>) {
    let packages: BTreeMap<_, _> = metadata.packages.iter().map(|one| (&*one.id, one)).collect();
    let needs: BTreeMap<&str, Vec<&str>> =
        metadata.resolve.nodes.iter().map(|node| (&*node.id, usual(node))).collect();
    let roots = metadata.packages.iter().filter(|one| one.source.is_none());
    let roots = roots.filter(|one| ROOTS.contains(&&*one.name)).map(|one| &*one.id);
    let mut open: Vec<&str> = roots.collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(needs.get(id).into_iter().flatten());
        }
    }
    let mut found: Vec<_> = reached.iter().filter_map(|id| packages.get(id)).collect();
    found.sort_by_key(|package| (&package.name, &package.version));
    let reference = |package: &Package| match &*package.name {
        "culvert" => "culvert".to_owned(),
        _ => purl(package),
    };
    let components = found.iter().filter(|package| package.name != "culvert");
    let components = components.map(|package| component(package, checksums)).collect();
    let dependencies = found.iter().map(|package| {
        let on = needs.get(&*package.id).into_iter().flatten();
        let mut on: Vec<_> =
            on.filter_map(|id| packages.get(id)).map(|one| reference(one)).collect();
        if package.name == "culvert" {
            // Its build script embeds them.
            on.extend(found.iter().filter(|one| one.name == "culvert-ebpf").map(|one| purl(one)));
        }
        on.sort();
        json!({ "ref": reference(package), "dependsOn": on })
    });
    (components, dependencies.collect())
}

/// What is in the program, not only beside it while it is built or tested.
fn usual(node: &Node) -> Vec<&str> {
    let is_usual = |one: &&Dependency| one.dep_kinds.iter().any(|kind| kind.kind.is_none());
    node.deps.iter().filter(is_usual).map(|one| &*one.pkg).collect()
}

fn component(package: &Package, checksums: &BTreeMap<(&str, &str), &str>) -> Value {
    let Package { name, version, license, .. } = package;
    let license = license.as_deref().unwrap_or("NOASSERTION").replace(" / ", " OR ");
    let mut component = library(name, version, &license.replace('/', " OR "));
    component["bom-ref"] = json!(purl(package));
    component["purl"] = json!(purl(package));
    if let Some(sum) = checksums.get(&(&**name, &**version)) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

fn library(name: &str, version: &str, license: &str) -> Value {
    json!({
        "type": "library",
        "name": name,
        "version": version,
        "licenses": [{ "expression": license }],
    })
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

/// What else is in the program or beside it.
fn c_library(program: &Program) -> Result<Vec<Value>> {
    if program.libraries.is_empty() {
        let said = process::stdout(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
        let version = said.trim().strip_prefix("glibc ").unwrap_or(said.trim());
        return Ok(vec![library("glibc", version, "LGPL-2.1-or-later")]);
    }
    let files = program
        .libraries
        .iter()
        .map(|(path, bytes)| json!({ "type": "file", "name": path, "hashes": [hash(bytes)] }));
    Ok(files.collect())
}

fn hash(bytes: &[u8]) -> Value {
    json!({ "alg": "SHA-256", "content": format!("{:x}", Sha256::digest(bytes)) })
}

/// The sums that cargo checks what it downloads against, by name and version.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let packages = lock.split("[[package]]").skip(1);
    let fields = packages.filter_map(|package| {
        let mut values = [None; 3];
        for line in package.lines() {
            let Some((name, value)) = line.split_once(" = ") else { continue };
            let at = ["name", "version", "checksum"].iter().position(|one| *one == name);
            if let Some(place) = at.and_then(|at| values.get_mut(at)) {
                *place = Some(value.trim_matches('"'));
            }
        }
        let [name, version, checksum] = values;
        Some(((name?, version?), checksum?))
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_from_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nchecksum = \"c0\"\n\
            dependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"2.0\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(("a", "1.0"), "c0")]));
    }

    #[test]
    fn the_bill_names_what_is_inside_and_not_what_only_builds_and_tests() {
        let origin = Origin { revision: "c0ffee".to_owned(), time: 0 };
        let program = Program { bytes: b"program".to_vec(), libraries: Vec::new() };
        let bill = write("1.2.3", &origin, &program).unwrap();
        assert_eq!(bill, write("1.2.3", &origin, &program).unwrap());
        let bill: Value = serde_json::from_str(&bill).unwrap();
        let components = bill["components"].as_array().unwrap();
        let named = |name: &str| components.iter().find(|one| one["name"] == name);
        for inside in ["rustls", "aws-lc-sys", "aya-ebpf", "culvert-kernel", "glibc", "rust-std"] {
            assert!(named(inside).is_some(), "{inside} is inside");
        }
        for outside in ["proptest", "criterion", "cc", "e2e", "culvert"] {
            assert!(named(outside).is_none(), "{outside} is not inside");
        }
        let rustls = named("rustls").unwrap();
        assert_eq!(rustls["hashes"][0]["content"].as_str().unwrap().len(), 64);
        let references: BTreeSet<_> =
            components.iter().filter_map(|one| one["bom-ref"].as_str()).collect();
        for one in bill["dependencies"].as_array().unwrap() {
            for on in one["dependsOn"].as_array().unwrap() {
                assert!(references.contains(on.as_str().unwrap()), "{on} is nowhere");
            }
        }
        let licenses = components.iter().map(|one| one["licenses"][0]["expression"].as_str());
        assert!(licenses.flatten().all(|license| !license.contains('/')));
    }
}
