//! The chart of this repository in a cluster, as people install it.
use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::{
    cluster::{Cluster, stderr},
    place,
};

/// The release's name, and its namespace.
const RELEASE: &str = "culvert";
const NAMESPACE: &str = "culvert-system";

impl Cluster {
    /// Installs the chart with `values` (`NAME=VALUE`), or changes what is installed to it, and waits
    /// until all of it is ready; that it fails is a surprise.
    #[track_caller]
    pub fn install_chart(&self, values: &[&str]) {
        let output = self.upgrade(values, &["--wait", "--timeout=120s"]);
        assert!(output.status.success(), "helm upgrade {values:?}: {}", stderr(&output));
    }

    /// Changes the values of what is installed, and waits for nothing.
    #[track_caller]
    pub fn change_chart(&self, values: &[&str]) {
        let output = self.upgrade(values, &[]);
        assert!(output.status.success(), "helm upgrade {values:?}: {}", stderr(&output));
    }

    #[track_caller]
    fn upgrade(&self, values: &[&str], more: &[&str]) -> Output {
        let chart = place::chart().display().to_string();
        // Else a value that was set once stays where none is set.
        let mut words = vec!["upgrade", "--install", "--reset-values", RELEASE, &chart];
        words.extend(values.iter().flat_map(|value| ["--set", value]));
        self.try_helm(&[&words, more].concat())
    }

    /// Runs helm in the chart's namespace, as the administrator.
    #[track_caller]
    #[must_use]
    pub fn try_helm(&self, words: &[&str]) -> Output {
        // It hears nothing of whoever started us, and keeps what it caches with the cluster.
        let mut helm = Command::new(place::helm());
        helm.env_clear().env("HOME", &self.folder).args(words).args([
            "--namespace",
            NAMESPACE,
            "--kubeconfig",
        ]);
        helm.arg(self.kubeconfig()).output().expect("helm can be started")
    }

    /// An archive of the image that the chart asks for, with the program under test.
    #[track_caller]
    #[must_use]
    pub fn image_under_test() -> PathBuf {
        place::image()
    }
}
