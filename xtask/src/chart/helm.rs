//! Helm, of one version, so that everybody renders the same.
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{process, workspace};

const VERSION: &str = "3.22.0";

/// The Kubernetes that is rendered for: helm asks no server.
const KUBERNETES: &str = "1.36.0";

/// The chart, from the root.
const CHART: &str = "deploy/helm/culvert";

/// Helm's program, where it has been built.
fn program() -> PathBuf {
    workspace::target().join(format!("tools/helm-{VERSION}/helm"))
}

/// Builds helm where it is missing: three minutes of processor time, once.
pub(super) fn get() -> Result<()> {
    let program = program();
    if program.exists() {
        return Ok(());
    }
    println!("building helm {VERSION} into target/tools: this takes some minutes, once");
    process::run(
        Command::new("go")
            .args(["install", "-trimpath", "-ldflags=-s -w"])
            .arg(format!("helm.sh/helm/v3/cmd/helm@v{VERSION}"))
            .env("GOBIN", program.parent().context("a program is in a folder")?)
            .env("GOFLAGS", "-buildvcs=false"),
    )
    .context("helm is built with go, from its published module")
}

/// What the chart becomes with `values` (`NAME=VALUE`).
pub(super) fn render(values: &[&str]) -> Result<String> {
    let Output { status, stdout, stderr } = run(values)?;
    ensure!(status.success(), "{values:?}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8(stdout)?)
}

/// What the chart's hooks become with `values`: what `helm uninstall` runs first.
pub(super) fn hooks(values: &[&str]) -> Result<String> {
    let mut helm = command(values)?;
    helm.args(["--show-only", "templates/uninstall.yaml"]);
    let Output { status, stdout, stderr } = helm.output().context("helm does not run")?;
    ensure!(status.success(), "{values:?}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8(stdout)?)
}

/// Why the chart becomes nothing with `values`.
pub(super) fn refusal(values: &[&str]) -> Result<String> {
    let Output { status, stderr, .. } = run(values)?;
    ensure!(!status.success(), "{values:?} must be refused, and are not");
    Ok(String::from_utf8_lossy(&stderr).into_owned())
}

/// Does something to the release in the cluster of `kubeconfig`.
pub(super) fn does(kubeconfig: &Path, words: &[&str]) -> Result<()> {
    let mut helm = helm()?;
    helm.args(words).args(["--namespace", "culvert-system", "--kubeconfig"]).arg(kubeconfig);
    process::quietly(&mut helm)
}

/// Installs the chart in the cluster of `kubeconfig`, or changes it there.
pub(super) fn install(kubeconfig: &Path, values: &[&str]) -> Result<()> {
    let mut words = vec!["upgrade", "--install", "culvert", CHART];
    words.extend(values.iter().flat_map(|value| ["--set", value]));
    does(kubeconfig, &words)
}

fn run(values: &[&str]) -> Result<Output> {
    command(values)?.arg("--no-hooks").output().context("helm does not run")
}

/// `helm template` with `values`.
fn command(values: &[&str]) -> Result<Command> {
    let mut helm = helm()?;
    helm.args(["template", "culvert", CHART, "--namespace", "culvert-system"]);
    helm.args(["--kube-version", KUBERNETES]);
    for value in values {
        // Whole lists and maps are written as JSON.
        let is_json = value.split_once('=').is_some_and(|(_, v)| v.starts_with(['{', '[']));
        helm.args([if is_json { "--set-json" } else { "--set" }, value]);
    }
    Ok(helm)
}

/// Helm, which hears nothing of whoever started us.
fn helm() -> Result<Command> {
    let program = program();
    if !program.exists() {
        bail!("helm {VERSION} is not in target/tools: `cargo xtask chart` builds it, with go");
    }
    let mut helm = Command::new(program);
    helm.current_dir(workspace::root()).env_clear();
    // Where it keeps what it was told by API servers.
    helm.env("HOME", workspace::target().join("chart"));
    Ok(helm)
}
