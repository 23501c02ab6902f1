//! The documents about the mesh: the way into it, who is in it, certificates, policies.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node's way into the mesh.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mesh {
    /// The control plane's address.
    pub(crate) control: String,
    pub(crate) connected: bool,
    /// Why not, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Of the snapshot in force.
    pub(crate) generation: u64,
    pub(crate) workloads: usize,
    pub(crate) services: usize,
    /// The control plane's version in force, by type of resource.
    #[serde(default)]
    pub(crate) versions: BTreeMap<String, String>,
    /// What the control plane sent and this node does not understand.
    #[serde(default)]
    pub(crate) refused: Vec<RefusedResource>,
    /// Certificates of this node's pods that are missing, expired, or not renewed in time.
    #[serde(default)]
    pub(crate) certificates: Vec<Certificate>,
}

/// A resource that is not understood.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefusedResource {
    pub(crate) resource: String,
    pub(crate) field: String,
    pub(crate) problem: String,
    /// Its earlier version is in force; else what must hold in its place.
    pub(crate) previous_stays: bool,
}

/// What a control plane knows of the mesh.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Control {
    pub(crate) trust_domain: String,
    pub(crate) workloads: usize,
    pub(crate) services: usize,
    pub(crate) policies: usize,
    /// Workloads that are to be in the mesh.
    pub(crate) enrolled: usize,
    /// Workloads that everybody is told to reach by HBONE.
    pub(crate) announced: usize,
    pub(crate) nodes: Vec<Node>,
    /// Who follows and proved nothing: it is told what there is, and counts as nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) guests: Vec<Guest>,
    /// Who is told of HTTP: engines of nodes, gateways, Envoys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) engines: Vec<Engine>,
    /// Enrolled pods that no node has captured, and why.
    pub(crate) uncaptured: Vec<Uncaptured>,
    /// Policies that close more than they say.
    pub(crate) closing: Vec<Closing>,
    pub(crate) authority: Authority,
    pub(crate) certificates_issued: u64,
    pub(crate) certificates_refused: u64,
    /// Which replica writes status and Events; none where there is no Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) writer: Option<Writer>,
    /// Why what is announced could not be written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsaved: Option<String>,
}

/// Which of several replicas writes into the Kubernetes API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Writer {
    /// Empty: nobody so far.
    pub(crate) replica: String,
    /// It is the one that says this.
    pub(crate) is_own: bool,
}

/// Who signs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Authority {
    /// RFC 3339, of its own certificate.
    pub(crate) not_after: String,
    pub(crate) expires_in_seconds: i64,
    pub(crate) roots: usize,
    /// RFC 3339, of the certificate by which nodes know the control plane.
    pub(crate) serving_not_after: String,
    /// What is wrong with keeping it, if anything is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) troubles: Vec<String>,
}

/// A node that is connected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) node: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// What its certificate proved; absent: it showed a token, or is on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    /// Of the program; empty: it does not report.
    pub(crate) version: String,
    pub(crate) connected_for_seconds: u64,
    pub(crate) reports: bool,
    /// What it runs, by type of resource.
    pub(crate) applied: BTreeMap<String, Applied>,
    /// It has accepted all there is.
    pub(crate) current: bool,
    /// What it does not understand.
    pub(crate) refused: Vec<String>,
    pub(crate) captured: usize,
    pub(crate) pending: usize,
    pub(crate) leaving: usize,
}

/// Somebody who is told of HTTP.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Engine {
    /// As it calls itself.
    pub(crate) id: String,
    /// A namespace on a node, or a gateway.
    pub(crate) scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// What its certificate proved; absent: it showed a token, or is on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    /// It proved to be of there; else it only listens.
    pub(crate) proven: bool,
    /// `delta`, or `state of the world`.
    pub(crate) protocol: String,
    pub(crate) connected_for_seconds: u64,
    /// It has answered all there is for it.
    pub(crate) current: bool,
    /// Of the manifests that it runs, as far as it has answered.
    pub(crate) generation: u64,
    /// Changes that it has not answered.
    pub(crate) behind: u64,
    /// Responses that it has not answered.
    pub(crate) unanswered: usize,
    /// What it refused, and has not accepted since.
    pub(crate) refused: Vec<String>,
}

/// How far a node is with one type of resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) version: String,
    /// Of the node's snapshot.
    pub(crate) generation: u64,
}

/// An enrolled pod that is not captured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Uncaptured {
    /// `namespace/name`
    pub(crate) pod: String,
    pub(crate) node: String,
    pub(crate) reason: String,
    /// `file:line` of the manifest.
    pub(crate) origin: String,
    /// It was captured, and everybody is told so still: connections to it fail meanwhile.
    pub(crate) announced: bool,
}

/// A policy that closes more than it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Closing {
    pub(crate) object: String,
    pub(crate) because: String,
    pub(crate) origin: String,
}

/// `GET /certificates`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certificates {
    pub(crate) certificates: Vec<Certificate>,
    /// Believed of peers, as PEM.
    pub(crate) roots: Vec<String>,
}

/// A certificate of this node's pods.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) identity: String,
    /// `valid`, `expired`, `missing` or `asked`.
    pub(crate) state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<i64>,
    /// Why the last attempt to have one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// `GET /policies` (a list of these)
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// `ALLOW` or `DENY`.
    pub(crate) action: String,
    /// `global`, `namespace` or `selector`.
    pub(crate) scope: String,
    pub(crate) dry_run: bool,
    pub(crate) rules: usize,
    /// Of the workloads known.
    pub(crate) workloads: usize,
    /// `file:line`, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// A workload names it and nobody knows it: the workload is closed.
    #[serde(default)]
    pub(crate) missing: bool,
}

/// Somebody on the control plane's own machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Guest {
    /// What it calls itself.
    pub(crate) name: String,
    pub(crate) address: Option<String>,
}

/// `POST /token`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) node: String,
    pub(crate) token: String,
}

/// `POST /token/void`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Voided {
    pub(crate) node: String,
}
