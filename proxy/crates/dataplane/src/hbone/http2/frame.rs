//! Frames: the head of each, and the payloads of all (RFC 9113, 4 and 6).
//!
//! A head is checked before anything of its payload is taken. DATA needs no more than its head;
//! the payloads of all others are short and are parsed whole.
mod head;
mod parse;
pub mod write;

pub use head::{DataPart, Flags, Head, Kind};
pub use parse::Frame;

/// What a client says first.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long the head of a frame is.
pub const HEAD: usize = 9;

/// How large a frame may be of which nothing else was agreed.
pub const FRAME_DEFAULT: u32 = 1 << 14;

/// The largest that can be agreed.
pub const FRAME_LARGEST: u32 = (1 << 24) - 1;

/// The largest window, and the largest id of a stream.
pub const LARGEST: u32 = (1 << 31) - 1;

#[cfg(test)]
mod tests;
