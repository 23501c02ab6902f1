//! A namespace of a test's own.
use std::{
    process::{self, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;

use crate::{
    cluster::{Cluster, stderr},
    eventually,
};

/// Tells apart the namespaces of one process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A namespace that nobody else has; it is deleted when dropped.
#[derive(Debug)]
pub struct Namespace<'c> {
    cluster: &'c Cluster,
    name: String,
}

impl<'c> Namespace<'c> {
    #[track_caller]
    pub(crate) fn make(cluster: &'c Cluster, start: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{start}-{}-{number}", process::id());
        cluster.kubectl(&["create", "namespace", &name]);
        let namespace = Self { cluster, name };
        // Without it no pod can be made.
        eventually("the namespace's service account", || {
            let account = namespace.get(&["serviceaccount", "default"]);
            (!account.is_null()).then_some(())
        });
        namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets a label of the namespace, as in `culvert.dev/mesh=enabled`, or removes it: `culvert.dev/mesh-`.
    #[track_caller]
    pub fn label(&self, label: &str) {
        self.cluster.kubectl(&["label", "--overwrite", "namespace", &self.name, label]);
    }

    /// Applies manifests that name no namespace; a refusal is a surprise.
    #[track_caller]
    pub fn apply(&self, manifests: &str) -> String {
        let words = ["--namespace", &self.name, "apply", "--filename", "-"];
        let output = self.cluster.kubectl_with(manifests, &words);
        assert!(output.status.success(), "{}\n{manifests}", stderr(&output));
        String::from_utf8(output.stdout).expect("kubectl writes UTF-8")
    }

    /// Runs kubectl here, and returns what it says; that it fails is a surprise.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &*self.name], words].concat())
    }

    /// Runs kubectl here.
    #[track_caller]
    #[must_use]
    pub fn try_kubectl(&self, words: &[&str]) -> Output {
        self.cluster.try_kubectl(&[&["--namespace", &*self.name], words].concat())
    }

    /// What `kubectl get` says, as JSON; null if there is no such thing.
    #[track_caller]
    #[must_use]
    pub fn get(&self, words: &[&str]) -> Value {
        self.cluster.get(&[&["--namespace", &*self.name], words].concat())
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        // Nobody waits for it: names are not used again.
        drop(self.cluster.try_kubectl(&["delete", "namespace", "--wait=false", &self.name]));
    }
}
