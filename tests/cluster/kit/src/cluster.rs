//! A cluster: its API server, and what a test does with it.
use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{self, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{namespace::Namespace, place};

/// How long a shared cluster outlives the last test that asked for it.
const LEASE: &str = "15m";

/// A control plane, with or without nodes.
///
/// One that belongs to a test ends with it, also when the test is killed.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) folder: PathBuf,
    /// Whether it ends when this value is dropped.
    own: bool,
}

/// Definitions of the resources of others, as their Go modules have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crds {
    /// All of Istio's.
    Istio,
    /// The standard channel of the Gateway API.
    Gateway,
}

impl Cluster {
    /// The API server that all tests share: for tests that keep to namespaces and names of their
    /// own, and do not stop it. The first that asks starts it.
    #[track_caller]
    #[must_use]
    pub fn shared() -> Self {
        let cluster = Self { folder: place::cluster("shared"), own: false };
        cluster.run(&["api", "--lease", LEASE]);
        cluster
    }

    /// An API server of the test's own, with controllers and scheduler, but no nodes.
    #[track_caller]
    #[must_use]
    pub fn api(name: &str) -> Self {
        Self::start(name, "api", &[])
    }

    /// A cluster of two nodes that tests share, one after the other; needs root. The first that asks
    /// starts it, and it outlives the last by some minutes.
    #[track_caller]
    #[must_use]
    pub fn shared_nodes() -> Self {
        let cluster = Self { folder: place::cluster("shared-nodes"), own: false };
        cluster.run(&["nodes", "--lease", LEASE, "2"]);
        cluster
    }

    /// A cluster with nodes, `node-1` and so on; needs root.
    #[track_caller]
    #[must_use]
    pub fn nodes(name: &str, count: u8) -> Self {
        Self::start(name, "nodes", &[&count.to_string()])
    }

    #[track_caller]
    fn start(name: &str, kind: &str, count: &[&str]) -> Self {
        let cluster = Self { folder: place::cluster(name), own: true };
        // Two runs of one test do not meet: the second starts anew.
        cluster.run(&["down"]);
        let owner = process::id().to_string();
        cluster.run(&[&[kind, "--owner", &owner], count].concat());
        cluster
    }

    /// A kubeconfig for whoever may do everything; needs no other file, and is good on this machine.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// The address of the API server, as in `https://127.0.0.1:20002`.
    #[track_caller]
    #[must_use]
    pub fn server(&self) -> String {
        let text =
            fs::read_to_string(self.folder.join("settings.json")).expect("a cluster's settings");
        let settings: Value = serde_json::from_str(&text).expect("settings are JSON");
        format!("https://127.0.0.1:{}", settings["port"])
    }

