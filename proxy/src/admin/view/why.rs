//! The document of `culvert why`.
use serde::{Deserialize, Serialize};

mod request;

pub(crate) use request::{Cluster, Endpoint, Filter, Mirror, Retries, Route, Sent, Side};

/// `GET /why?from=…&to=…`, of a request with `&method=…&path=…&host=…&headers=…`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Why {
    /// `permitted`, `denied`, or `depends` on what is chosen.
    pub(crate) answer: String,
    pub(crate) source: String,
    /// One for each address of the destination.
    pub(crate) ways: Vec<Way>,
    /// All of it as people read it.
    pub(crate) text: String,
}

/// What becomes of a connection to one address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Way {
    pub(crate) destination: String,
    pub(crate) answer: String,
    /// The way it takes; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// Why there is no way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// The client's side of L7, which finds the way of a request in place of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<Side>,
    pub(crate) arrivals: Vec<Arrival>,
}

/// What is said where it arrives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// `namespace/name address`, of all that say the same.
    pub(crate) at: Vec<String>,
    /// What the source proves there; absent: it comes in plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    pub(crate) answer: String,
    /// In words.
    pub(crate) because: String,
    /// The rule that decides, when one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<Rule>,
    /// For want of an ALLOW: the rule that came closest, and what it lacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nearest: Option<Nearest>,
    /// The server's side of L7, which a request passes after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Side>,
}

/// One rule of one policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) policy: String,
    pub(crate) index: usize,
    /// `file:line`, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
}

/// A rule that almost matched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Nearest {
    #[serde(flatten)]
    pub(crate) rule: Rule,
    pub(crate) lacking: Vec<Condition>,
}

/// What would have had to hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Condition {
    pub(crate) name: String,
    pub(crate) wanted: String,
    pub(crate) found: String,
}
