//! Header blocks, which may come in several frames that nothing comes between (RFC 9113, 4.3).
use super::{
    code::{Code, Fault},
    frame::{Frame, Head, Kind},
};

/// How many frames may continue a block. Peers fill them, so that the largest block that is taken
/// needs four of the smallest size that can be agreed.
const CONTINUATIONS_MAX: u32 = 16;

/// What HEADERS may have beside a fragment: a priority, and padding with its length.
const AROUND: usize = 5 + 1 + 255;

const TOO_LARGE: Fault = flood("a header block is too large");

/// Puts blocks together; holds memory only while one is incomplete.
#[derive(Debug)]
pub struct Assembly {
    /// How many bytes a block may have.
    limit: usize,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
    continuations: u32,
}

/// A block that is complete; still compressed.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'b> {
    pub stream: u32,
    pub end_stream: bool,
    pub bytes: Whole<'b>,
}

/// The bytes of a block: those of the one frame it came in, or its own.
#[derive(Debug, PartialEq, Eq)]
pub enum Whole<'b> {
    One(&'b [u8]),
    Several(Vec<u8>),
}

impl Assembly {
    /// Of blocks of at most `limit` bytes, compressed. No list of headers is shorter than its
    /// block, so this is what is said in `SETTINGS_MAX_HEADER_LIST_SIZE`.
    pub const fn new(limit: usize) -> Self {
        Self { limit, open: None }
    }

    /// Whether a frame may come now; to be asked of each.
    ///
    /// # Errors
    ///
    /// When it comes in the middle of a block, continues one that there is not, or would make it
    /// too large: nothing of such a one need be kept.
    pub fn check(&self, head: Head) -> Result<(), Fault> {
        let continues = head.kind == Kind::Continuation;
        let before = match &self.open {
            None if continues => return Err(wrong("a CONTINUATION of nothing")),
            Some(open) if !continues || head.stream != open.stream => {
                return Err(wrong("a frame in the middle of a header block"));
            }
            Some(open) => open.bytes.len(),
            None => 0,
        };
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        let around = if continues { 0 } else { AROUND };
        let is_part = continues || head.kind == Kind::Headers;
        if is_part && self.limit + around < before + length { Err(TOO_LARGE) } else { Ok(()) }
    }

    /// Takes HEADERS or a CONTINUATION; the block, when that completes one. Of other frames there
    /// is nothing to take.
    ///
    /// # Errors
    ///
    /// When the block gets too large, comes in too many frames, or the frame may not come now.
    pub fn take<'p>(&mut self, frame: &Frame<'p>) -> Result<Option<Block<'p>>, Fault> {
        match *frame {
            Frame::Headers { stream, end_stream, end_headers, fragment } => {
                if self.open.is_some() {
                    return Err(wrong("a frame in the middle of a header block"));
                }
                self.bound(0, fragment)?;
                if end_headers {
                    let bytes = Whole::One(fragment);
                    return Ok(Some(Block { stream, end_stream, bytes }));
                }
                let bytes = fragment.to_vec();
                self.open = Some(Open { stream, end_stream, bytes, continuations: 0 });
                Ok(None)
            }
            Frame::Continuation { stream, end_headers, fragment } => {
                let open = self.open.take().filter(|open| open.stream == stream);
                let mut open = open.ok_or_else(|| wrong("a CONTINUATION of nothing"))?;
                self.bound(open.bytes.len(), fragment)?;
                open.continuations += 1;
                if CONTINUATIONS_MAX < open.continuations {
                    return Err(flood("a header block in too many frames"));
                }
                open.bytes.extend_from_slice(fragment);
                if end_headers {
                    let Open { stream, end_stream, bytes, .. } = open;
                    return Ok(Some(Block { stream, end_stream, bytes: Whole::Several(bytes) }));
                }
                self.open = Some(open);
                Ok(None)
            }
            Frame::Data { .. }
            | Frame::Reset { .. }
            | Frame::Settings(_)
            | Frame::SettingsAck
            | Frame::Ping(_)
            | Frame::Pong(_)
            | Frame::GoAway { .. }
            | Frame::WindowUpdate { .. }
            | Frame::Ignored => Ok(None),
        }
    }

    /// Whether a block is under way.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn bound(&self, before: usize, fragment: &[u8]) -> Result<(), Fault> {
        // What is thrown away unread is lost for the table, and so is the link.
        if self.limit < before + fragment.len() {
            return Err(TOO_LARGE);
        }
        Ok(())
    }
}

impl AsRef<[u8]> for Whole<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::One(bytes) => bytes,
            Self::Several(bytes) => bytes,
        }
    }
}

const fn wrong(why: &'static str) -> Fault {
    Fault::link(Code::PROTOCOL_ERROR, why)
}

const fn flood(why: &'static str) -> Fault {
    Fault::link(Code::ENHANCE_YOUR_CALM, why)
}
