//! A folder of manifests, a running control plane, and what came of it.
use culvert_control::{
    compile::{Ambient, Settings},
    control::StartError,
    local::Control,
    status::Status,
};
use culvert_model::pod::LocalPods;
use culvert_runtime::{
    drain::Drain,
    publish::{View, channel},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Far beyond the half second that a change may take; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}}\n";

pub(crate) struct Story {
    pub(crate) control: Control,
    pub(crate) local: View<LocalPods>,
    drain: Drain,
}

pub(crate) fn settings() -> Settings {
    let (node_name, cluster) = ("node-a".into(), "Kubernetes".into());
    Settings {
        node_name,
        cluster,
        trust_domain: "cluster.local".into(),
        ambient: Ambient::Ours,
        l7: true,
    }
}

/// An enrolled pod.
pub(crate) fn pod(name: &str, ip: u8) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, \
         annotations: {{culvert.dev/netns: /run/netns/{name}}}}}, status: {{podIP: 10.0.0.{ip}}}}}\n"
    )
}

impl Story {
    pub(crate) async fn start(paths: &[&Path]) -> Result<Self, StartError> {
        let (local_publisher, local) = channel(LocalPods::default());
        let drain = Drain::default();
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        let worker = drain.worker();
        let control = Control::start(&paths, settings(), local_publisher, &worker).await?;
        Ok(Self { control, local, drain })
    }

    /// Names of the pods this node must hold now.
    pub(crate) fn pods(&self) -> Vec<String> {
        let local = self.local.pin();
        local.value.pods.values().map(|pod| pod.workload.name.name.to_string()).collect()
    }

    /// Waits until these are the pods this node must hold.
    pub(crate) async fn holds(&mut self, expect: &[&str]) {
        let wait = async {
            while self.pods() != expect {
                let seen = self.local.pin().generation;
                if self.pods() != expect {
                    self.local.newer_than(seen).await.expect("the publisher is there");
                }
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("holds {:?}, want {expect:?}; {:#?}", self.pods(), self.control.status());
        }
    }

    /// Waits until a status fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Status) -> bool) -> Arc<Status> {
        let wait = async {
            let mut status = self.control.status();
            while !fits(&status) {
                status = self.control.changed().await.expect("the control plane runs");
            }
            status
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{:#?}", self.control.status()))
    }

    pub(crate) async fn end(self) {
        let Self { mut control, drain, .. } = self;
        drain.drain(PATIENCE).await;
        while control.changed().await.is_some() {}
    }
}
