//! What a frame says.
use super::{
    LARGEST,
    head::{Flags, Head, Kind, PADDING},
};
use crate::hbone::http2::{
    code::{Code, Fault},
    settings::Settings,
};

/// A frame, with what is right about it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'p> {
    Data {
        stream: u32,
        end_stream: bool,
        bytes: &'p [u8],
    },
    Headers {
        stream: u32,
        end_stream: bool,
        end_headers: bool,
        fragment: &'p [u8],
    },
    Continuation {
        stream: u32,
        end_headers: bool,
        fragment: &'p [u8],
    },
    Reset {
        stream: u32,
        code: Code,
    },
    Settings(Settings),
    SettingsAck,
    Ping([u8; 8]),
    /// The answer to one.
    Pong([u8; 8]),
    GoAway {
        last: u32,
        code: Code,
        debug: &'p [u8],
    },
    /// Of the link, when the stream is 0; the increment is from 1 to 2^31-1.
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    /// Priorities and extensions.
    Ignored,
}

impl<'p> Frame<'p> {
    /// Reads a payload, which must be as long as its `head` says.
    ///
    /// # Errors
    ///
    /// When the frame is wrong by itself, other than by being too large.
    pub fn parse(head: Head, payload: &'p [u8]) -> Result<Self, Fault> {
        // Whoever hands over less, or more, has mistaken one frame for another.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let head = Head { length, ..head };
        head.check(u32::MAX)?;
        let Head { kind, flags, stream, .. } = head;
        let end_stream = flags.has(Flags::END_STREAM);
        let end_headers = flags.has(Flags::END_HEADERS);
        Ok(match kind {
            Kind::Data => Self::Data { stream, end_stream, bytes: unpadded(flags, payload)? },
            Kind::Headers => {
                let fragment = after_priority(flags, unpadded(flags, payload)?)?;
                Self::Headers { stream, end_stream, end_headers, fragment }
            }
            Kind::Continuation => Self::Continuation { stream, end_headers, fragment: payload },
            Kind::Reset => Self::Reset { stream, code: Code(number(payload)?) },
            Kind::Settings if flags.has(Flags::ACK) => Self::SettingsAck,
            Kind::Settings => Self::Settings(Settings::parse(payload)?),
            Kind::Ping => {
                let said = payload.try_into().map_err(|_short| SHORT)?;
                if flags.has(Flags::ACK) { Self::Pong(said) } else { Self::Ping(said) }
            }
            Kind::GoAway => {
                let (last, rest) = payload.split_at_checked(4).ok_or(SHORT)?;
                let (code, debug) = rest.split_at_checked(4).ok_or(SHORT)?;
                Self::GoAway { last: number(last)? & LARGEST, code: Code(number(code)?), debug }
            }
            Kind::WindowUpdate => {
                let increment = number(payload)? & LARGEST;
                if increment == 0 {
                    return Err(no_increment(stream));
                }
                Self::WindowUpdate { stream, increment }
            }
            // A promise was refused with its head.
            Kind::Priority | Kind::PushPromise | Kind::Unknown(_) => Self::Ignored,
        })
    }
}

const SHORT: Fault = Fault::link(Code::FRAME_SIZE_ERROR, "a frame is shorter than what it carries");

const fn no_increment(stream: u32) -> Fault {
    let (code, why) = (Code::PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing");
    match stream {
        0 => Fault::link(code, why),
        stream => Fault::stream(stream, code, why),
    }
}

fn unpadded(flags: Flags, payload: &[u8]) -> Result<&[u8], Fault> {
    if !flags.has(Flags::PADDED) {
        return Ok(payload);
    }
    let (&pad, rest) = payload.split_first().ok_or(SHORT)?;
    let data = rest.len().checked_sub(usize::from(pad)).ok_or(PADDING)?;
    Ok(&rest[..data])
}

/// A header block without the priority before it, which nobody uses any more.
fn after_priority(flags: Flags, payload: &[u8]) -> Result<&[u8], Fault> {
    if !flags.has(Flags::PRIORITY) {
        return Ok(payload);
    }
    // The head was long enough for both; the padding may have eaten it.
    payload.get(5..).ok_or(PADDING)
}

fn number(bytes: &[u8]) -> Result<u32, Fault> {
    Ok(u32::from_be_bytes(bytes.try_into().map_err(|_short| SHORT)?))
}
