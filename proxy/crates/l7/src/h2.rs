//! HTTP/2: frames and flow control by the `h2` crate, driven directly.
//!
//! **Small DATA frames.** `h2` ends a connection that was sent more small DATA frames than half its
//! window is large, as a guard against frames that cost more memory than they carry. A long gRPC
//! stream of small messages is just that, so the budget is raised until it no longer matters
//! ([`Settings::data_frame_budget`]); what a peer can make us hold is bounded all the same, by the
//! window and by bodies that are pulled.
//!
//! **Floods.** `h2` bounds CONTINUATION, empty DATA frames, and streams that were reset before
//! anybody looked at them; a SETTINGS or PING is answered before the next frame is read. Beside that a
//! connection most of whose streams are reset before they are answered is closed ([`Options`]).
//!
//! Reading order: `convert` (heads), `incoming` (bodies coming in), `upload` (bodies going out;
//! `farewell`: those that fail),
//! `keepalive`; `server` and `stream` (a connection that is served), `client` and `exchange` (one
//! that is used); `turn` (when a connection is polled).
mod client;
mod convert;
mod exchange;
mod farewell;
mod incoming;
mod keepalive;
mod server;
mod stream;
mod turn;
mod upload;

pub use client::{Client, ClientOptions, Lease, connect};
pub use exchange::Exchange;
pub use incoming::Incoming;
pub use keepalive::Keepalive;
pub use server::{Closed, Options, serve};

/// What is told the peer, and what holds for what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much of one stream may be on its way to us.
    pub stream_window: u32,
    /// How much of all streams may be on its way to us.
    pub connection_window: u32,
    /// How many streams the peer may have open at once.
    pub streams: u32,
    /// How large a frame we take.
    pub frame: u32,
    /// How large headers may be.
    pub headers: u32,
    /// How much of earlier headers the peer may refer to.
    pub header_table: u32,
    /// How much is held of what a stream could not send yet.
    pub send_buffer: usize,
    /// How much of small DATA frames is taken before the connection is ended.
    pub data_frame_budget: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream_window: 1 << 20,
            connection_window: 4 << 20,
            streams: 1024,
            frame: 16 << 10,
            headers: 60 << 10,
            header_table: HEADER_TABLE,
            send_buffer: 1 << 20,
            data_frame_budget: usize::MAX >> 1,
        }
    }
}

/// What holds where nobody says anything (RFC 9113 §6.5.2).
const HEADER_TABLE: u32 = 4096;

/// The same settings for both builders, which share no type.
macro_rules! configure {
    ($builder:expr, $settings:expr) => {
        if $settings.header_table != $crate::h2::HEADER_TABLE {
            $builder.header_table_size($settings.header_table);
        }
        $builder
            .initial_window_size($settings.stream_window)
            .initial_connection_window_size($settings.connection_window)
            .max_concurrent_streams($settings.streams)
            .max_frame_size($settings.frame)
            .max_header_list_size($settings.headers)
            .max_send_buffer_size($settings.send_buffer)
            .data_frame_budget($settings.data_frame_budget)
    };
}
use configure;
