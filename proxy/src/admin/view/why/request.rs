//! What the document of `culvert why` says of a request.
use super::Rule;
use serde::{Deserialize, Serialize};

/// What the engine of a namespace on a node does with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) namespace: String,
    pub(crate) node: String,
    pub(crate) answer: String,
    /// Why it is not known here, and who to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unknown: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chain: Option<String>,
    /// The route table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_host: Option<String>,
    /// The one that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<Route>,
    /// Those before it, and why not.
    #[serde(default)]
    pub(crate) passed_over: Vec<Route>,
    #[serde(default)]
    pub(crate) filters: Vec<Filter>,
    /// It answers itself with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// Where a redirect leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    /// Why it goes no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent: Option<Sent>,
}

/// A route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) name: String,
    /// Its place in the virtual host, counted from 0.
    pub(crate) place: usize,
    /// `Kind/namespace/name`, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    /// Which rule of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u32>,
    /// `file:line`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// Why it is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) because: Option<String>,
}

/// A filter that has something to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) answer: String,
    /// Policies on trial change nothing.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// `ALLOW`, `DENY` or `LOG`, of policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    /// The rule that decides, when one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<Rule>,
    /// Rules that were asked before, and are not for it.
    #[serde(default)]
    pub(crate) passed_over: Vec<Rule>,
    /// In words.
    pub(crate) says: String,
}

/// Where it goes on to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) clusters: Vec<Cluster>,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<Retries>,
    #[serde(default)]
    pub(crate) mirrors: Vec<Mirror>,
}

/// A cluster it may go to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// Of 100.
    pub(crate) percent: f64,
    /// There is such a cluster.
    pub(crate) exists: bool,
    /// The object whose traffic policy or subset it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    /// `file:line`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// As its endpoints get it.
    pub(crate) path: String,
    pub(crate) host: String,
    /// `NAME:VALUE`; absent where an older node answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) headers: Option<Vec<String>>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// An endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    /// Whether the request may go there now.
    pub(crate) eligible: bool,
    pub(crate) health: String,
    pub(crate) priority: u32,
}

/// When it is tried again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Retries {
    /// Beyond the first try.
    pub(crate) most: u32,
    /// As Envoy writes it.
    pub(crate) on: String,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) each: Option<f64>,
}

/// A copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mirror {
    pub(crate) cluster: String,
    /// Of 100.
    pub(crate) percent: f64,
}
