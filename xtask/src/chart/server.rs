//! What a real API server says of the chart: whether it takes every object, and what each service
//! account may do then.
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{cases::GOOD, helm, restriction};
use crate::workspace;

/// Who, may or may not, what: a verb, a resource with its name, and a namespace.
const PERMISSIONS: &[(&str, bool, &[&str])] = &[
    ("culvert-node", true, &["list", "pods", "-A"]),
    ("culvert-node", true, &["watch", "pods", "-A"]),
    ("culvert-node", true, &["patch", "pods", "-A"]),
    ("culvert-node", true, &["list", "namespaces"]),
    ("culvert-node", true, &["watch", "namespaces"]),
    ("culvert-node", true, &["get", "nodes"]),
    ("culvert-node", false, &["update", "pods", "-A"]),
    ("culvert-node", false, &["delete", "pods", "-A"]),
    ("culvert-node", false, &["create", "pods", "-n", "culvert-system"]),
    ("culvert-node", false, &["create", "pods", "--subresource=exec", "-A"]),
    ("culvert-node", false, &["patch", "pods", "--subresource=status", "-A"]),
    ("culvert-node", false, &["patch", "nodes"]),
    ("culvert-node", false, &["patch", "namespaces"]),
    ("culvert-node", false, &["get", "secrets", "-n", "culvert-system"]),
    ("culvert-node", false, &["get", "configmaps", "-n", "culvert-system"]),
    ("culvert-node", false, &["create", "serviceaccounts", "--subresource=token", "-A"]),
    ("culvert-node", false, &["create", "tokenreviews.authentication.k8s.io"]),
    ("culvert-control", true, &["list", "pods", "-A"]),
    ("culvert-control", true, &["watch", "pods", "-A"]),
    ("culvert-control", true, &["watch", "namespaces"]),
    ("culvert-control", true, &["watch", "nodes"]),
    ("culvert-control", true, &["watch", "services", "-A"]),
    ("culvert-control", true, &["watch", "endpointslices.discovery.k8s.io", "-A"]),
    ("culvert-control", true, &["watch", "customresourcedefinitions.apiextensions.k8s.io"]),
    ("culvert-control", true, &["list", "configmaps/mesh", "-A"]),
    ("culvert-control", true, &["create", "tokenreviews.authentication.k8s.io"]),
    ("culvert-control", true, &["create", "events.events.k8s.io", "-A"]),
    ("culvert-control", true, &["get", "events.events.k8s.io", "-A"]),
    ("culvert-control", true, &["patch", "events.events.k8s.io", "-A"]),
    (
        "culvert-control",
        true,
        &["patch", "validatingwebhookconfigurations.admissionregistration.k8s.io/culvert-control"],
    ),
    (
        "culvert-control",
        true,
        &["watch", "validatingwebhookconfigurations.admissionregistration.k8s.io/culvert-control"],
    ),
    (
        "culvert-control",
        false,
        &["patch", "validatingwebhookconfigurations.admissionregistration.k8s.io/other"],
    ),
    (
        "culvert-control",
        false,
        &["create", "validatingwebhookconfigurations.admissionregistration.k8s.io"],
    ),
    ("culvert-control", true, &["create", "leases.coordination.k8s.io", "-n", "culvert-system"]),
    (
        "culvert-control",
        true,
        &["update", "leases.coordination.k8s.io/culvert-control", "-n", "culvert-system"],
    ),
    ("culvert-control", true, &["create", "secrets", "-n", "culvert-system"]),
    ("culvert-control", true, &["list", "secrets/culvert-ca", "-n", "culvert-system"]),
    ("culvert-control", true, &["watch", "secrets/culvert-ca", "-n", "culvert-system"]),
    ("culvert-control", true, &["watch", "configmaps/culvert-root", "-n", "culvert-system"]),
    ("culvert-control", true, &["patch", "configmaps/culvert-root", "-n", "culvert-system"]),
    ("culvert-control", false, &["get", "secrets", "-n", "culvert-system"]),
    ("culvert-control", true, &["list", "secrets", "-A"]),
    ("culvert-control", true, &["watch", "secrets", "-n", "default"]),
    ("culvert-control", false, &["update", "secrets/culvert-ca", "-n", "culvert-system"]),
    ("culvert-control", false, &["delete", "secrets/culvert-ca", "-n", "culvert-system"]),
    ("culvert-control", false, &["get", "secrets/culvert-ca", "-n", "default"]),
    ("culvert-control", false, &["create", "secrets", "-n", "default"]),
    ("culvert-control", true, &["list", "configmaps", "-A"]),
    ("culvert-control", false, &["update", "configmaps", "-n", "default"]),
    ("culvert-control", true, &["create", "deployments.apps", "-n", "default"]),
    ("culvert-control", true, &["patch", "services", "-n", "default"]),
    ("culvert-control", true, &["create", "serviceaccounts", "-n", "default"]),
    ("culvert-control", false, &["delete", "deployments.apps", "-n", "default"]),
    ("culvert-control", false, &["update", "services", "-n", "default"]),
    (
        "culvert-control",
        false,
        &["update", "leases.coordination.k8s.io/other", "-n", "culvert-system"],
    ),
    ("culvert-control", false, &["patch", "pods", "-A"]),
    ("culvert-control", false, &["create", "pods", "-n", "culvert-system"]),
    ("culvert-control", false, &["create", "serviceaccounts", "--subresource=token", "-A"]),
    ("culvert-control", false, &["patch", "daemonsets.apps", "-n", "culvert-system"]),
    ("culvert-control", false, &["impersonate", "users"]),
    ("culvert-control", false, &["create", "clusterroles.rbac.authorization.k8s.io"]),
    // Made by `helm uninstall` alone, for its first step.
    ("culvert-uninstall", true, &["get", "daemonsets.apps/culvert-node", "-n", "culvert-system"]),
    ("culvert-uninstall", true, &["patch", "daemonsets.apps/culvert-node", "-n", "culvert-system"]),
    ("culvert-uninstall", true, &["list", "pods", "-n", "culvert-system"]),
    ("culvert-uninstall", false, &["patch", "daemonsets.apps/other", "-n", "culvert-system"]),
    ("culvert-uninstall", false, &["patch", "daemonsets.apps/culvert-node", "-n", "default"]),
    ("culvert-uninstall", false, &["list", "pods", "-A"]),
    ("culvert-uninstall", false, &["delete", "pods", "-n", "culvert-system"]),
    ("culvert-uninstall", false, &["get", "secrets", "-n", "culvert-system"]),
];