    /// The certificate of the authority that the API server's is from.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("pki/ca.crt")
    }

    /// The administrator's certificate and key.
    #[must_use]
    pub fn admin(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("pki/admin.crt"), self.folder.join("pki/admin.key"))
    }

    /// A kubeconfig with a token of a service account, which exists: it may what the account may.
    #[track_caller]
    #[must_use]
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.token(namespace, account, &[]);
        let file = self.folder.join(format!("{namespace}-{account}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: {}, certificate-authority: {}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: account}}}}]\n\
             users: [{{name: account, user: {{token: {token}}}}}]\n",
            self.server(),
            self.ca().display(),
        );
        fs::write(&file, text).expect("a kubeconfig can be written");
        file
    }

    /// A token of a service account; `options` are those of `kubectl create token`, as in
    /// `["--audience=culvert", "--bound-object-kind=Pod", "--bound-object-name=web"]`.
    #[track_caller]
    #[must_use]
    pub fn token(&self, namespace: &str, account: &str, options: &[&str]) -> String {
        let words = ["--namespace", namespace, "create", "token", account];
        self.kubectl(&[&words, options].concat()).trim().to_owned()
    }

    /// Runs kubectl as the administrator, and returns what it says; that it fails is a surprise.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> String {
        let output = self.try_kubectl(words);
        assert!(output.status.success(), "kubectl {}: {}", words.join(" "), stderr(&output));
        String::from_utf8(output.stdout).expect("kubectl writes UTF-8")
    }

    /// Runs kubectl as the administrator.
    #[track_caller]
    #[must_use]
    pub fn try_kubectl(&self, words: &[&str]) -> Output {
        self.kubectl_command(words).output().expect("the program can be started")
    }

    /// kubectl as the administrator, to be started; its standard input is empty.
    #[track_caller]
    #[must_use]
    pub fn kubectl_command(&self, words: &[&str]) -> Command {
        let mut command = self.program(&["kubectl"]);
        command.args(words);
        command
    }

    /// Runs kubectl with a text on its standard input.
    #[track_caller]
    #[must_use]
    pub fn kubectl_with(&self, input: &str, words: &[&str]) -> Output {
        let mut command = self.kubectl_command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("it was piped");
        stdin.write_all(input.as_bytes()).expect("kubectl reads all of its input");
        drop(stdin);
        child.wait_with_output().expect("a child can be waited for")
    }

    /// Applies manifests, and returns what kubectl says to them; a refusal is a surprise.
    #[track_caller]
    pub fn apply(&self, manifests: &str) -> String {
        let output = self.kubectl_with(manifests, &["apply", "--filename", "-"]);
        assert!(output.status.success(), "{}\n{manifests}", stderr(&output));
        String::from_utf8(output.stdout).expect("kubectl writes UTF-8")
    }

    /// Deletes what manifests describe, as far as it exists, and waits until it is gone.
    #[track_caller]
    pub fn delete(&self, manifests: &str) {
        let words = ["delete", "--ignore-not-found", "--filename", "-"];
        let output = self.kubectl_with(manifests, &words);
        assert!(output.status.success(), "{}\n{manifests}", stderr(&output));
    }

    /// What `kubectl get` says, as JSON; null if there is no such thing.
    #[track_caller]
    #[must_use]
    pub fn get(&self, words: &[&str]) -> Value {
        let words = [&["get", "--ignore-not-found", "--output", "json"], words].concat();
        let text = self.kubectl(&words);
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") }
    }

    /// Installs definitions, and returns when the API server serves them.
    #[track_caller]
    pub fn install(&self, crds: Crds) {
        let file = place::crds(match crds {
            Crds::Istio => "istio.yaml",
            Crds::Gateway => "gateway.yaml",
        });
        self.run(&["crds", &file.display().to_string()]);
    }

    /// A new namespace, whose name starts so; it is deleted when the value is dropped.
    #[track_caller]
    #[must_use]
    pub fn namespace(&self, start: &str) -> Namespace<'_> {
        Namespace::make(self, start)
    }

    /// Starts a part again and waits until it works: `kube-apiserver`, `etcd`,
    /// `kube-controller-manager`, `kube-scheduler`; `node-1/kubelet`, `node-1/containerd`,
    /// `node-1/kube-proxy`; or boots `node-1` with the disk it had.
    #[track_caller]
    pub fn start_part(&self, part: &str) {
        self.run(&["start", part]);
    }

    /// Ends a part in an orderly way.
    #[track_caller]
    pub fn stop_part(&self, part: &str) {
        self.run(&["stop", part]);
    }

    /// Kills a part, or cuts the power of a node.
    #[track_caller]
    pub fn kill_part(&self, part: &str) {
        self.run(&["kill", part]);
    }

    /// Freezes a part: connections to it stay open, and nothing answers.
    #[track_caller]
    pub fn pause_part(&self, part: &str) {
        self.run(&["pause", part]);
    }

    /// Lets a frozen part go on.
    #[track_caller]
    pub fn resume_part(&self, part: &str) {
        self.run(&["resume", part]);
    }

    /// The API server's audit lines of requests by a user, oldest first; `verb`, `requestURI`,
    /// `objectRef`, `userAgent` and `responseStatus.code` say what was asked and answered.
    #[track_caller]
    #[must_use]
    pub fn requests_by(&self, user: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("log/audit.log")).unwrap_or_default();
        // The last line may be half written.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["user"]["username"] == user).collect()
    }

    /// Where programs are that tests meet: `cargo xtask peers` puts them there.
    #[track_caller]
    #[must_use]
    pub fn peers(&self) -> PathBuf {
        place::peers()
    }

    /// Where the logs of all parts are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The program, to do something with this cluster.
    #[track_caller]
    pub(crate) fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(place::program());
        command.arg("--state").arg(&self.folder).args(words).stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) {
        let output = self.program(words).output().expect("the program can be started");
        assert!(output.status.success(), "{}: {}", words.join(" "), stderr(&output));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.own {
            // Its owner, this process, ends soon: then it goes at the latest.
            drop(self.program(&["down"]).status());
        }
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
