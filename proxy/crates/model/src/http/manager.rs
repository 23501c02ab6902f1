//! The HTTP connection manager: how requests of a filter chain are read, routed and answered.
use super::{
    access_log::{AccessLog, LogFilter, LogFormat},
    filter::Filter,
    format::{Operator, Template},
    matcher::{Fraction, Networks},
    mutation::HeaderMutations,
    protocol::{CommonOptions, Http1Options, Http2Options},
    route::RouteTable,
    source::ConfigSource,
};
use std::{sync::Arc, time::Duration};

/// All that one says.
#[derive(Clone, Debug, PartialEq)]
pub struct Manager {
    pub stat_prefix: Arc<str>,
    pub codec: Codec,
    pub routes: Routes,
    /// In this order; the last is a router.
    pub filters: Arc<[Filter]>,
    pub upgrades: Arc<[Upgrade]>,
    pub common: CommonOptions,
    pub http1: Http1Options,
    pub http2: Http2Options,
    pub limits: Limits,
    pub server: ServerHeader,
    pub client: ClientAddress,
    pub certificate: ClientCertificate,
    pub path: PathOptions,
    pub host: HostOptions,
    pub request_id: RequestId,
    pub scheme: Scheme,
    /// Our name in `via`.
    pub via: Option<Arc<str>>,
    /// `user-agent` and `x-envoy-downstream-service-…` of ours are added.
    pub add_user_agent: bool,
    pub append_forwarded_port: bool,
    /// `100 Continue` comes from the upstream, not from us.
    pub proxy_100_continue: bool,
    /// `None`: as the version of HTTP says.
    pub keep_connection_on_error: Option<bool>,
    pub access_logs: Arc<[AccessLog]>,
    pub log_options: LogOptions,
    pub replies: Arc<LocalReplies>,
    pub tracing: Option<Arc<Tracing>>,
    /// Done to each request before anything reads it.
    pub early_mutations: HeaderMutations,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// By ALPN, or by the first bytes.
    #[default]
    Auto,
    Http1,
    Http2,
}

/// Where routes are.
#[derive(Clone, Debug, PartialEq)]
pub enum Routes {
    Here(Arc<RouteTable>),
    Discovered { name: Arc<str>, source: ConfigSource },
}

/// A protocol that a connection may change to.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    /// Lower case: `websocket`, `connect`.
    pub kind: Arc<str>,
    pub enabled: bool,
    /// `None`: as other requests.
    pub filters: Option<Arc<[Filter]>>,
}

/// How much, how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Of a request's headers. Envoy: 60 KiB.
    pub max_headers_kb: u32,
    /// Nothing in either direction. Envoy: 5 min; `None`: 0.
    pub stream_idle_timeout: Option<Duration>,
    /// A finished response that is not taken. `None`: as `stream_idle_timeout`.
    pub stream_flush_timeout: Option<Duration>,
    /// For the whole request. Envoy: none.
    pub request_timeout: Option<Duration>,
    /// For its headers. Envoy: none.
    pub headers_timeout: Option<Duration>,
    /// Between the announcement that a connection will close and its end. Envoy: 5 s.
    pub drain_timeout: Duration,
    /// Between a last response and the end of the connection. Envoy: 1 s.
    pub delayed_close_timeout: Option<Duration>,
}

/// The header `server`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerHeader {
    /// Envoy: `envoy`.
    pub name: Arc<str>,
    pub mode: ServerMode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerMode {
    #[default]
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

/// Who the client is, by address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientAddress {
    /// The peer's address is the client's, and is appended to `x-forwarded-for`.
    pub use_remote_address: bool,
    /// Proxies before us that are trusted.
    pub trusted_hops: u32,
    pub skip_append: bool,
    /// Addresses that count as ours; `None`: none.
    pub internal: Option<Networks>,
    /// In this order, instead of the above.
    pub detection: Arc<[Detection]>,
}

/// A way to find the client's address.
#[derive(Clone, Debug, PartialEq)]
pub enum Detection {
    Xff {
        trusted_hops: u32,
        /// Those that are passed over, if any are named.
        trusted: Networks,
        skip_append: bool,
    },
    /// A header with the address.
    Header {
        name: http::HeaderName,
        /// Lets requests count as internal.
        trusted: bool,
        /// The status of requests without it; `None`: they go on.
        reject: Option<http::StatusCode>,
    },
}

