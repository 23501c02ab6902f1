//! The constants of the protocol, as Istio's proxies have them.
use super::http2::settings::Settings;
use std::time::Duration;

/// What one stream may send before it is acknowledged.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// What all streams of a link may send before it is acknowledged.
pub(super) const LINK_WINDOW: u32 = 16 << 20;

/// The windows of a link and of its streams before anybody said anything (RFC 9113 §6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// The largest frame a peer takes before it said anything.
pub(super) const FIRST_FRAME_MAX: u32 = 16_384;

/// The largest frame that is taken. How large they are that are sent, the peer decides.
pub(super) const FRAME_MAX: u32 = 1 << 20;

/// How much may wait for the socket of a link.
pub(super) const SEND_MAX: usize = 512 << 10;

/// How many streams a client may have open in one link.
pub(super) const SERVER_STREAMS: u32 = 200;

/// How many streams this client opens in one link; more go into another one.
pub(super) const CLIENT_STREAMS: u32 = 100;

pub(super) const SERVER_HEADERS: u32 = 64 << 10;
pub(super) const CLIENT_HEADERS: u32 = 16 << 10;

/// How often a peer is asked whether it is there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(10);

/// How long it may take to answer that.
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(20);

/// What a server says first.
pub(super) fn server() -> Settings {
    Settings {
        initial_window_size: Some(STREAM_WINDOW),
        max_frame_size: Some(FRAME_MAX),
        max_header_list_size: Some(SERVER_HEADERS),
        max_concurrent_streams: Some(SERVER_STREAMS),
        ..Settings::default()
    }
}

/// What a client says first.
pub(super) fn client() -> Settings {
    Settings {
        enable_push: Some(false),
        initial_window_size: Some(STREAM_WINDOW),
        max_frame_size: Some(FRAME_MAX),
        max_header_list_size: Some(CLIENT_HEADERS),
        ..Settings::default()
    }
}
