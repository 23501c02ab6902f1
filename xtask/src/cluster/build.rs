//! Kubernetes as one program, from its published Go modules, and definitions from those of others.
use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    peers::{self, Wanted},
    process, workspace,
};

/// A file of definitions that is made, the module it comes from, and the files there.
const CRDS: &[(&str, &str, &str)] = &[
    ("istio.yaml", "istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"),
    ("gateway.yaml", "sigs.k8s.io/gateway-api", "config/crd/standard"),
];

/// Everything a cluster needs.
pub(crate) fn all() -> Result<()> {
    program()?;
    crds()?;
    peers::get(Wanted::Nodes)
}

/// Where the program is.
pub(crate) fn place() -> PathBuf {
    workspace::target().join("peers/bin/kubernetes")
}

/// Where the definitions are.
pub(crate) fn crds_folder() -> PathBuf {
    workspace::target().join("peers/crds")
}

/// Builds the program unless it is up to date.
pub(crate) fn program() -> Result<()> {
    if !place().exists() {
        println!("building Kubernetes: ten minutes of processor time, once");
    }
    process::run(&mut command()?).context("Kubernetes is built with Go, 1.26 or later")
}

/// The command that builds it, behind whatever else this machine does.
pub(crate) fn command() -> Result<Command> {
    fs::create_dir_all(workspace::target().join("peers/bin"))?;
    let mut command = Command::new("nice");
    command
        .args(["-n", "10", "go", "build", "-o"])
        .arg(place())
        .arg("-ldflags")
        .arg(format!("-s -w -X k8s.io/component-base/version.gitVersion={}", version()?))
        .arg(".")
        // A static program runs in any container.
        .env("CGO_ENABLED", "0")
        .current_dir(module());
    Ok(command)
}

/// Gets the definitions by the ordinary client, of the versions that the interop peers have.
pub(crate) fn crds() -> Result<()> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json"]).args(CRDS.iter().map(|&(_, module, _)| module));
    let said = process::stdout(go.current_dir(workspace::root().join("tests/interop/peers")))
        .context("definitions are got with Go, 1.26 or later")?;
    fs::create_dir_all(crds_folder())?;
    for module in serde_json::Deserializer::from_str(&said).into_iter::<Module>() {
        let module = module?;
        let (file, _, place) = CRDS
            .iter()
            .find(|&&(_, path, _)| path == module.path)
            .with_context(|| format!("{} was not asked for", module.path))?;
        fs::write(crds_folder().join(file), manifests(&module.dir.join(place))?)?;
    }
    Ok(())
}

/// What `go mod download -json` says of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    path: String,
    dir: PathBuf,
}

/// A file of manifests, or all of a folder in one.
fn manifests(place: &std::path::Path) -> Result<String> {
    if place.is_file() {
        return fs::read_to_string(place).with_context(|| place.display().to_string());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(place).with_context(|| place.display().to_string())? {
        let path = entry?.path();
        let yaml = path.extension().is_some_and(|extension| extension == "yaml");
        if yaml && path.file_stem().is_some_and(|stem| stem != "kustomization") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("no definitions in {}", place.display());
    }
    let texts: Result<Vec<String>, _> = files.iter().map(fs::read_to_string).collect();
    Ok(texts?.join("\n---\n"))
}

/// The release of Kubernetes, as the module pins it.
fn version() -> Result<String> {
    let manifest = fs::read_to_string(module().join("go.mod"))?;
    let mut lines = manifest.lines().map(str::trim);
    let version = lines.find_map(|line| line.strip_prefix("k8s.io/kubernetes "));
    Ok(version.context("tests/cluster/go.mod pins no k8s.io/kubernetes")?.to_owned())
}

fn module() -> PathBuf {
    workspace::root().join("tests/cluster")
}
