//! What a case file says.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One configuration and what is asked of it.
///
/// Parts of the configuration are laid over a small one ([`crate::expand`]); `bootstrap` replaces it
/// as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Case {
    /// What it shows, in a sentence.
    pub(crate) about: String,
    pub(crate) bootstrap: Option<Map<String, Value>>,
    /// Objects of Istio and Kubernetes, which our control plane compiles for both proxies; they are
    /// gateways then, and nothing else says what they serve.
    pub(crate) manifests: Option<String>,
    /// Fields of the bootstrap beside the static resources.
    pub(crate) process: Map<String, Value>,
    pub(crate) listener: Map<String, Value>,
    pub(crate) listeners: Vec<Value>,
    pub(crate) chain: Map<String, Value>,
    pub(crate) chains: Vec<Value>,
    /// Network filters before the last one.
    pub(crate) network: Vec<Value>,
    /// A TCP proxy instead of an HTTP connection manager.
    pub(crate) tcp: Option<Map<String, Value>>,
    pub(crate) manager: Map<String, Value>,
    /// HTTP filters before the router; `- rbac: {…}` is short for a name and an Any.
    pub(crate) filters: Vec<Value>,
    pub(crate) router: Map<String, Value>,
    pub(crate) table: Map<String, Value>,
    pub(crate) virtual_hosts: Vec<Value>,
    pub(crate) routes: Vec<Value>,
    /// By name; `to: [b1, b2]` is short for endpoints.
    pub(crate) clusters: BTreeMap<String, Map<String, Value>>,
    pub(crate) secrets: Vec<Value>,
    /// Further lines of text format for the access log.
    pub(crate) log: Vec<String>,
    /// Access logs instead of the usual one; they write to `${dir}/access.log`.
    pub(crate) logs: Option<Vec<Value>>,
    /// Files in `${dir}`, written before the start.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) requests: Vec<Ask>,
    pub(crate) compare: Compare,
    /// Counters and gauges that are compared after the last request; a `*` at the end is any rest.
    pub(crate) stats: Vec<String>,
    /// Answers may be those of an empty configuration, for this reason.
    pub(crate) plain_because: Option<String>,
}

/// What is looked at.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Compare {
    pub(crate) seen: Seen,
    /// Lines of the access log in any order.
    pub(crate) log: Log,
    /// Headers that are not compared.
    pub(crate) ignore: Vec<String>,
    pub(crate) body: bool,
}

impl Default for Compare {
    fn default() -> Self {
        Self { seen: Seen::Full, log: Log::Ordered, ignore: Vec::new(), body: true }
    }
}

/// What of the servers' side is compared.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen {
    Full,
    /// In any order.
    Unordered,
    /// How many requests each server saw in the whole case.
    Counts,
    /// How many requests there were.
    Total,
    No,
}

/// How lines of the access log are compared.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Log {
    Ordered,
    Unordered,
    No,
}

/// A list of pairs, or a map.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Headers {
    List(Vec<(String, String)>),
    Map(BTreeMap<String, String>),
}

impl Default for Headers {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Headers {
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        match self {
            Self::List(list) => list.clone(),
            Self::Map(map) => map.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

/// One request, or bytes on a connection.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ask {
    /// Short for `method: GET` and the path.
    pub(crate) get: Option<String>,
    pub(crate) post: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) scheme: Option<String>,
    pub(crate) headers: Headers,
    pub(crate) body: Option<String>,
    /// A body of this many bytes.
    pub(crate) size: usize,
    /// The body in this many parts (HTTP/1: chunks).
    pub(crate) parts: usize,
    pub(crate) trailers: Headers,
    /// HTTP/1 bytes as they are.
    pub(crate) raw: Option<String>,
    /// How many answers `raw` has.
    pub(crate) expect: Option<usize>,
    /// Bytes of a connection that is not HTTP; what comes back until the end is the answer.
    pub(crate) tcp: Option<String>,
    /// How long such a connection stays open after its bytes.
    pub(crate) hold_ms: u64,
    /// Bytes that are written before everything else, TLS too.
    pub(crate) before: Option<String>,
    pub(crate) protocol: Protocol,
    /// The listener's name of port.
    pub(crate) to: Option<String>,
    /// The address that is connected to.
    pub(crate) address: Option<String>,
    /// The address that is connected from.
    pub(crate) from: Option<String>,
    pub(crate) tls: Option<Tls>,
    /// Requests with the same word here share a connection.
    pub(crate) connection: Option<String>,
    /// What is said and comes back after an upgrade.
    pub(crate) tunnel: Option<String>,
    pub(crate) times: Option<usize>,
    /// What servers answer, in this order; further ones are plain 200.
    pub(crate) answers: Vec<Answer>,
    /// Waits until servers have seen so many requests.
    pub(crate) wait_seen: usize,
    /// Waits before it asks.
    pub(crate) after_ms: u64,
    /// Runs together with those beside it that say so; each answer of theirs is for whoever comes.
    pub(crate) together: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    #[default]
    H1,
    H2,
}

/// The client's side of TLS.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    pub(crate) sni: Option<String>,
    pub(crate) alpn: Vec<String>,
    /// The name of its certificate.
    pub(crate) client: Option<String>,
    /// `1.2` only.
    pub(crate) old: bool,
}

/// What a server answers to one request.
#[expect(clippy::struct_excessive_bools, reason = "words of a file, each by itself")]
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Option<String>,
    /// A body of this many bytes.
    pub(crate) size: usize,
    pub(crate) trailers: Headers,
    /// Heads of 1xx before.
    pub(crate) interim: Vec<u16>,
    pub(crate) delay_ms: u64,
    /// Between head and body.
    pub(crate) body_delay_ms: u64,
    /// Ends the connection (HTTP/2: the stream) instead of an answer.
    pub(crate) reset: bool,
    /// HTTP/2: the reason.
    pub(crate) code: Option<u32>,
    /// Ends the connection after the head and half of the body.
    pub(crate) cut: bool,
    /// Answers before the body of the request is read.
    pub(crate) early: bool,
    /// HTTP/1 bytes as they are.
    pub(crate) raw: Option<String>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Headers::default(),
            body: None,
            size: 0,
            trailers: Headers::default(),
            interim: Vec::new(),
            delay_ms: 0,
            body_delay_ms: 0,
            reset: false,
            code: None,
            cut: false,
            early: false,
            raw: None,
            chunked: false,
            close: false,
        }
    }
}

impl Ask {
    pub(crate) fn method(&self) -> &str {
        match (&self.method, &self.get) {
            (Some(method), _) => method,
            (None, Some(_)) => "GET",
            (None, None) if self.post.is_some() => "POST",
            _ => "GET",
        }
    }

    pub(crate) fn path(&self) -> &str {
        let given = [&self.path, &self.get, &self.post];
        given.into_iter().flatten().next().map_or("/", String::as_str)
    }

    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("case.test")
    }

    /// The body, if there is one.
    pub(crate) fn content(&self) -> Option<Vec<u8>> {
        match (&self.body, self.size) {
            (Some(body), _) => Some(body.clone().into_bytes()),
            (None, 0) => None,
            (None, size) => Some(vec![b'x'; size]),
        }
    }
}
