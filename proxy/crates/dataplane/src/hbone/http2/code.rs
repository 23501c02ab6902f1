//! Error codes, and what has to end when a peer does something wrong.
use std::fmt;

/// Why a stream or a link ends (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

/// What a peer did wrong, and how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The link has to end: GOAWAY, and the connection is closed.
    #[error("{why} ({code})")]
    Link { code: Code, why: &'static str },
    /// Only this stream has to end: `RST_STREAM`.
    #[error("{why} ({code}, stream {stream})")]
    Stream { stream: u32, code: Code, why: &'static str },
}

impl Code {
    pub const NO_ERROR: Self = Self(0);
    pub const PROTOCOL_ERROR: Self = Self(1);
    pub const INTERNAL_ERROR: Self = Self(2);
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    pub const STREAM_CLOSED: Self = Self(5);
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    pub const REFUSED_STREAM: Self = Self(7);
    pub const CANCEL: Self = Self(8);
    pub const COMPRESSION_ERROR: Self = Self(9);
    pub const CONNECT_ERROR: Self = Self(10);
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    pub const INADEQUATE_SECURITY: Self = Self(12);
    pub const HTTP_1_1_REQUIRED: Self = Self(13);
}

impl Fault {
    /// One for which the link has to end.
    pub const fn link(code: Code, why: &'static str) -> Self {
        Self::Link { code, why }
    }

    /// One for which `stream` has to end.
    pub const fn stream(stream: u32, code: Code, why: &'static str) -> Self {
        Self::Stream { stream, code, why }
    }

    pub const fn code(&self) -> Code {
        match self {
            Self::Link { code, .. } | Self::Stream { code, .. } => *code,
        }
    }
}

impl fmt::Display for Code {
    /// By the name it has in the RFC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::CONNECT_ERROR => "CONNECT_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            Self::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            Self::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            Self(unknown) => return write!(f, "code {unknown}"),
        })
    }
}