/// `x-forwarded-client-cert`.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct ClientCertificate {
    pub forward: ForwardCertificate,
    pub subject: bool,
    pub cert: bool,
    pub chain: bool,
    pub dns: bool,
    pub uri: bool,
    pub issuer: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardCertificate {
    #[default]
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// What becomes of a path before it is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathOptions {
    /// RFC 3986, section 6. Envoy: off unless built otherwise.
    pub normalize: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: EscapedSlashes,
}

/// What becomes of `%2F` and `%5C`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    #[default]
    Keep,
    Reject,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

/// What becomes of a host before it is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostOptions {
    pub strip_port: StripPort,
    /// `example.com.`
    pub strip_trailing_dot: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StripPort {
    #[default]
    Never,
    /// The listener's own.
    Matching,
    Any,
}

/// `x-request-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct RequestId {
    /// Envoy: true.
    pub generate: bool,
    /// That of a client at the edge is kept.
    pub preserve_external: bool,
    pub always_in_response: bool,
    /// A digit of the id says whether the request is traced. Envoy: true.
    pub pack_trace_reason: bool,
    /// Sampling goes by the id. Envoy: true.
    pub use_for_sampling: bool,
}

/// `:scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Kept,
    Http,
    Https,
    /// As the upstream connection is.
    MatchUpstream,
}

/// When lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// So often during a request.
    pub interval: Option<Duration>,
    /// Also when the request has come.
    pub on_request: bool,
    /// Also when a tunnel is open.
    pub on_tunnel: bool,
}

/// How answers of our own look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalReplies {
    /// The first whose filter holds.
    pub mappers: Box<[ReplyMapper]>,
    /// `None`: the text.
    pub body: Option<ReplyBody>,
}

impl LocalReplies {
    /// Whether one of the operators of their bodies and headers is so.
    pub fn any(&self, is: fn(&Operator) -> bool) -> bool {
        let body = |body: &ReplyBody| body.format.format.any(is);
        self.body.iter().any(body)
            || self
                .mappers
                .iter()
                .any(|mapper| mapper.body.iter().any(body) || mapper.headers.any(is))
    }
}

/// Changes answers of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyMapper {
    pub filter: LogFilter,
    pub status: Option<http::StatusCode>,
    /// What `%LOCAL_REPLY_BODY%` becomes.
    pub text: Option<Arc<[u8]>>,
    pub body: Option<ReplyBody>,
    pub headers: HeaderMutations,
}

/// A body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyBody {
    pub format: LogFormat,
    /// `None`: `text/plain`, or `application/json`.
    pub content_type: Option<Arc<str>>,
}

/// Which requests are traced; who is told comes later.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    pub sampling: Sampling,
    pub verbose: bool,
    /// Envoy: 256.
    pub max_path_tag_length: u32,
    pub spawn_upstream_span: bool,
    /// Headers of traces are not passed on.
    pub no_propagation: bool,
    pub tags: Arc<[CustomTag]>,
}

/// How many requests are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Of those of which clients want it. Envoy: all.
    pub client: Fraction,
    /// Of others. Envoy: all.
    pub random: Fraction,
    /// Of all that. Envoy: all.
    pub overall: Fraction,
}

/// A tag of spans.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomTag {
    pub name: Arc<str>,
    pub value: TagValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TagValue {
    Literal(Arc<str>),
    Environment { name: Arc<str>, default: Arc<str> },
    RequestHeader { name: http::HeaderName, default: Arc<str> },
    Template(Template),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_headers_kb: 60,
            stream_idle_timeout: Some(Duration::from_secs(300)),
            stream_flush_timeout: None,
            request_timeout: None,
            headers_timeout: None,
            drain_timeout: Duration::from_secs(5),
            delayed_close_timeout: Some(Duration::from_secs(1)),
        }
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self {
            generate: true,
            preserve_external: false,
            always_in_response: false,
            pack_trace_reason: true,
            use_for_sampling: true,
        }
    }
}

impl Default for ServerHeader {
    fn default() -> Self {
        Self { name: "envoy".into(), mode: ServerMode::Overwrite }
    }
}