/// kubectl, for one API server.
pub(super) struct Server {
    kubeconfig: PathBuf,
}

/// Has the server of `kubeconfig` judge; what was installed for that goes again.
pub(super) fn run(kubeconfig: &Path) -> Result<()> {
    let server = Server { kubeconfig: kubeconfig.to_owned() };
    let namespace = workspace::root().join("deploy/manifests/namespace.yaml");
    let namespace = fs::read_to_string(namespace).context("namespace.yaml")?;
    server.fed(&["apply", "-f-"], &namespace)?;
    let judged = judge(&server);
    if judged.is_err() {
        drop(helm::does(kubeconfig, &["uninstall", "culvert", "--no-hooks", "--ignore-not-found"]));
    }
    server.fed(&["delete", "--ignore-not-found", "-f-"], &namespace)?;
    judged
}

fn judge(server: &Server) -> Result<()> {
    // What no server has but with others' definitions.
    let is_foreign = |values: &&[&str]| values.iter().any(|value| value.contains("podMonitor"));
    for (name, values) in GOOD.iter().filter(|(_, values)| !is_foreign(values)) {
        let rendered = helm::render(values)?;
        server.fed(&["apply", "--dry-run=server", "-f-"], &rendered).context(*name)?;
    }
    helm::install(&server.kubeconfig, &[])?;
    let hooks = helm::hooks(&[])?;
    server.fed(&["apply", "-f-"], &hooks).context("before `helm uninstall`")?;
    permissions(server)?;
    server.fed(&["delete", "--ignore-not-found", "-f-"], &hooks)?;
    println!(
        "{} renderings taken, {} permissions as they must be",
        GOOD.len() - 1,
        PERMISSIONS.len()
    );
    restriction::run(server)?;
    helm::install(&server.kubeconfig, &["node.uninstall=true"])?;
    helm::does(&server.kubeconfig, &["uninstall", "culvert"])?;
    let kinds = "roles,rolebindings,clusterroles,clusterrolebindings,validatingadmissionpolicies,\
        validatingadmissionpolicybindings,validatingwebhookconfigurations,serviceaccounts,configmaps,services,daemonsets,\
        deployments,networkpolicies,poddisruptionbudgets,jobs";
    let ours = ["-A", "-l", "app.kubernetes.io/part-of=culvert", "-o", "name"];
    let left = server.does(&[&["get", kinds], &ours[..]].concat())?;
    ensure!(left.is_empty(), "uninstalled, and still there: {left}");
    println!("installed, changed and uninstalled");
    Ok(())
}

fn permissions(server: &Server) -> Result<()> {
    for (account, may, what) in PERMISSIONS {
        let user = format!("--as=system:serviceaccount:culvert-system:{account}");
        let said = server.says(&[&["auth", "can-i"], *what, &[&user]].concat())?;
        let answer = String::from_utf8_lossy(&said.stdout);
        let expected = if *may { "yes" } else { "no" };
        if answer.lines().next() != Some(expected) {
            let said = String::from_utf8_lossy(&said.stderr);
            bail!("whether {account} may {}: {answer}{said}, not {expected}", what.join(" "));
        }
    }
    Ok(())
}

impl Server {
    /// Runs kubectl; its words, when it does as it is told.
    pub(super) fn does(&self, words: &[&str]) -> Result<String> {
        told(words, &self.says(words)?)
    }

    /// Runs kubectl with `input`; its words, when it does as it is told.
    pub(super) fn fed(&self, words: &[&str], input: &str) -> Result<String> {
        let mut kubectl = self.command(words);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().context("kubectl does not run")?;
        let mut stdin = child.stdin.take().context("kubectl takes no input")?;
        stdin.write_all(input.as_bytes())?;
        drop(stdin);
        told(words, &child.wait_with_output()?)
    }

    /// Runs kubectl, whatever it says.
    pub(super) fn says(&self, words: &[&str]) -> Result<Output> {
        self.command(words).output().context("kubectl does not run")
    }

    /// The same API server, as whoever has `token`.
    pub(super) fn with_token(&self, token: &str) -> Result<Self> {
        let words = ["config", "view", "--raw", "--flatten", "--minify", "-o", "json"];
        let mut config: Value = serde_json::from_str(&self.does(&words)?)?;
        let user = config["contexts"][0]["context"]["user"].clone();
        config["users"] = json!([{ "name": user, "user": { "token": token } }]);
        // The token is in it.
        let kubeconfig = workspace::target().join("chart.kubeconfig");
        let mut file = OpenOptions::new();
        let file = file.create(true).truncate(true).write(true).mode(0o600).open(&kubeconfig);
        file.and_then(|mut file| file.write_all(config.to_string().as_bytes()))
            .with_context(|| kubeconfig.display().to_string())?;
        Ok(Self { kubeconfig })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(words);
        kubectl
    }
}

fn told(words: &[&str], output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {}: {}", words.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
