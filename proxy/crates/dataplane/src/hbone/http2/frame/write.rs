//! Frames that are sent, appended to what is to be written.
use super::head::{Flags, Head, Kind};
use crate::hbone::http2::{code::Code, settings::Settings};

/// Appends SETTINGS.
pub fn settings(settings: &Settings, out: &mut Vec<u8>) {
    let at = out.len();
    head(Kind::Settings, Flags::NONE, 0, 0, out);
    settings.write(out);
    let length = length(out.len() - at - super::HEAD);
    let head = Head { length, kind: Kind::Settings, flags: Flags::NONE, stream: 0 };
    out[at..at + super::HEAD].copy_from_slice(&head.write());
}

/// Appends what answers SETTINGS.
pub fn settings_ack(out: &mut Vec<u8>) {
    head(Kind::Settings, Flags::ACK, 0, 0, out);
}

/// Appends a PING.
pub fn ping(said: [u8; 8], out: &mut Vec<u8>) {
    head(Kind::Ping, Flags::NONE, 0, 8, out);
    out.extend_from_slice(&said);
}

/// Appends the answer to a PING.
pub fn pong(said: [u8; 8], out: &mut Vec<u8>) {
    head(Kind::Ping, Flags::ACK, 0, 8, out);
    out.extend_from_slice(&said);
}

/// Appends `RST_STREAM`.
pub fn reset(stream: u32, code: Code, out: &mut Vec<u8>) {
    head(Kind::Reset, Flags::NONE, stream, 4, out);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends GOAWAY: streams after `last` were not, and will not be, looked at.
pub fn go_away(last: u32, code: Code, debug: &[u8], out: &mut Vec<u8>) {
    head(Kind::GoAway, Flags::NONE, 0, 8 + debug.len(), out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(debug);
}

/// Appends `WINDOW_UPDATE`; the stream 0 is the link.
pub fn window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    head(Kind::WindowUpdate, Flags::NONE, stream, 4, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// Appends a header block, in as many frames as it takes when each may have `max_frame` bytes.
///
/// Nothing else may be sent between them, so they are written at once.
pub fn headers(stream: u32, block: &[u8], end_stream: bool, max_frame: u32, out: &mut Vec<u8>) {
    let most = usize::try_from(max_frame).unwrap_or(usize::MAX).max(1);
    let (mut kind, mut rest) = (Kind::Headers, block);
    let mut flags = if end_stream { Flags::END_STREAM } else { Flags::NONE };
    loop {
        let (fragment, more) = rest.split_at(most.min(rest.len()));
        if more.is_empty() {
            flags = flags.with(Flags::END_HEADERS);
        }
        head(kind, flags, stream, fragment.len(), out);
        out.extend_from_slice(fragment);
        if more.is_empty() {
            return;
        }
        (kind, flags, rest) = (Kind::Continuation, Flags::NONE, more);
    }
}

fn head(kind: Kind, flags: Flags, stream: u32, payload: usize, out: &mut Vec<u8>) {
    let head = Head { length: length(payload), kind, flags, stream };
    out.extend_from_slice(&head.write());
}

/// Nothing that is written here is anywhere near 16 MiB.
fn length(payload: usize) -> u32 {
    let length = u32::try_from(payload).unwrap_or(u32::MAX);
    debug_assert!(length <= super::FRAME_LARGEST, "a frame of {payload} bytes");
    length
}
