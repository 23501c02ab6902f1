//! The constants of the protocol, as Istio's proxies have them.
use h2::{client, server};
use std::time::Duration;

/// What one stream may send before it is acknowledged.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// What all streams of a link may send before it is acknowledged.
pub(super) const LINK_WINDOW: u32 = 16 << 20;

/// The largest frame that is taken. How large they are that are sent, the peer decides, and
/// [`SEND_MAX`].
const FRAME_MAX: u32 = 1 << 20;

/// How much of one stream may wait for the socket of its link.
pub(super) const SEND_MAX: usize = 512 << 10;

/// How many streams a client may have open in one link.
const SERVER_STREAMS: u32 = 200;

/// How many streams this client opens in one link; more go into another one.
pub(super) const CLIENT_STREAMS: u32 = 100;

const SERVER_HEADERS: u32 = 64 << 10;
const CLIENT_HEADERS: u32 = 16 << 10;

/// How many bytes of bookkeeping small frames may cost while nobody has taken them; 256 for each.
///
/// The library's own budget ends a link over which somebody types. What is not taken is a stream
/// whose application is not connected yet: a relay takes what comes, and keeps it tightly.
const SMALL_FRAMES: usize = 64 << 20;

/// How often a peer is asked whether it is there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(10);

/// How long it may take to answer that.
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(20);

pub(super) fn server() -> server::Builder {
    let mut settings = server::Builder::new();
    settings
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LINK_WINDOW)
        .max_frame_size(FRAME_MAX)
        .max_header_list_size(SERVER_HEADERS)
        .max_concurrent_streams(SERVER_STREAMS)
        .max_send_buffer_size(SEND_MAX)
        .data_frame_budget(SMALL_FRAMES);
    settings
}

pub(super) fn client() -> client::Builder {
    let mut settings = client::Builder::new();
    settings
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(LINK_WINDOW)
        .max_frame_size(FRAME_MAX)
        .max_header_list_size(CLIENT_HEADERS)
        // Until the server has said how many it takes.
        .initial_max_send_streams(CLIENT_STREAMS as usize)
        .max_send_buffer_size(SEND_MAX)
        .data_frame_budget(SMALL_FRAMES);
    settings
}
