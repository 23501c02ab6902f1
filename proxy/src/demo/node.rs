//! One node: its proxy, asked for evidence.
use super::{error::StageError, process::Process};
use crate::cli::door::Door;
use culvert_lab::{NodeNs, Roles};
use serde_json::Value;
use std::{io, path::PathBuf};

/// For how long certificates are good, so that one is renewed while somebody watches.
const CERTIFICATE_LIFE: &str = "40s";

/// What the kernel counted for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) captured: u64,
    pub(super) inbound: u64,
    /// Connections that went past the proxy, by its own leave.
    pub(super) direct: u64,
}

/// A node of the stage with its proxy.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) ns: NodeNs,
    pub(super) proxy: Process,
    token: PathBuf,
}

impl Node {
    /// `token` is the file by which it joins.
    pub(super) fn new(ns: NodeNs, token: PathBuf) -> Self {
        Self { ns, proxy: Process::default(), token }
    }

    pub(super) fn instance(&self) -> String {
        self.ns.instance()
    }

    pub(super) fn name(&self) -> &str {
        self.ns.name()
    }

    /// Starts the node's proxy.
    ///
    /// # Errors
    ///
    /// When there is no process to be had.
    pub(super) fn start(&mut self, roles: &Roles, control: &NodeNs) -> Result<(), StageError> {
        let mut command = roles.node(&self.ns, control, &self.token);
        command.env("CULVERT_CERTIFICATE_LIFE", CERTIFICATE_LIFE);
        self.proxy.start(&self.ns, command)
    }

    /// Kills the proxy as a crash would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.proxy.kill()
    }

    /// A document of the proxy's admin socket; `None` while nobody answers.
    pub(super) fn document(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&Door::of_instance(&self.instance()).get(path).ok()?).ok()
    }

    /// Whether the proxy holds `pod` of namespace `shop`.
    pub(super) fn captured(&self, pod: &str) -> bool {
        self.pod(pod).is_some_and(|pod| pod["state"] == "captured")
    }

    /// What the kernel counted for `pod` of namespace `shop`.
    pub(super) fn counted(&self, pod: &str) -> Option<Counted> {
        let kernel = self.pod(pod)?["kernel"].clone();
        let count = |what: &str| kernel[what].as_u64();
        Some(Counted {
            captured: count("captured")?,
            inbound: count("inbound")?,
            direct: count("direct")?,
        })
    }

    /// How many workloads the proxy would reach by tunnel.
    pub(super) fn tunnels(&self) -> usize {
        let dump = self.document("/config_dump").unwrap_or_default();
        let workloads = dump["workloads"].as_array().map_or(&[][..], Vec::as_slice);
        workloads.iter().filter(|workload| workload["protocol"] == "HBONE").count()
    }

    /// The serial numbers of the certificates that the proxy holds for `account`.
    pub(super) fn serials(&self, account: &str) -> Vec<String> {
        let dump = self.document("/config_dump").unwrap_or_default();
        let held = dump["certificates"].as_array().map_or(&[][..], Vec::as_slice);
        let of = format!("/sa/{account}");
        held.iter()
            .filter(|one| one["identity"].as_str().is_some_and(|id| id.ends_with(&of)))
            .flat_map(|one| one["certChain"].as_array().cloned().unwrap_or_default())
            .filter_map(|one| one["serialNumber"].as_str().map(str::to_owned))
            .collect()
    }

    fn pod(&self, name: &str) -> Option<Value> {
        let pods = self.document("/pods")?;
        let mut pods = pods.as_array()?.iter();
        pods.find(|pod| pod["namespace"] == "shop" && pod["name"] == name).cloned()
    }

    /// How many access lines satisfy `which`.
    pub(super) fn access_lines(&self, which: impl Fn(&Value) -> bool) -> usize {
        self.proxy.said(which).len()
    }
}
