//! The documents of the admin door, stable in JSON: what the node writes and `culvert` reads.
//!
//! A field may be added; one that exists keeps its name and meaning. Readers ignore what they do
//! not know, so that an older `culvert` can ask a newer node.
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod mesh;
mod why;

pub(crate) use mesh::{
    Applied, Authority, Certificate, Certificates, Closing, Control, Engine, Guest, Mesh, Node,
    Policy, RefusedResource, Token, Uncaptured, Voided, Writer,
};
pub(crate) use why::{
    Arrival, Cluster, Condition, Endpoint, Filter, Mirror, Nearest, Retries, Route, Rule, Sent,
    Side, Way, Why,
};

/// `GET /version`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) version: String,
    pub(crate) abi: u32,
}

/// `GET /ready`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
    /// What is waited for while not ready.
    #[serde(default)]
    pub(crate) waiting: Vec<String>,
    pub(crate) pid: u32,
    /// The uid of the pod that the process is in, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
}

/// `GET /status`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) abi: u32,
    pub(crate) pid: u32,
    /// Which process since the pins were made: the owner of the kernel maps.
    pub(crate) generation: u64,
    pub(crate) node: String,
    pub(crate) cluster: String,
    pub(crate) trust_domain: String,
    pub(crate) ready: bool,
    /// What is waited for while not ready.
    #[serde(default)]
    pub(crate) waiting: Vec<String>,
    pub(crate) configuration: Configuration,
    /// Where the mesh is known from.
    #[serde(default)]
    pub(crate) mesh: Mesh,
    /// When this process is a control plane too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<Control>,
    /// What the kernel can do, as the probe found it.
    #[serde(default)]
    pub(crate) kernel: Value,
    /// Whose the pods are that have Istio's label: `ours` or `istio`.
    #[serde(default)]
    pub(crate) ambient_namespaces: String,
    /// Where new pods are handed over; absent: nothing is said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cni: Option<Cni>,
    pub(crate) pods: Vec<Pod>,
}

/// The plugins that the container runtime calls for each new pod, as its folder says now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cni {
    pub(crate) conf_dir: String,
    /// The file that the runtime takes; absent: there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// In their order; `culvert-cni` is ours.
    #[serde(default)]
    pub(crate) plugins: Vec<String>,
    /// Why the folder cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// `GET /status` of a control plane that holds no pods.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ControlStatus {
    /// `control`; a node's status has none.
    pub(crate) role: String,
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) cluster: String,
    pub(crate) ready: bool,
    /// Whose the pods are that have Istio's label: `ours` or `istio`.
    #[serde(default)]
    pub(crate) ambient_namespaces: String,
    pub(crate) configuration: Configuration,
    pub(crate) control: Control,
}

/// What became of the manifests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) paths: Vec<String>,
    /// Of the snapshot in force.
    pub(crate) generation: u64,
    /// When it came into force, in milliseconds since 1970.
    pub(crate) since_unix_ms: u64,
    /// Why the last change was refused; empty when it was not. The snapshot before it is in force.
    #[serde(default)]
    pub(crate) refused: Vec<Problem>,
    /// Warnings about the set in force.
    #[serde(default)]
    pub(crate) notes: Vec<Problem>,
    /// Kinds of which no object is used.
    #[serde(default)]
    pub(crate) skipped: Vec<Skipped>,
    /// Objects of the Kubernetes API that are not in force as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) invalid: Vec<Invalid>,
    /// Kinds of the Kubernetes API, where objects come from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kinds: Vec<Followed>,
    /// What became of objects of the Gateway API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<Stood>,
}

/// An object of the Gateway API, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stood {
    /// `Kind/namespace/name`
    pub(crate) object: String,
    pub(crate) conditions: Vec<Said>,
}

/// One of its conditions, as the Gateway API has them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Of what of the object: `listener NAME`, or which of its parents; empty: of all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) of: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: bool,
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// An object of the Kubernetes API that is not in force as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Invalid {
    /// `Kind/namespace/name`
    pub(crate) object: String,
    /// `earlier`, `closed` or `left_out`.
    pub(crate) instead: String,
    /// The same for people.
    pub(crate) means: String,
    pub(crate) problems: Vec<Problem>,
}

/// A kind of the Kubernetes API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Followed {
    /// `authorizationpolicies.security.istio.io`
    pub(crate) kind: String,
    /// `followed`, `undefined`, `unavailable` or `unknown`.
    pub(crate) state: String,
    pub(crate) objects: usize,
    /// Why it is not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
}

/// Something a person has to know of a manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// 0: it is an object of the Kubernetes API, which has fields and no lines.
    pub(crate) line: u32,
    pub(crate) column: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    pub(crate) message: String,
    /// `Kind/namespace/name`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
    /// All of it as people read it, with the line of the file.
    pub(crate) text: String,
}

/// A kind whose objects are not used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) kind: String,
    pub(crate) objects: usize,
    pub(crate) because: String,
    /// `file:line` of the first one.
    pub(crate) first: String,
}

/// `GET /pods` (a list of these), and part of the status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ips: Vec<String>,
    /// `captured`, `pending` or `leaving`.
    pub(crate) state: String,
    /// Why it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) connections: u64,
    /// The kernel's counters.
    #[serde(default)]
    pub(crate) kernel: Value,
}

/// `GET /connections` (a list of these)
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Connection {
    /// The pod on this node, `namespace/name`.
    pub(crate) pod: String,
    pub(crate) direction: String,
    pub(crate) source: String,
    pub(crate) destination: String,
    /// `opening` or `open`.
    pub(crate) state: String,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) age_seconds: f64,
    /// `plain`, `tunnel`, `local` or `direct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) destination_identity: Option<String>,
    /// The service that was addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// The next hop that was dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hop: Option<String>,
}

/// `GET /config`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) settings: Vec<Setting>,
    pub(crate) generation: u64,
    pub(crate) workloads: Vec<Workload>,
    #[serde(default)]
    pub(crate) services: Vec<Service>,
}

/// A setting in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) from: String,
}

/// A workload of the snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ips: Vec<String>,
    pub(crate) node: String,
    pub(crate) identity: String,
    /// It is reached by HBONE.
    pub(crate) enrolled: bool,
}

/// A service of the snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) host: String,
    pub(crate) vips: Vec<String>,
    /// `port:target`
    pub(crate) ports: Vec<String>,
    pub(crate) endpoints: usize,
}

/// `GET /log`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) log: String,
}

impl Pod {
    /// `namespace/name`
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
