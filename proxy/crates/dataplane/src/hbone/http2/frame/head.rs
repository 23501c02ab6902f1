//! The nine bytes before every payload.
use super::{FRAME_DEFAULT, HEAD, LARGEST};
use crate::hbone::http2::code::{Code, Fault};

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// An extension's, which is passed over.
    Unknown(u8),
}

/// What is said of a frame; the same bit is another thing in another kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the payload; 24 bits.
    pub length: u32,
    pub kind: Kind,
    pub flags: Flags,
    /// 31 bits; 0 is the link itself.
    pub stream: u32,
}

/// What the payload of a DATA frame consists of, after the length of the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPart {
    pub data: u32,
    /// What follows, to be thrown away. It counts against the windows all the same, and so does
    /// the byte that says how much it is: the frame's whole length does.
    pub padding: u32,
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Unknown(other),
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::Reset => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::Unknown(other) => other,
        }
    }

    /// Whether the payload says nothing to us, so that it need not be kept.
    pub const fn is_ignored(self) -> bool {
        matches!(self, Self::Priority | Self::Unknown(_))
    }
}

impl Flags {
    pub const NONE: Self = Self(0);
    /// Of DATA and HEADERS.
    pub const END_STREAM: Self = Self(0x1);
    /// Of SETTINGS and PING.
    pub const ACK: Self = Self(0x1);
    /// Of HEADERS and CONTINUATION.
    pub const END_HEADERS: Self = Self(0x4);
    /// Of DATA and HEADERS.
    pub const PADDED: Self = Self(0x8);
    /// Of HEADERS.
    pub const PRIORITY: Self = Self(0x20);

    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    #[must_use]
    pub const fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }
}

impl Head {
    /// Of DATA without padding.
    pub const fn data(stream: u32, length: u32, end_stream: bool) -> Self {
        let flags = if end_stream { Flags::END_STREAM } else { Flags::NONE };
        Self { length, kind: Kind::Data, flags, stream }
    }

    pub const fn parse(bytes: &[u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: Kind::of(kind),
            flags: Flags(flags),
            // The first bit is nobody's and has to be ignored.
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & LARGEST,
        }
    }

    pub const fn write(self) -> [u8; HEAD] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind.byte(), self.flags.0, s0, s1, s2, s3]
    }

    /// Whether there can be a frame with this head, of which we take up to `max_frame` bytes.
    ///
    /// # Errors
    ///
    /// When it is too long, too short, or of the link where it has to be a stream's, or the other
    /// way round. Where the RFC leaves the choice, the link ends: nobody does such a thing by
    /// chance.
    pub const fn check(self, max_frame: u32) -> Result<(), Fault> {
        if max_frame < self.length {
            return size("a frame is larger than what we said we take");
        }
        match self.of_link() {
            Some(true) if self.stream != 0 => return wrong("a frame of the link names a stream"),
            Some(false) if self.stream == 0 => return wrong("a frame of a stream names none"),
            Some(_) | None => {}
        }
        if FRAME_DEFAULT < self.length && matches!(self.kind, Kind::Settings | Kind::GoAway) {
            // Whatever is agreed on is for data; nobody has that much to say of a link.
            return Err(Fault::link(Code::ENHANCE_YOUR_CALM, "a frame of the link is too large"));
        }
        let fits = match self.kind {
            Kind::Data | Kind::Headers => self.head_of_payload() <= self.length,
            Kind::Priority => self.length == 5,
            Kind::Reset | Kind::WindowUpdate => self.length == 4,
            Kind::Settings if self.flags.has(Flags::ACK) => self.length == 0,
            Kind::Settings => self.length.is_multiple_of(6),
            Kind::Ping => self.length == 8,
            Kind::GoAway => 8 <= self.length,
            Kind::PushPromise => return wrong("a PUSH_PROMISE, which nobody allowed"),
            Kind::Continuation | Kind::Unknown(_) => true,
        };
        if fits { Ok(()) } else { size("a frame has a length that its kind cannot have") }
    }

    /// What the payload of this DATA frame consists of; `pad` is its first byte, if it is padded.
    ///
    /// # Errors
    ///
    /// When the padding is longer than the frame.
    pub const fn data_part(self, pad: Option<u8>) -> Result<DataPart, Fault> {
        let Some(pad) = pad else { return Ok(DataPart { data: self.length, padding: 0 }) };
        let padding = pad as u32;
        match self.length.checked_sub(1 + padding) {
            Some(data) => Ok(DataPart { data, padding }),
            None => Err(PADDING),
        }
    }

    /// Whether it speaks of the link; `None` where both are possible.
    const fn of_link(self) -> Option<bool> {
        match self.kind {
            Kind::Settings | Kind::Ping | Kind::GoAway => Some(true),
            Kind::WindowUpdate | Kind::Unknown(_) => None,
            Kind::Data
            | Kind::Headers
            | Kind::Priority
            | Kind::Reset
            | Kind::PushPromise
            | Kind::Continuation => Some(false),
        }
    }

    /// How much there must be before what the frame carries.
    const fn head_of_payload(self) -> u32 {
        let pad = if self.flags.has(Flags::PADDED) { 1 } else { 0 };
        let priority = if matches!(self.kind, Kind::Headers) && self.flags.has(Flags::PRIORITY) {
            5
        } else {
            0
        };
        pad + priority
    }
}

pub(super) const PADDING: Fault =
    Fault::link(Code::PROTOCOL_ERROR, "the padding is longer than its frame");

const fn size(why: &'static str) -> Result<(), Fault> {
    Err(Fault::link(Code::FRAME_SIZE_ERROR, why))
}

const fn wrong(why: &'static str) -> Result<(), Fault> {
    Err(Fault::link(Code::PROTOCOL_ERROR, why))
}
