//! What both sides, a manager and a cluster, say about HTTP/1 and HTTP/2.
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// What holds for a connection of whichever version.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonOptions {
    /// A connection without streams is closed after this. Envoy: 1 h; `None` when 0 is given.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    pub max_stream_duration: Option<Duration>,
    /// Envoy: 100.
    pub max_headers: u32,
    /// `None`: no limit.
    pub max_requests_per_connection: Option<NonZeroU32>,
    pub underscores: Underscores,
}

/// What becomes of headers whose names have an underscore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    #[default]
    Allow,
    RejectRequest,
    DropHeader,
}

/// HTTP/1.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "as Envoy has them")]
pub struct Http1Options {
    /// Absolute URLs as a proxy gets them. Envoy: true.
    pub allow_absolute_url: bool,
    pub accept_http_10: bool,
    /// The host of an HTTP/1.0 request without one.
    pub default_host: Option<Arc<str>>,
    pub header_format: HeaderFormat,
    pub trailers: bool,
    /// A message with both `content-length` and `transfer-encoding: chunked` is taken as chunked.
    pub allow_chunked_length: bool,
    /// Only the request is refused where otherwise the connection ends.
    pub keep_connection_on_error: bool,
    /// `http://host/path` is sent upstream.
    pub send_fully_qualified_url: bool,
}

/// How names of headers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderFormat {
    #[default]
    Lower,
    /// `Content-Type`
    ProperCase,
    /// As the peer wrote them; others in lower case, or proper case.
    Preserve {
        others: PreserveOthers,
        /// What a server says beside its status is kept, too.
        reason: bool,
    },
}

/// How those are written that are ours, beside those that are kept as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreserveOthers {
    #[default]
    Lower,
    ProperCase,
}

/// HTTP/2.
#[derive(Clone, Debug, PartialEq)]
pub struct Http2Options {
    /// Envoy: 4096.
    pub hpack_table: u32,
    /// Envoy: 1024.
    pub max_streams: u32,
    /// Envoy: 16 MiB.
    pub stream_window: u32,
    /// Envoy: 24 MiB.
    pub connection_window: u32,
    /// Extended CONNECT.
    pub allow_connect: bool,
    pub keepalive: Option<Http2Keepalive>,
    /// Only the stream ends where otherwise the connection does.
    pub keep_connection_on_error: bool,
    pub floods: Http2Floods,
}

/// When a peer is taken for dead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Http2Keepalive {
    /// `None`: only after idleness.
    pub interval: Option<Duration>,
    pub timeout: Duration,
    /// Of the interval, 0 to 100. Envoy: 15.
    pub jitter_percent: f64,
    /// Before a stream on a connection that was idle so long, a ping goes first.
    pub idle_interval: Option<Duration>,
}

/// How many frames that do nothing a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Floods {
    /// Frames waiting to be written. Envoy: 10,000.
    pub outbound: u32,
    /// Of these `PING`, `SETTINGS` and `RST_STREAM`. Envoy: 1,000.
    pub outbound_control: u32,
    /// Frames with nothing in them, one after the other. Envoy: 1.
    pub empty: u32,
    /// `PRIORITY` frames for each stream. Envoy: 100.
    pub priority: u32,
    /// `WINDOW_UPDATE` frames for each `DATA` frame sent. Envoy: 10.
    pub window_update: u32,
}

impl Default for CommonOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_stream_duration: None,
            max_headers: 100,
            max_requests_per_connection: None,
            underscores: Underscores::Allow,
        }
    }
}

impl Default for Http1Options {
    fn default() -> Self {
        Self {
            allow_absolute_url: true,
            accept_http_10: false,
            default_host: None,
            header_format: HeaderFormat::Lower,
            trailers: false,
            allow_chunked_length: false,
            keep_connection_on_error: false,
            send_fully_qualified_url: false,
        }
    }
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            hpack_table: 4096,
            max_streams: 1024,
            stream_window: 16 << 20,
            connection_window: 24 << 20,
            allow_connect: false,
            keepalive: None,
            keep_connection_on_error: false,
            floods: Http2Floods::default(),
        }
    }
}

impl Default for Http2Floods {
    fn default() -> Self {
        Self {
            outbound: 10_000,
            outbound_control: 1_000,
            empty: 1,
            priority: 100,
            window_update: 10,
        }
    }
}
